"""The typed mirror of `fingerprints/`: what is seen *on* a device of a maker. What a device calls for which purpose is
an endpoint, elsewhere; here stand only the names that devices call and people and apps do not.

Every fact names its `sources` (keys of `fingerprints/sources.toml`) and its `confidence` that it is true: high (the
maker's own document or code, a registry, or several sources that agree), medium (one good source), low (one weak
source). Its `relevance` is how far it points to a camera or recorder of this maker: high (it is one), medium (with
another sign), low (other goods, or other makers, have it too).
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec
import tomli

from collector.errors import LenswatchError

SHIPPED = Path(__file__).parent / "fingerprints"
SOURCES = "sources.toml"
MAC_PREFIX = re.compile(r"(?:[0-9a-f]{2}:){2}[0-9a-f]{2}(?::[0-9a-f]/28|:[0-9a-f]{2}:[0-9a-f]/36)?")
HOST_NAME = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]")

Table = TypeVar("Table", bound=msgspec.Struct)
Confidence = Literal["high", "medium", "low"]
Relevance = Literal["high", "medium", "low"]
BannerKind = Literal[
    "http_server", "http_header", "http_path", "http_body", "http_user_agent", "favicon", "rtsp_server", "rtsp_realm",
    "rtsp_public", "rtsp_path", "onvif_scope", "ssdp_type", "ssdp_server", "mdns_service", "tls_certificate", "telnet",
    "sip_user_agent", "dhcp_hostname", "tcp_payload", "udp_payload", "ethernet", "resolver", "default_address",
    "http_realm", "ssdp_location", "mdns_name", "manufacturer", "dhcp_class", "wsd_type", "tls_ja3", "tls_ja4",
]  # fmt: skip
DeviceKind = Literal["camera", "recorder", "doorbell", "intercom", "access_control", "encoder", "other"]
Dataset = Literal["sadp", "dhip", "dvrip", "tvt", "tuya", "reolink"]


class FingerprintError(LenswatchError):
    """A fingerprint file that is refused: `<file>: <place>: <reason>`."""


class FingerprintFields(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """A table of a fingerprint file."""


class FingerprintSource(FingerprintFields, frozen=True):
    """`[sources.<id>]` of `sources.toml`: where a fact was read."""

    title: str
    kind: str
    url: str | None = None
    published: str | None = None
    seen: str | None = None


class SourceTable(FingerprintFields, frozen=True):
    """`sources.toml`."""

    sources: dict[str, FingerprintSource]


class Prefix(FingerprintFields, frozen=True):
    """`[[prefixes]]`: MAC prefixes of one organisation, as the registries write its name.

    `macs` are "aa:bb:cc" (MA-L, 24 bits), "aa:bb:cc:d/28" (MA-M) or "aa:bb:cc:dd:e/36" (MA-S). `sources` are the
    registry copies that list them.
    """

    organization: str
    relevance: Relevance
    confidence: Confidence
    sources: tuple[str, ...]
    macs: tuple[str, ...]
    note: str | None = None


class Call(FingerprintFields, frozen=True):
    """`[[calls]]`: a name that devices of the maker call, and apps and people do not. `match` suffix: and all below."""

    name: str
    match: Literal["exact", "suffix"]
    relevance: Relevance
    confidence: Confidence
    sources: tuple[str, ...]
    note: str | None = None


class Port(FingerprintFields, frozen=True):
    """`[[ports]]`: a port that a device serves on, calls out to, or sends broadcasts or multicasts to."""

    transport: Literal["tcp", "udp"]
    port: int
    side: Literal["serves", "calls", "broadcasts"]
    protocol: str
    relevance: Relevance
    confidence: Confidence
    sources: tuple[str, ...]
    note: str | None = None


class Banner(FingerprintFields, frozen=True):
    """`[[banners]]`: what a device says of itself. `matchable`: `pattern` is a regex to search for in the field that
    `kind` names (payloads are read as Latin-1); else it is a description, and `note` may say why. `device`: the kind of
    device that says it; "other" speaks against a camera. `cases` are texts that match, `silent` texts that do not.
    """

    kind: BannerKind
    pattern: str
    matchable: bool
    relevance: Relevance
    confidence: Confidence
    sources: tuple[str, ...]
    device: DeviceKind | None = None
    cases: tuple[str, ...] = ()
    silent: tuple[str, ...] = ()
    note: str | None = None


class Speech(FingerprintFields, frozen=True):
    """`[[protocols]]`: a protocol of the maker's own, by our dataset. Who answers in it has the maker inside."""

    dataset: Dataset
    relevance: Relevance
    confidence: Confidence
    sources: tuple[str, ...]
    note: str | None = None


class ModelName(FingerprintFields, frozen=True):
    """`[[models]]`: what a model's name, or the word for its type, says of the kind of device. `pattern` is a regex to
    search for; `cases` are names that match, `silent` names that do not."""

    pattern: str
    device: DeviceKind
    confidence: Confidence
    sources: tuple[str, ...]
    cases: tuple[str, ...]
    silent: tuple[str, ...] = ()
    note: str | None = None


class Brand(FingerprintFields, frozen=True):
    """`[[brands]]`: a name under which others sell this maker's devices; `pattern` is a regex for the maker that a
    device says it is of. It counts beside a sign for the maker, never alone."""

    name: str
    pattern: str
    confidence: Confidence
    sources: tuple[str, ...]
    cases: tuple[str, ...]
    silent: tuple[str, ...] = ()
    note: str | None = None


class Fingerprint(FingerprintFields, frozen=True):
    """`fingerprints/<maker>.toml`: all that is known of one maker's devices. `oem`: the maker whose devices this brand
    sells. The file of the maker "any" holds what points to a kind of device, and to no maker."""

    maker: str
    name: str
    oem: str | None = None
    prefixes: tuple[Prefix, ...] = ()
    calls: tuple[Call, ...] = ()
    ports: tuple[Port, ...] = ()
    banners: tuple[Banner, ...] = ()
    protocols: tuple[Speech, ...] = ()
    models: tuple[ModelName, ...] = ()
    brands: tuple[Brand, ...] = ()
    note: str | None = None


Fact = Prefix | Call | Port | Banner | Speech | ModelName | Brand


def read_fingerprints(folder: Path = SHIPPED) -> tuple[Fingerprint, ...]:
    """Reads `<maker>.toml` of a folder, in the order of the makers. Raises `FingerprintError` with the first that is
    wrong: TOML, a key, an unknown source, a prefix that two makers claim, a name or pattern that cannot be.
    """
    paths = sorted(path for path in folder.glob("*.toml") if path.name != SOURCES)
    if not paths:
        raise FingerprintError(f"{folder}: no fingerprints (*.toml) in this folder; name one that holds <maker>.toml")
    sources = _convert(folder / SOURCES, SourceTable).sources
    fingerprints = tuple(_convert(path, Fingerprint) for path in paths)
    owners: dict[str, Path] = {}
    makers = {fingerprint.maker for fingerprint in fingerprints}
    for path, fingerprint in zip(paths, fingerprints, strict=True):
        if fingerprint.oem is not None and fingerprint.oem not in makers:
            raise FingerprintError(f"{path}: oem: no maker {fingerprint.oem!r} has a file here; add it")
        if fingerprint.maker != path.stem:
            raise FingerprintError(f"{path}: maker: is {fingerprint.maker!r}; make it and the file's name the same")
        _check_prefixes(path, fingerprint, owners)
        _check_facts(path, fingerprint, sources)
    return fingerprints


def _convert(path: Path, kind: type[Table]) -> Table:
    try:
        document: dict[str, Any] = tomli.loads(path.read_text(encoding="utf-8"))
        return msgspec.convert(document, kind)
    except OSError as error:
        raise FingerprintError(f"{path}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise FingerprintError(f"{path}: byte {error.start}: is not UTF-8; save the file as UTF-8") from error
    except tomli.TOMLDecodeError as error:
        raise FingerprintError(f"{path}: is not TOML: {error}") from error
    except msgspec.ValidationError as error:
        reason, _, place = str(error).partition(" - at `")
        where = place.rstrip("`").removeprefix("$").lstrip(".")
        raise FingerprintError(": ".join(part for part in (str(path), where, reason) if part)) from error


def _check_prefixes(path: Path, fingerprint: Fingerprint, owners: dict[str, Path]) -> None:
    for index, prefix in enumerate(fingerprint.prefixes):
        for mac in prefix.macs:
            place = f"{path}: prefixes[{index}].macs"
            if MAC_PREFIX.fullmatch(mac) is None:
                raise FingerprintError(f"{place}: {mac!r} is no prefix; write 34:46:63 or 34:46:63:2/28, in lower case")
            if mac in owners:
                raise FingerprintError(f"{place}: {mac} stands twice, first in {owners[mac].name}; keep one of them")
            owners[mac] = path


def _check_facts(path: Path, fingerprint: Fingerprint, sources: dict[str, FingerprintSource]) -> None:
    groups: dict[str, Sequence[Fact]] = {
        "prefixes": fingerprint.prefixes,
        "calls": fingerprint.calls,
        "ports": fingerprint.ports,
        "banners": fingerprint.banners,
        "protocols": fingerprint.protocols,
        "models": fingerprint.models,
        "brands": fingerprint.brands,
    }
    for group, facts in groups.items():
        for index, fact in enumerate(facts):
            key, reason = _fault(fact, sources)
            if reason:
                raise FingerprintError(f"{path}: {group}[{index}].{key}: {reason}")


def _fault(fact: Fact, sources: dict[str, FingerprintSource]) -> tuple[str, str]:
    unknown = [source for source in fact.sources if source not in sources]
    if unknown or not fact.sources:
        return "sources", f"no source {unknown[0]!r}; add it to {SOURCES}" if unknown else "is empty; name a source"
    if isinstance(fact, Call) and HOST_NAME.fullmatch(fact.name) is None:
        return "name", f"{fact.name!r} is no host name; write lower case, A-labels, two labels or more, no last dot"
    if isinstance(fact, Port) and not 0 < fact.port < 65536:
        return "port", f"{fact.port} is no port; write 1 to 65535"
    if isinstance(fact, ModelName | Brand) or (isinstance(fact, Banner) and fact.matchable):
        return _pattern_fault(fact.pattern, fact.cases, fact.silent)
    return "", ""


def _pattern_fault(pattern: str, cases: Sequence[str], silent: Sequence[str]) -> tuple[str, str]:
    """What is wrong with a pattern: that it is none, or that its own cases say otherwise."""
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        return "pattern", f"is no regular expression: {error}; single quotes keep its backslashes"
    for text in cases:
        if compiled.search(text) is None:
            return "cases", f"{text!r} does not match {pattern!r}; mend the pattern or the case"
    for text in silent:
        if compiled.search(text) is not None:
            return "silent", f"{text!r} matches {pattern!r}; mend the pattern or the case"
    return "", ""
