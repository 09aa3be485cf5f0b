"""A reading lives while its loop turns; ready is: packets are being read."""

import socket

import pytest

from collector.liveness import READING, STILL_SECONDS, WAITING, Liveness
from collector.notify import Notices
from tests.collector.manager import heard


def watched(manager: socket.socket) -> Liveness:
    return Liveness(Notices({"NOTIFY_SOCKET": manager.getsockname(), "WATCHDOG_USEC": "3000000"}))


def test_a_loop_without_packets_lives_and_is_not_ready(manager: socket.socket) -> None:
    liveness = watched(manager)
    for second in range(3):
        liveness.turn(0, 100.0 + second)
    assert heard(manager) == [f"STATUS={WAITING}"]
    assert [heard(manager) for _ in range(3)] == [["WATCHDOG=1"]] * 3
    liveness.turn(7, 103.0)
    assert heard(manager) == ["READY=1", f"STATUS={READING}"]


def test_a_loop_that_stands_still_says_nothing_and_is_not_well(manager: socket.socket) -> None:
    liveness = watched(manager)
    assert liveness.problem(10_000.0) == "", "it has not begun"
    liveness.turn(1, 100.0)
    assert liveness.problem(100.0 + STILL_SECONDS) == ""
    assert liveness.problem(101.0 + STILL_SECONDS) == f"the reading has stood still for {STILL_SECONDS + 1:.0f} s"
    assert [heard(manager)[0] for _ in range(2)] == ["READY=1", "WATCHDOG=1"]
    manager.setblocking(False)
    with pytest.raises(BlockingIOError):
        manager.recv(4096)
    liveness.turn(1, 300.0)
    assert liveness.problem(300.0) == ""


def test_what_is_read_to_its_end_does_not_stand_still(manager: socket.socket) -> None:
    liveness = watched(manager)
    liveness.turn(1, 100.0)
    liveness.rest()
    assert liveness.problem(10_000.0) == ""


def test_the_end_is_told(manager: socket.socket) -> None:
    liveness = watched(manager)
    liveness.turn(1, 100.0)
    liveness.stopping()
    assert [heard(manager)[0] for _ in range(3)] == ["READY=1", "WATCHDOG=1", "STOPPING=1"]
    assert liveness.problem(10_000.0) == ""
