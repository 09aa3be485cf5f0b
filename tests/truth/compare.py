"""lenswatch beside tshark: do both read the same names from the same captures?

    python tests/truth/compare.py FOLDER [--jobs 2] [--file NAME] [--verbose]

Every capture of the folder is read twice, by tshark (all of Wireshark's dissectors, one process a file) and by our
own pipeline; the multisets of what each read (KINDS) are compared, and both must come to the capture's end. What
lenswatch does not read (Google's QUIC …) is taken out on tshark's side by `frame.protocols` and counted apart. A file
that differs must be explained in `differences.toml`, next to this file; what is explained as a mistake of tshark's does
not count in recall and precision. Exit codes: 0 all well, 1 not, 2 usage. docs/70-truth.md says more.
"""

import argparse
import concurrent.futures
import dataclasses
import hashlib
import itertools
import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from collector.capture.pcap_file import CaptureFile  # noqa: E402
from collector.errors import CaptureError  # noqa: E402
from collector.observation import DATASET_PREFIX, Observation, TlsOffer  # noqa: E402
from collector.pipeline import Pipeline  # noqa: E402
from collector.settings import CollectorSettings  # noqa: E402
from tests.truth import layers  # noqa: E402
from tests.truth.differences import Difference, Explained, load_differences  # noqa: E402

DIFFERENCES = Path(__file__).with_name("differences.toml")
SUFFIXES = (".pcap", ".pcapng", ".cap", ".pcap.gz", ".pcapng.gz", ".cap.gz")
LEAST = 0.995
"""Recall and precision over all files may not be lower."""
TSHARK_SECONDS = 300
ALL_NETWORKS = ("0.0.0.0/0", "::/0")
MAX_SHOWN_NAMES = 10
MAX_SHOWN_CHARACTERS = 160

KINDS = {
    "dns": "DNS question names",
    "sni": "server names",
    "http": "HTTP requests",
    "ja3": "JA3 fingerprints",
    "offer": "ALPN and ECH offers",
    **layers.TITLES,
}

FILTER = (
    "dns.qry.name or nbns.name or tls.handshake.type == 1 or dtls.handshake.type == 1 or gquic.tag.sni"
    f" or http.request or http2.headers.method or {layers.FILTER}"
)
PROTOCOLS = f"frame dns mdns llmnr nbns tls dtls quic gquic http http2 {layers.PROTOCOLS}"
# Segments out of order are put in order, as we do; the price: tshark waits for ever for a segment that was lost.
PREFERENCES = ("tcp.desegment_tcp_streams:TRUE", "tcp.reassemble_out_of_order:TRUE")

UNDER = frozenset(
    {"eth", "ethertype", "vlan", "sll", "null", "raw", "ip", "ipv6", "tcp", "udp", "gre", "erspan", "vxlan", "geneve",
     "tzsp", "mpls", "pwethheuristic", "pwethcw", "pppoes", "ppp", "chdlc", "radiotap", "ppi", "wlan_radio", "wlan",
     "llc", "nflog"}
)  # fmt: skip
"""What lenswatch takes off before a payload; `ipv6.` extension headers too. Anything else is out of its scope."""
OUT_OF_SCOPE = {
    "nbns": "NetBIOS names",
    "gquic": "Google's QUIC",
    "dtls": "DTLS",
    "http2": "HTTP/2",
}
OUTER = {"tls": "inside TLS", "http": "inside HTTP", "socks": "inside SOCKS"}
END = "end"
EXPLAINED, UNEXPLAINED, STALE = "explained", "not explained", "no longer so"
NOT_HTTP_1 = "not HTTP/1"
UNREADABLE = "names that cannot be read"

AUTHORITY = re.compile(r"(?:.*@)?(?P<host>\[.*\]|[^:]*)(?::(?P<port>[^:]*))?")
HTTP_1 = re.compile(rb"(?:^| )HTTP/1\.[0-9]$")
"""tshark gives everything after the second space of a request line as its version."""
ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*://")

Pairs = list[tuple[str, Any]]


@dataclasses.dataclass(slots=True)
class Reading:
    """What one side read of a capture: a multiset of names by kind; `apart` counts (kind, why) that is out of scope."""

    names: dict[str, Counter[str]] = dataclasses.field(default_factory=lambda: {kind: Counter() for kind in KINDS})
    apart: Counter[tuple[str, str]] = dataclasses.field(default_factory=Counter)
    problem: str | None = None

    def settle(self) -> None:
        """Count each name once where only the first messages of a flow are read."""
        for kind in layers.DISTINCT:
            self.names[kind] = Counter(set(self.names[kind]))


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


@dataclasses.dataclass(slots=True)
class Score:
    """One kind over all captures: names that both read, that tshark reads, that lenswatch reads.

    `missed` and `added` are the differences in which tshark is wrong; they are in none of the others.
    """

    both: int = 0
    tshark: int = 0
    lenswatch: int = 0
    missed: int = 0
    added: int = 0

    def add(self, theirs: int, ours: int, missing: int, extra: int) -> None:
        """Count one capture."""
        self.both += theirs - missing
        self.tshark += theirs
        self.lenswatch += ours

    @property
    def recall(self) -> float:
        """Of what tshark reads, how much lenswatch reads too."""
        return self.both / self.tshark if self.tshark else 1.0

    @property
    def precision(self) -> float:
        """Of what lenswatch reads, how much tshark reads too."""
        return self.both / self.lenswatch if self.lenswatch else 1.0


# ---------------------------------------------------------------------------------------------- tshark's reading


def read_with_tshark(path: Path) -> Reading:
    """What tshark reads, with TCP put in order. A capture that it refuses leaves `problem` and what came before."""
    command = ["tshark", "-n", "-r", str(path), "-Y", FILTER, "-T", "json", "-x", "-J", PROTOCOLS]
    for preference in PREFERENCES:
        command += ["-o", preference]
    reading = Reading()
    try:
        ran = subprocess.run(command, capture_output=True, timeout=TSHARK_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        reading.problem = f"not done after {TSHARK_SECONDS} seconds"
        return reading
    if ran.returncode:
        words = [line for line in ran.stderr.decode("utf-8", "replace").splitlines() if "Running as user" not in line]
        reading.problem = words[-1].removeprefix("tshark: ") if words else f"exit code {ran.returncode}"
    text = ran.stdout.decode("utf-8", "replace")
    try:
        packets = json.loads(text, object_pairs_hook=list, strict=False) if text.strip() else []
    except json.JSONDecodeError as error:
        reading.problem = f"its JSON cannot be read: {error}"
        return reading
    for packet in packets:
        found = find(find(packet, "_source"), "layers")
        stack = str(find(find(found, "frame"), "frame.protocols")).split(":")
        for kind, why, name in names_in(found, stack):
            if why:
                reading.apart[kind, why] += 1
            else:
                reading.names[kind][name] += 1
    reading.settle()
    return reading


def find(pairs: Pairs, key: str) -> Any:
    """The first value of a key."""
    return next(value for name, value in pairs if name == key)


def names_in(found: Pairs, stack: list[str]) -> Iterator[tuple[str, str, str]]:
    """Kind, why it is out of scope ("" when it is not) and name of everything named in one frame."""
    raw = b""
    for protocol, layer in found:
        if protocol.endswith("_raw"):
            raw = layers.bytes_of(layer)
        if protocol in ("dns", "mdns", "llmnr"):
            why = scope(stack, protocol)
            for name in question_names(layer):
                yield "dns", why if name is not None else why or UNREADABLE, f"{protocol} {name}"
        elif protocol == "nbns":
            yield from (("dns", OUT_OF_SCOPE["nbns"], "") for key, _ in layers.walk(layer) if key == "nbns.name")
        elif protocol in ("tls", "dtls", "quic"):
            why = scope(stack, protocol)
            yield from ((kind, why, name) for kind, name in hello_names(layer))
        elif protocol == "gquic":
            yield from (("sni", OUT_OF_SCOPE["gquic"], "") for key, _ in layers.walk(layer) if key == "gquic.tag.sni")
        elif protocol == "http":
            why = scope(stack, protocol)
            yield from (("http", why or older, name) for older, name in request_names(layer))
            yield from ((kind, why, name) for kind, name in layers.server_of(layer))
        elif protocol in layers.TITLES:
            why = scope(stack, protocol)
            yield from ((kind, why, name) for kind, name in layers.texts_of(protocol, layer, raw))
        elif protocol == "http2":
            yield from (
                ("http", OUT_OF_SCOPE["http2"], "") for key, _ in layers.walk(layer) if key == "http2.headers.method"
            )


def scope(stack: list[str], protocol: str) -> str:
    """Why a protocol in this frame is none that lenswatch reads; "" when it is."""
    if protocol in OUT_OF_SCOPE:
        return OUT_OF_SCOPE[protocol]
    below = list(itertools.takewhile(lambda each: each != protocol, stack))
    if {"icmp", "icmpv6"} & set(below):
        return "quoted in ICMP"
    strange = [each for each in below if each not in UNDER and not each.startswith("ipv6.")]
    if strange:
        return OUTER.get(strange[-1], f"over {strange[0]}")
    transport = next((each for each in reversed(below) if each in ("tcp", "udp")), "")
    return "over UDP" if transport == "udp" and protocol in ("tls", "http") else ""


def question_names(layer: Pairs) -> Iterator[str | None]:
    """The question names of a DNS message; None for one that tshark cannot read either."""
    raw = b""
    for key, value in layers.walk(layer):
        if key == "dns.qry.name_raw":
            raw = layers.bytes_of(value)
        elif key == "dns.qry.name":
            name = name_of_labels(raw) or str(value)
            yield None if name.startswith("<") and name.endswith(">") else name


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
    return "".join("\\\\" if byte == 0x5C else chr(byte) if 0x20 <= byte < 0x7F else f"\\{byte:03d}" for byte in data)


def hex_text(data: bytes) -> str:
    """Printable ASCII as it is, other bytes as \\xNN."""
    return "".join(chr(byte) if 0x20 <= byte < 0x7F else f"\\x{byte:02x}" for byte in data)


def hello_names(layer: Pairs) -> Iterator[tuple[str, str]]:
    """The first server name, the JA3, and what is offered of each ClientHello in a TLS, DTLS or QUIC layer."""
    offered: list[str] = []
    hides = False
    for key, value in layers.walk(layer):
        if key == "tls.handshake.type":
            offered, hides = [], False
        elif key == "tls.handshake.extensions_alpn_str_raw":
            offered += [] if layers.GREASE.fullmatch(layers.bytes_of(value)) else [hex_text(layers.bytes_of(value))]
        elif key == "tls.handshake.extension.type":
            hides = hides or str(value) in layers.ENCRYPTED_HELLO
        elif key == "tls.handshake.extensions_server_name_raw":
            yield "sni", zone_text(layers.bytes_of(value))
        elif key == "tls.handshake.ja3":
            # The last field of a ClientHello.
            yield "ja3", str(value)
            yield "offer", layers.offer_text(offered, hides)


def request_names(layer: Pairs) -> Iterator[tuple[str, str]]:
    """The request of one HTTP message, if it is one: why it is out of scope, or ""; method, host and target."""
    found: dict[str, bytes] = {}
    is_request = False
    for key, value in layers.walk(layer):
        is_request = is_request or key == "http.request"
        if key.startswith("http.") and key.endswith("_raw"):
            found.setdefault(key.removeprefix("http.").removesuffix("_raw"), layers.bytes_of(value))
    if is_request:
        version = found.get("request.version", b"")
        host = found.get("host", b"").partition(b":")[2].strip()
        method = found.get("request.method", b"").decode("latin-1")
        text = request_text(method, hex_text(found.get("request.uri", b"")), authority(hex_text(host)))
        yield "" if HTTP_1.search(version) else NOT_HTTP_1, text


def authority(text: str) -> str:
    """A Host field's host, in lower case, and port (RFC 3986 3.2); a port that is no number is left out."""
    found = AUTHORITY.fullmatch(text)
    if found is None:
        return text.lower()
    digits = found["port"] or ""
    port = int(digits) if digits.isdigit() and len(digits) <= 5 else 0
    return found["host"].lower() + (f":{port}" if 0 < port < 65_536 else "")


def request_text(method: str, target: str, host: str) -> str:
    """Method, host and target; an absolute target has its own host (RFC 9112 3.2.2), and so has CONNECT's."""
    if method == "CONNECT" or ABSOLUTE.match(target):
        return f"{method} {target}"
    return f"{method} {host} {target}"


# ------------------------------------------------------------------------------------------------- our own reading


def read_with_lenswatch(path: Path) -> Reading:
    """What the pipeline reads; a capture that breaks off leaves `problem` and what came before."""
    reading = Reading()
    pipeline = Pipeline(CollectorSettings(networks=ALL_NETWORKS), ())
    try:
        for block in CaptureFile(str(path)).blocks():
            note(pipeline.process(block), reading)
    except CaptureError as error:
        reading.problem = error.reason
    note(pipeline.finish(), reading)
    reading.settle()
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
                offer = (
                    each.lenswatch.tls if each.lenswatch is not None and each.lenswatch.tls is not None else TlsOffer()
                )
                reading.names["offer"][layers.offer_text(offer.alpn or [], bool(offer.ech))] += 1
        for kind, text in layers.texts_in(dataset, each):
            reading.names[kind][text] += 1
        if dataset == "http" and each.url is not None and each.http is not None and each.http.request is not None:
            host = each.url.domain or ""
            if each.url.port is not None:
                host = f"{host}:{each.url.port}"
            reading.names["http"][request_text(each.http.request.method, each.url.original, host)] += 1


# ------------------------------------------------------------------------------------------------------ the judgement


def compare(path: Path) -> Comparison:
    """Read one capture with both."""
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return Comparison(path.name, digest, read_with_tshark(path), read_with_lenswatch(path))


def captures_in(folder: Path) -> list[Path]:
    """The captures of a folder, by name; not those of folders below it."""
    return sorted(path for path in folder.iterdir() if path.is_file() and path.name.endswith(SUFFIXES))


def judge(comparison: Comparison, explained: Explained | None, scores: dict[str, Score]) -> list[tuple[str, str, str]]:
    """Adds a capture to the scores; gives (kind, verdict, what is to be done) for what differs or is said to differ.

    The verdict is EXPLAINED, UNEXPLAINED or STALE.
    """
    differs, rows = comparison.differs(), []
    for kind in KINDS:
        theirs, ours = comparison.tshark.names[kind].total(), comparison.lenswatch.names[kind].total()
        missing, extra = (names.total() for names in differs.get(kind, (Counter(), Counter())))
        entry: Difference | None = getattr(explained, kind, None)
        holds = entry is not None and (entry.missing, entry.extra) == (missing, extra)
        if entry is not None and holds and (missing or extra):
            rows.append((kind, EXPLAINED, entry.reason))
        elif entry is not None:
            said = f"missing = {entry.missing}, extra = {entry.extra}"
            rows.append((kind, STALE, f"differences.toml says {said}: correct it, or take it out"))
        elif missing or extra:
            rows.append((kind, UNEXPLAINED, f"find the cause, or explain captures.{comparison.digest}.{kind}"))
        if entry is not None and holds and entry.wrong == "tshark":
            scores[kind].missed += missing
            scores[kind].added += extra
            theirs, ours, missing, extra = theirs - missing, ours - extra, 0, 0
        scores[kind].add(theirs, ours, missing, extra)
    return rows


def judge_end(comparison: Comparison) -> list[tuple[str, str, str]]:
    """Where tshark reads on to a capture's end, so must lenswatch."""
    problem = comparison.lenswatch.problem
    if problem is None or comparison.tshark.problem is not None:
        return []
    return [(END, UNEXPLAINED, f"lenswatch stops, and tshark does not: {problem}")]


def tell(comparison: Comparison, rows: Sequence[tuple[str, str, str]], verbose: bool) -> None:
    """One line for each kind in which a capture differs; with `verbose` the names, and where a reading stopped."""
    differs = comparison.differs()
    for kind, verdict, words in rows:
        if kind == END:
            print(f"{comparison.name}: {verdict}: {words}")
            continue
        missing, extra = differs.get(kind, (Counter[str](), Counter[str]()))
        total = comparison.tshark.names[kind].total()
        print(f"{comparison.name}: {KINDS[kind]}: {missing.total()} missing, {extra.total()} extra, of {total}: "
              f"{verdict}: {words}")  # fmt: skip
        if verbose:
            for sign, names in (("-", missing), ("+", extra)):
                for name, count in itertools.islice(names.items(), MAX_SHOWN_NAMES):
                    print(f"    {sign} {count} {name[:MAX_SHOWN_CHARACTERS]}")
    if verbose:
        for who, reading in (("tshark", comparison.tshark), ("lenswatch", comparison.lenswatch)):
            if reading.problem is not None:
                print(f"{comparison.name}: {who} stops: {reading.problem}")


def summarise(scores: dict[str, Score], apart: Counter[tuple[str, str]]) -> bool:
    """The figures over all captures; whether all are high enough."""
    enough = True
    for kind, score in scores.items():
        low = score.recall < LEAST or score.precision < LEAST
        enough = enough and not low
        print(f"{KINDS[kind]}: recall {score.recall:.4f} ({score.both} of {score.tshark}), "
              f"precision {score.precision:.4f} ({score.both} of {score.lenswatch})"
              f"{f': lower than {LEAST}' if low else ''}")  # fmt: skip
        if score.missed or score.added:
            print(f"  with tshark's own mistakes ({score.missed} missing, {score.added} extra): recall "
                  f"{score.both / max(1, score.tshark + score.missed):.4f}, "
                  f"precision {score.both / max(1, score.lenswatch + score.added):.4f}")  # fmt: skip
    for kind, name in KINDS.items():
        reasons = [f"{why} {count}" for (at, why), count in apart.most_common() if at == kind]
        if reasons:
            print(f"not lenswatch's to read, {name}: {', '.join(reasons)}")
    return enough


def run(folder: Path, name: str | None, jobs: int, verbose: bool, differences: Path) -> int:
    """Compare; the exit code. ValueError when there is nothing to compare, or the list cannot be read."""
    if shutil.which("tshark") is None:
        raise ValueError("tshark is not installed: install it (Debian, Ubuntu: apt-get install tshark)")
    if not folder.is_dir():
        raise ValueError(f"{folder}: not a folder: name the folder that holds the captures")
    explained = load_differences(differences)
    paths = [path for path in captures_in(folder) if name in (None, path.name)]
    if not paths:
        wanted = name or f"(a file whose name ends in {', '.join(SUFFIXES)})"
        raise ValueError(f"{folder}: no capture {wanted} in it")
    scores = {kind: Score() for kind in KINDS}
    apart: Counter[tuple[str, str]] = Counter()
    verdicts: Counter[str] = Counter()
    with concurrent.futures.ThreadPoolExecutor(jobs) as threads:
        for comparison in threads.map(compare, paths):
            rows = judge(comparison, explained.get(comparison.digest), scores)
            rows += judge_end(comparison)
            verdicts.update(verdict for _, verdict, _ in rows)
            apart.update(comparison.tshark.apart)
            tell(comparison, rows, verbose)
    enough = summarise(scores, apart)
    counts = ", ".join(f"{verdicts[verdict]} {verdict}" for verdict in (EXPLAINED, UNEXPLAINED, STALE))
    print(f"{len(paths)} captures; differences: {counts}")
    return 0 if enough and not verdicts[UNEXPLAINED] and not verdicts[STALE] else 1


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="compare.py", description="The same names from the same captures as tshark?")
    parser.add_argument("folder", type=Path, help="captures: pcap and pcapng, also gzipped")
    parser.add_argument("--jobs", type=int, default=2, help="captures that are read at a time")
    parser.add_argument("--file", help="only the capture of this name")
    parser.add_argument("--verbose", action="store_true", help="the names that differ, and captures that break off")
    parser.add_argument("--differences", type=Path, default=DIFFERENCES, help="the list of explained differences")
    options = parser.parse_args(arguments)
    try:
        return run(options.folder, options.file, max(options.jobs, 1), options.verbose, options.differences)
    except ValueError as error:
        print(f"compare.py: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
