"""Two hundred thousand broken captures, and nothing escapes; and an escape would be noticed."""

import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from collector.capture.pcap_file import CaptureFile
from collector.decode import decode
from collector.dissectors import dns
from collector.dissectors.dissector import Fact
from collector.errors import CaptureError
from collector.ledger import Ledger
from collector.links import LINK_TYPES
from collector.observation import DATASET_PREFIX
from collector.pipeline import Pipeline
from collector.reading import load_dissectors
from collector.settings import ALL, CollectorSettings
from collector.tunnels import TUNNELS
from tests.collector.frames import BEGIN_NS, pcap, zipped
from tests.mutants import run

MUTANTS = 100_000 if os.environ.get("CI") else 1_500
SEEDS = (1, 2)
"""A run each, side by side."""


def test_no_broken_capture_gets_anything_but_a_capture_error_out_of_the_collector() -> None:
    command = [sys.executable, run.__file__, "--mutants", str(MUTANTS), "--seed"]
    runs = [subprocess.Popen([*command, str(seed)], stdout=subprocess.PIPE, text=True) for seed in SEEDS]
    said = [each.communicate()[0] for each in runs]
    assert [each.returncode for each in runs] == [0] * len(SEEDS), "\n".join(said)
    assert all(f"{MUTANTS} mutants, 0 escapes" in words for words in said), said


def test_an_escape_is_noticed_printed_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def careless(data: bytes, dataset: str = "dns") -> list[Fact]:
        raise IndexError("index out of range")

    monkeypatch.setattr(dns, "read_message", careless)
    assert run.run(60, 1, [], tmp_path) is False
    kept = sorted(tmp_path.iterdir())
    printed = capsys.readouterr().out
    assert kept and "IndexError at test_run.py:" in printed and f"60 mutants, {len(kept)} escapes" in printed
    assert kept[0].stem in printed


def test_an_endless_loop_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def endless(*_: object) -> Iterator[None]:
        while True:
            pass

    monkeypatch.setattr(run, "MAX_CPU_SECONDS", 0.2)
    monkeypatch.setattr(run, "watch", endless)
    assert run.run(1, 1, [], tmp_path) is False
    assert "TooLongError" in capsys.readouterr().out


def test_memory_that_grows_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    peaks = iter([100 << 20, 900 << 20])
    monkeypatch.setattr(run, "peak_bytes", lambda: next(peaks))
    assert run.run(3, 1, [], tmp_path) is False
    assert "memory grew by 800 MiB" in capsys.readouterr().out


def test_a_mutant_follows_from_its_number_alone_and_not_from_the_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    seeds = run.read_seeds([])
    mutants = []
    for day in range(2):
        monkeypatch.setattr(time, "time", lambda day=day: day * 86_400.0)
        mutants.append([run.mutate(seeds, random.Random(f"7/{number}")) for number in range(300)])
    assert mutants[0] == mutants[1] and len(set(mutants[0])) > 280
    assert any(mutant.startswith(b"\x1f\x8b") for mutant in mutants[0])


def test_the_seeds_are_whole_captures_of_every_format_and_protocol(tmp_path: Path) -> None:
    seeds = run.read_seeds([])
    path = tmp_path / "a.pcap"
    links: set[int] = set()
    for seed in seeds:
        path.write_bytes(seed.data)
        links |= {block.link_type for block in CaptureFile(str(path)).blocks()}
        run.watch(path, ())
    assert {0, 1, 101, 108, 113, 147, 229, 276} <= links and len(seeds) > 20
    assert {seed.data[:4].hex() for seed in seeds} >= {"d4c3b2a1", "a1b2c3d4", "4d3cb2a1", "0a0d0d0a", "a1b2cd34"}


def test_every_link_type_tunnel_and_dissector_is_in_the_seeds(tmp_path: Path) -> None:
    path = tmp_path / "a.pcap"
    links: set[int] = set()
    tunnels: set[str] = set()
    read: set[tuple[str, str | None]] = set()
    for seed in run.read_seeds([]):
        path.write_bytes(seed.data)
        pipeline = Pipeline(CollectorSettings(traffic=ALL), ())
        found = []
        for block in CaptureFile(str(path)).blocks():
            links.add(block.link_type)
            batch = decode(block, Ledger())
            tunnels |= {TUNNELS[kind] for kind in batch.tunnel.tolist()} if batch.tunnel is not None else set()
            found += pipeline.process(block)
        for each in found + pipeline.finish():
            read.add((each.event.dataset.removeprefix(DATASET_PREFIX), each.network.transport))
    wanted = {
        (each.name, transport)
        for each in load_dissectors()
        for transport in (["tcp"] if each.begin else []) + (["udp"] if each.read_datagram or each.converse else [])
    }
    assert sorted(LINK_TYPES - links) == [] and sorted(set(TUNNELS[1:]) - tunnels) == []
    assert sorted(wanted - read) == []


def test_most_mutants_still_have_packets_to_read(tmp_path: Path) -> None:
    seeds, path, read = run.read_seeds([]), tmp_path / "a.pcap", 0
    for number in range(200):
        path.write_bytes(run.mutate(seeds, random.Random(f"3/{number}")))
        try:
            read += sum(len(block.start) for block in CaptureFile(str(path)).blocks()) > 0
        except CaptureError:
            read += 1
    assert read > 150


def test_a_folder_gives_its_captures_and_what_is_none_is_left_out(tmp_path: Path) -> None:
    capture = pcap([(BEGIN_NS, b"a packet of a folder")])
    for name, data in (
        ("a.pcap", capture),
        ("b.pcap.gz", zipped(capture)),
        ("c.md", b"# notes" * 9),
        ("d.gz", b"\x1f\x8b!"),
    ):
        (tmp_path / name).write_bytes(data)
    (tmp_path / "empty.pcap").write_bytes(b"")
    assert [seed.data for seed in run.read_seeds([tmp_path])].count(capture) == 2


def test_a_long_capture_is_cut_to_its_first_packets() -> None:
    seed = run.read_seed(pcap([(BEGIN_NS, bytes(1_000))] * 500))
    assert seed is not None and len(seed.marks) == 2 * run.PACKETS_OF_A_SEED
    assert len(seed.data) == 24 + run.PACKETS_OF_A_SEED * 1_016


def test_a_folder_that_is_not_there_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main(["--mutants", "1", "no-such-folder"]) == 2
    assert capsys.readouterr().err == "no-such-folder: no such folder; name one that holds captures\n"
