"""How to reach Kafka: addresses, TLS and who we are. The same section for the collector and for the worker.

Credentials never go over a connection that is not encrypted: settings that would do so are refused.
"""

import ssl
import subprocess
from pathlib import Path
from typing import Literal

import msgspec

from collector.errors import SettingsError
from collector.record import DEFAULT_PARTITIONS, EVIDENCE_TOPIC, HEARTBEATS_TOPIC, OBSERVATIONS_TOPIC
from collector.secret import read_private

TOKEN_SECONDS = 15
MAX_PARTITIONS = 10_000
MAX_SECRET_BYTES = 64 << 10


class KafkaSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`[kafka]`: how Kafka is reached, and who we are there; the same for sensors and workers."""

    servers: str = ""
    """Kafka's addresses: HOST:PORT, with commas between."""
    partitions: int = DEFAULT_PARTITIONS
    """How many partitions the topics have: the most workers that have work. The same everywhere, and for good."""
    observations_topic: str = OBSERVATIONS_TOPIC
    """The topic of observations."""
    heartbeats_topic: str = HEARTBEATS_TOPIC
    """The topic of the sensors' heartbeats."""
    evidence_topic: str = EVIDENCE_TOPIC
    """The topic on which sensors are asked for the packets behind an observation, and answer."""
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_SSL", "SASL_PLAINTEXT"] = "PLAINTEXT"
    """PLAINTEXT, SSL (TLS), or SASL_SSL (TLS and `sasl_mechanism`). SASL_PLAINTEXT would send credentials readable and
    is refused."""
    cafile: Path | None = None
    """Whose certificates are trusted (PEM); without it, the system's authorities."""
    certfile: Path | None = None
    """Our own certificate (PEM), where the broker asks for one (mutual TLS); goes with `keyfile`."""
    keyfile: Path | None = None
    """The private key of `certfile` (PEM, not encrypted); others must not be able to read it."""
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"] | None = None
    """How we say who we are: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 (`username` and a password), or OAUTHBEARER (a token:
    RFC 7628)."""
    username: str | None = None
    """Who we are, for PLAIN and SCRAM."""
    password: str | None = None
    """The password, readable here; `password_file` is better."""
    password_file: Path | None = None
    """A file whose first line is the password; others must not be able to read it."""
    token_command: tuple[str, ...] | None = None
    """For OAUTHBEARER: a command that prints a token (RFC 6749), run whenever a connection begins."""
    token_file: Path | None = None
    """For OAUTHBEARER: a file that holds a token, read whenever a connection begins. Others must not be able to read
    it."""
    token_url: str | None = None
    """For OAUTHBEARER: the issuer's token endpoint (https), asked whenever a connection begins, as `client_id` with the
    secret in `client_secret_file` (client credentials, RFC 6749)."""
    client_id: str | None = None
    """Who we are to the issuer."""
    client_secret_file: Path | None = None
    """A file whose first line is the issuer's secret for us; others must not be able to read it."""
    token_scope: str | None = None
    """Which scope the issuer is asked for, where it wants one named."""

    def __post_init__(self) -> None:
        if not 1 <= self.partitions <= MAX_PARTITIONS:
            raise ValueError(f"kafka.partitions is {self.partitions}; 1 to {MAX_PARTITIONS} are allowed")
        for server in self.addresses:
            host, _, port = server.rpartition(":")
            if not host or not port.isdigit() or not 0 < int(port) < 1 << 16:
                raise ValueError(f"kafka.servers: {server!r} is no HOST:PORT")
        password = self.password or self.password_file
        token = self.token_command or self.token_file or self.token_url
        if self.token_url is not None and not (self.client_id and self.client_secret_file):
            raise ValueError("kafka.token_url needs kafka.client_id and kafka.client_secret_file")
        if self.token_url is not None and not self.token_url.startswith("https://"):
            raise ValueError("kafka.token_url would send the secret readable: let it begin with https://")
        if not self.security_protocol.endswith("SSL"):
            if self.sasl_mechanism or self.username or password or token:
                raise ValueError(
                    f"kafka.security_protocol is {self.security_protocol}, which would send the credentials readable: "
                    "set it to SASL_SSL"
                )
            if self.cafile or self.certfile or self.keyfile:
                raise ValueError("kafka.security_protocol is PLAINTEXT, but certificates are named: set it to SSL")
        if self.security_protocol == "SASL_PLAINTEXT":
            raise ValueError("kafka.security_protocol SASL_PLAINTEXT sends credentials readable: set it to SASL_SSL")
        if bool(self.sasl_mechanism) != (self.security_protocol == "SASL_SSL"):
            raise ValueError("kafka.sasl_mechanism and kafka.security_protocol SASL_SSL go together: set both, or none")
        if self.sasl_mechanism == "OAUTHBEARER" and not token:
            raise ValueError(
                "kafka.sasl_mechanism OAUTHBEARER needs kafka.token_url, token_command or kafka.token_file"
            )
        if self.sasl_mechanism not in (None, "OAUTHBEARER") and not (self.username and password):
            raise ValueError(
                f"kafka.sasl_mechanism {self.sasl_mechanism} needs kafka.username and a password or password_file"
            )
        if bool(self.certfile) != bool(self.keyfile):
            raise ValueError("kafka.certfile and kafka.keyfile go together: set both, or none")

    @property
    def addresses(self) -> list[str]:
        """Each host:port."""
        return [server.strip() for server in self.servers.split(",") if server.strip()]


def tls_context(settings: KafkaSettings) -> ssl.SSLContext | None:
    """The TLS context, or None where the connection is plain. Raises SettingsError, naming the file."""
    if not settings.security_protocol.endswith("SSL"):
        return None
    try:
        context = ssl.create_default_context(cafile=None if settings.cafile is None else str(settings.cafile))
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(f"{settings.cafile}: kafka.cafile cannot be read: {error.strerror or error}") from error
    if settings.certfile is not None and settings.keyfile is not None:
        read_private(settings.keyfile, 0, "kafka.keyfile")
        try:
            context.load_cert_chain(settings.certfile, settings.keyfile, password=refuse_password)
        except (OSError, ssl.SSLError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise SettingsError(f"{settings.certfile}: kafka.certfile and keyfile cannot be read: {reason}") from error
    return context


def refuse_password() -> str:
    """OpenSSL would ask at the terminal, where there may be nobody."""
    raise ValueError("the key is encrypted: name one that is not, readable by this user only")


def read_password(settings: KafkaSettings) -> str:
    """The password, from the settings or its file. Raises SettingsError."""
    if settings.password is not None:
        return settings.password
    return read_secret(settings.password_file, "password_file")


def read_token(settings: KafkaSettings) -> str:
    """A token for OAUTHBEARER (RFC 7628), new at each call. Raises SettingsError."""
    if settings.token_url is not None:
        return ask_issuer(settings, settings.token_url)
    if settings.token_command is None:
        return read_secret(settings.token_file, "token_file")
    name = settings.token_command[0] if settings.token_command else ""
    try:
        done = subprocess.run(
            settings.token_command, stdin=subprocess.DEVNULL, capture_output=True, timeout=TOKEN_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise SettingsError(f"{name}: kafka.token_command gave no token: {error}") from error
    token = done.stdout[:MAX_SECRET_BYTES].decode("ascii", "replace").strip()
    if not token:
        raise SettingsError(f"{name}: kafka.token_command printed nothing")
    return token


def ask_issuer(settings: KafkaSettings, url: str) -> str:
    """A token of the issuer's endpoint, which is trusted as the system trusts, or as `cafile` says. Raises
    SettingsError."""
    from collector.token_endpoint import fetch_token

    secret = read_secret(settings.client_secret_file, "client_secret_file")
    trust = ssl.create_default_context()
    if settings.cafile is not None:
        trust.load_verify_locations(settings.cafile)
    return fetch_token(url, settings.client_id or "", secret, settings.token_scope, trust, TOKEN_SECONDS)


def read_secret(path: Path | None, key: str) -> str:
    """The first line of a file that holds a secret. Raises SettingsError."""
    assert path is not None
    try:
        lines = read_private(path, MAX_SECRET_BYTES, f"kafka.{key}").decode().splitlines()
    except UnicodeDecodeError as error:
        raise SettingsError(f"kafka.{key} {path} cannot be read: {error}") from error
    if not lines or not lines[0].strip():
        raise SettingsError(f"kafka.{key} {path} is empty")
    return lines[0].strip()
