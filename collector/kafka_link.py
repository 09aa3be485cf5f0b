"""A connection to Kafka that can be trusted to keep what it acknowledged: an idempotent producer, checked before use.

kafka-python builds its producer only while a broker answers, says nothing of why one does not, and keeps a producer
alive whose records cannot leave. All of that is mended here, and only here is kafka-python known.
"""

import contextlib
import gc
import logging
import re
import socket
from collections.abc import Callable, Iterator

import zstandard
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.codec import has_zstd
from kafka.errors import KafkaError, KafkaTimeoutError, RequestTimedOutError
from kafka.net.compat import KafkaNetClient
from kafka.net.sasl.oauth import AbstractTokenProvider
from kafka.net.transport import KafkaSSLTransport, KafkaTCPTransport
from kafka.record import default_records
from kafka.record import util as record_util

from collector.errors import LenswatchError
from collector.kafka_settings import KafkaSettings, read_password, read_token, tls_context
from collector.record import MAX_VALUE_BYTES, ZSTD_LEVEL

ANSWER_SECONDS, TOPIC_SECONDS = 5.0, 5.0
KNOCK_SECONDS = 3.0
CLOSE_SECONDS = 5.0
RECONNECT_MS = 2000
BUSY_MS = 100.0
# kafka-python would give up on a record by itself, and send the next of its partition before it.
FOR_EVER_MS = 2**31 - 1
Receive = Callable[[object], tuple[bytes, Exception | None]]
PREFIX = re.compile(r"^(?:\[Error \d+\] |\w+Error: |Handshake failed: )+")
NEEDED = "pip install 'kafka-python[crc32c,zstd]'"


class LastWords(logging.Handler):
    """Keeps kafka-python's last complaint, which its exceptions leave out, and takes it off the terminal."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.text = ""

    def emit(self, record: logging.LogRecord) -> None:
        """Remember the error in a log line, or the line when there is none in it."""
        arguments = record.args if isinstance(record.args, tuple) else ()
        causes = [each for each in arguments if isinstance(each, Exception)]
        if causes and not isinstance(causes[0], KafkaTimeoutError | RequestTimedOutError):
            self.text = wording(causes[0])

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Listen from here on, anew."""
        self.text = ""
        log = logging.getLogger("kafka")
        log.propagate = False
        if self not in log.handlers:
            log.addHandler(self)
        yield


WORDS = LastWords()


def read_before_the_end(receive: Receive) -> Receive:
    """kafka-python throws away what came right before a connection was closed, and with it Kafka's words of why."""

    def received(transport: object) -> tuple[bytes, Exception | None]:
        data, error = receive(transport)
        return data, None if data else error

    return received


for _transport in (KafkaTCPTransport, KafkaSSLTransport):
    _transport._sock_recv = read_before_the_end(_transport._sock_recv)


def wait_while_busy(client: KafkaNetClient, node_id: object) -> float:
    """Milliseconds until it is worth asking a node again; whatever comes from it before that wakes who waits.

    kafka-python says 0 of a node that is connected and has as many requests as it may have, and gives seconds to a
    producer that takes them for milliseconds: that one then asks without a pause, with the whole of a core.
    """
    if node_id in client._manager._conns:
        return BUSY_MS
    return 1000.0 * float(client._manager.connection_delay(node_id))


KafkaNetClient.connection_delay = wait_while_busy


def compress(data: bytes) -> bytes:
    """As kafka-python's own, which knows no level but zstd's default."""
    return zstandard.ZstdCompressor(ZSTD_LEVEL).compress(data)


default_records.zstd_encode = compress


class Tokens(AbstractTokenProvider):  # type: ignore[misc]
    """Tokens as the settings say where to get them."""

    def __init__(self, settings: KafkaSettings) -> None:
        super().__init__()
        self._settings = settings

    def token(self) -> str:
        """A token, for a connection that begins."""
        return read_token(self._settings)


def check_build() -> None:
    """Raises LenswatchError when kafka-python lacks what makes it fast enough, or its compression."""
    if record_util.crc32c_c is None:
        raise LenswatchError(f"kafka-python is here without crc32c, and twenty times slower: {NEEDED}")
    if not has_zstd():
        raise LenswatchError(f"kafka-python is here without zstandard, and cannot compress: {NEEDED}")


def security_options(settings: KafkaSettings) -> dict[str, object]:
    """The settings as kafka-python's clients want them. Raises SettingsError."""
    options: dict[str, object] = {
        "security_protocol": settings.security_protocol,
        "ssl_context": tls_context(settings),
        "sasl_mechanism": settings.sasl_mechanism,
    }
    if settings.sasl_mechanism == "OAUTHBEARER":
        read_token(settings)
        options["sasl_oauth_token_provider"] = Tokens(settings)
    elif settings.sasl_mechanism is not None:
        options |= {"sasl_plain_username": settings.username, "sasl_plain_password": read_password(settings)}
    return options


def knock(settings: KafkaSettings) -> None:
    """Whether anybody listens at one of the addresses at all. A client is costly to build, and leaves sockets behind
    when it fails. Raises LenswatchError."""
    reasons = []
    for address in settings.addresses:
        host, _, port = address.rpartition(":")
        try:
            socket.create_connection((host.strip("[]"), int(port)), KNOCK_SECONDS).close()
        except OSError as error:
            reasons.append(f"{address}: {error.strerror or error}")
        else:
            return
    raise LenswatchError("; ".join(reasons) or "kafka.servers is empty: name HOST:PORT")


def connect(settings: KafkaSettings, client_id: str) -> KafkaProducer:
    """A producer whose broker answers, knows the observations topic, and has as many partitions of it as the settings
    say. Raises LenswatchError with the reason in one line."""
    check_build()
    options = security_options(settings)
    knock(settings)
    with WORDS.listening():
        try:
            producer = KafkaProducer(
                bootstrap_servers=settings.addresses, client_id=client_id, acks="all", enable_idempotence=True,
                compression_type="zstd", max_request_size=4 * MAX_VALUE_BYTES, linger_ms=0,
                delivery_timeout_ms=FOR_EVER_MS, request_timeout_ms=15_000, reconnect_backoff_max_ms=RECONNECT_MS,
                bootstrap_timeout_ms=int(ANSWER_SECONDS * 1000), max_block_ms=int(TOPIC_SECONDS * 1000),
                allow_auto_create_topics=False, metrics_enabled=False, **options,
            )  # fmt: skip
        except (KafkaError, OSError, ValueError) as error:
            # Its own time-out says no more than that there was one.
            silent = f"no answer within {ANSWER_SECONDS:.0f} s" if isinstance(error, KafkaTimeoutError) else ""
            reason = WORDS.text or silent or wording(error)
        else:
            reason = ""
    if reason:
        # What a failed client leaves behind (sockets) hangs in a cycle, and the collector of cycles runs rarely.
        gc.collect()
        raise LenswatchError(f"{settings.servers}: {reason}")
    try:
        found = count_partitions(producer, settings.observations_topic)
        if found != settings.partitions:
            raise LenswatchError(
                f"{settings.servers}: topic {settings.observations_topic} has {found} partitions, and kafka.partitions "
                f"is {settings.partitions}: set it to {found}, on every sensor and worker"
            )
    except LenswatchError:
        discard(producer)
        raise
    return producer


def count_partitions(producer: KafkaProducer, topic: str) -> int:
    """How many partitions a topic has. Raises LenswatchError when it is not there or not ours to see."""
    servers = ",".join(producer.config["bootstrap_servers"])
    with WORDS.listening():
        try:
            return len(producer.partitions_for(topic))
        except KafkaTimeoutError as error:
            if WORDS.text:
                raise LenswatchError(f"{servers}: {WORDS.text}") from error
            raise LenswatchError(f"{servers}: there is no topic {topic}: type 'lenswatch topics create'") from error
        except KafkaError as error:
            raise LenswatchError(f"{servers}: topic {topic}: {wording(error)}") from error


@contextlib.contextmanager
def conversing(
    settings: KafkaSettings, client_id: str, topic: str, listen_at: int, max_bytes: int
) -> Iterator[tuple[KafkaConsumer, KafkaProducer]]:
    """Who hears what comes on a partition of a topic from now on, and who may answer with records of `max_bytes`; they
    lose what fails. Raises LenswatchError, KafkaError and OSError."""
    options = security_options(settings) | {
        "bootstrap_servers": settings.addresses, "client_id": client_id, "reconnect_backoff_max_ms": RECONNECT_MS,
        "bootstrap_timeout_ms": int(ANSWER_SECONDS * 1000), "allow_auto_create_topics": False, "metrics_enabled": False,
    }  # fmt: skip
    knock(settings)
    place = TopicPartition(topic, listen_at)
    with contextlib.ExitStack() as stack, WORDS.listening():
        consumer = KafkaConsumer(enable_auto_commit=False, group_id=None, auto_offset_reset="latest", **options)
        stack.callback(consumer.close, autocommit=False, timeout_ms=0)
        if listen_at not in (consumer.partitions_for_topic(topic) or ()):
            raise LenswatchError(
                f"{settings.servers}: there is no topic {topic} with a partition {listen_at}: type 'lenswatch topics "
                "create'"
            )
        producer = KafkaProducer(
            acks=1, enable_idempotence=False, compression_type="zstd", linger_ms=0, max_request_size=max_bytes,
            delivery_timeout_ms=15_000, request_timeout_ms=10_000, max_block_ms=int(TOPIC_SECONDS * 1000), **options,
        )  # fmt: skip
        stack.callback(discard, producer)
        consumer.assign([place])
        consumer.seek_to_end(place)
        consumer.position(place)
        yield consumer, producer


def discard(producer: KafkaProducer) -> None:
    """Close a producer at once, with what it still held: its own close() waits for that, and gives up half-way."""
    producer._sender.force_close()
    producer._sender.join(CLOSE_SECONDS)
    with contextlib.suppress(KafkaError):
        producer.close(timeout=0)


def wording(error: BaseException) -> str:
    """An error as words, without the class and number that kafka-python puts before them."""
    text = PREFIX.sub("", " ".join(str(error).split()))
    if text == "socket disconnected" or text.startswith("Invalid frame length"):
        return "who answers there does not speak so: is kafka.security_protocol the right one for this listener?"
    return text or type(error).__name__.removesuffix("Error")
