"""What is not to be watched is written nowhere: not one file, line of a log or metric knows of it; and the alerts of
what is watched are the same."""

import contextlib
import hashlib
import json
import sqlite3
from pathlib import Path

import pytest
import zstandard
from prometheus_client import generate_latest

from collector.capture.source import open_source
from collector.spool import FILE_NAME
from rules.load import load_rules
from streams.local import LocalWatch
from streams.settings import Settings
from streams.watch_metrics import WatchMeters
from tests.collector.frames import BEGIN_NS, NS, Packet, Talk, pcap, udp_frame
from tests.streams.command import OFFICE, Ran, run

CAMERA, CAMERA_MAC = "10.20.1.14", "44:19:b6:00:00:14"
PRIVATE, PRIVATE_MAC = "10.20.77.41", "02:aa:bb:cc:dd:41"
CURIOUS, CURIOUS_MAC = "10.20.77.42", "02:aa:bb:cc:dd:42"
RESOLVER = "10.20.0.1"
SECRET = "very-private-clinic.example"
BROKEN = f"PUT / HTTP/1.1\r\nHost: {SECRET}\r\nTransfer-Encoding: chunked\r\n\r\nno size\r\n".encode()
EMPTY = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
IMAGE = b"\xe9\x9a\xf7\xb6" + bytes(range(256)) * 256
FILE = b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: %d\r\n\r\n" % len(IMAGE) + IMAGE


def question(name: str) -> bytes:
    labels = b"".join(bytes((len(part),)) + part.encode() for part in name.split("."))
    return b"\x00\x07\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00" + labels + b"\x00\x00\x01\x00\x01"


def browse(client: str, mac: str, name: str, second: int, first: bytes = b"", answer: bytes = EMPTY) -> list[Packet]:
    """A look-up and a page over HTTP, or another first message."""
    at_ns = BEGIN_NS + second * NS
    ask = udp_frame(question(name), (client, 5_000 + second, RESOLVER, 53))
    ask = ask[:6] + bytes.fromhex(mac.replace(":", "")) + ask[12:]
    talk = Talk((client, 40_000 + second, f"192.0.2.{second}", 80), at_ns + NS // 10, mac)
    talk.send(0, first or f"GET /{second} HTTP/1.1\r\nHost: {name}\r\nUser-Agent: {name}\r\n\r\n".encode())
    for at in range(0, len(answer), 1400):
        talk.send(1, answer[at : at + 1400])
    talk.close()
    return [(at_ns, ask), *talk.packets]


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A camera that calls its cloud, a laptop that reads what is nobody's business, and one that reads of cameras."""
    packets = [
        *browse(CAMERA, CAMERA_MAC, "litedev.hik-connect.com", 1), *browse(PRIVATE, PRIVATE_MAC, SECRET, 2),
        *browse(CURIOUS, CURIOUS_MAC, "www.hikvision.com", 3), *browse(PRIVATE, PRIVATE_MAC, SECRET, 4, BROKEN),
        *browse(CAMERA, CAMERA_MAC, "time.ys7.com", 5), *browse(PRIVATE, PRIVATE_MAC, SECRET, 6, answer=FILE),
    ]  # fmt: skip
    path = tmp_path_factory.mktemp("packets") / "mirror.pcap"
    path.write_bytes(pcap(packets))
    return path


def traces(mac: str, address: str, *names: str) -> list[bytes]:
    """All that a device could be known by, as text and as bytes."""
    packed = bytes(map(int, address.split(".")))
    return [address.encode(), packed, mac.encode(), bytes.fromhex(mac.replace(":", "")), *(n.encode() for n in names)]


PRIVATE_TRACES = traces(PRIVATE_MAC, PRIVATE, SECRET, "private-clinic", "192.0.2.2", "192.0.2.4", "192.0.2.6")
PRIVATE_TRACES += [hashlib.sha256(IMAGE).hexdigest().encode(), IMAGE[:64]]
CURIOUS_TRACES = traces(CURIOUS_MAC, CURIOUS, "www.hikvision.com")


def written(folder: Path, ran: Ran) -> dict[str, bytes]:
    """Every file below a folder, and what was said."""
    files = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return files | {"standard output": ran.out.encode(), "standard error": ran.err.encode()}


def found(kept: dict[str, bytes], sought: list[bytes]) -> set[str]:
    return {name for name, data in kept.items() if any(each in data for each in sought)}


def watch(folder: Path, capture: Path, traffic: str) -> dict[str, bytes]:
    config = folder / "lenswatch.toml"
    config.write_text(f'[sinks.file]\nkind = "jsonl"\npath = "{folder}/sink.jsonl"\n', "utf-8")
    ran = run(
        "watch", capture, "--observations", folder / "seen.jsonl", "--alerts", folder / "told.jsonl", "--config",
        config, state=folder / "state", LENSWATCH_COLLECTOR_TRAFFIC=traffic,
    )  # fmt: skip
    assert ran.code == 0, ran.err
    kept = written(folder, ran)
    assert {"seen.jsonl", "told.jsonl", "sink.jsonl"} <= kept.keys()
    assert {"state/lenswatch/devices.sqlite", "state/lenswatch/alerts.sqlite"} <= kept.keys()
    assert found(kept, [CAMERA.encode()]) >= {"seen.jsonl", "told.jsonl", "sink.jsonl"}
    assert any(name.endswith(".evidence") for name in found(kept, [bytes.fromhex(CAMERA_MAC.replace(":", ""))]))
    return kept


@pytest.mark.parametrize(
    ("traffic", "private", "curious"), [("cameras", False, False), ("touched", False, True), ("all", True, True)]
)
def test_a_watch_writes_nothing_of_those_who_are_not_to_be_watched(
    tmp_path: Path, capture: Path, traffic: str, private: bool, curious: bool
) -> None:
    kept = watch(tmp_path, capture, traffic)
    assert bool(found(kept, PRIVATE_TRACES)) == private, found(kept, PRIVATE_TRACES)
    assert ("seen.jsonl" in found(kept, CURIOUS_TRACES)) == curious
    assert (b"lenswatch.file" in kept["seen.jsonl"]) == private, "the laptop fetches what may be firmware"
    assert (b"lenswatch.broken" in kept["seen.jsonl"]) == private, "the laptop's traffic holds what breaks"
    assert bool(found(kept, CURIOUS_TRACES)) == curious, found(kept, CURIOUS_TRACES)


@pytest.mark.parametrize(
    ("traffic", "private", "curious"), [("cameras", False, False), ("touched", False, True), ("all", True, True)]
)
def test_a_collectors_spool_and_dump_hold_nothing_of_them(
    tmp_path: Path, capture: Path, traffic: str, private: bool, curious: bool
) -> None:
    more = {"LENSWATCH_COLLECTOR_TRAFFIC": traffic, "LENSWATCH_COLLECTOR_METRICS": ""}
    ran = run("collect", capture, "--kafka", "127.0.0.1:1", state=tmp_path, LENSWATCH_SPOOL_DRAIN_SECONDS="0", **more)
    assert "wait for the next start" in ran.err
    kept = written(tmp_path, ran)
    with contextlib.closing(sqlite3.connect(tmp_path / "lenswatch" / "spool" / FILE_NAME)) as spool:
        batches = spool.execute("SELECT id, value FROM batches").fetchall()
    dump = run("collect", capture, "--dump", state=tmp_path / "dump", **more)
    kept |= {f"batch {number}": zstandard.decompress(value) for number, value in batches} | {"dump": dump.out.encode()}
    assert bool(found(kept, PRIVATE_TRACES)) == private and bool(found(kept, CURIOUS_TRACES)) == curious
    assert {name.partition(" ")[0] for name in found(kept, [CAMERA.encode()])} == {"dump", "batch"}


def test_no_metric_knows_an_address_or_a_name(capture: Path) -> None:
    rules = load_rules()
    meters = WatchMeters(rules)
    local = LocalWatch(Settings(), rules, observations=[meters])
    meters.watches(local, lambda: "")
    local.watch([open_source(str(capture))], [meters])
    page = generate_latest(meters.registry)
    assert b"lenswatch_collector_packets_total" in page
    assert found({"metrics": page}, [*PRIVATE_TRACES, *CURIOUS_TRACES, CAMERA.encode(), CAMERA_MAC.encode()]) == set()


def test_the_alerts_are_the_same_whether_all_is_watched_or_what_touches_a_known_endpoint(tmp_path: Path) -> None:
    told = []
    for traffic in ("all", "touched"):
        (tmp_path / traffic).mkdir()
        ran = run("watch", OFFICE, "--alerts", "-", state=tmp_path / traffic, LENSWATCH_COLLECTOR_TRAFFIC=traffic)
        told.append(sorted(ran.out.splitlines()))
    assert told[0] == told[1] and told[0]
    only = run("watch", OFFICE, "--alerts", "-", state=tmp_path, LENSWATCH_COLLECTOR_TRAFFIC="cameras")
    kinds = {json.loads(line)["lenswatch"]["device_type"] for line in only.out.splitlines()}
    assert kinds and kinds.isdisjoint({"other", "unknown"})


def test_check_says_whose_traffic_would_be_told_of(tmp_path: Path) -> None:
    for traffic, words in (("cameras", "cameras alone"), ("touched", "touches a known"), ("all", "all that is seen")):
        ran = run("collect", OFFICE, "--dump", "--check", state=tmp_path, LENSWATCH_COLLECTOR_TRAFFIC=traffic)
        assert words in ran.out and ran.code == 0
