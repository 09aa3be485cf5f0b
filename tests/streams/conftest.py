"""What the tests of `streams` share: the shipped rules, observations of a camera, and MaxMind DB files."""

import functools
import ipaddress
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from collector.observation import Observation
from rules.alert import Alert
from rules.check import read_example
from rules.load import load_rules
from rules.match import RuleSet
from tests.streams.command import OFFICE, OWN_DETECTION, OWN_FACT, OWN_SOURCE, Ran, run
from tests.streams.told import CAMERA, many_alerts, one_alert

MARKER = b"\xab\xcd\xefMaxMind.com"


@pytest.fixture(scope="session")
def rules() -> RuleSet:
    """What is shipped."""
    return load_rules()


@pytest.fixture(scope="session")
def observe() -> Callable[..., Observation]:
    """An observation of a camera, with dotted changes."""

    def make(change: dict[str, Any] | None = None) -> Observation:
        return read_example(CAMERA, change or {})

    return make


@pytest.fixture(scope="session")
def write_geo_file() -> Callable[[Path, dict[str, dict[str, Any]]], Path]:
    """Writes a MaxMind DB file (specification 2.0) of IPv4 networks and their records."""

    def write(path: Path, records: dict[str, dict[str, Any]]) -> Path:
        nodes: list[list[int | None]] = [[None, None]]
        data, places = b"", {}
        for network, record in records.items():
            places[network] = len(data)
            data += encode(record)
            net = ipaddress.ip_network(network)
            bits = f"{int(net.network_address):032b}"[: net.prefixlen]
            node = 0
            for bit in bits[:-1]:
                inner = nodes[node][int(bit)]
                if inner is None:
                    nodes.append([None, None])
                    inner = nodes[node][int(bit)] = len(nodes) - 1
                node = inner
            nodes[node][int(bits[-1])] = -1 - places[network]
        tree = b"".join(pointer(side, len(nodes)) for node in nodes for side in node)
        about = {
            "binary_format_major_version": 2, "binary_format_minor_version": 0, "build_epoch": 1, "ip_version": 4,
            "database_type": "Test", "languages": ["en"], "node_count": len(nodes), "record_size": 32,
            "description": {"en": "made for a test"},
        }  # fmt: skip
        path.write_bytes(tree + bytes(16) + data + MARKER + encode(about))
        return path

    return write


def pointer(side: int | None, nodes: int) -> bytes:
    """A side of a node: a further node, a place in the data, or nothing."""
    number = nodes if side is None else side if side >= 0 else nodes + 16 + (-1 - side)
    return struct.pack("!I", number)


def encode(value: Any) -> bytes:
    """A value as the data section has it."""
    if isinstance(value, str):
        text = value.encode()
        return bytes([2 << 5 | len(text)] if len(text) < 29 else [2 << 5 | 29, len(text) - 29]) + text
    if isinstance(value, int):
        digits = value.to_bytes(4, "big").lstrip(b"\0")
        return bytes([6 << 5 | len(digits)]) + digits
    if isinstance(value, list):
        return bytes([len(value), 4]) + b"".join(map(encode, value))
    assert isinstance(value, dict)
    return bytes([7 << 5 | len(value)]) + b"".join(encode(key) + encode(inner) for key, inner in value.items())


@pytest.fixture(scope="session")
def alert(rules: RuleSet) -> Alert:
    """An alert: a camera calls the cloud of a listed company."""
    return one_alert(rules)


@pytest.fixture(scope="session")
def alerts_of(alert: Alert) -> Callable[..., list[Alert]]:
    """See `many_alerts`."""
    return functools.partial(many_alerts, alert)


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> tuple[Ran, Path]:
    """The office watched once, and the state that it left."""
    state = tmp_path_factory.mktemp("state")
    return run("watch", OFFICE, state=state), state


@pytest.fixture
def own_rules(tmp_path: Path) -> Path:
    """A folder with a fact and a detection of one's own."""
    folder = tmp_path / "own"
    (folder / "facts" / "endpoints").mkdir(parents=True)
    (folder / "detections").mkdir()
    (folder / "facts" / "endpoints" / "hikvision.toml").write_text(OWN_FACT, "utf-8")
    (folder / "facts" / "sources.toml").write_text(OWN_SOURCE, "utf-8")
    (folder / "detections" / "ours.yml").write_text(OWN_DETECTION, "utf-8")
    return folder
