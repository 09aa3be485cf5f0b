"""Dahua's P2P service: which device meets whom, and nothing of what goes through the tunnel."""

import pytest

from collector.dissectors.dahua_p2p import MAX_DATAGRAMS, P2pConversation, recognises
from collector.dissectors.dissector import FROM_CLIENT, FROM_SERVER
from collector.errors import Malformed
from collector.observation import Announced
from tests.collector.dissectors.documents import (
    P2P_ANSWER,
    P2P_CHANNEL,
    P2P_PROBE,
    P2P_TUNNEL,
    P2P_TURNED,
    SSDP_ANSWER,
    lines,
)


def test_a_request_says_its_path_and_whose_serial_number_it_is_about() -> None:
    (probe,) = P2pConversation().read(FROM_CLIENT, P2P_PROBE)
    (channel,) = P2pConversation().read(FROM_CLIENT, P2P_CHANNEL)
    assert (probe.dataset, probe.action, probe.announced) == ("dahua_p2p", "DHGET", None)
    assert probe.url is not None and probe.url.path == "/probe/p2psrv"
    assert channel.action == "DHPOST" and channel.announced == Announced(serial_number="5E5E0001PAZ0001")


def test_an_answer_says_which_server_is_next() -> None:
    (fact,) = P2pConversation().read(FROM_SERVER, P2P_ANSWER)
    assert fact.backward and fact.http is not None and fact.http.response is not None
    assert fact.http.response.status_code == 200 and fact.announced == Announced(location="203.0.113.61:8800")


def test_the_turned_stun_and_the_tunnel_are_said_and_the_tunnel_is_left_alone() -> None:
    conversation = P2pConversation()
    (turned,) = conversation.read(FROM_CLIENT, P2P_TURNED)
    assert turned.action == "turned STUN"
    words = [fact.action for _ in range(2) for fact in conversation.read(FROM_CLIENT, P2P_TUNNEL)]
    assert words == ["tunnel open", "tunnel open"] and conversation.wants == [False, True]


def test_an_answer_is_recognised_by_its_cseq_on_the_port_only() -> None:
    assert recognises(P2P_ANSWER, 8_800, FROM_SERVER) and not recognises(P2P_ANSWER, 40_000, FROM_SERVER)
    assert not recognises(SSDP_ANSWER, 8_800, FROM_SERVER)
    assert recognises(P2P_PROBE, 40_000, FROM_CLIENT) and recognises(P2P_TUNNEL, 40_000, FROM_CLIENT)
    assert not recognises(b"PTCP", 8_800, FROM_CLIENT) and not recognises(b"DHAV" + bytes(60), 8_800, FROM_CLIENT)


def test_a_meeting_without_end_is_left_alone() -> None:
    conversation = P2pConversation()
    for _ in range(MAX_DATAGRAMS):
        conversation.read(FROM_CLIENT, P2P_PROBE)
    assert conversation.wants[FROM_CLIENT] is False


def test_what_is_neither_request_nor_answer_is_malformed() -> None:
    for broken in (lines("DHGET probe HTTP/1.1"), b"\x00" * 40, b"DHGET /a\x01b HTTP/1.1\r\n"):
        with pytest.raises(Malformed):
            P2pConversation().read(FROM_CLIENT, broken)
