"""A wire of the tests' own: a pair of virtual interfaces, of which the far one is in a network namespace made for it.

Nothing that is sent there leaves the machine. `Wire.replay` sends packets with tcpreplay.
"""

import contextlib
import itertools
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.collector.frames import Packet, pcap

NUMBERS = itertools.count()
SECONDS = 60


def can_listen() -> bool:
    """Whether this machine lets the tests make interfaces, and has what they need."""
    return os.geteuid() == 0 and all(shutil.which(each) for each in ("ip", "tcpreplay"))


needs_a_wire = pytest.mark.skipif(not can_listen(), reason="needs root, and: apt-get install iproute2 tcpreplay")


def run(*command: str) -> str:
    ran = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert ran.returncode == 0, (command, ran.stderr)
    return ran.stdout


class Wire:
    """`near` is here, `far` is in the namespace; every packet sent at the far end comes out at the near one."""

    def __init__(self, folder: Path) -> None:
        number = f"{os.getpid() % 100_000}{next(NUMBERS)}"
        self.near, self.far, self.namespace = f"lwn{number}", f"lwf{number}", f"lenswatch-{number}"
        self.folder = folder

    def make(self) -> None:
        run("ip", "netns", "add", self.namespace)
        self.make_pair()

    def make_pair(self) -> None:
        run("ip", "link", "add", self.near, "type", "veth", "peer", "name", self.far, "netns", self.namespace)
        # Without addresses of their own the interfaces have nothing to say.
        Path(f"/proc/sys/net/ipv6/conf/{self.near}/disable_ipv6").write_text("1")
        self.inside("sh", "-c", f"echo 1 > /proc/sys/net/ipv6/conf/{self.far}/disable_ipv6")
        self.near_is("up")
        self.inside("ip", "link", "set", self.far, "up")

    def unmake(self) -> None:
        subprocess.run(["ip", "netns", "del", self.namespace], check=False)
        subprocess.run(["ip", "link", "del", self.near], check=False, capture_output=True)

    def near_is(self, state: str) -> None:
        run("ip", "link", "set", self.near, state)

    @property
    def is_heard(self) -> bool:
        """Whether a packet socket listens at the near end (packet(7); the fifth column is the interface's number)."""
        rows = Path("/proc/net/packet").read_text("ascii").splitlines()[1:]
        return str(socket.if_nametoindex(self.near)) in {row.split()[4] for row in rows}

    def inside(self, *command: str) -> str:
        """A command in the namespace; what it said."""
        return run("ip", "netns", "exec", self.namespace, *command)

    def replay(self, packets: Sequence[Packet] | Path, *options: str) -> str:
        """Send packets, or a capture, at the far end; as fast as it goes unless the options say otherwise."""
        path = packets if isinstance(packets, Path) else self.folder / f"{self.far}.pcap"
        if not isinstance(packets, Path):
            path.write_bytes(pcap(packets))
        return self.inside("tcpreplay", "--quiet", "-i", self.far, *(options or ("--topspeed",)), str(path))


@contextlib.contextmanager
def wire(folder: Path) -> Iterator[Wire]:
    """A wire that is gone afterwards."""
    made = Wire(folder)
    try:
        made.make()
        yield made
    finally:
        made.unmake()
