"""Tuya: what a device announces, plain or behind the key that everybody has."""

import pytest

from collector.dissectors.dissector import FROM_CLIENT
from collector.dissectors.tuya import KEY, read_datagram, recognises
from collector.errors import Malformed, Truncated
from collector.observation import Announced
from tests.collector.dissectors.documents import TUYA_ENCRYPTED, TUYA_NEW, TUYA_PLAIN, tuya, tuya_encrypted

SAID = Announced(identifier="5e5e00015e5e00015e5e", ip="10.20.0.11", model="key5e5e0001", firmware="3.3")


@pytest.mark.parametrize("frame", [TUYA_PLAIN, TUYA_ENCRYPTED, TUYA_NEW], ids=["plain", "encrypted", "version 3.5"])
def test_every_form_of_an_announcement_says_the_same(frame: bytes) -> None:
    (fact,) = read_datagram(frame, FROM_CLIENT)
    assert (fact.dataset, fact.action, fact.announced) == ("tuya", "command 19", SAID)


def test_the_key_is_the_digest_of_the_word_that_clients_share() -> None:
    import hashlib

    assert hashlib.md5(b"yGAdlopoPVldABfn", usedforsecurity=False).digest() == KEY


def test_a_frame_that_cannot_be_opened_says_only_its_command() -> None:
    for frame in (
        tuya(bytes(range(32)), 7),
        tuya(b"", 7),
        tuya_encrypted(b"no JSON"),
        TUYA_NEW[:40] + b"\0" + TUYA_NEW[41:],
    ):
        (fact,) = read_datagram(frame, FROM_CLIENT)
        assert fact.announced is None


def test_a_length_that_does_not_fit_is_truncated_and_other_bytes_are_malformed() -> None:
    for broken in (
        TUYA_PLAIN[:12] + b"\0\0\xff\xff" + TUYA_PLAIN[16:],
        TUYA_NEW[:14] + b"\0\0\0\1" + TUYA_NEW[18:],
        TUYA_PLAIN[:20],
    ):
        with pytest.raises(Truncated):
            read_datagram(broken, FROM_CLIENT)
    with pytest.raises(Malformed):
        read_datagram(b"\0\0\0\1" + bytes(40), FROM_CLIENT)


def test_a_frame_is_recognised_by_both_its_ends() -> None:
    assert all(recognises(frame, 9, FROM_CLIENT) for frame in (TUYA_PLAIN, TUYA_ENCRYPTED, TUYA_NEW))
    assert not recognises(TUYA_PLAIN[:-1] + b"x", 6_667, FROM_CLIENT)
    assert not recognises(b"\0\0\0\1\x67" + bytes(60), 6_667, FROM_CLIENT)
