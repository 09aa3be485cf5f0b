"""A flow in words: its ends, whose they are, its direction, its device and its Community ID."""

import datetime
import ipaddress

import numpy as np
import pytest

from collector.decode import decode
from collector.flows import FlowTable
from collector.identify.inventory import Inventory
from collector.ledger import Ledger
from collector.settings import OWN_NETWORKS
from collector.views import FlowView, OwnNetworks, community_id, rows_of, time_of
from tests.collector.frames import (
    BEGIN_NS,
    CAMERA,
    CAMERA_MAC,
    GATEWAY_MAC,
    SERVER,
    block_of,
    ethernet,
    ipv4,
    ipv6,
    tcp_frame,
    udp,
    udp_frame,
)

# The TCP and UDP vectors of github.com/corelight/community-id-spec, baseline/baseline_deflt.json.
VECTORS = (
    (6, "2001:470:e5bf:dead:4957:2174:e82c:4887", 63_943, "2607:f8b0:400c:c03::1a", 25,
     "1:/qFaeAR+gFe1KYjMzVDsMv+wgU4="),
    (6, "128.232.110.120", 34_855, "66.35.250.204", 80, "1:LQU9qZlK+B5F3KDmev6m5PMibrg="),
    (17, "192.168.1.52", 54_585, "8.8.8.8", 53, "1:d/FP5EW3wiY1vCndhwleRRKHowQ="),
)  # fmt: skip


def view_of(data: bytes, link_type: int = 1, inventory: Inventory | None = None) -> FlowView:
    table = FlowTable()
    rows = table.fold(decode(block_of([(BEGIN_NS, data)], link_type), Ledger()))
    [values] = OwnNetworks(OWN_NETWORKS).values(table.columns, rows)
    view = FlowView(values, inventory or Inventory("office", ()))
    view.complete()
    return view


@pytest.mark.parametrize(("transport", "source", "port", "target", "peer_port", "expected"), VECTORS)
def test_the_community_id_is_as_published_for_both_directions(
    transport: int, source: str, port: int, target: str, peer_port: int, expected: str
) -> None:
    one, two = ipaddress.ip_address(source).packed, ipaddress.ip_address(target).packed
    assert community_id(one, two, transport, port, peer_port) == expected
    assert community_id(two, one, transport, peer_port, port) == expected
    make = tcp_frame if transport == 6 else udp_frame
    for back in (False, True):
        view = view_of(make(b"x", (source, port, target, peer_port), back=back))
        assert view.network.community_id == expected


def test_ends_on_one_address_are_ordered_by_their_ports() -> None:
    local = ipaddress.ip_address("127.0.0.1").packed
    assert community_id(local, local, 6, 5_000, 80) == community_id(local, local, 6, 80, 5_000)


@pytest.mark.parametrize(
    ("source", "target", "direction"),
    [
        (CAMERA, SERVER, "outbound"),
        (SERVER, CAMERA, "inbound"),
        (CAMERA, "192.168.3.4", "internal"),
        (SERVER, "198.51.100.7", "external"),
        (CAMERA, "239.255.255.250", "internal"),
        (CAMERA, "255.255.255.255", "internal"),
        (CAMERA, "240.0.0.1", "outbound"),
        ("fd20::1", "2001:db8::1", "outbound"),
        ("fe80::1", "ff02::fb", "internal"),
        ("2001:db8::1", "fd20::1", "inbound"),
        ("2001:db8::1", "2001:db8::2", "external"),
        ("172.32.0.1", "172.31.0.1", "inbound"),
        ("100.64.0.1", "100.128.0.1", "outbound"),
    ],
)
def test_the_direction_says_whose_ends_they_are(source: str, target: str, direction: str) -> None:
    view = view_of(udp_frame(b"x", (source, 40_000, target, 53)))
    assert (view.direction, view.network.direction) == (direction, direction)
    assert (view.client, view.server, view.service) == (source, target, ("udp", 53))
    assert view.peer_address() == (source if direction == "inbound" else target)
    assert (view.source.ip, view.source.port, view.destination.ip, view.destination.port) == (
        source,
        40_000,
        target,
        53,
    )


def test_our_networks_are_those_that_are_named() -> None:
    own = OwnNetworks(("192.0.2.0/25", "2001:db8:5::/48"))
    addresses = np.zeros((4, 2, 16), np.uint8)
    pairs = [
        ("192.0.2.127", "192.0.2.128"),
        ("10.0.0.1", "192.0.2.0"),
        ("2001:db8:5::1", "2001:db8:6::1"),
        ("::", "c000:201::"),
    ]
    for row, pair in enumerate(pairs):
        for side, text in enumerate(pair):
            packed = ipaddress.ip_address(text).packed
            addresses[row, side, : len(packed)] = list(packed)
    found = own.are_own(addresses, np.array([4, 4, 6, 6]))
    assert found.tolist() == [[True, False], [False, True], [True, False], [False, False]]


def test_the_device_is_the_one_on_our_side() -> None:
    outbound = view_of(tcp_frame(b"x", (CAMERA, 40_000, SERVER, 443)))
    inbound = view_of(tcp_frame(b"x", (SERVER, 40_000, CAMERA, 443)))
    assert outbound.device.device.id == f"office/{CAMERA_MAC}"
    assert inbound.device.device.id == f"office/{GATEWAY_MAC}", "the frame has the gateway's MAC at its receiver"
    between = view_of(tcp_frame(b"x", (CAMERA, 40_000, "10.0.0.9", 443)))
    assert between.device.device.id == f"office/{CAMERA_MAC}"


def test_the_server_is_a_device_where_it_is_ours() -> None:
    inventory = Inventory("office", ())
    inside = view_of(tcp_frame(b"x", (CAMERA, 40_000, "10.0.0.9", 443)), inventory=inventory).server_device()
    assert inside is not None and inside.device.id == f"office/{GATEWAY_MAC}"
    assert view_of(tcp_frame(), inventory=inventory).server_device() is None


def test_without_layer_2_the_address_names_the_device() -> None:
    view = view_of(ipv4(udp(b"x"), 17), 101)
    assert view.device.device.id == f"office/{CAMERA}"
    assert (view.source.mac, view.destination.mac) == (None, None)


def test_mac_addresses_stand_with_their_ends_whoever_sent_first() -> None:
    for back in (False, True):
        view = view_of(tcp_frame(b"x", back=back))
        assert (view.source.ip, view.source.mac, view.destination.mac) == (CAMERA, CAMERA_MAC, GATEWAY_MAC)


def test_the_network_says_transport_version_and_outermost_vlan() -> None:
    network = view_of(ethernet(ipv6(udp(b"x"), 17), tags=[(0x88A8, 300), (0x8100, 20)])).network
    assert (network.transport, network.type, network.vlan and network.vlan.id) == ("udp", "ipv6", "300")
    plain = view_of(tcp_frame()).network
    assert (plain.transport, plain.type, plain.vlan) == ("tcp", "ipv4", None)


def test_times_are_utc_and_of_microseconds() -> None:
    assert time_of(BEGIN_NS + 1_234_567) == datetime.datetime(2026, 11, 2, 8, 0, 0, 1_234, tzinfo=datetime.UTC)
    assert time_of(0).timestamp() == 0


@pytest.mark.parametrize("at_ns", [-(2**63), -1, 2**63 - 1])
def test_every_time_that_64_bits_can_say_is_a_time(at_ns: int) -> None:
    assert time_of(at_ns).tzinfo is datetime.UTC


def test_rows_of_an_array_are_its_bytes() -> None:
    assert rows_of(np.arange(6, dtype=np.uint8).reshape(2, 3), 3) == [b"\0\1\2", b"\3\4\5"]
