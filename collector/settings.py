"""The collector's settings: one frozen struct with defaults; from TOML, and every key from the environment too."""

import ipaddress
import re
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal, TypeVar

import msgspec
import tomli

from collector.errors import SettingsError

ENGINES = ("own", "pyshark")
MAX_WORKERS, MIN_BLOCK_BYTES, MAX_RING_BYTES = 64, 1 << 17, 4 << 30
MIN_DEEP_BYTES = 512 << 20
ENVIRONMENT_PREFIX = "LENSWATCH_"
OWN_NETWORKS = (
    "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16", "fc00::/7", "fe80::/10",
)  # fmt: skip


Traffic = Literal["cameras", "touched", "all"]
CAMERAS: Final = "cameras"
TOUCHED: Final = "touched"
ALL: Final = "all"


class CollectorSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`[collector]`: who this sensor is, what is ours, whose traffic is told of, and the bounds of its memories."""

    sensor: str = "lenswatch"
    """What this sensor is called; no two may share a name."""
    site: str = "default"
    """The site it watches: a device's identity, and who we are, hang on it."""
    networks: tuple[str, ...] = OWN_NETWORKS
    """Which networks are ours (CIDR): what is in them is a device, all else is outside."""
    watched: tuple[str, ...] = ()
    """Devices watched like cameras whatever they are: addresses, networks, MACs with colons."""
    traffic: Traffic = TOUCHED
    """Whose traffic is told of: "cameras" (and those watched), "touched" (and what touches a known endpoint), "all"."""
    max_flows: int = 1_000_000
    """How many flows are remembered at once."""
    max_readers: int = 100_000
    """How many flows are read at once."""
    max_names: int = 200_000
    """How many addresses are remembered with the name that led to them."""
    max_devices: int = 100_000
    """How many devices are remembered."""
    max_digests: int = 256
    """Of how many bodies that may be firmware the SHA-256 is taken at once; 0: of none."""
    max_digest_bytes: int = 512 << 20
    """Of how long a body at most."""
    digest_hourly_bytes: int = 8 << 30
    """Of how many bytes an hour."""
    metrics: str = "127.0.0.1:9471"
    """Where `collect` shows /metrics, /healthz and /readyz (HOST:PORT); "" for nowhere."""
    heartbeat_seconds: float = 10.0
    """How often a heartbeat is sent."""
    canary_seconds: float = 900.0
    """How often a canary is sent the whole way to the sinks; 0: never."""

    def __post_init__(self) -> None:
        for name in ("max_flows", "max_readers", "max_names", "max_devices"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is less than 1")
        for name in ("max_digests", "max_digest_bytes", "digest_hourly_bytes"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is below 0")
        if self.heartbeat_seconds <= 0:
            raise ValueError("heartbeat_seconds is not above 0")
        if self.canary_seconds < 0:
            raise ValueError("canary_seconds is below 0")
        host, _, port = self.metrics.rpartition(":")
        if self.metrics and not (host and port.isdigit() and int(port) < 1 << 16):
            raise ValueError(f"metrics is {self.metrics!r}, which is no HOST:PORT")
        for network in self.networks:
            ipaddress.ip_network(network)
        for place in self.watched:
            if not is_hardware(place):
                ipaddress.ip_network(place)


def is_hardware(text: str) -> bool:
    """Whether this is a MAC, as we write them (44:19:b6:00:00:01)."""
    return re.fullmatch(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}", text) is not None


class CaptureSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`[capture]`: how interfaces and endless files are read."""

    filter: str = ""
    """Which packets are read, in pcap's language (pcap-filter(7)); "" for all."""
    workers: int = 1
    """How many processes read, by flow."""
    ring_bytes: int = 64 << 20
    """What the kernel may keep for us, for each worker; more of it, fewer drops."""
    block_bytes: int = 1 << 17
    """A block of the ring: a power of two. Many small ones are read faster than a few large ones."""
    promiscuous: bool = True
    """Whether packets to other MACs are taken too, as a mirror port needs."""
    user: str = ""
    """Whom a process that began as root becomes once its sockets are open; "": it stays."""
    follow: bool = False
    """Whether a file that grows, or a folder that fills, is read without end."""
    engine: str = "own"
    """Who dissects: we ("own"), or Wireshark ("pyshark": slow)."""

    def __post_init__(self) -> None:
        if not 1 <= self.workers <= MAX_WORKERS:
            raise ValueError(f"workers is not 1 to {MAX_WORKERS}")
        if self.block_bytes < MIN_BLOCK_BYTES or self.block_bytes & (self.block_bytes - 1):
            raise ValueError(f"block_bytes is no power of two of at least {MIN_BLOCK_BYTES}")
        if not 2 * self.block_bytes <= self.ring_bytes <= MAX_RING_BYTES:
            raise ValueError(f"ring_bytes is not between two blocks and {MAX_RING_BYTES}")
        if self.engine not in ENGINES:
            raise ValueError(f"engine is {self.engine!r}, which is none of {', '.join(ENGINES)}")
        if self.engine != "own" and self.workers > 1:
            raise ValueError(f"engine {self.engine} reads in one process: workers must be 1")


class DeepSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`[deep]`: Wireshark's look at a sample of what we do not dissect, and its bounds."""

    enabled: bool = False
    """Whether it looks at all; needs tshark."""
    cpu_share: float = 0.01
    """Its share of one processor, above 0 and at most 1."""
    packets: int = 8
    """How many packets it gets of each device and service."""
    memory_bytes: int = 1 << 30
    """How much memory it may take."""
    hang_seconds: float = 30.0
    """How long it may be silent before it is started anew."""

    def __post_init__(self) -> None:
        if not 0 < self.cpu_share <= 1:
            raise ValueError("cpu_share is not above 0 and at most 1")
        if self.packets < 1:
            raise ValueError("packets is less than 1")
        if self.memory_bytes < MIN_DEEP_BYTES:
            raise ValueError(f"memory_bytes is less than {MIN_DEEP_BYTES}, with which tshark does not start")
        if self.hang_seconds <= 0:
            raise ValueError("hang_seconds is not above 0")


def default_state_folder(environment: Mapping[str, str]) -> Path:
    """`lenswatch` in the user's state folder (XDG Base Directory 0.8)."""
    base = environment.get("XDG_STATE_HOME")
    return (Path(base) if base else Path.home() / ".local" / "state") / "lenswatch"


Settings = TypeVar("Settings", bound=msgspec.Struct)


def read_settings(kind: type[Settings], path: Path | None, environment: Mapping[str, str]) -> Settings:
    """Settings of a root struct whose fields are sections: the file's, then `LENSWATCH_<SECTION>_<KEY>` over them.

    Raises SettingsError that names the file or variable, the key and what was wrong.
    """
    tables = read_tables(path)
    origin = str(path) if path is not None else "settings"
    doubtful = [] if keeps_its_rules(kind, tables, origin) else [origin]
    for section in sections(kind):
        check_variables(section, environment)
        for field in msgspec.structs.fields(section.type):
            variable = variable_of(section.name, field.name)
            if variable in environment:
                value = value_of(environment[variable])
                # A site may be called 12, or true, and so may a password.
                value = environment[variable] if takes_text(field.type) and not isinstance(value, str) else value
                tables.setdefault(section.name, {})[field.name] = value
                origin = variable
                alone = {section.name: {field.name: tables[section.name][field.name]}}
                if not keeps_its_rules(kind, alone, variable):
                    doubtful.append(variable)
    return check(kind, tables, doubtful[-1] if doubtful else origin)


def read_tables(path: Path | None) -> dict[str, dict[str, object]]:
    """A settings file as it is written; nothing where there is none. Raises SettingsError."""
    if path is None:
        return {}
    try:
        return tomli.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomli.TOMLDecodeError) as error:
        raise SettingsError(f"{path}: {getattr(error, 'strerror', None) or error}") from error


def variable_of(section: str, key: str) -> str:
    """The environment variable that stands over a key."""
    return f"{ENVIRONMENT_PREFIX}{section}_{key}".upper()


def sections(kind: type[msgspec.Struct]) -> list[msgspec.structs.FieldInfo]:
    """The sections whose keys are known here; others are tables by name, which the environment does not reach."""
    fields = msgspec.structs.fields(kind)
    return [field for field in fields if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct)]


def takes_text(kind: object) -> bool:
    """Whether a key of this type is text, or text or nothing."""
    return kind is str or (isinstance(kind, types.UnionType) and str in kind.__args__)


def keeps_its_rules(kind: type[Settings], tables: Mapping[str, object], origin: str) -> bool:
    """Whether a part of the settings keeps every rule on its own; a rule over several keys may be kept by the rest.
    Raises SettingsError for what the rest cannot mend."""
    try:
        check(kind, tables, origin)
    except SettingsError as error:
        if error.__cause__ is None or not isinstance(error.__cause__.__cause__, ValueError):
            raise
        return False
    return True


def check_variables(section: msgspec.structs.FieldInfo, environment: Mapping[str, str]) -> None:
    """Raises SettingsError for a variable of this section whose key there is not."""
    prefix = f"{ENVIRONMENT_PREFIX}{section.name}_".upper()
    known = {prefix + field.name.upper() for field in msgspec.structs.fields(section.type)}
    for variable in sorted(environment):
        if variable.startswith(prefix) and variable not in known:
            raise SettingsError(f"{variable}: there is no such key; there are {', '.join(sorted(known))}")


def value_of(text: str) -> object:
    """An environment variable's value: as TOML where it is TOML, else the text itself."""
    try:
        return tomli.loads(f"value = {text}")["value"]
    except tomli.TOMLDecodeError:
        return text


def read_path(kind: type, value: object) -> Path:
    """A path from its text, which msgspec leaves to us."""
    if kind is not Path or not isinstance(value, str) or not value:
        raise ValueError(f"Expected the path of a file or folder, got {value!r}")
    return Path(value).expanduser()


def check(kind: type[Settings], tables: Mapping[str, object], origin: str) -> Settings:
    """The tables as a struct. Raises SettingsError with the key's place."""
    try:
        return msgspec.convert(tables, kind, dec_hook=read_path)
    except (msgspec.ValidationError, ValueError) as error:
        raise SettingsError(f"{origin}: {error}") from error
