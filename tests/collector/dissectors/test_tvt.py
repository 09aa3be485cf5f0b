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
    assert frame.announced == Announced(type="IPC", name="GATE", mac=CAMERA_MAC, ip="10.20.0.11")
    assert document.announced == Announced(
        type="IPC", name="GATE", model="TD-0000", firmware="5.1.0", mac=CAMERA_MAC, ip="10.20.0.11"
    )


def test_a_result_behind_an_http_head_is_recognised_and_other_xml_is_not() -> None:
    assert recognises(b"HTTP/1.1 200 OK\r\n\r\n" + TVT_RESULT, 1900, FROM_SERVER)
    assert not recognises(SADP_PROBE, 23_456, FROM_CLIENT) and not recognises(TVT_SEARCH[:139], 23_456, FROM_CLIENT)


def test_a_frame_of_an_unknown_kind_and_an_empty_result_are_malformed() -> None:
    for broken in (TVT_SEARCH[:8] + b"\7" + TVT_SEARCH[9:], TVT_SEARCH[:100], b"<multicastSearchResult/>"):
        with pytest.raises(Malformed):
            read_datagram(broken, FROM_CLIENT)
