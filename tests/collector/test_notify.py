"""What a service manager hears, over a real socket; where there is none, nothing happens."""

import contextlib
import math
import os
import socket
import time
import uuid
from pathlib import Path

import pytest

from collector.notify import Notices, watchdog_seconds
from tests.collector.manager import heard


def expect_silence(manager: socket.socket) -> None:
    manager.setblocking(False)
    with pytest.raises(BlockingIOError):
        manager.recv(4096)
    manager.settimeout(5)


def test_readiness_is_said_once(manager: socket.socket) -> None:
    notices = Notices({"NOTIFY_SOCKET": manager.getsockname()})
    notices.status("waiting")
    notices.ready("packets are being read")
    notices.ready("again")
    assert heard(manager) == ["STATUS=waiting"]
    assert heard(manager) == ["READY=1", "STATUS=packets are being read"]
    expect_silence(manager)


def test_a_watchdog_hears_often_enough_and_no_oftener(manager: socket.socket) -> None:
    notices = Notices({"NOTIFY_SOCKET": manager.getsockname(), "WATCHDOG_USEC": "30000000"})
    for tenths in range(301):
        notices.alive(100 + tenths / 10)
    said = [heard(manager) for _ in range(4)]
    assert said == [["WATCHDOG=1"]] * 4, "every ten seconds of thirty"
    expect_silence(manager)


def test_nobody_hears_of_life_who_has_no_watchdog(manager: socket.socket) -> None:
    notices = Notices({"NOTIFY_SOCKET": manager.getsockname()})
    notices.alive(1.0)
    notices.alive(1000.0)
    assert heard(manager) == ["WATCHDOG=1"], "once does no harm"
    expect_silence(manager)


def test_a_reload_is_told_with_its_time_and_its_end(manager: socket.socket) -> None:
    notices = Notices({"NOTIFY_SOCKET": manager.getsockname()})
    notices.reloading()
    notices.reloaded()
    expect_silence(manager)
    notices.ready("work")
    notices.reloading()
    notices.reloaded()
    notices.reloaded()
    assert heard(manager)[0] == "READY=1"
    kind, at = heard(manager)
    assert kind == "RELOADING=1" and abs(int(at.removeprefix("MONOTONIC_USEC=")) / 1e6 - time.monotonic()) < 10
    assert heard(manager) == ["READY=1"]
    expect_silence(manager)


def test_a_socket_without_a_file_is_found_too() -> None:
    name = f"lenswatch-{uuid.uuid4().hex}"
    with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as end:
        end.bind(f"\0{name}")
        end.settimeout(5)
        Notices({"NOTIFY_SOCKET": f"@{name}"}).stopping()
        assert heard(end) == ["STOPPING=1"]


def test_a_manager_that_is_gone_holds_up_nobody(tmp_path: Path) -> None:
    Notices({"NOTIFY_SOCKET": str(tmp_path / "gone")}).ready("work")
    Notices({}).ready("work")


def test_a_manager_that_does_not_listen_holds_up_nobody_for_long(manager: socket.socket) -> None:
    notices, began = Notices({"NOTIFY_SOCKET": manager.getsockname()}), time.monotonic()
    with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as filler:
        filler.setblocking(False)
        filler.connect(manager.getsockname())
        with contextlib.suppress(BlockingIOError):
            while True:
                filler.send(b"x")
    notices.stopping()
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    ("variables", "seconds"),
    [
        ({}, math.inf),
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, math.inf),
        ({"WATCHDOG_USEC": "0"}, math.inf),
        ({"WATCHDOG_USEC": "soon"}, math.inf),
    ],
)
def test_the_watchdog_is_that_of_this_process(variables: dict[str, str], seconds: float) -> None:
    assert watchdog_seconds(variables, os.getpid()) == seconds
