"""The made capture of every protocol is what its generator makes, and is read as its story says."""

from pathlib import Path

import pytest

from collector.capture.pcap_file import CaptureFile
from collector.dissectors import DISSECTORS
from collector.observation import DATASET_PREFIX, Observation
from collector.pipeline import Pipeline
from collector.settings import CollectorSettings
from tests.captures import make_protocols

CAPTURE = Path(make_protocols.__file__).with_name("protocols.pcap")


@pytest.fixture(scope="module")
def seen() -> list[Observation]:
    pipeline = Pipeline(CollectorSettings(), ())
    found = [each for block in CaptureFile(str(CAPTURE)).blocks() for each in pipeline.process(block)]
    found += pipeline.finish()
    assert pipeline.ledger.open_sums() == []
    return found


def word(each: Observation) -> str:
    """What an observation says happened: its action, its method or code, or the name it calls."""
    if each.event.action is not None:
        return each.event.action
    if each.tls is not None:
        return each.destination.domain or ""
    assert each.http is not None
    response = each.http.response
    return str(response.status_code) if response is not None else each.http.request.method if each.http.request else ""


def test_the_committed_capture_is_what_the_generator_makes(tmp_path: Path) -> None:
    make_protocols.main(tmp_path)
    assert (tmp_path / CAPTURE.name).read_bytes() == CAPTURE.read_bytes()


def test_nothing_in_it_breaks_its_protocol(seen: list[Observation]) -> None:
    assert not [each.lenswatch for each in seen if each.event.dataset == DATASET_PREFIX + "broken"]


@pytest.mark.parametrize("number", range(len(make_protocols.STORY)))
def test_each_scene_is_read_as_its_story_says(seen: list[Observation], number: int) -> None:
    scene = make_protocols.STORY[number]
    ends = {scene.caller, scene.called}
    read = tuple(
        word(each)
        for each in seen
        if each.event.dataset == DATASET_PREFIX + scene.dataset
        and {(end.ip, end.port) for end in (each.source, each.destination)} == ends
    )
    assert read == scene.read


def test_every_dissector_has_a_scene_but_those_of_the_office() -> None:
    named = {line.split(".")[-2] for line in DISSECTORS}
    assert named - {scene.dataset for scene in make_protocols.STORY} == {"tls", "http", "dns", "mdns"}
