"""dnsmasq's own check, and a dnsmasq that is asked."""

import contextlib
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from scapy.layers.dns import DNS, DNSQR

from rules.export.dnsmasq import EXPORT
from rules.indicator import Pack

Consumer = Callable[..., subprocess.CompletedProcess[str]]
NXDOMAIN = 3


@pytest.mark.parametrize("block", [False, True])
def test_dnsmasq_takes_the_file(
    block: bool, consumer: Consumer, make_pack: Callable[..., Pack], shipped_pack: Pack
) -> None:
    for pack in (make_pack(), shipped_pack):
        ran = consumer(EXPORT.write(pack._replace(block=block)).text, "dnsmasq", "--test", "-C", "{}")
        assert ran.returncode == 0 and "syntax check OK" in ran.stderr, ran.stderr


def test_dnsmasq_refuses_a_file_with_a_bad_line(consumer: Consumer, make_pack: Callable[..., Pack]) -> None:
    text = EXPORT.write(make_pack()).text.replace("nftset=/", "nftsett=/", 1)
    assert consumer(text, "dnsmasq", "--test", "-C", "{}").returncode != 0


@contextlib.contextmanager
def serving(file: Path) -> Iterator[int]:
    """A dnsmasq on a free port of the loopback that knows no other server, so it refuses what it does not block."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    words = [
        "/usr/sbin/dnsmasq", "--keep-in-foreground", f"--port={port}", "--listen-address=127.0.0.1",
        "--bind-interfaces", "--no-resolv", "--no-hosts", "-C", str(file), "--pid-file=", "--user=root",
    ]  # fmt: skip
    server = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        yield port
    finally:
        server.terminate()
        server.wait(10)
        assert server.stderr is not None
        server.stderr.close()


def ask(port: int, name: str) -> int:
    """The response code."""
    end = time.monotonic() + 10
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.settimeout(0.3)
        while time.monotonic() < end:
            asking.sendto(bytes(DNS(id=7, rd=1, qd=DNSQR(qname=name))), ("127.0.0.1", port))
            with contextlib.suppress(TimeoutError, ConnectionRefusedError):
                return int(DNS(asking.recv(4096)).rcode)
            time.sleep(0.1)
    raise AssertionError("dnsmasq did not answer")


def test_a_blocked_name_does_not_exist_and_its_exceptions_are_asked_elsewhere(
    tmp_path: Path, make_pack: Callable[..., Pack]
) -> None:
    file = tmp_path / "dnsmasq.conf"
    file.write_text(EXPORT.write(make_pack(block=True)).text, encoding="utf-8")
    with serving(file) as port:
        assert ask(port, "acme.example") == ask(port, "x.acme.example") == NXDOMAIN
        assert ask(port, "bad.acme.example") != NXDOMAIN and ask(port, "x.bad.acme.example") != NXDOMAIN
        assert ask(port, "notacme.example") != NXDOMAIN
