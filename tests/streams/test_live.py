"""Watching without end: an interface, a pipe, a growing file; an observation soon after its packet, a clean end."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from collector.capture.pcap_file import CaptureFile
from collector.settings import CaptureSettings
from streams.live import Ticker
from tests.collector.frames import Talk, pcap, pcap_header, pcap_record, spaced, udp_frame
from tests.house.tree import ROOT
from tests.veth import Wire, needs_a_wire, wire

pytestmark = pytest.mark.alone

PROGRAM = Path(sys.executable).with_name("lenswatch")
OFFICE = ROOT / "streams" / "demo" / "office.pcap"
SECONDS = 60
ALL = {"LENSWATCH_COLLECTOR_TRAFFIC": "all"}


class Watching:
    """A running `lenswatch watch`, its observations, and its end."""

    def __init__(self, folder: Path, *arguments: str, stdin: int | None = subprocess.DEVNULL) -> None:
        self.seen = folder / "seen.jsonl"
        environment = {
            **os.environ,
            "LENSWATCH_COLLECTOR_TRAFFIC": "all",
            "XDG_STATE_HOME": str(folder / "state"),
            "COLUMNS": "120",
        }
        self.process = subprocess.Popen(
            [str(PROGRAM), "watch", *arguments, "--observations", str(self.seen)],
            stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, text=stdin != subprocess.PIPE,
        )  # fmt: skip

    def observations(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.seen.read_text().splitlines()] if self.seen.exists() else []

    def waits_for(self, holds: Callable[[], object], seconds: float = SECONDS) -> float:
        """How long it took until something held."""
        began = time.monotonic()
        while not holds():
            assert self.process.poll() is None, self.process.communicate()
            assert time.monotonic() < began + seconds, "it never held"
            time.sleep(0.02)
        return time.monotonic() - began

    def listens(self) -> None:
        """Wait until it does: its file of observations is made when the sources are open."""
        self.waits_for(self.seen.exists)
        time.sleep(0.3)

    def end(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, str, str]:
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=SECONDS)
        texts = [each.decode() if isinstance(each, bytes) else each for each in (out, err)]
        return self.process.returncode, texts[0], texts[1]


@contextlib.contextmanager
def watching(folder: Path, *arguments: str, stdin: int | None = subprocess.DEVNULL) -> Iterator[Watching]:
    made = Watching(folder, *arguments, stdin=stdin)
    try:
        yield made
    finally:
        made.process.kill()
        made.process.communicate()


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Wire]:
    with wire(tmp_path) as made:
        yield made


def office_observations(tmp_path: Path) -> int:
    seen = tmp_path / "whole.jsonl"
    subprocess.run(
        [str(PROGRAM), "watch", str(OFFICE), "--observations", str(seen)],
        env={**os.environ, **ALL, "XDG_STATE_HOME": str(tmp_path / "whole")}, capture_output=True, check=True,
    )  # fmt: skip
    return sum('"lenswatch.flow"' not in each for each in seen.read_text().splitlines())


def spoken(seen: list[dict[str, object]]) -> int:
    """Observations of what was said: those of flows depend on when they end."""
    return sum(each["event"]["dataset"] != "lenswatch.flow" for each in seen)  # type: ignore[index]


@pytest.mark.root
@needs_a_wire
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_interface_is_watched_until_a_signal_ends_it_with_its_summary(
    line: Wire, tmp_path: Path, number: signal.Signals
) -> None:
    with watching(tmp_path, line.near) as watch:
        watch.listens()
        line.replay(OFFICE, "--pps=2000")
        watch.waits_for(lambda: spoken(watch.observations()) == office_observations(tmp_path))
        code, out, err = watch.end(number)
    assert (code, "Traceback" in err, "interrupted" in err) == (0, False, False)
    assert "Hangzhou Hikvision" in out and "packets       478 in" in err and "not captured" not in err
    flows = [each for each in watch.observations() if each["event"]["dataset"] == "lenswatch.flow"]  # type: ignore[index]
    names = {each["observer"]["ingress"]["interface"]["name"] for each in watch.observations()}  # type: ignore[index]
    assert flows and names == {line.near}


@pytest.mark.root
@needs_a_wire
def test_alerts_are_shown_as_they_come_and_root_is_given_up(line: Wire) -> None:
    # pytest's own folders are closed to everybody else.
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        folder.chmod(0o777)
        watch = stack.enter_context(watching(folder, line.near, "--user", "nobody"))
        watch.listens()
        status = Path(f"/proc/{watch.process.pid}/status").read_text()
        assert "CapEff:\t0000000000000000" in status and "Uid:\t65534\t65534\t65534\t65534" in status
        line.replay(OFFICE, "--pps=2000")
        assert watch.process.stdout is not None
        told, number = b"", watch.process.stdout.fileno()
        os.set_blocking(number, False)

        def more() -> bool:
            nonlocal told
            with contextlib.suppress(BlockingIOError):
                told += os.read(number, 65_536)
            return b"Hangzhou Hikvision" in told

        watch.waits_for(more)


WITHOUT_IMPORTS = """
import sys
import collector.privileges

class Refuse:
    def find_spec(self, name, path=None, target=None):
        raise ModuleNotFoundError(f"{name} cannot be read any more", name=name)

collector.privileges.give_up_root = lambda user: sys.meta_path.insert(0, Refuse())
from streams.cli import main
main()
"""
"""What `--user` does where Python lies in root's home: from then on no module can be read."""


def without_imports(*arguments: str) -> list[str]:
    return [sys.executable, "-c", WITHOUT_IMPORTS, *arguments, "--user", "nobody"]


@pytest.mark.parametrize("traffic", ["all", "touched"])
@pytest.mark.parametrize("command", [["watch", "--observations", "-"], ["collect", "--dump"]])
def test_nothing_is_imported_once_root_is_given_up(tmp_path: Path, command: list[str], traffic: str) -> None:
    captures = [str(OFFICE), *(str(ROOT / "tests" / "captures" / name) for name in ("protocols.pcap", "web.pcap"))]
    first, *rest = command
    ran = subprocess.run(
        without_imports(first, *captures, *rest),
        env={**os.environ, "LENSWATCH_COLLECTOR_TRAFFIC": traffic, "XDG_STATE_HOME": str(tmp_path)}, cwd=ROOT,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    datasets = {json.loads(line)["event"]["dataset"] for line in ran.stdout.splitlines() if line.startswith("{")}
    assert datasets >= ({"lenswatch.quic", "lenswatch.tuya", "lenswatch.certificate"} if traffic == "all" else set())


@pytest.mark.root
@needs_a_wire
def test_workers_begin_though_root_is_given_up_and_python_lies_in_its_home(line: Wire, tmp_path: Path) -> None:
    seen = tmp_path / "seen.jsonl"
    watch = subprocess.Popen(
        without_imports("watch", line.near, "--workers", "2", "--observations", str(seen)),
        env={**os.environ, **ALL, "XDG_STATE_HOME": str(tmp_path)}, cwd=ROOT, stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        ends = time.monotonic() + SECONDS
        while not (seen.exists() and seen.stat().st_size) and watch.poll() is None and time.monotonic() < ends:
            if seen.exists():
                line.near_is("down")
                time.sleep(0.2)
                line.near_is("up")
                time.sleep(0.3)
                line.replay(ROOT / "tests" / "captures" / "protocols.pcap", "--pps=2000")
            time.sleep(0.3)
        watch.send_signal(signal.SIGTERM)
        _, told = watch.communicate(timeout=SECONDS)
    finally:
        watch.kill()
    assert watch.returncode == 0, told
    assert "the interface is up again" in told and "quic" in told


@pytest.mark.root
@needs_a_wire
@pytest.mark.parametrize("workers", ["1", "2"])
def test_what_the_kernel_drops_is_told_while_it_watches_and_in_the_summary(
    line: Wire, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: str
) -> None:
    monkeypatch.setenv("LENSWATCH_CAPTURE_RING_BYTES", str(1 << 20))
    monkeypatch.setenv("LENSWATCH_CAPTURE_BLOCK_BYTES", str(1 << 17))
    frames = [udp_frame(bytes(1_200), ("10.20.0.11", 20_000 + each % 9, "192.0.2.8", 6_000)) for each in range(8_000)]
    with watching(tmp_path, line.near, "--workers", workers) as watch:
        watch.listens()
        time.sleep(0.5)
        family = Path(f"/proc/{watch.process.pid}/task/{watch.process.pid}/children").read_text().split()
        for each in family or [watch.process.pid]:
            os.kill(int(each), signal.SIGSTOP)
        line.replay(spaced(frames))
        for each in family or [watch.process.pid]:
            os.kill(int(each), signal.SIGCONT)
        assert watch.process.stderr is not None
        first = watch.process.stderr.readline()
        code, _, rest = watch.end()
    assert code == 0 and "the kernel dropped" in first and "ring_bytes" in first
    assert "not captured" in rest and "kernel drop" in rest


@pytest.mark.root
@needs_a_wire
def test_cap_net_raw_alone_is_enough(line: Wire) -> None:
    command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all,+net_raw",
               "--ambient-caps=-all,+net_raw", "--bounding-set=-all,+net_raw"]  # fmt: skip
    listens = f"from collector.capture.ring import Ring; Ring({line.near!r}); print('open')"
    ran = subprocess.run(
        [*command, sys.executable, "-B", "-c", listens], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ran.stdout == "open\n", ran.stderr
    without = [each.replace(",+net_raw", "") for each in command]
    ran = subprocess.run(
        [*without, sys.executable, "-B", "-c", listens], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert "only root, or a program with CAP_NET_RAW, may listen" in ran.stderr


@pytest.mark.root
@needs_a_wire
def test_several_workers_tell_what_one_would(line: Wire, tmp_path: Path) -> None:
    with watching(tmp_path, line.near, "--workers", "2") as watch:
        watch.listens()
        time.sleep(0.5)
        line.replay(OFFICE, "--pps=2000")
        wanted = office_observations(tmp_path)
        watch.waits_for(lambda: spoken(watch.observations()) == wanted)
        code, out, err = watch.end(signal.SIGINT)
    assert (code, "Traceback" in err) == (0, False)
    assert "Hangzhou Hikvision" in out and "packets       478 in" in err and "the ledger is open" not in err


@pytest.mark.root
@needs_a_wire
@pytest.mark.parametrize("workers", ["1", "2"])
def test_two_interfaces_are_watched_at_once(line: Wire, tmp_path: Path, workers: str) -> None:
    (tmp_path / "other").mkdir()
    with wire(tmp_path / "other") as other, watching(tmp_path, line.near, other.near, "--workers", workers) as watch:
        watch.listens()
        time.sleep(0.5)
        line.replay(OFFICE, "--pps=2000")
        talk = Talk(("10.20.0.99", 40_000, "192.0.2.80", 80))
        talk.send(0, b"GET / HTTP/1.1\r\nHost: other.example\r\n\r\n")
        other.replay(talk.packets)
        wanted = office_observations(tmp_path) + 1
        watch.waits_for(lambda: spoken(watch.observations()) == wanted)
        code, out, err = watch.end(signal.SIGINT)
        seen = {each["observer"]["ingress"]["interface"]["name"] for each in watch.observations()}  # type: ignore[index]
    assert (code, "Traceback" in err, seen) == (0, False, {line.near, other.near})
    assert "Hangzhou Hikvision" in out and "packets       482 in" in err and "the ledger is open" not in err


@pytest.mark.root
@needs_a_wire
@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_wireshark_beside_the_capture_may_be_killed_and_the_capture_goes_on(
    line: Wire, tmp_path: Path, workers: str
) -> None:
    def say(number: int, banner: bytes) -> None:
        talk = Talk((f"10.20.0.{number}", 40_000, "192.0.2.80", 22))
        talk.send(0, banner)
        line.replay(talk.packets)

    def told(banner: str) -> bool:
        return any(each["lenswatch"].get("announced", {}).get("software") == banner for each in watch.observations())  # type: ignore[attr-defined]

    with watching(tmp_path, line.near, "--deep", "--workers", workers) as watch:
        watch.listens()
        time.sleep(0.5)
        say(1, b"SSH-2.0-first\r\n")
        watch.waits_for(lambda: told("SSH-2.0-first"))
        for child in dissecting(watch.process.pid):
            os.kill(child, signal.SIGKILL)
        line.replay(OFFICE, "--pps=2000")
        wanted = office_observations(tmp_path)
        watch.waits_for(lambda: spoken(watch.observations()) >= wanted)
        time.sleep(1.5)
        for number in range(2, 6):
            say(number, b"SSH-2.0-second\r\n")
        watch.waits_for(lambda: told("SSH-2.0-second"))
        children = dissecting(watch.process.pid)
        code, _, err = watch.end(signal.SIGINT)
    assert (code, "Traceback" in err) == (0, False)
    assert children and not any(Path(f"/proc/{child}").exists() for child in children)


def dissecting(pid: int) -> list[int]:
    """The tsharks of a process and its workers."""
    children = [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    found = [each for each in children if Path(f"/proc/{each}/comm").read_text() == "tshark\n"]
    return found + [each for child in children for each in dissecting(child)]


def test_an_observation_of_an_endless_pipe_comes_within_a_second_of_its_packet(tmp_path: Path) -> None:
    talk = Talk()
    talk.send(0, b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")
    with watching(tmp_path, "-", stdin=subprocess.PIPE) as watch:
        stdin = watch.process.stdin
        assert stdin is not None
        stdin.write(pcap_header())
        stdin.flush()
        watch.listens()
        for packet in talk.packets:
            stdin.write(pcap_record(packet))
            stdin.flush()
        assert watch.waits_for(watch.observations) < 1
        assert watch.observations()[0]["url"]["domain"] == "a.example"  # type: ignore[index]


def test_a_growing_and_rotated_file_is_followed_until_a_signal(tmp_path: Path) -> None:
    office, path = OFFICE.read_bytes(), tmp_path / "live.pcap"
    path.write_bytes(office[:30_000])
    with watching(tmp_path, "--follow", str(path)) as watch:
        watch.waits_for(watch.observations)
        with path.open("ab") as stream:
            stream.write(office[30_000:])
        wanted = office_observations(tmp_path)
        assert watch.waits_for(lambda: spoken(watch.observations()) == wanted) < 20
        path.rename(tmp_path / "old.pcap")
        talk = Talk(("10.20.0.99", 40_000, "192.0.2.80", 80), at_ns=4_000_000_000 * 10**9)
        talk.send(0, b"GET / HTTP/1.1\r\nHost: rotated.example\r\n\r\n")
        path.write_bytes(pcap(talk.packets))
        watch.waits_for(
            lambda: any(each.get("url", {}).get("domain") == "rotated.example" for each in watch.observations())
        )  # type: ignore[attr-defined]
        code, out, err = watch.end()
    assert (code, "Hangzhou Hikvision" in out, "Traceback" in err) == (0, True, False)


def test_alerts_of_a_source_that_ends_are_shown_at_its_end() -> None:
    outputs: list[object] = []
    assert not Ticker.beside(outputs, [CaptureFile(str(OFFICE))], quiet=False) and outputs == []  # type: ignore[arg-type]
    followed = CaptureFile(str(OFFICE), CaptureSettings(follow=True))
    assert Ticker.beside(outputs, [followed], quiet=False) and len(outputs) == 1  # type: ignore[arg-type]
