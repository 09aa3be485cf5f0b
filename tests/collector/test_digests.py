"""Which bodies are worth a digest, and that the budget holds and says what it let go."""

import base64
import gc
import hashlib

import mmh3
import pytest

from collector.containers import read_containers
from collector.digests import HEAD_BYTES, MAX_ICON_BYTES, Digests, Icon, may_be_firmware

BIG = 1 << 20


def digests(bodies: int = 2, body_bytes: int = 1000, hourly: int = 10_000) -> Digests:
    return Digests(read_containers(), bodies, body_bytes, hourly)


@pytest.mark.parametrize(
    ("kind", "length", "worth"),
    [
        ("application/octet-stream", BIG, True),
        ("application/zip", 16_384, True),
        ("application/octet-stream", 16_383, False),
        ("application/octet-stream", None, True),
        (None, BIG, True),
        (None, 100, False),
        ("text/html", BIG, True),
        ("text/html", BIG - 1, False),
        ("text/html", None, False),
        ("application/json", 6_000, False),
        ("image/svg+xml", BIG, False),
        ("video/mp4", BIG, False),
        ("multipart/x-mixed-replace", None, False),
    ],
)
def test_binary_bodies_and_large_ones_are_worth_a_digest_but_no_pictures(
    kind: str | None, length: int | None, worth: bool
) -> None:
    assert may_be_firmware(kind, length) is worth


def test_a_digest_is_over_all_pieces_and_holds_only_the_first_bytes() -> None:
    data = b"SWKH" + bytes(range(200))
    body = digests().begin(None, len(data))
    assert body is not None
    for at in range(0, len(data), 7):
        assert body.feed(data[at : at + 7])
    assert body.finish() == (hashlib.sha256(data).hexdigest(), "Hikvision digicap")
    assert len(body.head) == HEAD_BYTES


def test_what_is_too_long_is_not_begun_or_given_up_when_it_grows() -> None:
    some = digests()
    assert some.begin(None, 1001) is None
    body = some.begin(None, None)
    assert body is not None
    assert body.feed(bytes(1000))
    assert not body.feed(b"x")
    assert some.close() == {"too_large": 2}


def test_an_hour_has_its_bytes_and_the_next_hour_others() -> None:
    some = digests(hourly=1500)
    first, second = some.begin(None, 1000), some.begin(None, None)
    assert first is not None
    assert second is not None
    assert first.feed(bytes(1000))
    assert not second.feed(bytes(501))
    assert some.begin(None, 600) is None
    some.refill()
    assert some.begin(None, 600) is not None or some.close()["too_many"]
    assert some.let_go["budget"] == 2


def test_more_than_the_bound_at_once_are_let_go_until_one_is_gone() -> None:
    some = digests(bodies=1)
    body = some.begin(None, 10)
    assert body is not None
    assert some.begin(None, 10) is None
    del body
    gc.collect()
    assert some.begin(None, 10) is not None
    assert some.close() == {"too_many": 1, "unfinished": 2}


def test_no_bodies_at_once_means_no_digests() -> None:
    assert digests(bodies=0).begin(None, 10) is None


@pytest.mark.parametrize("size", [0, 1, 56, 57, 58, 114, 5000])
def test_an_icon_has_the_murmur_hash_of_its_base64_in_lines_as_scanners_make_it(size: int) -> None:
    data = bytes(number * 7 % 256 for number in range(size))
    icon = digests(body_bytes=BIG).begin(None, size, Icon)
    assert isinstance(icon, Icon)
    for at in range(0, size, 13):
        assert icon.feed(data[at : at + 13])
    assert icon.known_by() == (hashlib.md5(data).hexdigest(), mmh3.hash(base64.encodebytes(data)))
    assert icon.known_by() == (hashlib.md5(data).hexdigest(), mmh3.hash(base64.encodebytes(data)))


def test_an_icon_without_end_is_given_up() -> None:
    some = digests(body_bytes=BIG, hourly=BIG)
    icon = some.begin(None, None, Icon)
    assert icon is not None
    assert icon.feed(bytes(MAX_ICON_BYTES)) and not icon.feed(b"x")
    assert some.close() == {"too_large": 1}
