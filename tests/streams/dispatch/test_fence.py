"""Whatever a library tries inside a fence, it gets to the host of the settings and nowhere else."""

import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

from streams.dispatch.connect import Forbidden, Guard
from streams.dispatch.fence import Fence
from tests.streams.receiver import Receiver


def fence(*hosts: str, allow: tuple[str, ...] = ()) -> Fence:
    return Fence(hosts, Guard(hosts[0], allow))


def connect(host: str, port: int) -> str:
    with socket.create_connection((host, port), 5.0):
        return "connected"


def test_the_host_of_the_settings_is_reached_where_its_address_may_be() -> None:
    with Receiver() as receiver:
        assert fence("localhost", allow=("localhost",)).run(lambda: connect("localhost", receiver.port)) == "connected"
        closed = fence("localhost")
        with pytest.raises(Forbidden, match="private or loopback; name the host or its network at allow"):
            closed.run(lambda: connect("localhost", receiver.port))
        assert closed.blocked is not None and "private or loopback" in closed.blocked


def test_an_address_is_looked_at_when_it_is_connected_to_and_not_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """As when a name changes its mind between a check and the connection."""

    def rebound(host: str, port: int, *rest: Any) -> list[Any]:
        sys.audit("socket.getaddrinfo", host, port, 0, 0, 0)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("169.254.169.254", port))]

    monkeypatch.setattr(socket, "getaddrinfo", rebound)
    with pytest.raises(Forbidden, match=r"169\.254\.169\.254 is link-local or metadata"):
        fence("hooks.example.org", allow=("hooks.example.org",)).run(lambda: connect("hooks.example.org", 443))


def test_another_host_is_not_even_looked_up() -> None:
    with pytest.raises(Forbidden, match=r"proxy\.example is not the host of the settings"):
        fence("hooks.example.org").run(lambda: connect("proxy.example", 3128))
    with pytest.raises(Forbidden, match=r"127\.0\.0\.1 is not the host"):
        fence("hooks.example.org", allow=("127.0.0.0/8",)).run(lambda: connect("127.0.0.1", 9))


def direct(family: int, place: Any) -> Callable[[], None]:
    def run() -> None:
        with socket.socket(family) as made:
            made.connect(place)

    return run


WAYS_OUT: dict[str, Callable[[], Any]] = {
    "a connection by address": direct(socket.AF_INET, ("127.0.0.1", 9)),
    "a connection by name": direct(socket.AF_INET, ("localhost", 9)),
    "a socket of the machine": direct(socket.AF_UNIX, "/run/some.sock"),
    "a datagram": lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", 9)),
    "a program": lambda: subprocess.run(["true"], check=True),
}
if sys.version_info >= (3, 12):
    WAYS_OUT["a thread"] = lambda: threading.Thread(target=print).start()


@pytest.mark.parametrize("way", WAYS_OUT)
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_no_other_way_leads_out(way: str) -> None:
    closed = fence("hooks.example.org", allow=("hooks.example.org",) if way == "a connection by name" else ())
    with pytest.raises(Forbidden):
        closed.run(WAYS_OUT[way])
    assert closed.blocked


def test_who_is_outside_is_not_asked() -> None:
    with Receiver() as receiver:
        fence("hooks.example.org").run(lambda: None)
        assert connect("127.0.0.1", receiver.port) == "connected"
        done: list[str] = []
        thread = threading.Thread(target=lambda: done.append(connect("localhost", receiver.port)))
        fence("hooks.example.org").run(lambda: None)
        thread.start()
        thread.join()
        assert done == ["connected"]
