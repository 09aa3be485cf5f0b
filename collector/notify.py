"""What a service manager is told of this process, as systemd and others understand it: sd_notify(3)."""

import contextlib
import math
import os
import socket
import time
from collections.abc import Mapping
from typing import Final

SEND_SECONDS: Final = 0.5
ALIVE_SHARE: Final = 3


class Notices:
    """Tells the manager that NOTIFY_SOCKET names what goes on; where none does, nothing. A manager that does not listen
    holds up nobody."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._address = environment.get("NOTIFY_SOCKET", "")
        self._every = watchdog_seconds(environment, os.getpid()) / ALIVE_SHARE
        self._alive_at, self._is_ready, self._is_reloading = -math.inf, False, False

    def status(self, words: str) -> None:
        """Say in words what goes on."""
        self._tell(f"STATUS={words}")

    def ready(self, words: str) -> None:
        """The service does its work; said once."""
        if not self._is_ready:
            self._is_ready = True
            self._tell("READY=1", f"STATUS={words}")

    def alive(self, at: float) -> None:
        """The service gets on (`at`: seconds of a clock that only goes forward); said as often as the watchdog asks."""
        if at - self._alive_at >= self._every:
            self._alive_at = at
            self._tell("WATCHDOG=1")

    def reloading(self) -> None:
        """The service reads anew what it goes by; the manager waits for `reloaded`."""
        if self._is_ready:
            self._is_reloading = True
            self._tell("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def reloaded(self) -> None:
        """It has done so, or the old stays in force."""
        if self._is_reloading:
            self._is_reloading = False
            self._tell("READY=1")

    def stopping(self) -> None:
        """The service ends."""
        self._tell("STOPPING=1")

    def _tell(self, *lines: str) -> None:
        if not self._address:
            return
        # One that begins with @ is in the abstract name space: unix(7).
        place = f"\0{self._address[1:]}" if self._address.startswith("@") else self._address
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
            end.settimeout(SEND_SECONDS)
            end.connect(place)
            end.send("\n".join(lines).encode())


def watchdog_seconds(environment: Mapping[str, str], process: int) -> float:
    """How often the manager wants to hear of this process (sd_watchdog_enabled(3)); infinite where it does not."""
    wanted, of = environment.get("WATCHDOG_USEC", ""), environment.get("WATCHDOG_PID", str(process))
    return int(wanted) / 1e6 if wanted.isdigit() and int(wanted) and of == str(process) else math.inf
