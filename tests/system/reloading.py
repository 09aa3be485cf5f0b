"""A pack exchanged under a running watch, while packets flow over a wire of the tests' own: what is lost, how long it
takes, and whether anything is ever judged by half of it."""

import os
import re
import struct
import subprocess
import threading
import time
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from tests.collector.frames import BEGIN_NS, Packet, ethernet, ipv4, pcap, udp, udp_frame
from tests.streams.command import PROGRAM
from tests.veth import Wire

# The names that only the pack before, and only the one after, know.
BEFORE, AFTER = "before.pack.example", "after.pack.example"
QUERIES_A_SECOND, FILLERS, FILLER_BYTES = 100, 2_000, 700
READY_SECONDS, FORCE_SECONDS, AFTERWARDS_SECONDS, END_SECONDS = 60.0, 60.0, 3.0, 60.0
ENDPOINTS = """entity = "hikvision"
[[list]]
file = "names.txt"
role = "cloud"
confidence = "low"
match = "suffix"
sources = ["test-list"]
"""
SOURCES = '[sources.test-list]\ntitle = "A list of a test"\nkind = "registry"\n'


class Reload(NamedTuple):
    """How it went. `seconds` from the exchange of the file until the watch said that the new pack is in force; `wrong`
    are alerts that cannot be of one whole pack, each in words."""

    indicators: int
    sent: int
    read: int
    dropped: int
    seconds: float
    alerts: int
    wrong: list[str]


def write_pack(folder: Path, indicators: int, name: str) -> Path:
    """A folder of rules with so many names and networks, one of them `name`; the path of its list."""
    place = folder / "facts" / "endpoints"
    place.mkdir(parents=True, exist_ok=True)
    (folder / "facts" / "sources.toml").write_text(SOURCES, "utf-8")
    (place / "hikvision.toml").write_text(ENDPOINTS, "utf-8")
    write_list(place / "names.txt", indicators, name)
    return place / "names.txt"


def write_list(path: Path, indicators: int, name: str) -> None:
    """Three names to one network, and `name`."""
    lines = [
        f"host{number}.zone{number % 300_000}.example"
        if number % 4
        else f"198.51.{number // 256 % 256}.{number % 256}/32"
        for number in range(indicators - 1)
    ]
    path.write_text("\n".join([*lines, name]) + "\n", "utf-8")


def queries(count: int) -> list[Packet]:
    """Questions for the one and the other name in turn, each of another device."""
    packets = []
    for number in range(count):
        name = (BEFORE, AFTER)[number % 2]
        labels = b"".join(bytes((len(part),)) + part.encode() for part in name.split("."))
        question = struct.pack(">HHHHHH", number, 0x0100, 1, 0, 0, 0) + labels + b"\0\0\1\0\1"
        source = f"10.30.{number // 250}.{number % 250 + 1}"
        own = f"02:00:00:00:{number >> 8:02x}:{number & 255:02x}"
        body = ipv4(udp(question, 40_000, 53), 17, source, "192.0.2.53")
        packets.append((BEGIN_NS + number, ethernet(body, source=own)))
    return packets


def fillers() -> list[Packet]:
    """Video, as far as anybody can tell."""
    payload = bytes(range(256)) * 3
    return [
        (BEGIN_NS + number, udp_frame(payload[:FILLER_BYTES], ("10.31.0.1", 20_000 + number % 50, "10.31.0.2", 9_000)))
        for number in range(FILLERS)
    ]


class Watched:
    """A running watch of a wire; what it says, with the time at which it was said."""

    def __init__(self, line: Wire, folder: Path, rules: Path, *options: str, **more: str) -> None:
        self.alerts = folder / "alerts.jsonl"
        variables = {"XDG_STATE_HOME": str(folder / "state"), "OPENBLAS_NUM_THREADS": "1", **more}
        self.process = subprocess.Popen(
            [str(PROGRAM), "watch", line.near, "--rules", str(rules), "--alerts", str(self.alerts), *options],
            env={**os.environ, **variables}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.said: list[tuple[float, str]] = []
        self._listener = threading.Thread(target=self._listen)
        self._listener.start()

    def _listen(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as stderr:
            for line in stderr:
                self.said.append((time.monotonic(), line.rstrip("\n")))

    def waits_for(self, words: str, seconds: float) -> float:
        """When something was said."""
        until = time.monotonic() + seconds
        while True:
            for at, line in list(self.said):
                if words in line:
                    return at
            assert self.process.poll() is None and time.monotonic() < until, (words, self.said)
            time.sleep(0.05)

    def listens(self) -> None:
        """Wait until it does."""
        until = time.monotonic() + READY_SECONDS
        while not self.alerts.exists():
            assert self.process.poll() is None and time.monotonic() < until, self.said
            time.sleep(0.05)
        time.sleep(1.0)

    def end(self) -> str:
        """Ask it to end; all that it said."""
        self.process.terminate()
        self.process.wait(END_SECONDS)
        self._listener.join()
        return "\n".join(line for _, line in self.said)

    def kill(self) -> None:
        """End it whatever it does."""
        self.process.kill()
        self.process.wait()
        self._listener.join()


def reload_under_load(line: Wire, folder: Path, indicators: int, packets_a_second: int, **more: str) -> Reload:
    """Exchange a pack of so many indicators under a watch, while so many packets flow."""
    rules = folder / "rules"
    names = write_pack(rules, indicators, BEFORE)
    fresh = folder / "names.new"
    write_list(fresh, indicators, AFTER)
    asked, noise = folder / "queries.pcap", folder / "fillers.pcap"
    asked.write_bytes(pcap(queries(QUERIES_A_SECOND * int(FORCE_SECONDS))))
    noise.write_bytes(pcap(fillers()))
    watched = Watched(line, folder, rules, **more)
    senders = [
        # Some at once, and a sleep: one that spins until the next is due would have a core for itself.
        Sender(
            line, noise, f"--pps={packets_a_second}", "--pps-multi=50", "--timer=nano", "--loop=0", "--preload-pcap"
        ),
        Sender(line, asked, f"--pps={QUERIES_A_SECOND}", "--timer=nano"),
    ]
    try:
        watched.listens()
        for sender in senders:
            sender.start()
        time.sleep(AFTERWARDS_SECONDS)
        began = time.monotonic()
        fresh.replace(names)
        seconds = watched.waits_for("are in force", FORCE_SECONDS) - began
        time.sleep(AFTERWARDS_SECONDS)
        sent = sum(sender.stop() for sender in senders)
        time.sleep(1.0)
        text = watched.end()
    finally:
        for sender in senders:
            sender.kill()
        watched.kill()
    alerts = [msgspec.json.decode(each) for each in watched.alerts.read_bytes().splitlines()]
    return Reload(
        indicators, sent, number_in(r"packets +([\d,]+) in", text), number_in(r"([\d,]+) kernel drop", text), seconds,
        len(alerts), mixed(alerts),
    )  # fmt: skip


class Sender:
    """One tcpreplay at the far end, until it is told to stop."""

    def __init__(self, line: Wire, path: Path, *options: str) -> None:
        self._command = ["ip", "netns", "exec", line.namespace, "tcpreplay", "-i", line.far, *options, str(path)]
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Begin to send."""
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def stop(self) -> int:
        """Send no more; how many were sent."""
        assert self._process is not None
        self._process.send_signal(2)
        text, _ = self._process.communicate(timeout=END_SECONDS)
        sent = number_in(r"Actual: (\d+) packets", text)
        assert sent, text
        return sent

    def kill(self) -> None:
        """End it whatever it does."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()


def number_in(pattern: str, text: str) -> int:
    found = re.search(pattern, text)
    return int(found[1].replace(",", "")) if found else 0


def mixed(alerts: list[dict[str, Any]]) -> list[str]:
    """What cannot be where rules are exchanged in one moment: a name judged by a pack that does not know it, or the old
    pack in force after the new one was."""
    wrong, digests = [], {BEFORE: set[str](), AFTER: set[str]()}
    times: dict[str, list[str]] = {BEFORE: [], AFTER: []}
    for alert in alerts:
        name = alert["related"]["hosts"][0]
        if name in digests:
            digests[name].add(alert["rule"]["ruleset"])
            times[name].append(alert["lenswatch"]["first_seen"])
    for name, found in digests.items():
        if len(found) != 1:
            wrong.append(f"{name} was found by {len(found)} sets of rules")
    if digests[BEFORE] & digests[AFTER]:
        wrong.append("both names were found by one set of rules")
    if times[BEFORE] and times[AFTER] and max(times[BEFORE]) >= min(times[AFTER]):
        wrong.append("the old pack was in force after the new one")
    return wrong
