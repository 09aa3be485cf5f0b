"""A service manager that is told how the collector does (sd_notify(3)), over a real socket."""

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def managing(folder: Path) -> Iterator[socket.socket]:
    """Its end of NOTIFY_SOCKET."""
    with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as end:
        end.bind(str(folder / "notify"))
        end.settimeout(5)
        yield end


def heard(manager: socket.socket) -> list[str]:
    """The lines of the next message."""
    return manager.recv(4096).decode().split("\n")
