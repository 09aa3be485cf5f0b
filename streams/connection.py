"""`[kafka]` settings → what aiokafka wants to be told, and one clear line when the broker cannot be reached."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

from aiokafka import AIOKafkaConsumer
from aiokafka.abc import AbstractTokenProvider
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaConnectionError, KafkaError

from collector.errors import LenswatchError, SettingsError
from collector.kafka_settings import KafkaSettings, read_password, read_token, tls_context

REQUEST_MS: Final = 15_000
OAUTH: Final = "OAUTHBEARER"
MAX_WORDS: Final = 300


class Tokens(AbstractTokenProvider):  # type: ignore[misc]
    """OAuth tokens from where the settings say, a new one whenever a connection asks."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings

    async def token(self) -> str:
        """A token. Raises SettingsError."""
        return await asyncio.to_thread(read_token, self._settings)


def client_options(settings: KafkaSettings) -> dict[str, Any]:
    """The options of an aiokafka client. Raises SettingsError."""
    if not settings.addresses:
        raise SettingsError("no broker is named: give --kafka HOST:PORT, or servers at [kafka] in the settings file")
    options: dict[str, Any] = {
        "bootstrap_servers": settings.addresses,
        "request_timeout_ms": REQUEST_MS,
        "security_protocol": settings.security_protocol,
    }
    context = tls_context(settings)
    if context is not None:
        options["ssl_context"] = context
    if settings.sasl_mechanism == OAUTH:
        options |= {"sasl_mechanism": OAUTH, "sasl_oauth_token_provider": Tokens(settings)}
    elif settings.sasl_mechanism is not None:
        options |= {
            "sasl_mechanism": settings.sasl_mechanism,
            "sasl_plain_username": settings.username,
            "sasl_plain_password": read_password(settings),
        }
    return options


class LastWords(logging.Handler):
    """Keeps the last thing that a logger said: why a broker was not reached, aiokafka says nowhere else."""

    def __init__(self) -> None:
        super().__init__()
        self.words = ""

    def emit(self, record: logging.LogRecord) -> None:
        """Keep it, as one line."""
        self.words = " ".join(record.getMessage().split())[:MAX_WORDS]


@contextlib.contextmanager
def reaching(settings: KafkaSettings) -> Iterator[None]:
    """Errors of Kafka clients as one line that names the broker. Raises LenswatchError."""
    last, logger = LastWords(), logging.getLogger("aiokafka")
    propagated, logger.propagate = logger.propagate, False
    logger.addHandler(last)
    try:
        yield
    except KafkaConnectionError as error:
        raise LenswatchError(
            f"{settings.servers}: no broker answers there, or not to us: {last.words or error}; "
            "check address, TLS and credentials"
        ) from error
    except KafkaError as error:
        raise LenswatchError(f"{settings.servers}: Kafka refuses: {error}") from error
    finally:
        logger.removeHandler(last)
        logger.propagate = propagated


@contextlib.asynccontextmanager
async def administering(settings: KafkaSettings) -> AsyncIterator[AIOKafkaAdminClient]:
    """A client that asks for topics and makes them. Raises LenswatchError."""
    with reaching(settings):
        client = AIOKafkaAdminClient(**client_options(settings))
        try:
            await client.start()
            yield client
        finally:
            await client.close()


@contextlib.asynccontextmanager
async def consuming(settings: KafkaSettings) -> AsyncIterator[AIOKafkaConsumer]:
    """A consumer of no group, which commits nothing and begins at the beginning. Raises LenswatchError."""
    with reaching(settings):
        client = AIOKafkaConsumer(**client_options(settings), enable_auto_commit=False, auto_offset_reset="earliest")
        try:
            await client.start()
            yield client
        finally:
            await client.stop()
