"""Who the devices in captures are, against what a person reads in Wireshark (`devices.toml`).

The captures are other people's and not here: where $LENSWATCH_CAPTURES names a folder of them, those that the table
knows by their SHA-256 are read, and all others must hold no camera. The shipped office is always read.
"""

import hashlib
import os
import re
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from collector.capture.pcap_file import CaptureFile
from collector.errors import CaptureError
from collector.identify.fingerprint import Fingerprint, read_fingerprints
from collector.identify.known import KnownDevice
from collector.observation import CAMERA_KINDS
from collector.pipeline import Pipeline
from collector.settings import CollectorSettings
from rules.load import load_rules
from streams.local import LocalWatch
from streams.settings import Settings
from tests.truth.compare import ALL_NETWORKS, SUFFIXES

TABLE = Path(__file__).with_name("devices.toml")
OFFICE = Path(__file__).parents[2] / "streams" / "demo" / "office.pcap"
OFFICE_DEVICES = Counter({("dahua", "camera"): 2, ("hikvision", "camera"): 2, ("xiongmai", "camera"): 1})
LEAST_RIGHT = 0.95
HIGH_CONFIDENCE = 0.8


class Told(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a person reads of a device."""

    maker: str
    kind: str
    model: str | None = None
    firmware: str | None = None
    count: int = 1


class Capture(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A capture and its devices; `mute`: one that says nothing that a fingerprint could know."""

    sha256: str
    about: str
    devices: tuple[Told, ...]
    mute: str | None = None

    @property
    def has_cameras(self) -> bool:
        return any(device.kind in CAMERA_KINDS for device in self.devices)


def read_table(path: Path = TABLE) -> dict[str, Capture]:
    rows: list[dict[str, Any]] = tomllib.loads(path.read_text("utf-8"))["captures"]
    return {row["sha256"]: msgspec.convert(row, Capture) for row in rows}


def captures() -> Iterator[tuple[Path, str]]:
    """Path and SHA-256 of each capture that is there."""
    named = os.environ.get("LENSWATCH_CAPTURES")
    for path in sorted(Path(named).iterdir()) if named else ():
        if path.name.endswith(SUFFIXES):
            yield path, hashlib.sha256(path.read_bytes()).hexdigest()


def devices_of(path: Path, fingerprints: tuple[Fingerprint, ...], networks: tuple[str, ...]) -> list[KnownDevice]:
    """The devices of a capture that gave evidence of who made them."""
    pipeline = Pipeline(CollectorSettings(networks=networks), fingerprints)
    try:
        for block in CaptureFile(str(path)).blocks():
            pipeline.process(block)
    except CaptureError:
        pass
    pipeline.finish()
    return [each for each in pipeline.inventory.devices.values() if each.identity.maker is not None]


def row(device: KnownDevice) -> tuple[str, str, str | None, str | None]:
    return device.identity.maker or "", device.identity.type, device.model, device.firmware


def compare(known: Capture, found: list[KnownDevice]) -> tuple[int, int, list[str]]:
    """How many devices the table tells of, how many of them are found with maker, kind, model and firmware right, and
    what is wrong in words. A device that says no model of its own is right when the table has none."""
    left = Counter(row(device) for device in found)
    wrong, right, total = [], 0, 0
    for told in known.devices:
        total += told.count
        fits = [
            key
            for key in left
            if key[:2] == (told.maker, told.kind)
            and (told.model is None or key[2] == told.model)
            and (told.firmware is None or key[3] == told.firmware)
        ]
        there = min(told.count, sum(left[key] for key in fits))
        right += there
        wrong += [f"missing: {told}"] if there < told.count else []
        for key in fits:
            taken = min(left[key], there)
            left[key], there = left[key] - taken, there - taken
    makers = {told.maker for told in known.devices}
    wrong += [
        f"wrong maker: {device.identity.maker} with {device.identity.maker_confidence}: {list(device.signs)}"
        for device in found
        if device.identity.maker not in makers and (device.identity.maker_confidence or 0.0) >= HIGH_CONFIDENCE
    ]
    return total, right, wrong


@pytest.fixture(scope="module")
def fingerprints() -> tuple[Fingerprint, ...]:
    return read_fingerprints()


def test_the_devices_of_the_office_are_who_they_were_made_to_be(fingerprints: tuple[Fingerprint, ...]) -> None:
    found = devices_of(OFFICE, fingerprints, CollectorSettings().networks)
    assert Counter((each.identity.maker, each.identity.type) for each in found if each.is_camera) == OFFICE_DEVICES


def test_a_wrong_table_would_be_noticed(fingerprints: tuple[Fingerprint, ...]) -> None:
    found = devices_of(OFFICE, fingerprints, CollectorSettings().networks)
    right = Capture(
        "", "", (Told("dahua", "camera", count=2), Told("hikvision", "camera", count=2), Told("xiongmai", "camera"))
    )
    assert compare(right, found) == (5, 5, [])
    for other in (
        Told("dahua", "camera", count=3), Told("dahua", "recorder"), Told("dahua", "camera", model="X"),
        Told("dahua", "camera", firmware="1"),
    ):  # fmt: skip
        assert compare(Capture("", "", (*right.devices[1:], other)), found)[1] < 4 + other.count
    assert any("wrong maker: hikvision" in line for line in compare(Capture("", "", right.devices[:1]), found)[2])


def test_the_table_tells_of_devices_and_of_no_address_or_serial_number() -> None:
    table = read_table()
    assert len(table) >= 15 and sum(device.count for each in table.values() for device in each.devices) > 100
    # What it may say, `Told` allows; and no MAC nor serial number of Dahua's form hides in a text.
    assert re.search(r"(?:[0-9a-f]{2}:){5}|[0-9A-Z]{4,8}P[A-Z]{2}[0-9A-Z]{5}", TABLE.read_text("utf-8")) is None


def test_makers_are_right_and_none_is_wrong_with_high_confidence(fingerprints: tuple[Fingerprint, ...]) -> None:
    table, told, right, wrong = read_table(), 0, 0, []
    for path, digest in captures():
        if digest in table:
            total, fine, words = compare(table[digest], devices_of(path, fingerprints, ALL_NETWORKS))
            told, right = told + total, right + fine
            wrong += [f"{path.name}: {each}" for each in words]
    assert right >= LEAST_RIGHT * told, "\n".join(wrong)
    assert [each for each in wrong if "wrong maker" in each] == []
    print(f"{right} of {told} devices right; {wrong}")


def test_captures_without_cameras_have_none_and_alert_nobody() -> None:
    table, rules, wrong = read_table(), load_rules(), []
    for path, digest in captures():
        known = table.get(digest)
        if known is not None and (known.has_cameras or known.mute):
            continue
        watch = LocalWatch(Settings(), rules)
        run = watch.watch([CaptureFile(str(path))])
        wrong += [
            f"{path.name}: {device.device.id} is a {device.identity.type}: {list(device.signs)}"
            for device in watch.pipeline.inventory.devices.values()
            if device.is_camera
        ]
        wrong += [
            f"{path.name}: {alert.message}" for alert in run.alerts.values() if alert.lenswatch.level != "informational"
        ]
    assert wrong == []
