"""`lenswatch watch` and `collect` with Wireshark's dissectors: the same alerts, by id and by content."""

import random
import shutil
from collections import Counter
from pathlib import Path

import msgspec
import pytest

from tests.captures import make_protocols
from tests.captures.wire import camera_hello
from tests.collector.dissectors.messages import answer, dns, name, question
from tests.collector.frames import Packet, Talk, pcap, spaced, udp_frame
from tests.collector.wireshark.answering import needs_tshark
from tests.collector.wireshark.engines import load_list, samples
from tests.streams.command import OFFICE, read_alerts, spawn

pytestmark = [
    pytest.mark.system,
    needs_tshark,
]
BROKEN = " was broken: "
"""Wireshark says that bytes break their protocol, and not how."""
CAMERA, CAMERA_MAC, CLOUD = "10.20.9.9", "44:19:b6:5e:09:09", "198.51.100.9"
FIRMWARE = b"GET /cloudupgrade/check?model=IPC&version=2.8 HTTP/1.1\r\nHost: materialfile.dahuasecurity.com\r\n\r\n"


def calls() -> list[Packet]:
    """A camera looks a maker's name up, calls it in segments out of order, and asks for firmware on an odd port."""
    asked, found = (
        question("litedev.hik-connect.com"),
        answer(name("litedev.hik-connect.com"), 1, bytes((198, 51, 100, 9))),
    )
    resolver = (CAMERA, 40_001, "10.20.0.1", 53)
    answered = dns([asked], [found], flags=0x8180)
    packets = spaced([udp_frame(dns([asked]), resolver), udp_frame(answered, resolver, True)])
    call = Talk((CAMERA, 40_002, CLOUD, 8_555), at_ns=packets[-1][0] + 10**9, own=CAMERA_MAC)
    hello, first = camera_hello("dev.hik-connect.com", random.Random(1)), call.sequence[0]
    for start, end in ((0, 50), (120, len(hello)), (50, 120)):
        call.send(0, hello[start:end], sequence=first + start)
    ask = Talk((CAMERA, 40_003, CLOUD, 8_083), at_ns=call.at_ns + 10**9, own=CAMERA_MAC)
    ask.send(0, FIRMWARE)
    ask.send(1, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno")
    ask.close()
    return packets + call.packets + ask.packets


def told(capture: Path, state: Path, *options: str) -> Counter[str]:
    """Every revision of every alert, whole, but for how a protocol was broken."""
    done = spawn("watch", capture, "--alerts", "-", *options, state=state)
    assert (done.code, done.complaints) == (0, [])
    alerts = read_alerts(done.out)
    same = [msgspec.structs.replace(alert, message=alert.message.partition(BROKEN)[0]) for alert in alerts]
    return Counter(msgspec.json.encode(alert).decode() for alert in same)


@pytest.mark.parametrize(
    ("capture", "least"), [("office.pcap", 26), ("protocols.pcap", 0), ("samples.pcap", 0), ("calls.pcap", 3)]
)
def test_both_engines_give_the_same_alerts(tmp_path: Path, capture: str, least: int) -> None:
    made = {"samples.pcap": samples, "calls.pcap": calls}
    path = {"office.pcap": OFFICE, "protocols.pcap": Path(make_protocols.__file__).with_name("protocols.pcap")}.get(
        capture, tmp_path / capture
    )
    if capture in made:
        path.write_bytes(pcap(made[capture]()))
    ours, theirs = told(path, tmp_path / "ours"), told(path, tmp_path / "theirs", "--engine", "pyshark")
    assert ours.total() >= least
    listed = {each.what: each.count for each in load_list() if (each.capture, each.dataset) == (capture, "alert")}
    assert ((ours - theirs).total(), (theirs - ours).total()) == (listed.get("missing", 0), listed.get("extra", 0))


def test_collect_has_the_other_engine_too(tmp_path: Path) -> None:
    ours, theirs = (
        spawn("collect", "--dump", *options, OFFICE, state=tmp_path) for options in ((), ("--engine", "pyshark"))
    )
    assert (theirs.code, theirs.err) == (ours.code, ours.err) == (0, "")
    # The one file that passes: Wireshark is not asked for bodies.
    assert len(theirs.out.splitlines()) == len(ours.out.splitlines()) - 1 > 100


def test_an_engine_that_is_none_and_one_that_is_not_there_are_told_in_a_line(tmp_path: Path) -> None:
    done = spawn("watch", OFFICE, "--engine", "snort", state=tmp_path)
    assert (done.code, done.err) == (
        2,
        "lenswatch: the command line: engine is 'snort', which is none of own, pyshark\n",
    )
    done = spawn("watch", OFFICE, "--engine", "pyshark", "--workers", "2", state=tmp_path)
    assert done.code == 2 and "engine pyshark reads in one process: workers must be 1" in done.err
    done = spawn("watch", OFFICE, "--engine", "pyshark", state=tmp_path, PATH=str(tmp_path))
    assert (done.code, done.out) == (1, "") and "tshark is not installed: install it" in done.err


def test_a_tshark_that_dies_ends_the_run_and_what_was_read_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    # One that gives up the ghost after some packets, as a crash of a dissector would.
    broken = folder / "tshark"
    broken.write_text(f'#!/bin/sh\n{shutil.which("tshark")} "$@" 2>/dev/null | head -n 60000\nkill -SEGV $$\n')
    broken.chmod(0o755)
    done = spawn("watch", OFFICE, "--engine", "pyshark", state=tmp_path, PATH=f"{folder}:/usr/bin:/bin")
    line = "lenswatch: --engine pyshark: tshark was ended by SIGSEGV; what was read by then is told"
    assert (done.code, done.complaints) == (1, [line])
