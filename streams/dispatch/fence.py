"""The guard of `connect` for a library that opens its own sockets: while one of its calls runs, only the hosts of the
settings are looked up, and each address is looked at just before it is connected to.

Python tells an audit hook (PEP 578) of every look-up and connection before it is made, and what the hook raises
prevents it, whatever library asks. A hook stays for the life of the process; this one looks at calls inside a fence
only.
"""

import contextvars
import errno
import functools
import sys
from collections.abc import Callable
from typing import Any, Final, TypeVar

from streams.dispatch.connect import Forbidden, Guard

Result = TypeVar("Result")
LOOK_UP, CONNECT = "socket.getaddrinfo", "socket.connect"
# Ways past the two, none of which a call inside a fence has any need of. A thread would leave the fence; Python tells
# of it from 3.12 on, and no service that is named in `target` begins one.
PAST: Final = frozenset(
    {
        "_thread.start_new_thread", "_thread.start_joinable_thread", "os.exec", "os.fork", "os.forkpty",
        "os.posix_spawn", "os.system", "socket.bind", "socket.sendmsg", "socket.sendto", "subprocess.Popen",
    }
)  # fmt: skip
WATCHED: Final = PAST | {LOOK_UP, CONNECT}


class Fence:
    """Around one call: only `hosts` are looked up, and only what `guard` allows is connected to. `blocked` says what
    was prevented."""

    def __init__(self, hosts: tuple[str, ...], guard: Guard) -> None:
        self.hosts, self.guard = frozenset(host.lower() for host in hosts), guard
        self.blocked: str | None = None

    def run(self, function: Callable[[], Result]) -> Result:
        """Call a function inside the fence; it sees Forbidden, an OSError, where it wants out."""
        install()
        return contextvars.copy_context().run(self._within, function)

    def _within(self, function: Callable[[], Result]) -> Result:
        CURRENT.set(self)
        return function()

    def check(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Raises Forbidden for what is not allowed."""
        try:
            if event == LOOK_UP:
                self._check_host(arguments[0])
            elif event == CONNECT:
                self._check_place(arguments[1])
            else:
                raise Forbidden(errno.EACCES, f"{event} is not allowed")
        except Forbidden as error:
            self.blocked = error.strerror
            raise

    def _check_host(self, host: str | bytes | None) -> None:
        name = host.decode("ascii", "replace") if isinstance(host, bytes) else str(host)
        if name.lower() not in self.hosts:
            raise Forbidden(errno.EACCES, f"{name} is not the host of the settings")

    def _check_place(self, place: Any) -> None:
        try:
            self.guard.check(place[0])
        except (TypeError, ValueError) as error:
            raise Forbidden(errno.EACCES, "what is to be connected to is no address") from error


CURRENT: contextvars.ContextVar[Fence | None] = contextvars.ContextVar("CURRENT", default=None)


def watch(event: str, arguments: tuple[Any, ...]) -> None:
    """The audit hook. Raises Forbidden."""
    if event in WATCHED:
        fence = CURRENT.get()
        if fence is not None:
            fence.check(event, arguments)


@functools.cache
def install() -> None:
    """Have Python ask `watch`, from the first fence on."""
    sys.addaudithook(watch)
