"""A first look at a ClientHello says what reading it says, or nothing."""

import hypothesis.strategies as st
import pytest
from hypothesis import given

from collector.dissectors.tls import glance, read_client_hello
from tests.collector.dissectors.messages import chrome_extensions, client_hello, handshake, records, server_hello


@pytest.mark.parametrize("size", [16_384, 100])
def test_a_glance_takes_a_hello_that_is_whole_in_one_record(size: int) -> None:
    whole = records(handshake(1, client_hello()), size)
    seen = glance(whole)
    assert (seen is not None) == (size > 1_000)
    if seen is not None:
        assert seen == (b"camera.example", b"\2h2\x08http/1.1")


@given(st.lists(st.tuples(st.integers(0, 1 << 16), st.integers(0, 255)), max_size=3), st.booleans())
def test_what_a_glance_says_of_a_hello_is_what_reading_it_says(changes: list[tuple[int, int]], is_named: bool) -> None:
    extensions = [each for each in chrome_extensions() if is_named or each[:2] != b"\0\0"]
    whole = bytearray(records(handshake(1, client_hello(extensions=extensions))))
    for at, value in changes:
        whole[at % len(whole)] = value
    seen = glance(bytes(whole))
    if seen is None:
        assert changes or not is_named
        return
    hello = read_client_hello(bytes(whole[9:]))
    assert hello.server_name == seen[0]
    assert b"".join(bytes((len(each),)) + each for each in hello.alpn) == seen[1]


def test_a_glance_leaves_all_else_for_a_closer_look() -> None:
    whole = records(handshake(1, client_hello()))
    odd = [b"", whole[:-1], whole + b"x", records(handshake(2, server_hello())), b"\x17" + whole[1:], bytes(60)]
    odd.append(whole[:9] + b"\xff" * (len(whole) - 9))
    assert [glance(each) for each in odd] == [None] * len(odd)
