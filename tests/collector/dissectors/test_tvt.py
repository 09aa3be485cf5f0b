"""TVT: a search for devices, and what they answer in either form."""

import pytest

from collector.dissectors.dissector import FROM_CLIENT, FROM_SERVER
from collector.dissectors.tvt import read_datagram, recognises
from collector.errors import Malformed
from collector.observation import Announced
from tests.collector.dissectors.documents import CAMERA_MAC, SADP_PROBE, TVT_ANSWER, TVT_RESULT, TVT_SEARCH


def test_both_forms_of_an_answer_say_who_is_there() -> None:
    (search,), (frame,), (document,) = (
        read_datagram(data, FROM_CLIENT) for data in (TVT_SEARCH, TVT_ANSWER, TVT_RESULT)
    )
    assert (search.dataset, search.action, search.announced) == ("tvt", "search", None)
    assert frame.announced == Announced(
        name="GATE", manufacturer="DVC", model="TD-0000", serial_number="I0000000001", firmware="1.5-1428327",
        mac=CAMERA_MAC, ip="10.20.0.11",
    )  # fmt: skip
    assert document.announced == Announced(
        type="IPC", name="GATE", model="TD-0000", firmware="5.1.0", mac=CAMERA_MAC, ip="10.20.0.11"
    )


@pytest.mark.parametrize("version", [0, 6, 7, 8, 9])
def test_frames_of_every_version_and_command_are_read_and_a_short_answer_says_less(version: int) -> None:
    short = TVT_ANSWER[:4] + bytes((version,)) + TVT_ANSWER[5:140]
    assert recognises(short, 23_456, FROM_SERVER)
    (fact,) = read_datagram(short, FROM_SERVER)
    assert fact.announced == Announced(name="GATE", mac=CAMERA_MAC, ip="10.20.0.11")
    for command, word in ((3, "set address"), (16, "set address answer"), (77, "command 77")):
        frame = short[:8] + bytes((command,)) + short[9:]
        (fact,) = read_datagram(frame, FROM_CLIENT)
        assert recognises(frame, 23_456, FROM_CLIENT) and (fact.action, fact.announced) == (word, None)


def test_a_result_behind_an_http_head_is_recognised_and_other_xml_is_not() -> None:
    assert recognises(b"HTTP/1.1 200 OK\r\n\r\n" + TVT_RESULT, 1900, FROM_SERVER)
    assert not recognises(SADP_PROBE, 23_456, FROM_CLIENT) and not recognises(TVT_SEARCH[:11], 23_456, FROM_CLIENT)
    for at in (5, 6, 7, 9, 11):
        assert not recognises(TVT_SEARCH[:at] + b"\x77" + TVT_SEARCH[at + 1 :], 23_456, FROM_CLIENT)


def test_a_cut_frame_and_an_empty_result_are_malformed() -> None:
    for broken in (TVT_SEARCH[:11], TVT_ANSWER[:43], b"<multicastSearchResult/>"):
        with pytest.raises(Malformed):
            read_datagram(broken, FROM_CLIENT)
