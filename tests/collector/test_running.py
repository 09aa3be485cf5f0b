"""Signals end a reading between blocks; what was loaded is not looked at again."""

import gc
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from collector.running import Interrupts, rare_collection


def test_a_signal_in_the_midst_of_a_block_waits_for_its_end_and_a_second_does_not() -> None:
    with Interrupts() as interrupts:
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt), interrupts.reading():
            pytest.fail("reading goes on")
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_a_signal_cuts_the_waiting_for_a_block_short() -> None:
    with Interrupts() as interrupts, pytest.raises(KeyboardInterrupt), interrupts.reading():
        threading.Timer(0.05, signal.pthread_kill, [threading.main_thread().ident, signal.SIGINT]).start()
        time.sleep(10)
        pytest.fail("nothing cut in")


def test_cycles_are_collected_rarely_while_it_reads_and_as_before_afterwards() -> None:
    before = gc.get_threshold()
    with rare_collection():
        assert gc.get_threshold()[0] > 100 * before[0] and gc.get_freeze_count() > 0
    assert gc.get_threshold() == before and gc.get_freeze_count() == 0


LEAVES = """
import atexit, sys, threading, time
from collector.running import leave
class Kept:
    def __del__(self):
        print("taken apart")
kept = Kept()
atexit.register(print, "registered")
print("said")
"""


def left(*more: str) -> tuple[int, list[str]]:
    """How a program ends that leaves so, and what it said."""
    code = LEAVES + "\n".join(more)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout.split("\n")[:-1]


def test_what_was_said_and_registered_is_kept_and_nothing_is_taken_apart() -> None:
    assert left("leave(3)") == (3, ["said", "registered"])


def test_a_thread_that_is_still_at_work_is_waited_for() -> None:
    thread = "threading.Thread(target=lambda: (time.sleep(0.3), print('done'))).start()"
    assert left(thread, "leave(4)") == (4, ["said", "done", "registered", "taken apart"])


def test_what_cannot_be_written_ends_as_ever() -> None:
    code = LEAVES + "leave(3)"
    command, buffered = [sys.executable, "-c", code], {**os.environ, "PYTHONUNBUFFERED": ""}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=buffered) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        said = process.stderr.read()
    assert process.returncode == 120 and "BrokenPipeError" in said
