"""Who is behind an address, from packets: a router, relayed DHCP, an address that moves on, NAT, both IP families."""

import json

from scapy.layers.dhcp import BOOTP, DHCP
from scapy.layers.dns import DNS, DNSQR
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw

from collector.identify.fingerprint import read_fingerprints
from collector.identify.known import KnownDevice
from collector.observation import DEVICE_DATASET, Observation
from collector.pipeline import Pipeline
from collector.settings import CollectorSettings
from tests.collector.frames import BEGIN_NS, NS, block_of

ROUTER, SERVER, CAMERA = "02:00:00:00:00:01", "02:00:00:00:00:02", "44:19:b6:00:00:11"
VENDORS_NAME = "litedev.hik-connect.com"


def bytes_of(mac: str) -> bytes:
    return bytes.fromhex(mac.replace(":", ""))


def ask(address: str, name: str = "www.example.net", mac: str = ROUTER) -> Packet:
    layer = IPv6(src=address, dst="2001:db8::53") if ":" in address else IP(src=address, dst="192.0.2.53")
    return Ether(src=mac, dst=SERVER) / layer / UDP(sport=40_000, dport=53) / DNS(rd=1, qd=DNSQR(qname=name))


def dhcp(kind: str, address: str, hardware: str = CAMERA, name: str | None = None) -> Packet:
    """A message that a relay handed on: the router's MAC, and the client's in the message."""
    answer = kind in ("ack", "offer")
    ends = {"src": "10.30.0.254", "dst": "10.1.0.2"} if not answer else {"src": "10.1.0.2", "dst": "10.30.0.254"}
    told = BOOTP(
        op=1 + answer, chaddr=bytes_of(hardware), giaddr="10.30.0.254", yiaddr=address if answer else "0.0.0.0"
    )
    options: list[object] = [("message-type", kind), *([("hostname", name)] if name else []), "end"]
    return Ether(src=ROUTER, dst=SERVER) / IP(**ends) / UDP(sport=67, dport=67) / told / DHCP(options=options)


def answer_to_search(address: str, hardware: str, inside: str, model: str) -> Packet:
    """What a Dahua device answers to DHDiscover."""
    device = {"DeviceClass": "NVR", "DeviceType": model, "IPv4Address": {"IPAddress": inside}, "Vendor": "Intelbras"}
    body = json.dumps({"method": "client.notifyDevInfo", "mac": hardware, "params": {"deviceInfo": device}}).encode()
    size = len(body).to_bytes(4, "little") + bytes(4)
    header = b"\x20\0\0\0DHIP" + bytes(8) + size + size
    return (
        Ether(src=ROUTER, dst=SERVER)
        / IP(src=address, dst="10.1.0.9")
        / UDP(sport=37_810, dport=37_810)
        / Raw(header + body)
    )


def watch(*packets: Packet) -> tuple[Pipeline, list[Observation]]:
    pipeline = Pipeline(CollectorSettings(site="hq"), read_fingerprints())
    timed = [(BEGIN_NS + number * NS, bytes(packet)) for number, packet in enumerate(packets)]
    found = pipeline.process(block_of(timed)) + pipeline.finish()
    return pipeline, found


def at(pipeline: Pipeline, address: str, mac: str = ROUTER) -> KnownDevice:
    return pipeline.inventory.device_at(bytes_of(mac), address)


OFFICE = [ask(f"10.30.0.{number}") for number in range(100, 112)]
"""Enough computers behind the router to know it for one."""


def test_a_camera_behind_a_router_is_known_by_its_lease_and_keeps_its_id_when_it_moves() -> None:
    pipeline, found = watch(
        *OFFICE,
        ask("10.30.0.5", VENDORS_NAME),
        dhcp("request", "10.30.0.5"),
        dhcp("ack", "10.30.0.5", name="lobby"),
        dhcp("ack", "10.30.0.6"),
        ask("10.30.0.6", VENDORS_NAME),
        dhcp("ack", "10.30.0.5", "02:00:00:00:00:99"),
        ask("10.30.0.5"),
    )
    camera = at(pipeline, "10.30.0.6")
    assert (camera.device.id, camera.is_camera, camera.device.manufacturer, camera.name) == (
        "hq/10.30.0.5",
        True,
        "hikvision",
        "lobby",
    )
    asked = [
        each
        for each in found
        if each.dns is not None and each.dns.question is not None and each.dns.question.name == VENDORS_NAME
    ]
    assert [each.device.id for each in asked if each.device] == ["hq/10.30.0.5", "hq/10.30.0.5"], "before and after"
    assert at(pipeline, "10.30.0.5") is not camera and not at(pipeline, "10.30.0.5").is_camera


def test_the_router_is_no_camera_whatever_its_devices_call() -> None:
    pipeline, found = watch(*(ask(f"10.30.0.{number}", VENDORS_NAME) for number in range(100, 112)), *OFFICE)
    router = pipeline.inventory.devices[f"hq/{ROUTER}"]
    assert router.router and not router.is_camera and router.identity.type == "other"
    told = [
        each
        for each in found
        if each.event.dataset == DEVICE_DATASET and each.device and each.device.id == f"hq/{ROUTER}"
    ]
    kinds = [each.lenswatch.device.type for each in told if each.lenswatch and each.lenswatch.device]
    assert not kinds or kinds[-1] == "other", "what was said of it by mistake is taken back"


def test_devices_behind_an_address_translator_are_told_apart_by_what_they_say() -> None:
    pipeline, _ = watch(
        answer_to_search("10.40.0.1", "3c:ef:8c:00:00:01", "192.168.1.11", "MHDX 1004"),
        answer_to_search("10.40.0.1", "3c:ef:8c:00:00:02", "192.168.1.12", "MHDX 1116"),
    )
    inside = [pipeline.inventory.devices[f"hq/3c:ef:8c:00:00:0{number}"] for number in (1, 2)]
    assert [(each.model, each.identity.type, each.identity.brand) for each in inside] == [
        ("MHDX 1004", "recorder", "Intelbras"), ("MHDX 1116", "recorder", "Intelbras"),
    ]  # fmt: skip
    assert at(pipeline, "10.40.0.1") not in inside, "the translator is itself"


def test_both_ip_families_of_a_device_are_one_device() -> None:
    pipeline, found = watch(ask("10.20.0.7", mac=CAMERA), ask("fd20::7", VENDORS_NAME, CAMERA))
    assert at(pipeline, "10.20.0.7", CAMERA) is at(pipeline, "fd20::7", CAMERA)
    last = [each for each in found if each.event.dataset == DEVICE_DATASET][-1]
    assert last.lenswatch is not None and last.lenswatch.device is not None
    assert last.lenswatch.device.addresses == ["10.20.0.7", "fd20::7"]
