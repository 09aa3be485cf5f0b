"""What devices say of themselves in protocols that only Wireshark reads here; what says nothing is no fact."""

import pytest
from scapy.asn1.asn1 import ASN1_OID, ASN1_STRING
from scapy.layers.radius import Radius, RadiusAttribute
from scapy.layers.snmp import SNMP, SNMPresponse, SNMPvarbind

from collector.dissectors import DISSECTORS
from collector.dissectors.dissector import FROM_SERVER
from collector.observation import Announced
from collector.reading import load_dissectors
from collector.wireshark.evidence import TELLING, facts_of
from tests.collector.wireshark.answering import layers_over_tcp, layers_over_udp, needs_tshark

pytestmark = [pytest.mark.system, needs_tshark]
SIP = (
    b"REGISTER sip:s@d SIP/2.0\r\nVia: SIP/2.0/UDP h\r\nFrom: <sip:a@d>\r\nTo: <sip:a@d>\r\nCall-ID: 1\r\n"
    b"CSeq: 1 REGISTER\r\nUser-Agent: Hikvision/1.0\r\nContent-Length: 0\r\n\r\n"
)
MQTT = bytes.fromhex("101b00044d51545404820 03c000b".replace(" ", "")) + b"IPC-0123456" + b"\0\2me"


def snmp(oid: str, value: bytes) -> bytes:
    bound = SNMPvarbind(oid=ASN1_OID(oid), value=ASN1_STRING(value))
    return bytes(SNMP(community="public", PDU=SNMPresponse(id=1, varbindlist=[bound])))


def vision() -> bytes:
    """A GigE Vision camera's answer to a discovery, texts in their places of the bootstrap registers."""
    said = bytearray(248)
    for at, text in ((72, b"Acme Vision"), (104, b"GV-500"), (136, b"1.2"), (216, b"S-77")):
        said[at : at + len(text)] = text
    return b"\0\0\0\3\0\xf8\0\1" + bytes(said)


OVER_UDP = {
    "sip": (
        5_060,
        SIP,
        Announced(software="Hikvision/1.0"),
    ),
    "snmp": (161, snmp("1.3.6.1.2.1.1.1.0", b"IPC-HX5\xff"), Announced(software="IPC-HX5\xff")),
    "syslog": (514, b"<30>1 2026-11-25T00:00:00Z cam-7 app 1 - - started", Announced(name="cam-7")),
    "dhcpv6": (547, b"\1\0\0\1\0\x27\0\x0e\0\5cam-7\5local\0", Announced(name="cam-7.local")),
    "radius": (
        1_812,
        bytes(Radius(id=1, attributes=[RadiusAttribute(type=32, value=b"cam-7")])),
        Announced(name="cam-7"),
    ),
    "gvcp": (
        3_956,
        vision(),
        Announced(manufacturer="Acme Vision", model="GV-500", serial_number="S-77", firmware="1.2"),
    ),
}
OVER_TCP = {
    "ssh": (22, 1, b"SSH-2.0-dropbear_2019.78\r\n", Announced(software="SSH-2.0-dropbear_2019.78")),
    "ftp": (21, 1, b"220 IP camera ready\r\n", Announced(software="IP camera ready")),
    "smtp": (25, 1, b"220 mail.example ESMTP\r\n", Announced(software="mail.example ESMTP")),
    "telnet": (23, 1, b"192.0.0.64 login: ", Announced(software="192.0.0.64 login:")),
    "mqtt": (1_883, 0, MQTT, Announced(identifier="IPC-0123456", name="me")),
    "vnc": (5_900, 1, b"RFB 003.008\n", Announced(software="003.008")),
}
SILENT = {
    "another answer of FTP": (21, b"331 Password required\r\n"),
    "an answer of SMTP": (25, b"250 ok\r\n"),
    "bytes of nobody's": (9_999, b"\xf7" * 64),
}


@pytest.mark.parametrize("protocol", OVER_UDP)
def test_what_is_said_in_a_datagram_is_read(protocol: str) -> None:
    port, payload, said = OVER_UDP[protocol]
    [fact] = facts_of(list(layers_over_udp(payload, port).values()), 0)
    assert (fact.dataset, fact.action, fact.announced, fact.backward) == ("device", protocol, said, False)


@pytest.mark.parametrize("protocol", OVER_TCP)
def test_what_is_said_on_a_connection_is_read(protocol: str) -> None:
    port, side, payload, said = OVER_TCP[protocol]
    [fact] = facts_of(list(layers_over_tcp(payload, port, side).values()), side)
    assert (fact.action, fact.announced, fact.backward) == (protocol, said, side == FROM_SERVER)


@pytest.mark.parametrize("name", SILENT)
def test_what_says_nothing_of_its_sender_is_no_fact(name: str) -> None:
    port, payload = SILENT[name]
    assert facts_of(list(layers_over_tcp(payload, port, FROM_SERVER).values()), FROM_SERVER) == []


def test_a_name_in_snmp_is_the_device_s() -> None:
    [fact] = facts_of(list(layers_over_udp(snmp("1.3.6.1.2.1.1.5.0", b"cam-7"), 161).values()), 0)
    assert fact.announced == Announced(name="cam-7")
    assert facts_of(list(layers_over_udp(snmp("1.3.6.1.2.1.1.6.0", b"cellar"), 161).values()), 0) == []


def test_none_of_these_protocols_is_one_of_ours() -> None:
    assert TELLING.keys().isdisjoint(each.name for each in load_dissectors(DISSECTORS))
