"""Both engines over one capture, and what differs, as the list beside this file has it."""

import tomllib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from collector.capture.source import open_source
from collector.identify.fingerprint import read_fingerprints
from collector.observation import Observation
from collector.pipeline import Pipeline
from collector.settings import CollectorSettings
from collector.wireshark.engine import WiresharkPipeline
from tests.collector.dissectors.messages import DATAGRAMS, STREAMS
from tests.collector.frames import CAMERA, NS, SERVER, Packet, Talk, spaced, udp_frame

LIST = Path(__file__).with_name("differences.toml")


class Difference(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[[differences]]`: in which capture, of which dataset, how many observations that only our engine makes
    (`missing`), that only Wireshark's makes (`extra`), or whose `field` differs; and why."""

    capture: str
    dataset: str
    what: str
    count: int
    reason: str
    field: str = ""


def load_list() -> tuple[Difference, ...]:
    return msgspec.convert(tomllib.loads(LIST.read_text("utf-8"))["differences"], tuple[Difference, ...])


def read_with(pipeline: Pipeline, capture: Path) -> list[Observation]:
    found = [each for block in open_source(str(capture)).blocks() for each in pipeline.process(block)]
    return found + pipeline.finish()


def fields_that_differ(one: Any, other: Any, place: str = "") -> Iterator[str]:
    if isinstance(one, dict) and isinstance(other, dict):
        for key in sorted(one.keys() | other.keys()):
            yield from fields_that_differ(one.get(key), other.get(key), f"{place}.{key}".lstrip("."))
    elif one != other:
        yield place


def differences(capture: Path) -> Counter[tuple[str, str, str]]:
    """Dataset, what and field → how many."""
    settings, prints = CollectorSettings(), read_fingerprints()
    ours, theirs = (
        {each.event.id: each for each in read_with(kind(settings, prints), capture)}
        for kind in (Pipeline, WiresharkPipeline)
    )
    found: Counter[tuple[str, str, str]] = Counter()
    for here, there, word in ((ours, theirs, "missing"), (theirs, ours, "extra")):
        found.update((each.event.dataset.partition(".")[2], word, "") for key, each in here.items() if key not in there)
    for key in ours.keys() & theirs.keys():
        for field in fields_that_differ(msgspec.to_builtins(ours[key]), msgspec.to_builtins(theirs[key])):
            found[ours[key].event.dataset.partition(".")[2], "changed", field] += 1
    return found


def samples() -> Sequence[Packet]:
    """A flow for each sample of each dissector, as messages of its protocol follow each other."""
    packets: list[Packet] = []
    for number, sample in enumerate(DATAGRAMS):
        ends = (CAMERA, 41_000 + number, SERVER, sample.port)
        frames = [udp_frame(data, ends, bool(side)) for side, data in sample.parts]
        packets += spaced(frames, at_ns=packets[-1][0] + NS) if packets else spaced(frames)
    for number, sample in enumerate(STREAMS):
        talk = Talk((CAMERA, 42_000 + number, SERVER, sample.port))
        for side, data in sample.parts:
            talk.send(side, data)
        talk.close()
        packets += [(at_ns + (packets[-1][0] - talk.packets[0][0]) + NS, *rest) for at_ns, *rest in talk.packets]
    return packets
