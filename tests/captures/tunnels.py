"""Every tunnel, mirror and link layer that lenswatch takes off, each by scapy around the same packets: the generator.

`WRAPPED[name]` is (link type, function from an IP packet's bytes to the bytes that are captured). `MIRRORS` are those
with an outer IP header: the sender's address there is MIRROR. `NESTED` puts four of them into each other.
"""

import struct
from collections.abc import Callable

from scapy.all import raw
from scapy.contrib.erspan import ERSPAN_I, ERSPAN_II, ERSPAN_III
from scapy.contrib.geneve import GENEVE
from scapy.contrib.mpls import MPLS
from scapy.contrib.tzsp import TZSP, TZSPTagEnd, TZSPTagRawRSSIByte
from scapy.layers.dot11 import Dot11, Dot11FCS, Dot11QoS, RadioTap
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import GRE, LLC, SNAP, Dot1Q, Ether
from scapy.layers.ppp import HDLC, PPP, PPPoE
from scapy.layers.vxlan import VXLAN
from scapy.packet import Packet, Raw

from tests.collector.frames import CAMERA_MAC, GATEWAY_MAC

Wrap = Callable[[bytes], bytes]

MIRROR, SENSOR = "198.51.100.7", "198.51.100.9"
MIRROR_6, SENSOR_6 = "2001:db8:7::7", "2001:db8:7::9"
FLAGS = {"ad hoc": 0, "to-DS": 1, "from-DS": 2, "to-DS+from-DS": 3}
SWITCH_MAC, SENSOR_MAC = "02:00:00:00:07:07", "02:00:00:00:09:09"


def version(packet: bytes) -> int:
    return packet[0] >> 4


def ethertype(packet: bytes) -> int:
    return 0x86DD if version(packet) == 6 else 0x0800


def inner_frame(packet: bytes, tags: int = 0) -> Packet:
    """The packet in the Ethernet frame of the camera that sent it."""
    frame = Ether(src=CAMERA_MAC, dst=GATEWAY_MAC)
    for number in range(tags):
        frame = frame / Dot1Q(vlan=30 + number)
    return frame / cooked_type(frame, packet)


def cooked_type(frame: Packet, packet: bytes) -> Packet:
    """The packet as bytes, and the frame's last header says what they are."""
    frame.lastlayer().type = ethertype(packet)
    return Raw(packet)


def outer(body: Packet, **fields: int) -> bytes:
    """A mirror's packet to the sensor in Ethernet; `fields` are the outer IP header's."""
    return raw(Ether(src=SWITCH_MAC, dst=SENSOR_MAC) / IP(src=MIRROR, dst=SENSOR, **fields) / body)


def outer_6(body: Packet, **fields: int) -> bytes:
    return raw(Ether(src=SWITCH_MAC, dst=SENSOR_MAC) / IPv6(src=MIRROR_6, dst=SENSOR_6, **fields) / body)


def udp(port: int, source: int = 49_152) -> Packet:
    return UDP(sport=source, dport=port)


def ppp(packet: bytes) -> Packet:
    return PPP(proto=0x57 if version(packet) == 6 else 0x21) / Raw(packet)


def wifi(packet: bytes, direction: str = "to-DS", quality: bool = False, kind: type[Packet] = Dot11) -> Packet:
    """An open 802.11 data frame of the camera."""
    places = {
        "to-DS": {"addr1": SWITCH_MAC, "addr2": CAMERA_MAC, "addr3": GATEWAY_MAC},
        "from-DS": {"addr1": GATEWAY_MAC, "addr2": SWITCH_MAC, "addr3": CAMERA_MAC},
        "ad hoc": {"addr1": GATEWAY_MAC, "addr2": CAMERA_MAC, "addr3": SWITCH_MAC},
        "to-DS+from-DS": {"addr1": SWITCH_MAC, "addr2": SENSOR_MAC, "addr3": GATEWAY_MAC, "addr4": CAMERA_MAC},
    }[direction]
    head = kind(type=2, subtype=8 if quality else 0, FCfield=FLAGS[direction], **places)
    if quality:
        head = head / Dot11QoS()
    return head / LLC(dsap=0xAA, ssap=0xAA, ctrl=3) / SNAP(OUI=0, code=ethertype(packet)) / Raw(packet)


def nflog(packet: bytes) -> bytes:
    """The header and attributes as tcpdump -i nflog writes them on a little-endian host."""
    attributes = b""
    for kind, value in ((1, bytes(4)), (10, b"prefix\0"), (9, packet)):
        attributes += struct.pack("<HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)
    return struct.pack(">BBH", 10 if version(packet) == 6 else 2, 0, 5) + attributes


def switch_tagged(packet: bytes, tag: bytes) -> bytes:
    frame = raw(inner_frame(packet))
    return frame[:12] + tag + frame[12:]


def erspan_2(packet: bytes) -> bytes:
    mirrored = GRE(proto=0x88BE, seqnum_present=1) / ERSPAN_II(session_id=77)
    return outer(mirrored / inner_frame(packet), proto=47)


def gre(packet: bytes) -> Packet:
    return GRE(proto=ethertype(packet), chksum_present=1, key_present=1, key=42, seqnum_present=1) / Raw(packet)


def pptp(packet: bytes) -> bytes:
    """Enhanced GRE (RFC 2637): key, sequence and acknowledgement."""
    body = raw(ppp(packet))
    return outer(Raw(struct.pack(">HHHHII", 0x3081, 0x880B, len(body), 5, 1, 1) + body), proto=47)


def pseudowire(packet: bytes) -> bytes:
    labels = MPLS(label=16, s=0, ttl=9) / MPLS(label=17, s=1, ttl=9)
    return raw(Ether(src=SWITCH_MAC, dst=SENSOR_MAC, type=0x8847) / labels / Raw(bytes(4)) / inner_frame(packet))


def tzsp(packet: bytes) -> bytes:
    tags = TZSPTagRawRSSIByte(raw_rssi=3) / TZSPTagEnd()
    return outer(udp(37_008) / TZSP(type=0, encapsulated_protocol=1) / tags / inner_frame(packet))


def tzsp_wifi(packet: bytes) -> bytes:
    return outer(udp(37_008) / TZSP(type=0, encapsulated_protocol=18) / TZSPTagEnd() / wifi(packet, "to-DS"))


def erspan_3(packet: bytes, subheader: bool = False) -> bytes:
    head = bytearray(raw(ERSPAN_III(session_id=77)))
    head[11] |= subheader
    body = bytes(head) + bytes(8 if subheader else 0) + raw(inner_frame(packet, 1))
    return outer(GRE(proto=0x22EB, seqnum_present=1) / Raw(body), proto=47)


def geneve(packet: bytes) -> bytes:
    head = struct.pack(">BBH", 2, 0, 0x6558) + b"\x00\x00\x4d\x00" + struct.pack(">HBB", 0x0108, 1, 1) + bytes(4)
    return outer(udp(6081) / Raw(head) / inner_frame(packet))


def vxlan_gpe(packet: bytes) -> bytes:
    next_protocol = 2 if version(packet) == 6 else 1
    return outer(udp(4790) / Raw(bytes((0x0C, 0, 0, next_protocol, 0, 0, 77, 0))) / Raw(packet))


LINKS: dict[str, tuple[int, Wrap]] = {
    "PPP": (9, lambda packet: raw(HDLC() / ppp(packet))),
    "PPP without HDLC": (9, lambda packet: raw(ppp(packet))),
    "PPP, its protocol compressed": (50, lambda packet: (b"\x57" if version(packet) == 6 else b"\x21") + packet),
    "Cisco HDLC": (104, lambda packet: struct.pack(">BBH", 0x0F, 0, ethertype(packet)) + packet),
    "PPPoE alone": (51, lambda packet: raw(PPPoE(sessionid=5) / ppp(packet))),
    "PPPoE": (1, lambda packet: raw(Ether(src=SWITCH_MAC, dst=SENSOR_MAC) / PPPoE(sessionid=5) / ppp(packet))),
    "NFLOG": (239, nflog),
    "SNAP": (
        1,
        lambda packet: raw(
            Ether(src=CAMERA_MAC, dst=GATEWAY_MAC, type=len(packet) + 8)
            / LLC(dsap=0xAA, ssap=0xAA, ctrl=3)
            / SNAP(OUI=0, code=ethertype(packet))
            / Raw(packet)
        ),
    ),
    "MPLS": (
        1,
        lambda packet: raw(
            Ether(src=SWITCH_MAC, dst=SENSOR_MAC, type=0x8847)
            / MPLS(label=16, s=0, ttl=9)
            / MPLS(label=17, s=1, ttl=9)
            / Raw(packet)
        ),
    ),
    "MPLS pseudowire": (1, pseudowire),
    "802.11": (105, lambda packet: raw(wifi(packet))),
    "802.11 with QoS": (105, lambda packet: raw(wifi(packet, "from-DS", quality=True))),
    "802.11 ad hoc": (105, lambda packet: raw(wifi(packet, "ad hoc"))),
    "802.11 between bridges": (105, lambda packet: raw(wifi(packet, "to-DS+from-DS"))),
    "radiotap": (127, lambda packet: raw(RadioTap(present="Flags", Flags="FCS") / wifi(packet, kind=Dot11FCS))),
    "PPI": (192, lambda packet: struct.pack("<BBHI", 0, 0, 8, 105) + raw(wifi(packet))),
    "Broadcom's switch tag": (281, lambda packet: switch_tagged(packet, b"\x20\0\0\1")),
    "Broadcom's switch tag before": (282, lambda packet: b"\x20\0\0\1" + raw(inner_frame(packet))),
    "Marvell's switch tag": (283, lambda packet: switch_tagged(packet, b"\xc0\0\0\1")),
    "Marvell's longer switch tag": (284, lambda packet: switch_tagged(packet, b"\xda\xda\0\0\xc0\0\0\1")),
}

MIRRORS: dict[str, tuple[int, Wrap]] = {
    "IP in IPv4": (1, lambda packet: outer(Raw(packet), proto=41 if version(packet) == 6 else 4)),
    "IP in IPv6": (1, lambda packet: outer_6(Raw(packet), nh=41 if version(packet) == 6 else 4)),
    "GRE": (1, lambda packet: outer(gre(packet), proto=47)),
    "GRE with Ethernet": (1, lambda packet: outer(GRE(proto=0x6558) / inner_frame(packet), proto=47)),
    "GRE over IPv6": (1, lambda packet: outer_6(gre(packet), nh=47)),
    "GRE in UDP": (1, lambda packet: outer(udp(4754) / gre(packet))),
    "PPTP": (1, pptp),
    "ERSPAN I": (1, lambda packet: outer(GRE(proto=0x88BE) / ERSPAN_I() / inner_frame(packet), proto=47)),
    "ERSPAN II": (1, erspan_2),
    "ERSPAN III": (1, erspan_3),
    "ERSPAN III with a subheader": (1, lambda packet: erspan_3(packet, subheader=True)),
    "MPLS in IP": (1, lambda packet: outer(MPLS(label=17, s=1, ttl=9) / Raw(packet), proto=137)),
    "VXLAN": (1, lambda packet: outer(udp(4789) / VXLAN(vni=77, flags="Instance") / inner_frame(packet))),
    "VXLAN with tags inside": (
        1,
        lambda packet: outer(udp(4789) / VXLAN(vni=77, flags="Instance") / inner_frame(packet, 2)),
    ),
    "VXLAN on Linux's old port": (
        1,
        lambda packet: outer(udp(8472) / VXLAN(vni=77, flags="Instance") / inner_frame(packet)),
    ),
    "VXLAN of Azure's gateway load balancer": (
        1,
        lambda packet: outer(udp(10_801) / VXLAN(vni=77, flags="Instance") / inner_frame(packet)),
    ),
    "VXLAN over IPv6": (
        1,
        lambda packet: outer_6(udp(4789) / VXLAN(vni=77, flags="Instance") / inner_frame(packet)),
    ),
    "VXLAN GPE": (1, vxlan_gpe),
    "GENEVE with options": (1, geneve),
    "GENEVE with IP": (1, lambda packet: outer(udp(6081) / GENEVE(proto=ethertype(packet), vni=77) / Raw(packet))),
    "TZSP": (1, tzsp),
    "TZSP with 802.11": (1, tzsp_wifi),
}


def carried(frame: bytes, by: str) -> bytes:
    """The IP packet of an Ethernet frame, in another mirror's."""
    return MIRRORS[by][1](frame[14:])


def nested(packet: bytes, *names: str) -> bytes:
    """The packet in tunnels, the innermost first."""
    frame = MIRRORS[names[0]][1](packet)
    for name in names[1:]:
        frame = carried(frame, name)
    return frame


NESTED = ("VXLAN", "GENEVE with IP", "ERSPAN II", "IP in IPv4")
WRAPPED = LINKS | MIRRORS | {"four tunnels": (1, lambda packet: nested(packet, *NESTED))}
