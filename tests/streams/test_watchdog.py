"""A worker that does not get on ends; one that has nothing to do, or works, does not."""

import subprocess
import sys
import threading
import time

from streams.watchdog import Progress, down_by, watch


def test_a_loop_that_stands_still_is_told() -> None:
    progress = Progress(beat=100.0, moved=100.0)
    assert progress.verdict(110.0, 10) is None
    assert "stood still for 11 s" in (progress.verdict(111.0, 10) or "")


def test_no_progress_while_lag_grows_is_told() -> None:
    progress = Progress(beat=0.0, moved=0.0)
    progress.lags(10, 1.0)
    progress.lags(20, 5.0)
    progress.beat = 20.0
    assert progress.verdict(10.0, 10) is None
    assert "while 20 wait" in (progress.verdict(11.0, 10) or "")
    progress.moves(11.0)
    assert progress.verdict(20.0, 10) is None


def test_no_progress_without_more_to_do_is_none_to_tell_of() -> None:
    progress = Progress(beat=1000.0, moved=0.0)
    for lag in (7, 7, None):
        progress.lags(lag, 500.0)
    assert progress.verdict(1000.0, 10) is None


def test_waiting_for_nothing_is_no_standstill() -> None:
    progress = Progress(beat=1000.0, moved=0.0)
    progress.lags(0, 995.0)
    progress.lags(5, 999.0)
    progress.lags(9, 1000.0)
    assert progress.verdict(1000.0, 10) is None


def test_the_watch_says_why_once() -> None:
    said: list[str] = []
    told = threading.Event()
    thread = watch(Progress(time.monotonic() - 60, time.monotonic()), 0.2, lambda why: (said.append(why), told.set()))  # type: ignore[func-returns-value]
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
