"""The made capture of web servers is what its generator makes, and its devices are who its story says."""

from pathlib import Path

import pytest

from collector.capture.pcap_file import CaptureFile
from collector.identify.evidence import ANY_MAKER
from collector.identify.fingerprint import Banner, Fingerprint, read_fingerprints
from collector.identify.known import KnownDevice
from collector.pipeline import Pipeline
from collector.settings import CollectorSettings
from tests.captures import make_web

CAPTURE = Path(make_web.__file__).with_name("web.pcap")


def read(*more: Fingerprint) -> dict[str, KnownDevice]:
    """The devices by address."""
    pipeline = Pipeline(CollectorSettings(), (*read_fingerprints(), *more))
    for block in CaptureFile(str(CAPTURE)).blocks():
        pipeline.process(block)
    pipeline.finish()
    assert pipeline.ledger.open_sums() == []
    return {address: known for known in pipeline.inventory.devices.values() for _, address in known.ends}


@pytest.fixture(scope="module")
def devices() -> dict[str, KnownDevice]:
    return read()


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


def test_a_fingerprint_of_a_hello_weighs_who_says_it() -> None:
    """The hello has the JA4 that FoxIO publishes for Chromium; none is shipped, and anybody may add one."""
    chromium = Banner(
        kind="tls_ja4", pattern="^t13d1516h2_8daaf6152771_02713d6af862$", matchable=True, relevance="medium",
        confidence="medium", sources=("a",), device="other",
    )  # fmt: skip
    browsers = Fingerprint(maker=ANY_MAKER, name="browsers", banners=(chromium,))
    for more, kind in (((), "camera"), ((browsers,), "unknown")):
        known = read(*more)[make_web.BROWSER.ip].identity
        assert known.type == kind and [each for each in known.evidence or () if make_web.CALLED in each]
        assert bool([each for each in known.against or () if "tls ja4" in each]) == bool(more)
