"""Addresses are matched by the longest network that holds them."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.networks import NetworkIndex, read_address, read_network

V4 = st.ip_addresses(v=4)
V6 = st.ip_addresses(v=6)
# On both sides of where an address's first 16 bits change: an index looks at those first.
NEAR_V4 = st.integers(0x0A00FF80, 0x0A01007F).map(ipaddress.IPv4Address)
NEAR_V6 = st.integers((0x2001 << 112) - 4, (0x2001 << 112) + 3).map(ipaddress.IPv6Address)
NESTED = st.builds(
    lambda address, missing: str(ipaddress.ip_network((address, address.max_prefixlen - missing), strict=False)),
    st.one_of(NEAR_V4, NEAR_V6),
    st.integers(0, 24),
)


def index_of(*networks: str) -> NetworkIndex[str]:
    index: NetworkIndex[str] = NetworkIndex()
    for network in networks:
        index.add([network], f"owner of {network}")
    index.seal()
    return index


@given(st.one_of(V4, V6))
def test_an_address_is_read_as_the_library_reads_it(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    mapped = getattr(address, "ipv4_mapped", None)
    expected = (int(mapped), 4) if mapped else (int(address), address.version)
    assert read_address(str(address)) == expected
    assert read_address(address.exploded) == expected


@given(st.text(alphabet="0123456789abcdefg:.%/ ", max_size=40))
def test_text_that_is_no_address_is_none(text: str) -> None:
    number, version = read_address(text)
    if version:
        assert int(ipaddress.ip_address(text)) & 0xFFFFFFFF == number & 0xFFFFFFFF
    else:
        assert number == 0


@pytest.mark.parametrize(
    "text",
    ["1.2.3", "1.2.3.256", "01.2.3.4", "1.2.3.4.5", " 1.2.3.4", "1.2.3.4\n", "1.2.3.4\0", "1.2.3.٤", "\ud800",
     "::1::", "1:2", "::1\0", "1:2:3:4::5:6:7:8", "00001::", "::1.2.3.04", "", "x"],
)  # fmt: skip
def test_what_is_no_address_matches_nothing(text: str) -> None:
    assert read_address(text) == (0, 0)
    assert index_of("0.0.0.0/0", "::/0").match(text) is None


def test_an_ipv4_address_in_ipv6_is_the_ipv4_address() -> None:
    assert read_address("::ffff:192.0.2.7") == read_address("192.0.2.7")
    assert read_address("::ffff:c000:207") == read_address("192.0.2.7")


def test_a_zone_of_an_address_is_left_out() -> None:
    assert read_address("fe80::1%eth0") == read_address("fe80::1")


@given(st.lists(NESTED, min_size=1, max_size=12), st.one_of(NEAR_V4, NEAR_V6))
def test_the_longest_network_wins_whatever_nests_in_what(
    networks: list[str], address: ipaddress.IPv4Address | ipaddress.IPv6Address
) -> None:
    holding = [network for network in networks if address in ipaddress.ip_network(network)]
    found = index_of(*networks).match(str(address))
    if not holding:
        assert found is None
    else:
        longest = max(holding, key=lambda network: ipaddress.ip_network(network).prefixlen)
        assert found == (longest, f"owner of {longest}")


def test_the_first_and_last_address_of_a_network_are_in_it_and_their_neighbours_are_not() -> None:
    index = index_of("192.0.2.0/24", "2001:db8::/32")
    for inside in ("192.0.2.0", "192.0.2.255", "2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"):
        assert index.match(inside)
    for outside in ("192.0.1.255", "192.0.3.0", "2001:db7:ffff:ffff:ffff:ffff:ffff:ffff", "2001:db9::"):
        assert index.match(outside) is None


def test_the_ends_of_the_address_space_match() -> None:
    index = index_of("0.0.0.0/0", "255.255.255.255/32", "::/0")
    assert index.match("255.255.255.255") == ("255.255.255.255/32", "owner of 255.255.255.255/32")
    assert index.match("0.0.0.0") == ("0.0.0.0/0", "owner of 0.0.0.0/0")
    assert index.match("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff") == ("::/0", "owner of ::/0")


def test_the_first_owner_of_the_same_network_keeps_it() -> None:
    index: NetworkIndex[str] = NetworkIndex()
    index.add(["192.0.2.0/24"], "first")
    index.add(["192.0.2.0/24"], "second")
    index.seal()
    assert index.match("192.0.2.1") == ("192.0.2.0/24", "first")
    assert len(index) == 2


@pytest.mark.parametrize(
    "text", ["192.0.2.0/33", "192.0.2.1/24", "::/129", "::ffff:1.2.3.4/104", "a/8", "1.2.3.4/", "1.2.3.4/-1"]
)
def test_what_is_no_network_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"no network|host bits"):
        read_network(text)
