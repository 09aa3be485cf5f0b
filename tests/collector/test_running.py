"""Signals end a reading between blocks; what was loaded is not looked at again."""

import gc
import signal
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
