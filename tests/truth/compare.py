"""lenswatch beside tshark: do both read the same names from the same captures?

    python tests/truth/compare.py FOLDER [--jobs 2] [--file NAME] [--verbose]

Every capture of the folder is read twice, by tshark (all of Wireshark's dissectors, one process a file) and by our own
pipeline; the multisets of DNS question names, server names, HTTP requests and JA3 fingerprints are compared. What
lenswatch does not read (QUIC, tunnels …) is taken out on tshark's side by `frame.protocols` and counted apart. A file
that differs must be explained in `differences.toml`, next to this file. Exit codes: 0 all well, 1 not, 2 usage.
"""

import argparse
import concurrent.futures
import dataclasses
import hashlib
import itertools
import json
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from collector.capture.pcap_file import CaptureFile  # noqa: E402
from collector.errors import CaptureError  # noqa: E402
from collector.observation import DATASET_PREFIX, Observation  # noqa: E402
from collector.pipeline import Pipeline  # noqa: E402
from collector.settings import CollectorSettings  # noqa: E402

DIFFERENCES = Path(__file__).with_name("differences.toml")
SUFFIXES = (".pcap", ".pcapng", ".cap", ".pcap.gz", ".pcapng.gz", ".cap.gz")
LEAST = 0.995
"""Recall and precision over all files may not be lower."""
TSHARK_SECONDS = 300
SHOWN_NAMES = 10

KINDS = {"dns": "DNS question names", "sni": "server names", "http": "HTTP requests", "ja3": "JA3 fingerprints"}

FILTER = (
    "dns.qry.name or nbns.name or tls.handshake.type == 1 or dtls.handshake.type == 1 or gquic.tag.sni"
    " or http.request or http2.headers.method"
)
PROTOCOLS = "frame dns mdns llmnr nbns tls dtls quic gquic http http2 ssdp"
PREFERENCES = ("tcp.desegment_tcp_streams:TRUE", "tcp.reassemble_out_of_order:TRUE")

UNDER = frozenset({"eth", "ethertype", "vlan", "sll", "null", "raw", "ip", "ipv6", "tcp", "udp"})
"""What lenswatch takes off before a payload; `ipv6.` extension headers too. Anything else is out of its scope."""
OUT_OF_SCOPE = {"nbns": "NetBIOS names", "gquic": "QUIC", "quic": "QUIC", "dtls": "DTLS", "http2": "HTTP/2", "ssdp": "SSDP"}
SECOND_LAYER = {"tls": "inside TLS", "http": "inside HTTP", "socks": "inside SOCKS"}

Pairs = list[tuple[str, Any]]


@dataclasses.dataclass(slots=True)
class Reading:
    """What one side read of a capture: per kind a multiset of names; `apart` counts (kind, why) that is out of scope."""

    names: dict[str, Counter[str]] = dataclasses.field(default_factory=lambda: {kind: Counter() for kind in KINDS})
    apart: Counter[tuple[str, str]] = dataclasses.field(default_factory=Counter)
    problem: str | None = None


class Explained(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`[captures.<sha256>.<kind>]`: how many names only tshark (`missing`) and only lenswatch (`extra`) read, and why."""

    reason: str
    missing: int = 0
    extra: int = 0


class ExplainedCapture(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`[captures.<sha256>]`: what the capture holds, and its differences by kind."""

    about: str
    dns: Explained | None = None
    sni: Explained | None = None
    http: Explained | None = None
    ja3: Explained | None = None


class DifferencesFile(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`differences.toml`."""

    captures: dict[str, ExplainedCapture] = {}


@dataclasses.dataclass(slots=True)
class Comparison:
    """One capture, read by both. `differs` is by kind: names that only tshark read, and only lenswatch."""

    name: str
    digest: str
    tshark: Reading
    lenswatch: Reading

    def differs(self) -> dict[str, tuple[Counter[str], Counter[str]]]:
        """Kind → (missing, extra), for the kinds that differ."""
        found = {}
        for kind in KINDS:
            theirs, ours = self.tshark.names[kind], self.lenswatch.names[kind]
            if theirs != ours:
                found[kind] = theirs - ours, ours - theirs
        return found


# ---------------------------------------------------------------------------------------------- tshark's reading


def read_with_tshark(path: Path) -> Reading:
    """What tshark reads, with TCP put in order. A capture that it refuses leaves `problem` and what came before."""
    command = ["tshark", "-n", "-r", str(path), "-Y", FILTER, "-T", "json", "-x", "-J", PROTOCOLS]
    for preference in PREFERENCES:
        command += ["-o", preference]
    ran = subprocess.run(command, capture_output=True, timeout=TSHARK_SECONDS, check=False)
    reading = Reading()
    if ran.returncode:
        words = [line for line in ran.stderr.decode("utf-8", "replace").splitlines() if "Running as user" not in line]
        reading.problem = words[-1].removeprefix("tshark: ") if words else f"exit code {ran.returncode}"
    text = ran.stdout.decode("utf-8", "replace")
    for packet in json.loads(text, object_pairs_hook=list) if text.strip() else ():
        layers = find(find(packet, "_source"), "layers")
        stack = str(find(find(layers, "frame"), "frame.protocols")).split(":")
        for kind, why, name in names_in(layers, stack):
            if why:
                reading.apart[kind, why] += 1
            else:
                reading.names[kind][name] += 1
    return reading


def find(pairs: Pairs, key: str) -> Any:
    """The first value of a key."""
    return next(value for name, value in pairs if name == key)


def walk(value: Any) -> Iterator[tuple[str, Any]]:
    """Every key and value of a tree, in document order."""
    if isinstance(value, list):
        for item in value:
            if isinstance(item, tuple):
                yield item
                yield from walk(item[1])


def raw_of(value: Any) -> bytes:
    """The bytes behind a field: [hex, position, length, mask, type], or a list of such."""
    return bytes.fromhex(value[0])


def names_in(layers: Pairs, stack: list[str]) -> Iterator[tuple[str, str, str]]:
    """Kind, why it is out of scope ("" when it is not) and name of everything named in one frame."""
    for protocol, layer in layers:
        if protocol in ("dns", "mdns", "llmnr"):
            yield from (("dns", scope(stack, protocol), name) for name in question_names(protocol, layer))
        elif protocol == "nbns":
            yield from (("dns", OUT_OF_SCOPE["nbns"], "") for key, _ in walk(layer) if key == "nbns.name")
        elif protocol in ("tls", "dtls", "quic"):
            why = scope(stack, protocol)
            yield from ((kind, why, name) for kind, name in hello_names(layer))
        elif protocol == "gquic":
            yield from (("sni", OUT_OF_SCOPE["gquic"], "") for key, _ in walk(layer) if key == "gquic.tag.sni")
        elif protocol in ("http", "ssdp"):
            why = scope(stack, protocol)
            yield from (("http", why, name) for name in request_names(layer))
        elif protocol == "http2":
            yield from (("http", OUT_OF_SCOPE["http2"], "") for key, _ in walk(layer) if key == "http2.headers.method")


def scope(stack: list[str], protocol: str) -> str:
    """Why a protocol in this frame is none that lenswatch reads; "" when it is."""
    if protocol in OUT_OF_SCOPE:
        return OUT_OF_SCOPE[protocol]
    below = list(itertools.takewhile(lambda each: each != protocol, stack))
    if sum(each in ("ip", "ipv6") for each in below) > 1:
        return "quoted in ICMP" if {"icmp", "icmpv6"} & set(below) else "tunnels"
    strange = [each for each in below if each not in UNDER and not each.startswith("ipv6.")]
    if strange:
        return SECOND_LAYER.get(strange[-1], f"over {strange[0]}")
    return "over UDP" if "udp" in below and protocol in ("tls", "http") else ""


def question_names(protocol: str, layer: Pairs) -> Iterator[str]:
    """The question names of a DNS message, with the protocol before them."""
    shown = ""
    raw = b""
    for key, value in walk(layer):
        if key == "dns.qry.name_raw":
            raw = raw_of(value)
        elif key == "dns.qry.name":
            shown = str(value)
            yield f"{protocol} {name_of_labels(raw) or shown}"


def name_of_labels(raw: bytes) -> str | None:
    """An uncompressed name as text (RFC 1035 5.1); None when it is anything else."""
    labels = []
    position = 0
    while position < len(raw) and 0 < raw[position] < 64:
        labels.append(raw[position + 1 : position + 1 + raw[position]])
        position += 1 + raw[position]
    if raw[position:] != b"\0":
        return None
    return ".".join(zone_text(label).replace(".", "\\.") for label in labels) or "."


def zone_text(data: bytes) -> str:
    """Printable ASCII as it is, a backslash doubled, other bytes as \\ddd (RFC 1035 5.1)."""
    return "".join(
        "\\\\" if byte == 0x5C else chr(byte) if 0x20 <= byte < 0x7F else f"\\{byte:03d}" for byte in data
    )


def hex_text(data: bytes) -> str:
    """Printable ASCII as it is, other bytes as \\xNN."""
    return "".join(chr(byte) if 0x20 <= byte < 0x7F else f"\\x{byte:02x}" for byte in data)


def hello_names(layer: Pairs) -> Iterator[tuple[str, str]]:
    """The first server name and the JA3 of each ClientHello in a TLS, DTLS or QUIC layer."""
    for key, value in walk(layer):
        if key == "tls.handshake.extensions_server_name_raw":
            yield "sni", zone_text(raw_of(value))
        elif key == "tls.handshake.ja3":
            yield "ja3", str(value)


def request_names(layer: Pairs) -> Iterator[str]:
    """The request of an HTTP message, if it is one: host and target."""
    target: bytes | None = None
    method, host = b"", b""
    for key, value in walk(layer):
        if key == "http.request.method_raw":
            method = raw_of(value)
        elif key == "http.request.uri_raw" and target is None:
            target = raw_of(value)
        elif key == "http.host_raw" and not host:
            host = raw_of(value).partition(b":")[2].strip()
    if target is not None:
        yield request_text(method.decode("latin-1"), hex_text(target), hex_text(host))


def request_text(method: str, target: str, host: str) -> str:
    """Method, host in lower case, and target; an absolute target has its own host (RFC 9112 3.2.2)."""
    if method == "CONNECT" or "://" in target.partition("?")[0].partition("/")[0] + "//":
        host = ""
    return f"{method} {host.lower()} {target}"


# ------------------------------------------------------------------------------------------------- our own reading


def read_with_lenswatch(path: Path) -> Reading:
    """What the pipeline reads; a capture that breaks off leaves `problem` and what came before."""
    reading = Reading()
    pipeline = Pipeline(CollectorSettings(), ())
    try:
        for block in CaptureFile(str(path)).blocks():
            note(pipeline.process(block), reading)
    except CaptureError as error:
        reading.problem = error.reason
    note(pipeline.finish(), reading)
    return reading


def note(observations: Iterable[Observation], reading: Reading) -> None:
    """Add the names of observations to a reading."""
    for each in observations:
        dataset = each.event.dataset.removeprefix(DATASET_PREFIX)
        if each.dns is not None and each.dns.question is not None:
            reading.names["dns"][f"{dataset} {each.dns.question.name}"] += 1
        if each.tls is not None and each.tls.client is not None:
            if each.tls.client.server_name:
                reading.names["sni"][each.tls.client.server_name] += 1
            if each.tls.client.ja3:
                reading.names["ja3"][each.tls.client.ja3] += 1
        if each.url is not None and each.http is not None and each.http.request is not None:
            host = each.url.domain or ""
            if each.url.port is not None:
                host = f"{host}:{each.url.port}"
            reading.names["http"][request_text(each.http.request.method, each.url.original, host)] += 1
