"""The office is what its README says: reproducible, small, whole, and expected without asking lenswatch."""

import collections
import json
from pathlib import Path
from typing import Any

import pytest
from scapy.layers.dns import DNS
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Dot1Q
from scapy.packet import Packet
from scapy.utils import rdpcap

from tests.captures import make_office
from tests.captures.wire import BEGIN

DEMO = Path(__file__).parents[3] / "streams" / "demo"
DOCUMENTATION = ("192.0.2.", "198.51.100.", "203.0.113.", "2001:db8:", "255.255.255.255")
OWN = ("10.20.", "fd20:8::")
MAX_CAPTURE_BYTES = 300 * 1024


@pytest.fixture(scope="module")
def packets() -> list[Packet]:
    return list(rdpcap(str(DEMO / "office.pcap")))


@pytest.fixture(scope="module")
def expected() -> dict[str, list[dict[str, Any]]]:
    loaded: dict[str, list[dict[str, Any]]] = json.loads((DEMO / "office.expected.json").read_text(encoding="utf-8"))
    return loaded


def address_layer(packet: Packet) -> Packet | None:
    return packet.getlayer(IP) or packet.getlayer(IPv6)


@pytest.mark.parametrize("name", ["office.pcap", "office.expected.json"])
def test_the_generator_writes_the_committed_bytes_again(tmp_path: Path, name: str) -> None:
    make_office.main(tmp_path)
    assert (tmp_path / name).read_bytes() == (DEMO / name).read_bytes(), "run: python -m tests.captures.make_office"


def test_the_capture_is_small() -> None:
    assert (DEMO / "office.pcap").stat().st_size <= MAX_CAPTURE_BYTES


def test_packets_stand_in_time_order_within_the_told_minutes(packets: list[Packet]) -> None:
    times = [float(packet.time) for packet in packets]
    begin = BEGIN.timestamp()
    assert times == sorted(times)
    assert begin <= times[0] and times[-1] < begin + 480


def test_every_address_is_the_offices_own_or_of_a_documentation_range(packets: list[Packet]) -> None:
    addresses = {end for packet in packets if (layer := address_layer(packet)) for end in (layer.src, layer.dst)}
    assert [address for address in addresses if not address.startswith(OWN + DOCUMENTATION)] == []


def test_every_byte_of_a_connection_is_there_in_order_after_a_handshake(packets: list[Packet]) -> None:
    due: dict[tuple[str, int, str, int], int] = {}
    repeated = 0
    for packet in packets:
        if TCP not in packet:
            continue
        layer, segment = address_layer(packet), packet[TCP]
        end = (layer.src, segment.sport, layer.dst, segment.dport)
        if end not in due:
            assert "S" in segment.flags
        elif segment.seq != due[end]:
            assert segment.seq < due[end], f"a gap in {end}"
            repeated += 1
            continue
        due[end] = (segment.seq + len(segment.payload) + ("S" in segment.flags) + ("F" in segment.flags)) & 0xFFFFFFFF
    # Each of the three browser hellos has its first segment twice.
    assert len(due) % 2 == 0 and repeated == 3


def test_every_named_contact_was_looked_up_before_it_was_called(
    packets: list[Packet], expected: dict[str, Any]
) -> None:
    answered: set[tuple[str, str, str]] = set()
    called: dict[tuple[str, int], bool] = {}
    for packet in packets:
        layer = address_layer(packet)
        if layer is None:
            continue
        if DNS in packet and packet[DNS].qr:
            name = packet[DNS].qd[0].qname.decode().rstrip(".")
            answered |= {(layer.dst, name, str(answer.rdata)) for answer in packet[DNS].an}
        port = packet.dport if TCP in packet or UDP in packet else 0
        called.setdefault((layer.dst, port), any(known[2] == layer.dst for known in answered))
    for contact in expected["contacts"]:
        if contact["name"] is not None:
            assert (contact["device"], contact["name"], contact["address"]) in answered
            assert called[contact["address"], contact["port"]], f"{contact['name']} was called before it was looked up"


def test_there_is_an_ipv6_conversation_a_tagged_one_and_video(packets: list[Packet]) -> None:
    kinds: collections.Counter[str] = collections.Counter()
    for packet in packets:
        kinds["ipv6"] += IPv6 in packet
        kinds["tagged"] += Dot1Q in packet
        kinds["video"] += TCP in packet and bytes(packet[TCP].payload)[:2] == b"$\x00"
    assert kinds["ipv6"] >= 15 and kinds["tagged"] >= 30 and kinds["video"] == 42


def test_makers_cameras_have_their_makers_mac_prefixes(expected: dict[str, Any]) -> None:
    prefixes = {device["name"]: device["mac"][:8] for device in expected["devices"]}
    assert prefixes["lobby camera"] == "44:19:b6" and prefixes["yard camera"] == "c0:56:e3"
    assert prefixes["gate camera"] == "3c:ef:8c" and prefixes["recorder"] == "e0:50:8b"
    assert int(prefixes["store camera"][:2], 16) & 0b10, "no registry gives Xiongmai a prefix, so none is borrowed"


def test_every_expected_alert_follows_from_a_contact_of_its_device(expected: dict[str, Any]) -> None:
    for alert in expected["alerts"]:
        contacts = [contact for contact in expected["contacts"] if contact["device"] == alert["device"]]
        about = {contact["entity"] for contact in contacts} | {
            contact["name"] or contact["address"] for contact in contacts
        }
        assert alert.get("company", alert.get("name")) in about
    findings = [
        (alert["device"], alert["rule"], alert.get("company"), alert.get("name")) for alert in expected["alerts"]
    ]
    assert len(findings) == len(set(findings)) == 12


def test_nothing_is_expected_of_the_printer_or_the_owners_own_name(expected: dict[str, Any]) -> None:
    printer = next(device for device in expected["devices"] if device["name"] == "printer")
    assert printer["ip"] not in {alert["device"] for alert in expected["alerts"]}
    own = next(contact for contact in expected["contacts"] if contact["role"] == "ddns_customer")
    assert own["name"] == "frontdesk-17.quickddns.com"
    assert all(
        alert.get("company") != own["entity"] for alert in expected["alerts"] if alert["device"] == own["device"]
    )
