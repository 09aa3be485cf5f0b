"""The made capture of web servers is what its generator makes, and its devices are who its story says."""

from pathlib import Path

import pytest

from collector.capture.pcap_file import CaptureFile
from collector.identify.fingerprint import read_fingerprints
from collector.identify.known import KnownDevice
from collector.pipeline import Pipeline
from collector.settings import CollectorSettings
from tests.captures import make_web

CAPTURE = Path(make_web.__file__).with_name("web.pcap")


@pytest.fixture(scope="module")
def devices() -> dict[str, KnownDevice]:
    pipeline = Pipeline(CollectorSettings(), read_fingerprints())
    for block in CaptureFile(str(CAPTURE)).blocks():
        pipeline.process(block)
    pipeline.finish()
    assert pipeline.ledger.open_sums() == []
    return {address: known for known in pipeline.inventory.devices.values() for _, address in known.ends}


def test_the_committed_capture_is_what_the_generator_makes(tmp_path: Path) -> None:
    make_web.main(tmp_path)
    assert (tmp_path / CAPTURE.name).read_bytes() == CAPTURE.read_bytes()


@pytest.mark.parametrize("seen", make_web.STORY, ids=lambda seen: seen.about)
def test_each_device_is_who_its_web_server_shows_that_it_is(
    devices: dict[str, KnownDevice], seen: make_web.Seen
) -> None:
    identity = devices[seen.device.ip].identity
    told = identity.type, identity.maker, devices[seen.device.ip].model
    assert told == (seen.kind, seen.maker, seen.model), (identity.evidence, identity.against)


def test_who_looks_at_a_camera_is_none(devices: dict[str, KnownDevice]) -> None:
    assert devices[make_web.PC.ip].signs == {}


def test_a_browser_that_calls_what_cameras_call_is_none(devices: dict[str, KnownDevice]) -> None:
    identity = devices[make_web.BROWSER.ip].identity
    assert identity.type == "unknown" and identity.confidence < 0.5
    assert [each for each in identity.against or () if "tls ja4" in each], identity
    assert [each for each in identity.evidence or () if make_web.CALLED in each]
