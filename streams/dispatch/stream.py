"""A connection that messages are written to and that answers nothing: TCP, or TLS over it, through the guard.

That bytes were written says little: they may lie in a buffer of ours, on the way, or in a buffer over there. So `send`
returns when the other side's TCP has acknowledged all of them, and the connection has lived on for a while. What the
other side's program does with them, no stream can tell.
"""

import asyncio
import contextlib
import fcntl
import socket
import ssl
import struct
import termios
import time
from pathlib import Path
from typing import Final

from collector.errors import SettingsError
from collector.kafka_settings import refuse_password
from streams.dispatch.connect import CONNECT_SECONDS, Forbidden, Guard
from streams.sinks.sink import Unreachable

POLL_SECONDS: Final = 0.01
CLOSE_SECONDS: Final = 1.0
# Linux: a side that is gone without a word is missed after a minute and a half.
KEEPALIVE: Final = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 15, "TCP_KEEPCNT": 4}


class Ears(asyncio.Protocol):
    """Hears when the connection ends. What the other side says meanwhile is nothing to us."""

    def __init__(self) -> None:
        self.over, self.lost = asyncio.Event(), asyncio.Event()
        self.words = ""

    def connection_lost(self, error: Exception | None) -> None:
        """It has ended."""
        self.lost.set()
        self._end(reason(error) if error is not None else "it closed the connection")

    def eof_received(self) -> bool:
        """The other side writes no more. None that takes syslog closes only its half."""
        self._end("it closed the connection")
        return False

    def _end(self, words: str) -> None:
        self.words = self.words or words
        self.over.set()


class Stream:
    """One place that messages go to, over one connection at a time. `shown` is its address."""

    def __init__(self, host: str, port: int, allow: tuple[str, ...], tls: ssl.SSLContext | None, name: str) -> None:
        self.shown = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self.guard = Guard(host, allow)
        self._host, self._port, self._tls, self._name = host, port, tls, name
        self._raw: asyncio.Transport | None = None
        self._transport: asyncio.Transport | None = None
        self._ears = Ears()

    @property
    def is_open(self) -> bool:
        """Whether there is a connection that has not ended as far as is known."""
        return self._transport is not None and not self._ears.over.is_set()

    @property
    def ended(self) -> asyncio.Event:
        """Is set when the connection has ended."""
        return self._ears.over

    @property
    def words(self) -> str:
        """Why it ended."""
        return self._ears.words

    async def open(self) -> None:
        """Connect, unless there is a connection. Raises Unreachable."""
        if self.is_open:
            return
        await self.close()
        try:
            async with asyncio.timeout(2 * CONNECT_SECONDS):
                await self._connect()
        except TimeoutError as error:
            raise Unreachable(f"{self.shown}: no answer in time") from error
        except (OSError, ssl.SSLError) as error:
            raise Unreachable(f"{self.shown}: {reason(error)}") from error

    async def _connect(self) -> None:
        loop, ears = asyncio.get_running_loop(), Ears()
        made = await self._reach()
        try:
            raw, _ = await loop.create_connection(lambda: ears, sock=made)
        except BaseException:
            made.close()
            raise
        transport: asyncio.Transport | None = raw
        if self._tls is not None:
            try:
                transport = await loop.start_tls(raw, ears, self._tls, server_hostname=self._name)
            except BaseException:
                raw.abort()
                raise
        assert transport is not None
        self._raw, self._transport, self._ears = raw, transport, ears

    async def _reach(self) -> socket.socket:
        """A connected socket, by the first address that answers. Raises OSError."""
        loop = asyncio.get_running_loop()
        last: OSError | None = None
        for info in await loop.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM):
            made: socket.socket | None = None
            try:
                made = self.guard(info)
                async with asyncio.timeout(CONNECT_SECONDS):
                    await loop.sock_connect(made, info[4])
                keep_alive(made)
            except BaseException as error:
                if made is not None:
                    made.close()
                if not isinstance(error, OSError):
                    raise
                last = error
            else:
                return made
        raise last or OSError("the name has no address")

    async def send(self, data: bytes, seconds: float, stay_seconds: float) -> None:
        """Write, and return when the other side's TCP has it all and the connection has not ended for `stay_seconds`
        after that. Raises Unreachable, also when for `seconds` nothing more came over."""
        assert self._transport is not None
        self._transport.write(data)
        least, end = self.under_way(), time.monotonic() + seconds
        while (left := self.under_way()) and time.monotonic() < end:
            if left < least:
                least, end = left, time.monotonic() + seconds
            await asyncio.sleep(POLL_SECONDS)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._ears.over.wait(), stay_seconds)
        if self._ears.over.is_set():
            raise Unreachable(f"{self.shown}: {self._ears.words}")
        if self.under_way():
            await self.close()
            raise Unreachable(f"{self.shown}: it takes nothing more")

    def under_way(self) -> int:
        """How many bytes are not known to have come over: in our buffers, and not acknowledged (Linux: SIOCOUTQ)."""
        if self._transport is None or self._raw is None or self._ears.over.is_set():
            return 0
        ours = self._raw.get_write_buffer_size()
        if self._transport is not self._raw:
            ours += self._transport.get_write_buffer_size()
        with contextlib.suppress(OSError, ValueError):
            place = self._raw.get_extra_info("socket")
            answer = fcntl.ioctl(place.fileno(), termios.TIOCOUTQ, bytes(4))
            ours += int(struct.unpack("i", answer)[0])
        return ours

    async def close(self) -> None:
        """End the connection; what is under way has a second to come over."""
        raw, transport, ears = self._raw, self._transport, self._ears
        self._raw = self._transport = None
        if raw is None or transport is None:
            return
        transport.close()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(ears.lost.wait(), CLOSE_SECONDS)
        raw.abort()
        # The loop closes the socket in its next turn.
        await asyncio.sleep(0)


def keep_alive(made: socket.socket) -> None:
    """Have the kernel ask now and then whether the other side is still there."""
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in KEEPALIVE.items():
        if hasattr(socket, name):
            made.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def client_tls(cafile: Path | None, certfile: Path | None, keyfile: Path | None) -> ssl.SSLContext:
    """A context that checks the server's certificate and name, and shows ours where there is one. Raises
    SettingsError."""
    if (certfile is None) != (keyfile is None):
        raise SettingsError("certfile and keyfile go together: set both, or none")
    try:
        context = ssl.create_default_context(cafile=None if cafile is None else str(cafile))
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(f"cafile {cafile} cannot be read: {error.strerror or error}") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if certfile is not None:
        try:
            context.load_cert_chain(certfile, keyfile, password=refuse_password)
        except (OSError, ssl.SSLError, ValueError) as error:
            why = getattr(error, "strerror", None) or error
            raise SettingsError(f"certfile {certfile} or keyfile {keyfile} cannot be read: {why}") from error
    return context


def reason(error: BaseException) -> str:
    """Why there is no connection, in a few words."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not taken: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return str(error.reason or error).replace("_", " ").lower()
    if isinstance(error, Forbidden):
        return str(error.strerror)
    return str(getattr(error, "strerror", None) or error or type(error).__name__)
