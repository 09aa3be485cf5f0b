"""Writes `protocols.pcap`: one short conversation of each discovery, streaming and makers' protocol, in scapy's frames.

    .venv/bin/python -m tests.captures.make_protocols [FOLDER]

What scapy has a layer for (DHCP, NTP, STUN, HTTP's TCP) scapy builds; what it has none for are the documents of
`tests/collector/dissectors/documents.py`, which follow public descriptions. `STORY` says what each conversation is and
what is to be read of it; `tests/captures/test_protocols.py` compares.
"""

import dataclasses
import sys
from pathlib import Path

from scapy.contrib.stun import STUN
from scapy.layers.dhcp import BOOTP, DHCP
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import Ether
from scapy.layers.ntp import NTPHeader
from scapy.packet import Packet, Raw
from scapy.utils import PcapWriter

from tests.collector.dissectors import documents as d
from tests.collector.dissectors import messages as m

BEGIN = 1_793_606_400
CAMERA_MAC, OTHER_MAC = d.CAMERA_MAC, "00:00:5e:00:53:01"
CAMERA, VIEWER, SERVER = "10.20.0.11", "10.20.0.50", "203.0.113.61"
CLOCK = {"ref": 0, "orig": 0, "recv": 0, "sent": 3_900_000_000}
EVERYBODY, GROUP = "255.255.255.255", "239.255.255.250"


@dataclasses.dataclass(frozen=True)
class Scene:
    """Who says what to whom: (from the caller?, payload) in turn; and what is to be read: actions, codes or names."""

    dataset: str
    caller: tuple[str, int]
    called: tuple[str, int]
    said: tuple[tuple[bool, Packet | bytes], ...]
    read: tuple[str, ...]
    tcp: bool = False


def joins() -> tuple[tuple[bool, Packet | bytes], ...]:
    """A camera asks for an address (RFC 2131), as scapy builds it."""
    hardware = bytes.fromhex(CAMERA_MAC.replace(":", ""))
    options = [("message-type", "discover"), ("hostname", b"AV-2000"), ("vendor_class_id", b"udhcp 1.22.1"), "end"]
    return ((True, BOOTP(chaddr=hardware, xid=0x5E5E, flags=0x8000) / DHCP(options=options)),)


# fmt: off
STORY = (
    Scene("dhcp", ("0.0.0.0", 68), (EVERYBODY, 67), joins(), ("DISCOVER",)),
    Scene("ntp", (CAMERA, 40_123), (SERVER, 123),
          ((True, NTPHeader(version=4, mode=3, **CLOCK)),
           (False, NTPHeader(version=4, mode=4, stratum=2, id="192.0.2.7", **CLOCK))), ("client", "server")),
    Scene("stun", (CAMERA, 40_478), (SERVER, 3_478),
          ((True, STUN(stun_message_type=1, transaction_id=5)),
           (False, d.STUN_ANSWER)), ("binding request", "binding success")),
    Scene("quic", (CAMERA, 40_443), (SERVER, 443), ((True, m.QUIC_FIRST), (True, m.QUIC_SECOND)),
          ("camera.example",)),
    Scene("ssdp", (CAMERA, 1_900), (GROUP, 1_900), ((True, d.SSDP_NOTIFY),), ("alive",)),
    Scene("ssdp", (VIEWER, 41_900), (CAMERA, 49_152),
          ((True, b"GET /upnpdevicedesc.xml HTTP/1.1\r\nHost: 10.20.0.11:49152\r\n\r\n"),
           (False, d.DESCRIPTION_ANSWER)),
          ("description",), tcp=True),
    Scene("wsd", (VIEWER, 43_702), (GROUP, 3_702), ((True, d.WSD_PROBE),), ("Probe",)),
    Scene("wsd", (CAMERA, 3_702), (VIEWER, 43_702), ((True, d.WSD_MATCH),), ("ProbeMatches",)),
    Scene("sadp", (VIEWER, 37_020), (GROUP, 37_020), ((True, d.SADP_PROBE),), ("inquiry",)),
    Scene("sadp", (CAMERA, 37_020), (GROUP, 37_020), ((True, d.SADP_MATCH),), ("inquiry answer",)),
    Scene("dhip", (VIEWER, 47_810), ("239.255.255.251", 37_810), ((True, d.DHIP_SEARCH),), ("DHDiscover.search",)),
    Scene("dhip", (CAMERA, 37_810), (VIEWER, 47_810), ((True, d.DHIP_ANSWER),), ("client.notifyDevInfo",)),
    Scene("dhip", (CAMERA, 5_050), (EVERYBODY, 5_050), ((True, d.OLD_ANSWER),), ("search answer",)),
    Scene("dhip", (VIEWER, 45_000), (CAMERA, 5_000), ((True, d.DHIP_LOGIN), (False, d.DHIP_REALM)),
          ("global.login", "answer"), tcp=True),
    Scene("dhip", (VIEWER, 47_777), (CAMERA, 37_777),
          ((True, d.OLD_REALM), (False, d.OLD_REALM_ANSWER), (True, d.OLD_LOGIN), (False, d.OLD_LOGIN_ANSWER)),
          ("realm request", "login answer", "login", "login answer"), tcp=True),
    Scene("dahua_p2p", (CAMERA, 48_800), (SERVER, 8_800),
          ((True, d.P2P_PROBE), (False, d.P2P_ANSWER), (True, d.P2P_CHANNEL), (True, d.P2P_TUNNEL)),
          ("DHGET", "answer", "DHPOST", "tunnel open")),
    Scene("dvrip", (CAMERA, 34_569), (EVERYBODY, 34_569), ((True, d.DVRIP_FOUND),), ("search answer",)),
    Scene("dvrip", (VIEWER, 44_567), (CAMERA, 34_567),
          ((True, d.DVRIP_LOGIN), (False, d.DVRIP_LOGGED_IN), (True, d.DVRIP_UPDATE), (False, d.DVRIP_MEDIA)),
          ("login", "login answer", "get configuration"), tcp=True),
    Scene("ezviz", (CAMERA, 48_666), (SERVER, 8_666), ((True, d.REGISTRATION_1), (True, d.REGISTRATION_4)),
          ("authentication", "session key request"), tcp=True),
    Scene("ezviz", (CAMERA, 46_002), (SERVER, 6_002), ((True, d.CAS_ASK), (False, d.CAS_ANSWER)),
          ("address request", "address answer")),
    Scene("ezviz", (VIEWER, 49_010), (CAMERA, 9_010), ((True, d.CAS_SECRET),), ("local handshake",), tcp=True),
    Scene("tvt", (VIEWER, 23_456), ("234.55.55.55", 23_456), ((True, d.TVT_SEARCH),), ("search",)),
    Scene("tvt", (CAMERA, 23_456), ("234.55.55.56", 23_456), ((True, d.TVT_ANSWER),), ("search answer",)),
    Scene("reolink", (VIEWER, 42_018), (EVERYBODY, 2_018), ((True, d.REOLINK_SEARCH),), ("C2D_C",)),
    Scene("reolink", (VIEWER, 49_000), (CAMERA, 9_000), ((True, d.REOLINK_LOGIN), (False, d.REOLINK_LOGIN_ANSWER)),
          ("login", "login answer"), tcp=True),
    Scene("tuya", (CAMERA, 46_667), (EVERYBODY, 6_667), ((True, d.TUYA_ENCRYPTED),), ("command 19",)),
    Scene("rtsp", (VIEWER, 40_554), (CAMERA, 554),
          ((True, d.RTSP_DESCRIBE), (False, d.RTSP_REFUSED), (True, d.RTSP_DESCRIBE), (False, d.RTSP_ANSWER),
           (False, d.RTSP_MEDIA * 8), (True, d.RTSP_PARAMETER)),
          ("DESCRIBE", "401", "DESCRIBE", "200", "GET_PARAMETER"), tcp=True),
    Scene("tftp", (CAMERA, 9_979), (VIEWER, 9_978), ((True, d.TFTP_HANDSHAKE), (False, d.TFTP_HANDSHAKE)),
          ("handshake", "handshake")),
    Scene("push", (CAMERA, 42_069), (VIEWER, 69), ((True, d.TFTP_ASK),), ("firmware_push",)),
)
# fmt: on


class Film:
    """The frames of all scenes, a millisecond between two."""

    def __init__(self) -> None:
        self.frames: list[Packet] = []

    def shoot(self, scene: Scene) -> None:
        """A scene's frames; one over TCP with a handshake and an orderly end."""
        sequence = {True: 1_000, False: 5_000}
        if scene.tcp:
            for from_caller, flags in ((True, "S"), (False, "SA"), (True, "A")):
                self._segment(scene, from_caller, flags, b"", sequence)
        for from_caller, payload in scene.said:
            if scene.tcp:
                self._segment(scene, from_caller, "PA", bytes(payload), sequence)
            else:
                ports = self._ports(scene, from_caller)
                self._add(scene, from_caller, UDP(sport=ports[0], dport=ports[1]) / payload)
        if scene.tcp:
            for from_caller, flags in ((True, "FA"), (False, "FA"), (True, "A")):
                self._segment(scene, from_caller, flags, b"", sequence)

    def _segment(self, scene: Scene, from_caller: bool, flags: str, data: bytes, sequence: dict[bool, int]) -> None:
        ports = self._ports(scene, from_caller)
        layer = TCP(
            sport=ports[0], dport=ports[1], flags=flags, seq=sequence[from_caller], ack=sequence[not from_caller]
        )
        self._add(scene, from_caller, layer / Raw(data) if data else layer)
        sequence[from_caller] += len(data) + ("S" in flags) + ("F" in flags)

    @staticmethod
    def _ports(scene: Scene, from_caller: bool) -> tuple[int, int]:
        ends = scene.caller[1], scene.called[1]
        return ends if from_caller else (ends[1], ends[0])

    def _add(self, scene: Scene, from_caller: bool, layer: Packet) -> None:
        ends = (scene.caller[0], scene.called[0]) if from_caller else (scene.called[0], scene.caller[0])
        own = ends[0] in (CAMERA, "0.0.0.0")
        ether = Ether(src=CAMERA_MAC if own else OTHER_MAC, dst=OTHER_MAC if own else CAMERA_MAC)
        frame = ether / IP(src=ends[0], dst=ends[1]) / layer
        frame.time = BEGIN + len(self.frames) / 1_000
        self.frames.append(frame)


def main(folder: Path) -> None:
    """Write the capture into `folder`."""
    film = Film()
    for scene in STORY:
        film.shoot(scene)
    with PcapWriter(str(folder / "protocols.pcap"), linktype=1) as writer:
        for frame in film.frames:
            writer.write(frame)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
