"""Alerts as signed webhooks: Standard Webhooks 1.0.0, HMAC-SHA256 (`v1`) or ed25519 (`v1a`).

`webhook-id` is the finding's id and the revision: the same news again has the same id. A body holds the whole alert,
or, where that would be 20 kB or more, what a person needs first and where the whole is.
"""

import base64
import datetime
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Self

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from standardwebhooks import Webhook

from collector.errors import SettingsError
from rules.alert import Alert
from streams.dispatch.connect import WebServer
from streams.dispatch.secret import Secret
from streams.dispatch.tables import check_timeout, read_table
from streams.formats.ecs import shortened
from streams.processors.canary import is_canary
from streams.sinks.sink import Sink

MAX_BODY_BYTES: Final = 20_000 - 1
MAX_SECRETS: Final = 4
SECRET_BYTES: Final = range(24, 65)
SYMMETRIC, ASYMMETRIC = "whsec_", "whsk_"
LANES: Final = 32

Sign = Callable[[str, int, bytes], str]


class WebhookTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`[sinks.NAME]` of kind webhook: signed webhooks. One of `secret_file` and `secret_env` is needed."""

    url: str
    """Where they are posted (https)."""
    secret_file: Path | None = None
    """A file of secrets, a line each: whsec_… (HMAC) or whsk_… (32 bytes of an ed25519 key, in base 64); each signs,
    so that a receiver can change over. Others must not be able to read it."""
    secret_env: str | None = None
    """The name of an environment variable that holds the same."""
    allow: tuple[str, ...] = ()
    """Host names and networks that may be reached though they are private."""
    cafile: Path | None = None
    """Whose certificates are trusted (PEM); without it, the system's authorities."""
    link: str | None = None
    """Where the whole alert can be seen, with {id}."""
    timeout_seconds: float = 20.0
    """How long an answer is waited for, 60 at most."""

    def __post_init__(self) -> None:
        check_timeout(self.timeout_seconds)


class SignedWebhook(Sink):
    """Posts a revision a request."""

    kind, table = "webhook", WebhookTable
    max_batch, lanes = 1, LANES

    def __init__(self, name: str, table: WebhookTable, clock: Callable[[], float] = time.time) -> None:
        self.name, self._table, self._clock = name, table, clock
        self._server = WebServer(table.url, table.allow, table.cafile, table.timeout_seconds, plain=False)
        self.address = self._server.shown
        self._signers = Secret("secret", table.secret_file, table.secret_env, read_signers)

    @classmethod
    def build(cls, name: str, table: Mapping[str, Any]) -> Self:
        """See `Sink.build`."""
        return cls(name, read_table(WebhookTable, table))

    async def deliver(self, alerts: Sequence[Alert]) -> str:
        """See `Taker.deliver`."""
        words = "nothing to send"
        for alert in alerts:
            identifier, body = alert.news_id, write_body(alert, self._table.link)
            at = int(self._clock())
            headers = {
                "Content-Type": "application/json",
                "webhook-id": identifier,
                "webhook-timestamp": str(at),
                "webhook-signature": " ".join(sign(identifier, at, body) for sign in self._signers.current()),
            }
            words = await self._server.post(body, headers)
        return words

    async def probe(self) -> None:
        """See `Sink.probe`: HEAD, which no receiver takes for a message."""
        await self._server.probe("HEAD", self._server.url)

    async def close(self) -> None:
        """See `Taker.close`."""
        await self._server.close()


def write_body(alert: Alert, link: str | None) -> bytes:
    """`type`, `timestamp` and `data` as Standard Webhooks has them; under 20 kB."""
    news = "canary" if is_canary(alert) else f"alert.{alert.lenswatch.state}"
    identifier = alert.event.id
    whole = link.replace("{id}", identifier) if link else None
    body: dict[str, Any] = {"type": f"lenswatch.{news}", "timestamp": alert.timestamp, "data": alert}
    if whole is not None:
        body["link"] = whole
    text = msgspec.json.encode(body)
    if len(text) <= MAX_BODY_BYTES:
        return text
    body["data"] = shortened(alert)
    body["shortened"] = whole or f"lenswatch alerts show {identifier}"
    return msgspec.json.encode(body)


def read_signers(text: str, place: str) -> list[Sign]:
    """What signs, for each secret. Raises SettingsError, which never shows one."""
    lines = text.split()
    if not 1 <= len(lines) <= MAX_SECRETS:
        raise SettingsError(f"{place} holds {len(lines)} secrets; 1 to {MAX_SECRETS}, a line each")
    return [read_secret(line, f"{place}: line {number}") for number, line in enumerate(lines, 1)]


def read_secret(text: str, place: str) -> Sign:
    """What signs with one secret. Raises SettingsError."""
    prefix = next((each for each in (SYMMETRIC, ASYMMETRIC) if text.startswith(each)), None)
    if prefix is None:
        raise SettingsError(f"{place}: begins neither with {SYMMETRIC} nor with {ASYMMETRIC}")
    try:
        key = base64.b64decode(text.removeprefix(prefix), validate=True)
    except ValueError as error:
        raise SettingsError(f"{place}: is no base 64 after {prefix}") from error
    if prefix == SYMMETRIC:
        if len(key) not in SECRET_BYTES:
            raise SettingsError(f"{place}: is {len(key)} bytes; Standard Webhooks asks for 24 to 64")
        return symmetric(text)
    if len(key) not in (32, 64):
        raise SettingsError(f"{place}: is {len(key)} bytes; an ed25519 key has 32")
    return asymmetric(key[:32])


def symmetric(secret: str) -> Sign:
    """`v1`: HMAC-SHA256."""
    webhook = Webhook(secret)

    def sign(identifier: str, at: int, body: bytes) -> str:
        return webhook.sign(identifier, datetime.datetime.fromtimestamp(at, datetime.UTC), body.decode())

    return sign


def asymmetric(seed: bytes) -> Sign:
    """`v1a`: ed25519 (RFC 8032)."""
    key = Ed25519PrivateKey.from_private_bytes(seed)

    def sign(identifier: str, at: int, body: bytes) -> str:
        return "v1a," + base64.b64encode(key.sign(f"{identifier}.{at}.".encode() + body)).decode()

    return sign
