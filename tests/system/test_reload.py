"""A running watch and its rules, over a real interface: nothing is lost, a bad pack changes nothing, and only what was
signed by the right key comes in."""

import contextlib
import signal
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from rules.load import load_rules
from tests.streams.command import run
from tests.system.broker import free_ports
from tests.system.reloading import Watched, reload_under_load, write_list, write_pack
from tests.veth import Wire, needs_a_wire, wire

pytestmark = [pytest.mark.root, pytest.mark.system, needs_a_wire]
SECONDS = 30.0
# As many as are quickly built; bench/reload.py takes a million at 50,000 a second.
INDICATORS, PACKETS_A_SECOND = 50_000, 10_000


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Wire]:
    with wire(tmp_path) as made:
        yield made


@contextlib.contextmanager
def watched(line: Wire, folder: Path, rules: Path, *options: str, **more: str) -> Iterator[Watched]:
    made = Watched(line, folder, rules, *options, LENSWATCH_RULES_POLL_SECONDS="0.2", **more)
    try:
        made.listens()
        yield made
    finally:
        made.kill()


def exchange(folder: Path, count: int, name: str) -> None:
    """Another list in the place of the one that is there."""
    write_list(folder / "fresh", count, name)
    (folder / "fresh").replace(folder / "rules" / "facts" / "endpoints" / "names.txt")


def digest(rules: Path) -> str:
    return load_rules([rules]).digest[:12]


def test_a_pack_is_exchanged_under_load_and_no_packet_is_lost_nor_judged_by_half_of_it(
    line: Wire, tmp_path: Path
) -> None:
    done = reload_under_load(line, tmp_path, INDICATORS, PACKETS_A_SECOND)
    assert (done.dropped, done.read, done.wrong) == (0, done.sent, []) and done.seconds < 15, done


def test_a_bad_pack_and_one_that_lost_half_leave_the_rules_as_they_were_with_one_line_and_a_count(
    line: Wire, tmp_path: Path
) -> None:
    rules, (port,) = tmp_path / "rules", free_ports(1)
    write_pack(rules, 2_000, "first.example")
    first = digest(rules)
    with watched(line, tmp_path, rules, LENSWATCH_WATCH_METRICS=f"127.0.0.1:{port}") as watch:

        def metrics() -> str:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
                return str(answer.read().decode())

        exchange(tmp_path, 2_000, "no name")
        watch.waits_for(f"the rules stay as they were: {rules}/facts/endpoints/names.txt: line 2000: ", SECONDS)
        exchange(tmp_path, 900, "second.example")
        watch.waits_for("more than half of the indicators would go (2,000 in force, 900 in the new pack)", SECONDS)
        text = metrics()
        assert f'lenswatch_rules_info{{digest="{first}' in text
        assert 'lenswatch_rules_reloads_total{result="refused"} 2.0' in text
        exchange(tmp_path, 1_100, "third.example")
        watch.waits_for(f"rules {digest(rules)} are in force", SECONDS)
        text = metrics()
        assert f'lenswatch_rules_info{{digest="{digest(rules)}' in text and first not in text
        assert 'lenswatch_rules_reloads_total{result="taken"} 1.0' in text
        said = watch.end()
    assert (
        said.count("the rules stay as they were") == 2 and said.count("are in force") == 1 and "Traceback" not in said
    )


def test_only_what_the_trusted_key_has_signed_comes_in(line: Wire, tmp_path: Path) -> None:
    rules = tmp_path / "rules"
    write_pack(rules, 100, "first.example")

    def sign(version: int) -> None:
        ran = run("rules", "sign", rules, "--key", tmp_path / "ops.key", "--version", version, state=tmp_path)
        assert ran.code == 0, ran.err

    assert run("rules", "keygen", tmp_path / "ops", state=tmp_path).code == 0
    sign(2)
    trust = {
        "LENSWATCH_RULES_TRUSTED_KEYS": f'["{tmp_path}/ops.pub"]', "LENSWATCH_RULES_REQUIRE_SIGNED": "true",
    }  # fmt: skip
    with watched(line, tmp_path, rules, **trust) as watch:
        exchange(tmp_path, 100, "second.example")
        watch.waits_for(f"the rules stay as they were: {rules}: was altered after it was signed", SECONDS)
        sign(3)
        watch.waits_for(f"rules {digest(rules)} are in force", SECONDS)
        sign(1)
        watch.waits_for("the pack is older (version 1) than the one in force (version 3)", SECONDS)


def test_the_rules_are_read_again_by_whom_the_watch_has_become(line: Wire) -> None:
    # pytest's own folders are closed to everybody else.
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o777)
        rules = folder / "rules"
        write_pack(rules, 100, "first.example")
        with watched(line, folder, rules, "--user", "nobody") as watch:
            exchange(folder, 100, "second.example")
            watch.waits_for(f"rules {digest(rules)} are in force", SECONDS)
            process = watch.process.pid
            (builder,) = Path(f"/proc/{process}/task/{process}/children").read_text().split()
            for each in (builder, process):
                assert "Uid:\t65534\t65534\t65534\t65534" in Path(f"/proc/{each}/status").read_text()
            (rules / "facts" / "sources.toml").chmod(0o600)
            watch.process.send_signal(signal.SIGHUP)
            watch.waits_for(f"the rules stay as they were: {rules}/facts/sources.toml: cannot be read: Perm", SECONDS)


def test_several_workers_go_on_with_new_rules_and_nothing_is_left_running(line: Wire, tmp_path: Path) -> None:
    rules = tmp_path / "rules"
    write_pack(rules, 100, "first.example")
    with watched(line, tmp_path, rules, "--workers", "2") as watch:
        exchange(tmp_path, 100, "second.example")
        watch.waits_for(f"rules {digest(rules)} are in force", SECONDS)
        process = watch.process.pid
        children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
        assert len(children) == 3
        said = watch.end()
    assert watch.process.returncode == 0 and "Traceback" not in said
    assert not any(Path(f"/proc/{each}").exists() for each in children)
