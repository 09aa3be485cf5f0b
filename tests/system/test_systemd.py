"""The units by systemd's own programs; the installation, put somewhere and taken away again."""

import asyncio
import getpass
import grp
import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from rules.alert import Alert
from streams.sinks.jsonl import AlertLines
from tests.streams.command import PROGRAM
from tests.system.broker import ROOT

pytestmark = pytest.mark.system
SYSTEMD = ROOT / "deploy" / "systemd"
UNITS = sorted(SYSTEMD.glob("*.service"))
SBIN = f"{os.environ.get('PATH', '')}{os.pathsep}/usr/sbin"
MAX_EXPOSURE = 20
"""In tenths, as --threshold takes it."""


@pytest.fixture(scope="session", autouse=True)
def programs() -> None:
    """systemd's programs and logrotate. Without them a person's run skips, and a machine's run fails."""
    names = ("systemd-analyze", "systemd-sysusers", "systemd-tmpfiles", "logrotate")
    missing = [name for name in names if shutil.which(name, path=SBIN) is None]
    if not missing:
        return
    words = f"no {', '.join(missing)} here: type 'make consumers'"
    if os.environ.get("CI"):
        pytest.fail(words)
    pytest.skip(words)


def call(*command: object, folder: Path | None = None) -> tuple[int, str]:
    """A program run to its end: the exit code, and all that it wrote."""
    done = subprocess.run(
        list(map(str, command)), cwd=folder, env=os.environ | {"PATH": SBIN, "SYSTEMD_PAGER": ""},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def settings_of(unit: Path) -> dict[str, list[str]]:
    """Each key of a unit with its values."""
    found: dict[str, list[str]] = {}
    for line in unit.read_text("utf-8").splitlines():
        key, is_set, value = line.partition("=")
        if is_set and not line.startswith("#"):
            found.setdefault(key, []).append(value)
    return found


def test_there_is_a_unit_for_each_command_that_runs_for_long() -> None:
    assert [unit.name for unit in UNITS] == [f"lenswatch-{name}@.service" for name in ("collect", "watch", "worker")]


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_systemd_has_nothing_against_a_unit(unit: Path, tmp_path: Path) -> None:
    text = unit.read_text("utf-8").replace("/opt/lenswatch/bin/lenswatch", str(PROGRAM))
    here = tmp_path / unit.name
    here.write_text(text, "utf-8")
    started = here.with_name(unit.name.replace("@", "@eth1"))
    assert call("systemd-analyze", "verify", "--man=no", started) == (0, "")
    here.write_text(text.replace("Restart=always", "Restarts=always"), "utf-8")
    assert "Unknown key" in call("systemd-analyze", "verify", "--man=no", started)[1], "it finds what is wrong"


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_a_unit_is_little_exposed(unit: Path, tmp_path: Path) -> None:
    ask = ("systemd-analyze", "security", "--offline=true", "--no-pager", f"--threshold={MAX_EXPOSURE}")
    code, text = call(*ask, unit)
    (level,) = re.findall(r"Overall exposure level for \S+: (\S+)", text)
    assert code == 0 and float(level) < MAX_EXPOSURE / 10, text
    open_unit = tmp_path / unit.name
    open_unit.write_text(unit.read_text("utf-8").replace("ProtectSystem=strict", "ProtectSystem=no"), "utf-8")
    looser = re.findall(r"Overall exposure level for \S+: (\S+)", call(*ask, open_unit)[1])
    assert float(looser[0]) > float(level)


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_only_what_reads_packets_has_a_right_and_only_that_one(unit: Path) -> None:
    found = settings_of(unit)
    rights = [] if "worker" in unit.name else ["CAP_NET_RAW"]
    assert found.get("AmbientCapabilities", []) == rights
    assert found["CapabilityBoundingSet"] == (rights or [""])
    assert ("AF_PACKET" in found["RestrictAddressFamilies"][0]) == bool(rights)
    assert found["Type"] == ["notify"] and found["WatchdogSec"] == ["120"] and found["Restart"] == ["always"]
    assert found["User"] == ["lenswatch"] and found["ProtectSystem"] == ["strict"]


def test_what_a_unit_starts_is_a_command_of_ours() -> None:
    for unit in UNITS:
        (start,) = settings_of(unit)["ExecStart"]
        program, command, *_ = start.split()
        assert program == "/opt/lenswatch/bin/lenswatch"
        assert call(PROGRAM, command, "--help")[0] == 0


def test_it_runs_where_no_memory_may_be_written_and_executed(tmp_path: Path) -> None:
    """MemoryDenyWriteExecute, by the kernel's own means: PR_SET_MDWE (prctl(2)), which outlives execve."""
    wrap = (
        "import ctypes, os, sys\nif ctypes.CDLL(None).prctl(65, 1, 0, 0, 0): sys.exit(77)\n"
        "os.execv(sys.argv[1], sys.argv[1:])"
    )
    office = ROOT / "streams" / "demo" / "office.pcap"
    done = subprocess.run(
        [str(PROGRAM.with_name("python")), "-c", wrap, str(PROGRAM), "watch", str(office)],
        env=os.environ | {"XDG_STATE_HOME": str(tmp_path)}, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    if done.returncode == 77:
        pytest.skip("this kernel knows no PR_SET_MDWE: it came with Linux 6.3")
    assert done.returncode == 0 and "hikvision" in done.stdout.lower(), done.stderr


def test_the_user_is_one_that_systemd_takes() -> None:
    code, text = call("systemd-sysusers", "--dry-run", SYSTEMD / "lenswatch.sysusers")
    assert code == 0, text


def install(root: Path, *more: str) -> tuple[int, str]:
    return call(SYSTEMD / "install", "--root", root, *more)


def files_below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files to another user")
def test_what_is_installed_is_whole_and_can_be_taken_away_again(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True)
    code, words = install(root)
    assert code == 0, words
    system = root / "etc" / "systemd" / "system"
    assert {path.name for path in system.iterdir()} == {unit.name for unit in UNITS}
    settings = root / "etc" / "lenswatch" / "lenswatch.toml"
    assert tomllib.loads(settings.read_text("utf-8")) and settings.stat().st_mode & 0o777 == 0o640
    user, _, number = (root / "etc" / "passwd").read_text("utf-8").split(":")[:3]
    assert user == "lenswatch"
    for name in ("lib", "log"):
        state = (root / "var" / name / "lenswatch").stat()
        assert state.st_mode & 0o777 == 0o750 and state.st_uid == int(number)
    assert install(root)[0] == 0, "once more changes nothing"
    wanted = system / "multi-user.target.wants" / "lenswatch-watch@eth1.service"
    wanted.parent.mkdir()
    wanted.symlink_to(system / "lenswatch-watch@.service")
    code, words = install(root, "--undo")
    assert code == 0, words
    left = files_below(root)
    assert not wanted.is_symlink() and left <= {"etc/passwd", "etc/group", "etc/shadow", "etc/gshadow", "etc/.pwd.lock"}
    assert "hold your alerts" in words and (root / "var" / "lib" / "lenswatch").is_dir()


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files to another user")
def test_what_a_person_changed_is_neither_written_over_nor_taken_away(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True)
    assert install(root)[0] == 0
    unit = root / "etc" / "systemd" / "system" / "lenswatch-watch@.service"
    settings = root / "etc" / "lenswatch" / "lenswatch.toml"
    for path in (unit, settings):
        path.write_text("# mine\n", "utf-8")
    code, words = install(root)
    assert code == 1 and f"{unit}: is there, and is another" in words
    code, words = install(root, "--undo")
    assert code == 0 and f"{unit} was changed, and stays" in words and f"{settings} was changed, and stays" in words
    assert unit.read_text("utf-8") == settings.read_text("utf-8") == "# mine\n"


def test_a_wrong_word_to_the_installation_is_a_matter_of_usage(tmp_path: Path) -> None:
    code, words = call(SYSTEMD / "install", "--rot", tmp_path)
    assert (code, words) == (2, "install: --rot: no such option; --help says which there are\n")
    assert call(SYSTEMD / "install", "--root", tmp_path / "gone")[0] == 2
    assert "--undo" in call(SYSTEMD / "install", "--help")[1]
    assert files_below(tmp_path) == set()


def rotate(folder: Path, *more: str) -> tuple[int, str]:
    """logrotate with our rules, in a folder of the test and as whoever runs it."""
    me = f"{getpass.getuser()} {grp.getgrgid(os.getegid()).gr_name}"
    text = (SYSTEMD / "lenswatch.logrotate").read_text("utf-8")
    rules = folder / "rules"
    rules.write_text(text.replace("/var/log/lenswatch", str(folder)).replace("lenswatch lenswatch", me), "utf-8")
    rules.chmod(0o644)
    return call("logrotate", *more, "--state", folder / "state", rules)


def test_logrotate_takes_its_rules(tmp_path: Path) -> None:
    tmp_path.chmod(0o750)
    (tmp_path / "alerts.jsonl").write_text("{}\n", "utf-8")
    code, text = rotate(tmp_path, "-d")
    assert code == 0 and "error" not in text.lower() and "alerts.jsonl" in text, text


def test_alerts_go_on_in_a_new_file_when_logrotate_has_put_theirs_aside(tmp_path: Path, alert: Alert) -> None:
    tmp_path.chmod(0o750)
    sink = AlertLines(str(tmp_path / "alerts.jsonl"))
    asyncio.run(sink.deliver([alert]))
    code, text = rotate(tmp_path, "--force")
    assert code == 0, text
    asyncio.run(sink.deliver([alert, alert]))
    asyncio.run(sink.close())
    kept = sorted(tmp_path.glob("alerts.jsonl*"))
    assert [path.read_bytes().count(b"\n") for path in kept] == [2, 1]
