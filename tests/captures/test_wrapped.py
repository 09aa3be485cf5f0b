"""What is wrapped in a link layer, a tunnel or a mirror is read as if it were not, and its mirror is told."""

from pathlib import Path

import pytest

from collector.capture.pcap_file import CaptureFile
from collector.observation import Observation
from collector.pipeline import Pipeline
from collector.settings import ALL, CollectorSettings
from tests.captures import make_wrapped
from tests.captures.tunnels import LINKS, MIRROR, MIRROR_6, MIRRORS, WRAPPED
from tests.collector.wireshark.answering import needs_tshark
from tests.truth import compare

NOT_BY_TSHARK = {
    "Broadcom's switch tag": "a link type of its own, which tshark 4.0 has no dissector for",
    "Broadcom's switch tag before": "as the other one",
    "Marvell's switch tag": "as Broadcom's",
    "Marvell's longer switch tag": "as Broadcom's",
    "VXLAN on Linux's old port": "tshark goes by the port",
    "VXLAN of Azure's gateway load balancer": "tshark goes by the port",
}
CAPTURE = Path(make_wrapped.__file__).with_name("wrapped.pcapng")


@pytest.fixture(scope="module")
def seen() -> dict[str, Observation]:
    pipeline, found = Pipeline(CollectorSettings(traffic=ALL), ()), []
    for block in CaptureFile(str(CAPTURE)).blocks():
        found += pipeline.process(block)
    found += pipeline.finish()
    return {each.dns.question.name: each for each in found if each.dns is not None and each.dns.question is not None}


def test_the_committed_capture_is_what_the_generator_makes(tmp_path: Path) -> None:
    make_wrapped.main(tmp_path)
    assert (tmp_path / CAPTURE.name).read_bytes() == CAPTURE.read_bytes()


@pytest.mark.parametrize("wrap", WRAPPED)
def test_a_question_is_read_in_each_wrap_and_its_mirror_is_told(seen: dict[str, Observation], wrap: str) -> None:
    each = seen[make_wrapped.name_of(wrap)]
    ingress = each.observer.ingress
    alias = ingress.interface.alias if ingress is not None else None
    if wrap in LINKS:
        assert alias is None
    else:
        assert alias is not None and alias.endswith(MIRROR_6 if wrap.endswith("IPv6") else MIRROR)
    assert wrap in LINKS or wrap in MIRRORS or wrap == "four tunnels"


@needs_tshark
@pytest.mark.system
def test_tshark_reads_the_same_but_for_what_is_explained() -> None:
    missing, extra = compare.compare(CAPTURE).differs()["dns"]
    assert not missing
    assert set(extra) == {f"dns {make_wrapped.name_of(wrap)}" for wrap in NOT_BY_TSHARK}
