"""The other end of NOTIFY_SOCKET, as a service manager has it."""

import socket
import time
from pathlib import Path


class NotifySocket:
    """Keeps what it is told, in order: `said` holds a line each, as VARIABLE=VALUE."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "notify"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(self.path))
        self.said: list[str] = []

    def wait(self, line: str, seconds: float = 30.0) -> None:
        """Return when this line has come since the last wait for one; what came before it is taken off `said`."""
        end = time.monotonic() + seconds
        while line not in self.said:
            left = end - time.monotonic()
            assert left > 0, f"{line} was not said within {seconds:.0f} s, but {self.said}"
            self._hear(left)
        del self.said[: self.said.index(line) + 1]

    def listen(self, seconds: float) -> list[str]:
        """What is said within so long."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._hear(left)
        return self.said

    def _hear(self, seconds: float) -> None:
        self._socket.settimeout(max(0.01, seconds))
        try:
            self.said += self._socket.recv(4096).decode().split("\n")
        except TimeoutError:
            return

    def close(self) -> None:
        """No more."""
        self._socket.close()
