"""SADP: who searches for Hikvision's devices, and what each says of itself."""

import pytest

from collector.dissectors.dissector import FROM_CLIENT, FROM_SERVER
from collector.dissectors.sadp import read_datagram, recognises
from collector.errors import Malformed
from collector.observation import Announced
from tests.collector.dissectors.documents import CAMERA_MAC, SADP_MATCH, SADP_PROBE, WSD_PROBE


def test_a_search_and_an_answer_are_told_apart() -> None:
    (asked,), (answered,) = read_datagram(SADP_PROBE, FROM_CLIENT), read_datagram(SADP_MATCH, FROM_SERVER)
    assert (asked.dataset, asked.action, asked.announced) == ("sadp", "inquiry", None)
    assert (answered.action, answered.backward) == ("inquiry answer", True)


def test_a_device_says_model_serial_number_firmware_and_addresses() -> None:
    (fact,) = read_datagram(SADP_MATCH, FROM_SERVER)
    assert fact.announced == Announced(
        type="IPCamera", model="DS-2CD0000-X", serial_number="DS-2CD0000-X20260101AAWR5E5E0001",
        firmware="V5.3.0build 150513", mac=CAMERA_MAC, ip="10.20.0.11",
    )  # fmt: skip


def test_entities_are_read_and_control_characters_escaped() -> None:
    (fact,) = read_datagram(SADP_MATCH.replace(b"IPCamera", b"A&amp;B\x1b&#27;"), FROM_SERVER)
    assert fact.announced is not None and fact.announced.type == "A&B\\x1b\\x1b"


def test_an_answer_or_a_search_that_says_nothing_is_malformed() -> None:
    for broken in (b"<ProbeMatch><Uuid>1</Uuid></ProbeMatch>", b"<Probe><Uuid>1</Uuid></Probe>"):
        assert recognises(broken, 37_020, FROM_CLIENT)
        with pytest.raises(Malformed):
            read_datagram(broken, FROM_CLIENT)


def test_other_xml_is_nobodys() -> None:
    assert not recognises(WSD_PROBE, 37_020, FROM_CLIENT)
    assert recognises(SADP_PROBE, 9, FROM_CLIENT)
