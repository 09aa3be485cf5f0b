"""Alerts for people: Slack, Teams, Mattermost, PagerDuty, Opsgenie and e-mail, through Apprise, which knows them.

A chat gets messages at a bounded pace: what comes meanwhile is one message, the gravest in it told and the others
counted. A ticket queue gets each finding as an incident of its own.
"""

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, Self, TypeVar

import msgspec

from rules.alert import LEVELS, Alert
from streams.dispatch.secret import Secret
from streams.dispatch.tables import check_timeout, read_table
from streams.dispatch.wording import message_of, rank
from streams.processors.canary import is_canary, is_test
from streams.sinks.sink import Sink, Undelivered

if TYPE_CHECKING:
    from streams.dispatch.target import Target

MAX_BATCH: Final = 500
MAX_EVERY_SECONDS: Final = 3600.0
# For all that a message takes; the timeout of the settings is for each wait.
CALL_SECONDS: Final = 120.0
Result = TypeVar("Result")


class ChatTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`[sinks.NAME]` of kind chat: chats, tickets and mail. One of `url_file` and `url_env` is needed."""

    url_file: Path | None = None
    """A file that holds the URL as Apprise writes it, with its token; others must not be able to read it."""
    url_env: str | None = None
    """The name of an environment variable that holds it."""
    min_severity: Literal["informational", "low", "medium", "high", "critical"] = "high"
    """What is below is not told."""
    every_seconds: float = 10.0
    """The least time between two messages."""
    link: str | None = None
    """Where the whole alert can be seen, with {id}."""
    allow: tuple[str, ...] = ()
    """Host names and networks that may be reached though they are private."""
    cafile: Path | None = None
    """Whose certificates are trusted (PEM); without it, the system's authorities."""
    timeout_seconds: float = 20.0
    """How long an answer is waited for, 60 at most."""

    def __post_init__(self) -> None:
        check_timeout(self.timeout_seconds)
        if not 0 <= self.every_seconds <= MAX_EVERY_SECONDS:
            raise ValueError(f"every_seconds is not 0 to {MAX_EVERY_SECONDS:.0f}")


class Chat(Sink):
    """Sends a message at a time."""

    kind, table, lanes = "chat", ChatTable, 1

    def __init__(self, name: str, table: ChatTable) -> None:
        # Apprise and requests take a while to load: only where a chat is named.
        from streams.dispatch.target import target_reader

        self.name, self._table = name, table
        read = target_reader(table.allow, table.cafile, table.timeout_seconds)
        self._target = Secret("url", table.url_file, table.url_env, read)
        target = self._target.current()
        self.address = target.shown
        self.max_batch = MAX_BATCH if target.service.key is None else 1
        self._least = LEVELS.index(table.min_severity)
        self._next_at = 0.0

    @classmethod
    def build(cls, name: str, table: Mapping[str, Any]) -> Self:
        """See `Sink.build`."""
        return cls(name, read_table(ChatTable, table))

    async def deliver(self, alerts: Sequence[Alert]) -> str:
        """See `Taker.deliver`. What is not for people has arrived too."""
        target = self._target.current()
        told = [alert for alert in alerts if self._is_told(alert, target)]
        if not told:
            if any(map(is_canary, alerts)):
                await self.probe()
            return f"nothing of severity {self._table.min_severity} or above"
        await asyncio.sleep(max(0.0, self._next_at - time.monotonic()))
        try:
            telling = in_thread(lambda: target.tell(message_of(told, self._table.link)))
            return await asyncio.wait_for(telling, CALL_SECONDS)
        except TimeoutError as error:
            raise Undelivered(f"{self.address}: no end of an answer within {CALL_SECONDS:.0f} s") from error
        finally:
            self._next_at = time.monotonic() + self._table.every_seconds

    def _is_told(self, alert: Alert, target: "Target") -> bool:
        if is_canary(alert):
            return is_test(alert)
        if alert.lenswatch.state == "ended" and not target.service.ends:
            return False
        return rank(alert) >= self._least

    async def probe(self) -> None:
        """See `Sink.probe`: whether anybody listens there; nothing is said."""
        await in_thread(self._target.current().probe)

    async def close(self) -> None:
        """See `Taker.close`."""


async def in_thread(function: Callable[[], Result]) -> Result:
    """Call what waits in a thread of its own, so that it takes no place in a pool that others need, and that nobody
    waits for at the end."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Result] = loop.create_future()

    def settle(set_: Callable[[Any], None], value: Any) -> None:
        if not future.done():
            set_(value)

    def run() -> None:
        try:
            outcome: tuple[Callable[[Any], None], Any] = (future.set_result, function())
        except Exception as error:
            outcome = (future.set_exception, error)
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(settle, *outcome)

    threading.Thread(target=run, name="chat", daemon=True).start()
    return await future
