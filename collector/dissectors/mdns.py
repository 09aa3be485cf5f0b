"""Multicast DNS: the messages of `dns.py` on the link, and what a device announces of itself in them.

RFC 6762 (port 5353; 18: header, the class' top bit is a flag); RFC 6763 4 (services: PTR, SRV and TXT records), 6 (TXT
records: key=value). All sections are read, for an answer's SRV, TXT and address records are in the additional one
(RFC 6763 12). Keys of TXT records that name a model or a serial number are nowhere standardised: those below are what
printers (Bonjour Printing 9.2.6), HomeKit (md), Chromecast (md) and cameras (Axis: macaddress) use.
"""

import re

from collector.dissectors.dissector import FROM_SERVER, Dissector, Fact
from collector.dissectors.dns import HEADER_BYTES, MDNS_PORT, is_plausible, read_message
from collector.observation import Announced, DnsAnswer
from collector.texts import MAX_LIST_ITEMS, clean

_TEXTS = re.compile(r'"([^"=\\]{1,32})=((?:[^"\\]|\\.)*)"')
_KEYS = {
    "md": "model", "model": "model", "ty": "model", "product": "model", "usb_mdl": "model",
    "manufacturer": "manufacturer", "mf": "manufacturer", "usb_mfg": "manufacturer", "vendor": "manufacturer",
    "sn": "serial_number", "serialnumber": "serial_number", "serial": "serial_number",
    "fv": "firmware", "fw": "firmware", "fwversion": "firmware", "firmware": "firmware",
    "mac": "mac", "macaddress": "mac",
}  # fmt: skip


def recognises(first: bytes, port: int, direction: int) -> bool:
    """Port 5353 and a sane header; the operation code must be zero (RFC 6762 18.3)."""
    return port == MDNS_PORT and len(first) >= HEADER_BYTES and not first[2] & 0x78 and is_plausible(first)


def read_datagram(payload: bytes, direction: int) -> list[Fact]:
    """A message. Who announces itself began the flow, so that `backward` is the direction."""
    facts = read_message(payload, "mdns", whole=True)
    for fact in facts:
        fact.backward = direction == FROM_SERVER
    dns = facts[0].dns
    if dns is not None and dns.type == "answer" and dns.answers:
        facts[0].announced = read_announcement(dns.answers)
    return facts


def read_announcement(records: list[DnsAnswer]) -> Announced | None:
    """What the records of an answer say of who sent it; None for nothing."""
    said = Announced()
    services: dict[str, None] = {}
    for record in records:
        if record.type == "PTR" and record.name.startswith("_"):
            services[record.name] = None
        elif record.type == "SRV" and "._" in record.name:
            instance, _, service = record.name.partition("._")
            said.name = said.name or clean(instance)
            services[f"_{service}"] = None
        elif record.type == "TXT":
            for key, value in _TEXTS.findall(record.data):
                field = _KEYS.get(key.lower())
                if field is not None and getattr(said, field) is None:
                    setattr(said, field, clean(value))
        elif record.type == "A":
            said.ip = said.ip or record.data
    if said.name is None:
        said.name = next((clean(record.name) for record in records if record.type in ("A", "AAAA")), None)
    said.services = list(services)[:MAX_LIST_ITEMS] or None
    return said if said != Announced() else None


DISSECTOR = Dissector(name="mdns", recognises=recognises, read_datagram=read_datagram)
