"""Alerts to Splunk's HTTP Event Collector (HEC), which has one only when an indexer acknowledges it.

Sources: Splunk Enterprise, Getting Data In, "Format events for HTTP Event Collector", "About HTTP Event Collector
Indexer Acknowledgment" and the table of error codes in "Troubleshoot HTTP Event Collector".
"""

import asyncio
import gzip
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Self

import msgspec

from rules.alert import Alert
from streams.dispatch.blame import Blame
from streams.dispatch.connect import Reply, WebServer, judged
from streams.dispatch.secret import Secret, read_word
from streams.dispatch.tables import check_timeout, read_table
from streams.sinks.sink import Gone, Refused, Sink, Throttled, Undelivered, Unreachable

MAX_BATCH: Final = 200
FIRST_POLL_SECONDS: Final = 0.25
MAX_POLL_SECONDS: Final = 10.0
BUSY_SECONDS: Final = 10.0
MAX_ACK_SECONDS: Final = 3600.0
# The codes of Splunk's table. 24 and 25 are a yes too: a queue is nearly full.
TAKEN: Final = frozenset({0, 24, 25})
BUSY: Final = frozenset({9, 18, 19, 20, 26, 27})
UNREADABLE: Final = frozenset({5, 6, 12, 13, 15})
SHUTTING_DOWN: Final = 23
TOKEN_DISABLED, NO_ACKNOWLEDGEMENT = 1, 14


class SplunkTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`[sinks.NAME]` of kind splunk: its HTTP event collector. One of `token_file` and `token_env` is needed."""

    url: str
    """The collector's address without /services."""
    token_file: Path | None = None
    """A file that holds the token; others must not be able to read it."""
    token_env: str | None = None
    """The name of an environment variable that holds it."""
    acknowledge: bool = True
    """Whether indexer acknowledgement is waited for; the token must have it."""
    ack_seconds: float = 120.0
    """For how long at most."""
    index: str | None = None
    """The index; without it, the token's own."""
    source: str = "lenswatch"
    """Splunk's field source."""
    sourcetype: str = "lenswatch:alert"
    """Splunk's field sourcetype."""
    gzip: bool = False
    """Whether requests are compressed."""
    allow: tuple[str, ...] = ()
    """Host names and networks that may be reached though they are private."""
    cafile: Path | None = None
    """Whose certificates are trusted (PEM); without it, the system's authorities."""
    timeout_seconds: float = 20.0
    """How long an answer is waited for, 60 at most."""

    def __post_init__(self) -> None:
        check_timeout(self.timeout_seconds)
        if not 0 < self.ack_seconds <= MAX_ACK_SECONDS:
            raise ValueError(f"ack_seconds is not above 0 and up to {MAX_ACK_SECONDS:.0f}")


class Answer(msgspec.Struct):
    """What the collector says of a request."""

    code: int
    text: str = ""
    ack: int | None = msgspec.field(default=None, name="ackId")


class Acknowledged(msgspec.Struct):
    """What it says of acknowledgements, by their number."""

    acks: dict[str, bool]


class Splunk(Sink):
    """Posts up to two hundred revisions a request; one request is under way, or waits to be acknowledged."""

    kind, table = "splunk", SplunkTable
    max_batch, lanes = MAX_BATCH, 1

    def __init__(self, name: str, table: SplunkTable) -> None:
        self.name, self._table = name, table
        self._server = WebServer(
            table.url, table.allow, table.cafile, table.timeout_seconds, plain=False, has_secret=True
        )
        self.address = self._server.shown
        self._token = Secret("token", table.token_file, table.token_env, read_word)
        base = self._server.url / "services/collector"
        self._event, self._ack, self._health = base / "event", base / "ack", base / "health"
        self._channel, self._blame = new_channel(), Blame()

    @classmethod
    def build(cls, name: str, table: Mapping[str, Any]) -> Self:
        """See `Sink.build`."""
        return cls(name, read_table(SplunkTable, table))

    async def deliver(self, alerts: Sequence[Alert]) -> str:
        """See `Taker.deliver`."""
        headers = {"Content-Type": "application/json"}
        body = write_events(alerts, self._table)
        if self._table.gzip:
            body, headers["Content-Encoding"] = await asyncio.to_thread(gzip.compress, body), "gzip"
        ids = [alert.news_id for alert in alerts]
        try:
            words = await self._send(body, headers | self._headers())
            self._blame.learn(ids)
            return words
        except Refused as error:
            # Of several it is not known which; they come again one by one.
            if len(ids) > 1:
                raise
            self._blame.learn((), ids)
            raise error if self._blame.is_own(ids[0]) else Undelivered(str(error)) from error
        except BaseException:
            # A collector that has restarted counts from 0 again: what it will acknowledge is not to be taken for this.
            self._channel = new_channel()
            raise

    async def _send(self, body: bytes, headers: Mapping[str, str]) -> str:
        """Send events, and wait until an indexer has them. Raises Undelivered."""
        reply = await self._server.ask("POST", self._event, body, headers)
        number = read_answer(reply, self.address).ack
        if not self._table.acknowledge:
            return reply.words
        if number is None:
            raise Gone(
                f"{self.address}: the token has no indexer acknowledgement: turn it on there, or set acknowledge = "
                f"false; then `lenswatch sinks test {self.name}`"
            )
        return f"{reply.words}, acknowledged after {await self._acknowledged(number):.1f} s"

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Splunk {self._token.current()}", "X-Splunk-Request-Channel": self._channel}

    async def _acknowledged(self, number: int) -> float:
        """Return when an indexer has it; after how many seconds. Raises Undelivered when none has in time."""
        began, pause = time.monotonic(), FIRST_POLL_SECONDS
        body = msgspec.json.encode({"acks": [number]})
        while (waited := time.monotonic() - began) < self._table.ack_seconds:
            await asyncio.sleep(min(pause, self._table.ack_seconds - waited))
            pause = min(2 * pause, MAX_POLL_SECONDS)
            try:
                reply = await self._server.ask("POST", self._ack, body, self._headers())
                if is_acknowledged(reply, self.address, number):
                    return time.monotonic() - began
            except (Unreachable, Gone):
                raise
            except Undelivered:
                # It has the events, and is only busy; asking again is cheaper than sending again.
                continue
        raise Undelivered(f"{self.address}: not acknowledged within {self._table.ack_seconds:.0f} s")

    async def probe(self) -> None:
        """See `Sink.probe`: its health, which needs no token; a collector whose queues are full says 503."""
        await self._server.probe("GET", self._health)

    async def close(self) -> None:
        """See `Taker.close`."""
        await self._server.close()


def new_channel() -> str:
    """A channel of one's own, for which acknowledgements are counted."""
    return str(uuid.uuid4())


def write_events(alerts: Sequence[Alert], table: SplunkTable) -> bytes:
    """The alerts as HEC takes them, one object after the other. `lenswatch_id` is the same for the same news."""
    constant = {"source": table.source, "sourcetype": table.sourcetype}
    if table.index is not None:
        constant["index"] = table.index
    return b"\n".join(
        msgspec.json.encode(
            {
                "time": round(alert.timestamp.timestamp(), 3),
                "host": alert.observer.name,
                **constant,
                "fields": {"lenswatch_id": alert.news_id},
                "event": alert,
            }
        )
        for alert in alerts
    )


def read_answer(reply: Reply, shown: str) -> Answer:
    """The answer when it is a yes; else raises the kind of no: by Splunk's code, else by the status."""
    try:
        answer = msgspec.json.decode(reply.body, type=Answer)
    except msgspec.DecodeError as error:
        judged(reply, shown)
        raise Undelivered(f"{shown}: answered {reply.words}, but not as an HTTP Event Collector does") from error
    if answer.code in TAKEN:
        return answer
    words = f"{shown}: answered {reply.words}: {answer.text[:100]} (code {answer.code})"
    if answer.code in BUSY:
        raise Throttled(words, BUSY_SECONDS if reply.retry_after is None else reply.retry_after)
    if answer.code in UNREADABLE:
        raise Refused(words)
    if answer.code == SHUTTING_DOWN:
        raise Unreachable(words)
    if answer.code in (TOKEN_DISABLED, NO_ACKNOWLEDGEMENT):
        raise Gone(words)
    raise Undelivered(words)


def is_acknowledged(reply: Reply, shown: str, number: int) -> bool:
    """Whether an indexer has it. Raises Undelivered when the answer does not say."""
    try:
        return msgspec.json.decode(reply.body, type=Acknowledged).acks.get(str(number), False)
    except msgspec.DecodeError:
        read_answer(reply, shown)
        return False
