"""TFTP: which file is asked for, and the boot loader's handshake; data blocks are nobody's."""

import pytest

from collector.dissectors.dissector import FROM_CLIENT, FROM_SERVER
from collector.dissectors.tftp import HANDSHAKE, MAX_NAME_BYTES, read_datagram, recognises
from collector.errors import Malformed
from collector.observation import Url
from tests.collector.dissectors.documents import TFTP_ASK


def test_a_request_names_the_file() -> None:
    (fact,) = read_datagram(TFTP_ASK, FROM_CLIENT)
    assert (fact.dataset, fact.action, fact.backward) == ("tftp", "read", False)
    assert fact.url == Url(original="digicap.dav", path="/digicap.dav")


def test_options_behind_the_mode_change_nothing_and_a_write_is_a_write() -> None:
    (fact,) = read_datagram(b"\0\2/a/b.bin\0OCTET\0blksize\0" + b"1468\0", FROM_CLIENT)
    assert fact.action == "write"
    assert fact.url == Url(original="/a/b.bin", path="/a/b.bin")


def test_the_handshake_is_twenty_bytes_each_way() -> None:
    assert recognises(HANDSHAKE, 9_978, FROM_CLIENT)
    assert not recognises(HANDSHAKE[:-1], 9_978, FROM_CLIENT)
    assert not recognises(HANDSHAKE, 69, FROM_CLIENT)
    (asked,), (told,) = read_datagram(HANDSHAKE, FROM_CLIENT), read_datagram(HANDSHAKE, FROM_SERVER)
    assert (asked.action, asked.backward, told.backward) == ("handshake", False, True)


def test_data_and_other_ports_are_not_taken_for_a_request() -> None:
    assert not recognises(b"\0\3\0\1data", 69, FROM_SERVER)
    assert not recognises(TFTP_ASK, 5_000, FROM_CLIENT)
    assert recognises(TFTP_ASK, 69, FROM_CLIENT)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\0\1",
        b"\0\1name",
        b"\0\1\0octet\0",
        b"\0\1name\0odd\0",
        b"\0\5x",
        b"\0\1" + b"n" * MAX_NAME_BYTES + b"\0octet\0",
    ],
)
def test_what_is_no_request_is_malformed(payload: bytes) -> None:
    with pytest.raises(Malformed):
        read_datagram(payload, FROM_CLIENT)
