"""A worker that does not get on ends; one that has nothing to do, or works, does not."""

import subprocess
import sys
import threading
import time

from streams.reading import Place
from streams.watchdog import TABLES_SECONDS, Progress, down_by, watch


def test_a_loop_that_stands_still_is_told() -> None:
    progress = Progress(beat=100.0)
    assert progress.verdict(110.0, 10) is None
    assert "stood still for 11 s" in (progress.verdict(111.0, 10) or "")


def test_one_partition_that_stands_still_is_told_while_others_move() -> None:
    progress = Progress(beat=20.0)
    for at in range(1, 15):
        progress.lags({Place("seen", 0): (7, 9), Place("seen", 1): (at, 60)}, float(at))
    assert progress.verdict(11.0, 10) is None
    assert progress.verdict(12.0, 10) == "seen [0]: records wait, and for 11 s none was done past 7"
    progress.lags({Place("seen", 0): (8, 9)}, 12.0)
    assert progress.verdict(20.0, 10) is None


def test_a_partition_that_awaits_its_turn_is_no_standstill() -> None:
    progress = Progress(beat=100.0)
    for at in range(1, 60):
        progress.lags({Place("seen", 0): (100 * at, 9_000), Place("seen", 1): (7, 9_000)}, float(at))
    assert progress.standing(60.0, 5) == [] and progress.verdict(60.0, 10) is None
    # The other has nothing more to be read, or does not get on either.
    for at in range(60, 72):
        progress.lags({Place("seen", 0): (9_000, 9_000), Place("seen", 1): (7, 9_000)}, float(at))
    assert progress.verdict(72.0, 10) == "seen [1]: records wait, and for 13 s none was done past 7"


def test_nothing_that_gets_on_is_a_standstill_whatever_waits() -> None:
    progress = Progress(beat=100.0)
    for at in range(1, 13):
        progress.lags({Place("seen", 0): (100, 9_000), Place("seen", 1): (7, 9_000)}, float(at))
    assert progress.verdict(13.0, 10) == "seen [0]: records wait, and for 12 s none was done past 100"


def test_waiting_for_nothing_is_no_standstill() -> None:
    progress = Progress(beat=1000.0)
    for at in (1.0, 500.0, 999.0):
        progress.lags({Place("seen", 0): (7, 7)}, at)
    assert progress.verdict(1000.0, 10) is None


def test_of_a_broker_that_does_not_answer_nothing_follows() -> None:
    progress = Progress(beat=1000.0)
    progress.lags({Place("seen", 0): (7, 9)}, 1.0)
    progress.lags(None, 990.0)
    progress.lags({Place("seen", 0): (7, 9)}, 995.0)
    assert progress.verdict(1000.0, 10) is None


def test_a_partition_that_stands_still_is_named_before_the_end() -> None:
    progress = Progress(beat=20.0)
    for at in range(1, 9):
        progress.lags({Place("seen", 0): (7, 9), Place("seen", 1): (at, 60)}, float(at))
    assert progress.standing(6.0, 5) == [] and progress.standing(6.5, 5) == [Place("seen", 0)]


def test_tables_that_are_never_read_are_told() -> None:
    progress = Progress(beat=1000.0)
    progress.ready(False, 10.0)
    progress.ready(False, 200.0)
    assert progress.verdict(10.0 + TABLES_SECONDS, 2000) is None
    assert progress.verdict(11.0 + TABLES_SECONDS, 2000) == "the tables were not read within 301 s"
    progress.ready(True, 300.0)
    assert progress.verdict(999.0, 2000) is None


def test_the_watch_says_why_once() -> None:
    said: list[str] = []
    told = threading.Event()
    thread = watch(Progress(time.monotonic() - 60), 0.2, lambda why: (said.append(why), told.set()))  # type: ignore[func-returns-value]
    assert told.wait(5)
    thread.join(5)
    assert len(said) == 1 and not thread.is_alive()


def test_a_worker_that_is_not_down_in_time_is_ended() -> None:
    script = "import time\nfrom streams.watchdog import down_by\ndown_by(0.1, 'too slow')\ntime.sleep(30)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 1 and done.stderr.startswith("lenswatch: too slow; the worker ends")


def test_a_worker_that_is_down_in_time_is_not() -> None:
    said: list[str] = []
    down_by(0.1, "too slow", said.append).cancel()
    time.sleep(0.2)
    assert said == []
