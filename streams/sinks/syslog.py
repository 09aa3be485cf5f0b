"""Alerts as syslog messages (RFC 5424) over TLS (RFC 5425) or TCP (RFC 6587), each after its length.

Syslog has no answer, so nobody can say that a message was stored. What can be done is done: an alert stays in the
outbox until the other side's TCP has acknowledged it and the connection has lived on for a moment; and what was written
in the last half minute before a connection died is written again on the next one, under the same id.
"""

import asyncio
import contextlib
import importlib.metadata
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal, Self

import msgspec

from collector.errors import SettingsError
from collector.secret import read_private
from rules.alert import Alert
from streams.dispatch.stream import Stream, client_tls
from streams.dispatch.tables import read_table
from streams.dispatch.turns import in_turns
from streams.formats import cef, ecs, ocsf
from streams.formats.syslog import FACILITIES, frame, write_json, write_message
from streams.sinks.sink import Refused, Sink, Undelivered, Unreachable

MAX_BATCH: Final = 1_000
# RFC 5425, 4.3.1: what every receiver must take, and what it should.
MIN_MESSAGE_BYTES, MESSAGE_BYTES, MAX_MESSAGE_BYTES = 2_048, 8_192, 1 << 20
MAX_AGAIN_BYTES: Final = 16 << 20
MEND_SECONDS: Final = 10.0
PROBE_SECONDS: Final = 0.3
CLOSE_SECONDS: Final = 3.0
# RFC 5612: the number for examples. lenswatch has none of its own.
EXAMPLE_ENTERPRISE: Final = 32_473


class SyslogTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`[sinks.NAME]` of kind syslog: RFC 5424 over TLS or TCP."""

    address: str
    """HOST:PORT."""
    body: Literal["json", "cef", "ocsf"] = "json"
    """What a message holds: "json" (ECS), "cef" or "ocsf"."""
    tls: bool = True
    """Whether TLS is spoken; without it the alerts are readable on the way, and `allow` must name the host or its
    network."""
    allow: tuple[str, ...] = ()
    """Host names and networks that may be reached though they are private, or without TLS."""
    server_name: str | None = None
    """The name in the server's certificate, where it is not the host's."""
    cafile: Path | None = None
    """Whose certificates are trusted (PEM); without it, the system's authorities."""
    certfile: Path | None = None
    """Our own certificate (PEM), where the server asks for one; goes with `keyfile`."""
    keyfile: Path | None = None
    """The private key of `certfile` (PEM, not encrypted); others must not be able to read it."""
    facility: str = "local0"
    """The facility by its name (RFC 5424, section 6.2.1)."""
    enterprise: int = EXAMPLE_ENTERPRISE
    """Your private enterprise number (IANA), for the names of structured data."""
    max_message_bytes: int = MESSAGE_BYTES
    """How long a message may be; a longer one is cut short."""
    timeout_seconds: float = 10.0
    """How long a connection, or a write, may take, 60 at most."""
    confirm_seconds: float = 1.0
    """An alert has arrived when the connection has lived so much longer."""
    again_seconds: float = 30.0
    """What was written in the last so many seconds of a connection that broke is written again."""

    def __post_init__(self) -> None:
        host, _, port = self.address.rpartition(":")
        if not host or not port.isdigit() or not 0 < int(port) < 1 << 16:
            raise ValueError(f"address is {self.address!r}, which is no HOST:PORT")
        if self.facility not in FACILITIES:
            raise ValueError(f"facility is {self.facility!r}; there are {', '.join(FACILITIES)}")
        if not 1 <= self.enterprise < 1 << 32:
            raise ValueError("enterprise is no private enterprise number")
        if not MIN_MESSAGE_BYTES <= self.max_message_bytes <= MAX_MESSAGE_BYTES:
            raise ValueError(f"max_message_bytes is not {MIN_MESSAGE_BYTES} to {MAX_MESSAGE_BYTES}")
        if not 0 < self.timeout_seconds <= 60 or not 0 <= self.confirm_seconds <= 60 or self.again_seconds < 0:
            raise ValueError(
                "timeout_seconds is not above 0 and up to 60, confirm_seconds not 0 to 60, or again_seconds below 0"
            )
        if not self.tls and (self.cafile or self.certfile or self.keyfile or self.server_name):
            raise ValueError("tls is false, but certificates or a server's name are given: set it to true")


class Syslog(Sink):
    """Writes some alerts at a time, and waits whether the connection holds."""

    kind, table = "syslog", SyslogTable
    max_batch, lanes = MAX_BATCH, 1

    def __init__(self, name: str, table: SyslogTable, clock: Callable[[], float] = time.monotonic) -> None:
        self.name, self._table, self._clock = name, table, clock
        host, _, port = table.address.rpartition(":")
        host = host.strip("[]")
        if table.keyfile is not None:
            read_private(table.keyfile, 0, "keyfile")
        tls = client_tls(table.cafile, table.certfile, table.keyfile) if table.tls else None
        self._stream = Stream(host, int(port), table.allow, tls, table.server_name or host)
        if not table.tls and not self._stream.guard.named and not self._stream.guard.networks:
            raise SettingsError("tls is false, which anybody on the way can read: set it to true, or name it at allow")
        self.address = f"{'tls' if table.tls else 'tcp'}://{self._stream.shown}"
        self._version = importlib.metadata.version("lenswatch")
        self._turn = asyncio.Lock()
        self._recent = Recent(table.again_seconds)
        self._mending: asyncio.Task[None] | None = None

    @classmethod
    def build(cls, name: str, table: Mapping[str, Any]) -> Self:
        """See `Sink.build`."""
        return cls(name, read_table(SyslogTable, table))

    async def deliver(self, alerts: Sequence[Alert]) -> str:
        """See `Taker.deliver`."""
        frames = await in_turns(lambda alert: frame(self.message(alert)), alerts)
        async with self._turn:
            await self._open()
            await self._send(frames)
            self._recent.add(frames, self._clock())
            self.let_go = self._recent.evicted
        return f"{len(frames)} written, and the connection held; syslog confirms no more than that"

    def message(self, alert: Alert) -> bytes:
        """The alert as a message, as whole as there is room for it. Raises Refused."""
        table = self._table
        facility = FACILITIES[table.facility]
        for body in bodies(alert, table.body, self._version):
            message = write_message(alert, body, facility, table.enterprise, self._version)
            if len(message) <= table.max_message_bytes:
                return message
        raise Refused(f"{self.name}: no form of {alert.event.id} has room in {table.max_message_bytes} bytes")

    async def _open(self) -> None:
        """Have a connection; what a dead one may have swallowed goes first. Raises Unreachable."""
        if self._stream.is_open:
            return
        died_at = self._recent.died_at = self._clock() if self._recent.died_at is None else self._recent.died_at
        await self._stream.open()
        if self._mending is not None and self._mending is not asyncio.current_task():
            self._mending.cancel()
        self._mending = asyncio.create_task(self._mend(self._stream.ended))
        doubtful = self._recent.before(died_at)
        if doubtful:
            await self._send(doubtful)
            self._recent.forget()
            self._recent.add(doubtful, self._clock())
        self._recent.died_at = None

    async def _send(self, frames: Sequence[bytes]) -> None:
        await self._stream.send(b"".join(frames), self._table.timeout_seconds, self._table.confirm_seconds)

    async def _mend(self, ended: asyncio.Event) -> None:
        """When this connection ends while there is no news, what it may have swallowed is written again all the
        same."""
        await ended.wait()
        died_at = self._recent.died_at = self._clock() if self._recent.died_at is None else self._recent.died_at
        while self._recent.before(died_at) and not self._stream.is_open:
            with contextlib.suppress(Undelivered):
                async with self._turn:
                    await self._open()
            if self._mending is not asyncio.current_task():
                # There was a next connection, which has a task of its own.
                return
            await asyncio.sleep(MEND_SECONDS)

    async def probe(self) -> None:
        """See `Sink.probe`: a connection that is not closed at once, as by a server that does not take our
        certificate."""
        async with self._turn:
            await self._open()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stream.ended.wait(), PROBE_SECONDS)
            if not self._stream.is_open:
                raise Unreachable(f"{self._stream.shown}: {self._stream.words}")

    async def close(self) -> None:
        """See `Taker.close`."""
        if self._recent.died_at is not None and self._recent.before(self._recent.died_at):
            with contextlib.suppress(Undelivered, TimeoutError):
                async with asyncio.timeout(CLOSE_SECONDS), self._turn:
                    await self._open()
        if self._mending is not None:
            self._mending.cancel()
            await asyncio.gather(self._mending, return_exceptions=True)
            self._mending = None
        await self._stream.close()


class Recent:
    """What was written in the last seconds, as it was written: 16 MiB at most, and past that the oldest go. `died_at`
    is when the connection was found dead, until what it may have swallowed is written again."""

    def __init__(self, seconds: float, max_bytes: int = MAX_AGAIN_BYTES) -> None:
        self.died_at: float | None = None
        self.evicted = 0
        self._seconds, self._max_bytes, self._bytes = seconds, max_bytes, 0
        self._frames: deque[tuple[float, bytes]] = deque()

    def add(self, frames: Iterable[bytes], at: float) -> None:
        """Remember what was written just now."""
        for each in frames:
            self._frames.append((at, each))
            self._bytes += len(each)
        while self._frames and (self._frames[0][0] < at - self._seconds or self._bytes > self._max_bytes):
            then, first = self._frames.popleft()
            self._bytes -= len(first)
            self.evicted += then >= at - self._seconds

    def forget(self) -> None:
        """Remember nothing."""
        self._frames.clear()
        self._bytes = 0

    def before(self, died_at: float) -> list[bytes]:
        """What was written in the last seconds before a connection died."""
        return [each for then, each in self._frames if then >= died_at - self._seconds]


def bodies(alert: Alert, kind: str, version: str) -> Iterator[str]:
    """The alert as the body of a message, whole, and then shorter and shorter."""
    if kind == "cef":
        yield from cef.versions(alert, version)
    elif kind == "ocsf":
        yield from map(write_json, ocsf.versions(alert, version))
    else:
        yield from map(write_json, ecs.versions(alert))
