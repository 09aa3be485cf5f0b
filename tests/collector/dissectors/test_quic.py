"""QUIC: the hello is read whatever the order of frames, packets and datagrams, and nothing that is not the client's."""

import pytest

from collector.cursor import Cursor
from collector.dissectors.dissector import FROM_CLIENT, FROM_SERVER, Fact
from collector.dissectors.quic import (
    DISSECTOR,
    MAX_DATAGRAMS,
    MAX_PIECES,
    CryptoStream,
    InitialCipher,
    QuicConversation,
    pull_number,
    recognises,
    salts_of,
)
from collector.errors import Malformed
from tests.collector.dissectors.messages import QUIC_FIRST, QUIC_HELLO, QUIC_SECOND, client_hello, handshake
from tests.collector.dissectors.quic_packets import (
    DRAFT_29,
    FIRST_ID,
    SALTS,
    VERSION_1,
    VERSION_2,
    crypto,
    initial,
    keys,
    number,
    retry,
)


def hear(*datagrams: bytes, direction: int = FROM_CLIENT) -> list[Fact]:
    conversation = QuicConversation()
    return [fact for datagram in datagrams for fact in conversation.read(direction, datagram)]


def test_the_keys_of_the_worked_examples_are_made() -> None:
    # RFC 9001 A.1 and RFC 9369 A.1: client key, IV and header protection key of connection id 8394c8f03e515708.
    assert [part.hex() for part in keys(VERSION_1, FIRST_ID)] == [
        "1f369613dd76d5467730efcbe3b1a22d", "fa044b2f42a3fd3b46fb255c", "9f50449e04a0e810283a1e9933adedd2",
    ]  # fmt: skip
    assert [part.hex() for part in keys(VERSION_2, FIRST_ID)] == [
        "8b1a0bc121284290a29e0971b5cd045d", "91f73e2351d8fa91660e909f", "45b95e15235d6f45a6b19cbcb0294ba9",
    ]  # fmt: skip


@pytest.mark.parametrize("version", [*SALTS])
def test_a_packet_of_each_version_is_opened(version: int) -> None:
    (fact,) = hear(initial(crypto(0, QUIC_HELLO), version))
    assert fact.finish is not None and fact.tls is not None and fact.tls.client is not None
    fact.finish()
    assert (fact.dataset, fact.name, fact.named_by) == ("quic", "camera.example", "tls_sni")
    assert (fact.tls.version, fact.tls.next_protocol) == ("1.3", "h2")
    assert fact.tls.client.ja4 is not None and fact.tls.client.ja4.startswith("q13d15")


def test_frames_out_of_order_in_two_datagrams_are_one_hello() -> None:
    assert hear(QUIC_FIRST) == []
    assert [fact.name for fact in hear(QUIC_FIRST, QUIC_SECOND)] == ["camera.example"]
    assert [fact.name for fact in hear(QUIC_SECOND, QUIC_SECOND, QUIC_FIRST)] == ["camera.example"]


def test_packets_in_one_datagram_are_read_one_after_the_other() -> None:
    first, second = (
        initial(crypto(0, QUIC_HELLO[:200]), size=220),
        initial(crypto(200, QUIC_HELLO[200:]), packet_number=1),
    )
    assert len(hear(first + second)) == 1
    assert len(hear(first + second + b"\x40" + bytes(30))) == 1


def test_after_a_retry_the_keys_are_those_of_its_connection_id() -> None:
    again = initial(crypto(0, QUIC_HELLO), destination=b"\x1b\x03\x6a\x11", packet_number=1, token=b"token")
    conversation = QuicConversation()
    assert conversation.read(FROM_CLIENT, initial(crypto(0, QUIC_HELLO[:200]))) == []
    assert conversation.read(FROM_SERVER, retry()) == []
    assert len(conversation.read(FROM_CLIENT, again)) == 1


def test_a_later_packet_to_the_servers_own_connection_id_has_the_keys_of_the_first() -> None:
    later = initial(crypto(200, QUIC_HELLO[200:]), destination=b"server-1", key_id=FIRST_ID, packet_number=1)
    assert len(hear(initial(crypto(0, QUIC_HELLO[:200])), later)) == 1


def test_a_second_hello_after_a_retry_request_is_told_too() -> None:
    second = handshake(1, client_hello(extensions=[]))
    conversation = QuicConversation()
    facts = conversation.read(FROM_CLIENT, initial(crypto(0, QUIC_HELLO)))
    facts += conversation.read(FROM_CLIENT, initial(crypto(len(QUIC_HELLO), second), packet_number=1))
    assert [fact.name for fact in facts] == ["camera.example", None]


def test_what_the_server_sends_is_not_taken_for_the_clients() -> None:
    answer = initial(crypto(0, handshake(2, bytes(40))), label="server in")
    conversation = QuicConversation()
    assert conversation.read(FROM_SERVER, answer) == []
    assert len(conversation.read(FROM_CLIENT, initial(crypto(0, QUIC_HELLO)))) == 1
    assert conversation.wants[FROM_SERVER] is False


def test_a_client_that_the_flow_takes_for_its_server_is_told_backward() -> None:
    (fact,) = hear(initial(crypto(0, QUIC_HELLO)), direction=FROM_SERVER)
    assert fact.backward is True


@pytest.mark.parametrize("place", [20, 300, 1_000])
def test_a_packet_with_a_changed_byte_is_let_go(place: int) -> None:
    packet = bytearray(initial(crypto(0, QUIC_HELLO)))
    packet[place] ^= 1
    assert hear(bytes(packet)) == []


@pytest.mark.parametrize("cut", [1, 6, 7, 20, 40, 500])
def test_a_cut_packet_is_let_go(cut: int) -> None:
    assert hear(initial(crypto(0, QUIC_HELLO))[:cut]) == []


def test_a_frame_that_an_initial_packet_may_not_hold_is_malformed() -> None:
    with pytest.raises(Malformed, match="frame of type 8"):
        hear(initial(b"\x08" + bytes(40)))


def test_acknowledgements_and_pings_are_passed_by_and_a_close_ends_the_packet() -> None:
    ack = b"\2" + number(3) + number(0) + number(1) + number(0) + number(0) + number(1)
    counted = b"\3" + ack[1:] + number(1) + number(2) + number(3)
    assert len(hear(initial(ack + counted + b"\1" + crypto(0, QUIC_HELLO)))) == 1
    assert hear(initial(b"\x1c" + bytes(10) + crypto(0, QUIC_HELLO))) == []


def test_an_acknowledgement_of_more_ranges_than_there_are_bytes_is_malformed() -> None:
    with pytest.raises(Malformed):
        hear(initial(b"\2" + number(1) + number(0) + number(2**61) + number(1) + b"\1" * 1_150, size=0))


def test_a_crypto_stream_holds_no_more_than_a_hello_and_no_more_pieces_than_its_bound() -> None:
    with pytest.raises(Malformed, match="no ClientHello reaches"):
        CryptoStream().add(2**40, b"x")
    stream = CryptoStream()
    with pytest.raises(Malformed, match="pieces"):
        for piece in range(MAX_PIECES + 1):
            stream.add(2 + 2 * piece, b"x")


def test_video_in_a_flow_that_began_as_quic_is_let_go() -> None:
    conversation = QuicConversation()
    for _ in range(MAX_DATAGRAMS):
        assert conversation.wants[FROM_SERVER]
        conversation.read(FROM_SERVER, b"\x40" + bytes(1_200))
    assert conversation.wants == [True, False]


def test_a_client_that_breaks_the_rules_again_and_again_is_let_go() -> None:
    conversation = QuicConversation()
    for number_ in range(MAX_DATAGRAMS):
        with pytest.raises(Malformed):
            conversation.read(FROM_CLIENT, initial(b"\x08" + bytes(40), packet_number=number_))
    assert conversation.wants[FROM_CLIENT] is False


def test_only_a_long_header_of_a_known_version_is_recognised() -> None:
    packet = initial(crypto(0, QUIC_HELLO))
    assert recognises(packet, 4_433, FROM_CLIENT)
    assert recognises(initial(b"\1", DRAFT_29), 443, FROM_CLIENT)
    assert not recognises(packet[:1] + b"\0\0\0\0" + packet[5:], 443, FROM_CLIENT)
    assert not recognises(b"\x40" + packet[1:], 443, FROM_CLIENT)
    assert not recognises(packet[:5] + b"\x15" + packet[6:], 443, FROM_CLIENT)
    assert not recognises(b"\x80\x60" + bytes(1_200), 443, FROM_CLIENT)
    assert DISSECTOR.starts is not None and 0x80 not in DISSECTOR.starts


def test_versions_that_ask_for_a_negotiation_have_the_keys_of_what_the_client_speaks() -> None:
    assert len(salts_of(0x1A2A3A4A)) == 2 and len(salts_of(1)) == 1 and salts_of(0x51303436) == ()


def test_numbers_of_each_length_are_pulled() -> None:
    # RFC 9000 A.1.
    for data, value in (
        ("c2197c5eff14e88c", 151_288_809_941_952_652),
        ("9d7f3e7d", 494_878_333),
        ("7bbd", 15_293),
        ("25", 37),
    ):
        assert pull_number(Cursor(bytes.fromhex(data))) == value


def test_a_cipher_opens_only_its_own_packets() -> None:
    packet = initial(crypto(0, QUIC_HELLO))
    at = packet.index(b"\x44", 15) + 2
    assert InitialCipher(bytes.fromhex(SALTS[VERSION_1]), b"other-id").open(packet, at) is None
