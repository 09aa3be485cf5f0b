"""Messages of the discovery and management protocols, as public descriptions and samples have them, with invented
names.

Each dissector's module docstring names the description. Serial numbers, addresses and MACs are of nobody.
"""

import json
import struct
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES

CAMERA_MAC = "00:00:5e:00:53:11"


def lines(*texts: str) -> bytes:
    return ("\r\n".join(texts) + "\r\n\r\n").encode()


# RTSP: RFC 2326 14.1, and the realm and headers of cameras.
RTSP_DESCRIBE = lines(
    "DESCRIBE rtsp://view:secret@10.20.0.11:554/Streaming/Channels/101?a=b RTSP/1.0",
    "CSeq: 2",
    "User-Agent: Lavf60.3.100",
)
RTSP_REFUSED = lines(
    "RTSP/1.0 401 Unauthorized", "CSeq: 2", 'WWW-Authenticate: Digest realm="IP Camera(K5117)", nonce="5e5e"',
    "Server: Rtsp Server",
)  # fmt: skip
RTSP_ANSWER = (
    lines("RTSP/1.0 200 OK", "CSeq: 3", "Content-Type: application/sdp", "Content-Length: 9").replace(
        b"\r\n\r\n", b"\r\n\r\n"
    )
    + b"v=0\r\ns=-\r\n"[:9]
)
RTSP_MEDIA = b"$\0\0\x14" + b"\x80\x60" + bytes(18) + b"$\1\0\4RTSP"
RTSP_SETUP = lines("SETUP rtsp://10.20.0.11/trackID=1 RTSP/1.0", "CSeq: 3", "Transport: RTP/AVP/TCP;interleaved=0-1")
RTSP_PARAMETER = lines("GET_PARAMETER * RTSP/1.0", "CSeq: 4")

SSDP_NOTIFY = lines(
    "NOTIFY * HTTP/1.1", "HOST: 239.255.255.250:1900", "CACHE-CONTROL: max-age=1800",
    "LOCATION: http://10.20.0.11:49152/upnpdevicedesc.xml", "NT: urn:schemas-upnp-org:device:Basic:1",
    "NTS: ssdp:alive",
    "SERVER: Linux/3.0 UPnP/1.0 IPCamera/1.0", "USN: uuid:5e5e0001::urn:schemas-upnp-org:device:Basic:1",
)  # fmt: skip
SSDP_SEARCH = lines(
    "M-SEARCH * HTTP/1.1", "HOST: 239.255.255.250:1900", 'MAN: "ssdp:discover"', "MX: 3", "ST: upnp:rootdevice",
    "USER-AGENT: test/1.0",
)  # fmt: skip
SSDP_ANSWER = lines(
    "HTTP/1.1 200 OK", "ST: upnp:rootdevice", "LOCATION: http://10.20.0.11/d.xml", "USN: uuid:5e5e0001::upnp:rootdevice"
)
DESCRIPTION = (
    b'<?xml version="1.0"?><root xmlns="urn:schemas-upnp-org:device-1-0"><device>'
    b"<deviceType>urn:schemas-upnp-org:device:Basic:1</deviceType><friendlyName>Gate &amp; yard</friendlyName>"
    b"<manufacturer>Acme Vision</manufacturer><modelName>AV-2000</modelName><modelNumber>V5.1.2</modelNumber>"
    b"<serialNumber>AV20005E5E0001</serialNumber><UDN>uuid:5e5e0001</UDN></device></root>"
)
DESCRIPTION_ANSWER = (
    f"HTTP/1.1 200 OK\r\nContent-Type: text/xml; charset=utf-8\r\nContent-Length: {len(DESCRIPTION)}\r\n"
    "Server: App-webs/\r\n\r\n"
).encode() + DESCRIPTION

_ENVELOPE = (
    '<?xml version="1.0" encoding="UTF-8"?><env:Envelope xmlns:env="http://www.w3.org/2003/05/soap-envelope" '
    'xmlns:wsa="http://schemas.xmlsoap.org/ws/2004/08/addressing" '
    'xmlns:d="http://schemas.xmlsoap.org/ws/2005/04/discovery"><env:Header><wsa:MessageID>uuid:1</wsa:MessageID>'
    "<wsa:Action>http://schemas.xmlsoap.org/ws/2005/04/discovery/{action}</wsa:Action></env:Header>"
    "<env:Body>{body}</env:Body></env:Envelope>"
)
WSD_PROBE = _ENVELOPE.format(
    action="Probe", body="<d:Probe><d:Types>dn:NetworkVideoTransmitter</d:Types></d:Probe>"
).encode()
WSD_MATCH = _ENVELOPE.format(
    action="ProbeMatches",
    body="<d:ProbeMatches><d:ProbeMatch><wsa:EndpointReference><wsa:Address>urn:uuid:5e5e0001</wsa:Address>"
    "</wsa:EndpointReference><d:Types>dn:NetworkVideoTransmitter tds:Device</d:Types>"
    "<d:Scopes>onvif://www.onvif.org/type/video_encoder onvif://www.onvif.org/name/ACME%20AV-2000 "
    "onvif://www.onvif.org/hardware/AV-2000 onvif://www.onvif.org/location/country/china</d:Scopes>"
    "<d:XAddrs>http://10.20.0.11/onvif/device_service http://[fe80::1]/onvif/device_service</d:XAddrs>"
    "</d:ProbeMatch></d:ProbeMatches>",
).encode()


def dhcp(
    options: bytes, operation: int = 1, given: bytes = bytes(4), server_name: bytes = b"", file: bytes = b""
) -> bytes:
    """A message (RFC 2131 2) of CAMERA_MAC."""
    head = struct.pack(">BBBBIHH", operation, 1, 6, 0, 0x5E5E5E5E, 0, 0) + bytes(4) + given + bytes(8)
    hardware = bytes.fromhex(CAMERA_MAC.replace(":", "")).ljust(16, b"\0")
    return head + hardware + server_name.ljust(64, b"\0") + file.ljust(128, b"\0") + b"\x63\x82\x53\x63" + options


def option(number: int, value: bytes) -> bytes:
    return bytes([number, len(value)]) + value


DHCP_DISCOVER = dhcp(
    option(53, b"\1")
    + option(12, b"AV-2000")
    + option(60, b"udhcp 1.22.1")
    + b"\0"
    + option(55, bytes((1, 3, 6, 42)))
    + b"\xff"
)
DHCP_OVERLOADED = dhcp(
    option(53, b"\3") + option(52, b"\3") + b"\xff",
    server_name=option(60, b"acme ip camera") + b"\xff",
    file=option(12, b"AV-2000") + b"\xff",
)
DHCP_FULL_NAME = dhcp(option(53, b"\1") + option(81, b"\4\0\0\4gate\7example\0") + b"\xff")
DHCP_ACK = dhcp(option(53, b"\5") + option(51, bytes(4)) + b"\xff", 2, bytes((10, 20, 0, 11)))

TFTP_HANDSHAKE = b"SWKH" + bytes(16)
TFTP_ASK = b"\0\1digicap.dav\0octet\0"
NTP_ASK = b"\x23" + bytes(39) + b"\x5e" * 8
NTP_ANSWER = b"\x24\1\6\xe9" + bytes(8) + b"GPS\0" + bytes(24) + b"\x5e" * 8


def attribute(number: int, value: bytes) -> bytes:
    return struct.pack(">HH", number, len(value)) + value.ljust(len(value) + 3 & ~3, b"\0")


def stun(kind: int, attributes: bytes = b"", cookie: bytes = b"\x21\x12\xa4\x42") -> bytes:
    return struct.pack(">HH", kind, len(attributes)) + cookie + b"5e5e5e5e5e5e" + attributes


# RFC 5769 2.2: XOR-MAPPED-ADDRESS 192.0.2.1, port 32853.
STUN_ASK = stun(0x0001, attribute(0x8022, b"acme stun 1.0"))
STUN_ANSWER = stun(0x0101, attribute(0x0020, bytes.fromhex("0001a147e112a643")))
TURN_REFUSED = stun(
    0x0113, attribute(0x0009, bytes((0, 0, 4, 1)) + b"Unauthorized") + attribute(0x0014, b"turn.example")
)

SADP_PROBE = b'<?xml version="1.0" encoding="utf-8"?><Probe><Uuid>5E5E0001-1D33</Uuid><Types>inquiry</Types></Probe>'
SADP_MATCH = (
    b'<?xml version="1.0" encoding="UTF-8" ?>\r\n<ProbeMatch>\r\n<Uuid>5E5E0001-1D33</Uuid>\r\n'
    b"<Types>inquiry</Types>\r\n"
    b"<DeviceType>DS-2CD0000-X</DeviceType>\r\n<DeviceDescription>IPCamera</DeviceDescription>\r\n"
    b"<DeviceSN>DS-2CD0000-X20260101AAWR5E5E0001</DeviceSN>\r\n<CommandPort>8000</CommandPort>\r\n"
    b"<HttpPort>80</HttpPort>\r\n<MAC>00-00-5E-00-53-11</MAC>\r\n<IPv4Address>10.20.0.11</IPv4Address>\r\n"
    b"<SoftwareVersion>V5.3.0build 150513</SoftwareVersion>\r\n<Activated>true</Activated>\r\n</ProbeMatch>\r\n"
)


def dhip(document: Any, session: int = 0, number: int = 0) -> bytes:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return struct.pack("<4s4sIIIIII", b"\x20\0\0\0", b"DHIP", session, number, len(body), 0, len(body), 0) + body


DHIP_SEARCH = dhip({"method": "DHDiscover.search", "params": {"mac": "", "uni": 1}})
DHIP_ANSWER = dhip(
    {
        "mac": "00:00:5E:00:53:11",
        "method": "client.notifyDevInfo",
        "params": {
            "deviceInfo": {
                "DeviceClass": "IPC", "DeviceType": "IPC-HX0000", "HttpPort": 80, "Vendor": "General",
                "IPv4Address": {"DhcpEnable": True, "IPAddress": "10.20.0.11", "SubnetMask": "255.255.0.0"},
                "MachineName": "5E5E0001", "SerialNo": "5E5E0001PAZ0001", "Version": "2.820.0.32",
            }
        },
    }
)  # fmt: skip
OLD_SEARCH = b"\xa3\1\0\1" + bytes(12) + b"\2" + bytes(15)
OLD_ANSWER = (
    b"\xb3\0\0\x58" + bytes(36) + b"GATE".ljust(16, b"\0") + bytes((10, 20, 0, 11)) + bytes(60)
    + CAMERA_MAC.encode() + b"IPC-HX0000\0"
)  # fmt: skip
DHIP_LOGIN = dhip({"id": 1, "method": "global.login", "params": {"userName": "", "password": ""}, "session": 0})
DHIP_REALM = dhip({"id": 1, "params": {"realm": "Login to 5E5E0001PAZ0001", "random": "5e5e"}, "result": False})
OLD_REALM = b"\xa0\1\0\0" + bytes(20) + bytes.fromhex("050201010000a1aa")
OLD_GREETING = b"Realm:Login to 5E5E0001PAZ0001\r\nRandom:1234567890\r\n\r\n"
OLD_REALM_ANSWER = b"\xb0\0\0\x58" + struct.pack("<I", len(OLD_GREETING)) + bytes(24) + OLD_GREETING
OLD_LOGIN = b"\xa0\5\0\0" + struct.pack("<I", 6) + bytes(16) + bytes.fromhex("050200080000a1aa") + b"a&&b&&"
OLD_LOGIN_ANSWER = b"\xb0\0\0\x58" + bytes(28)


def dvrip(kind: int, document: Any = None, tail: bytes = b"\n\0") -> bytes:
    body = (
        b"" if document is None else document if isinstance(document, bytes) else json.dumps(document).encode() + tail
    )
    return struct.pack("<BBHIIBBHI", 0xFF, 0, 0, 0, 0, 0, 0, kind, len(body)) + body


DVRIP_SEARCH = dvrip(1530)
DVRIP_FOUND = dvrip(
    1531,
    {
        "NetWork.NetCommon": {
            "MAC": "00:00:5E:00:53:11", "HostName": "LocalHost", "HostIP": "0x0B00140A", "TCPPort": 34567,
            "SN": "5e5e440400010002", "Version": "V5.00.R02",
        },
        "Ret": 100,
    },
)  # fmt: skip
DVRIP_LOGIN = dvrip(1000, {"EncryptType": "MD5", "LoginType": "DVRIP-Web", "PassWord": "x", "UserName": "y"})
DVRIP_LOGGED_IN = dvrip(1001, {"AliveInterval": 20, "DeviceType ": "IPC", "Ret": 100, "SessionID": "0x5E"})
DVRIP_UPDATE = dvrip(1042, {"Name": "NetWork.OnlineUpgrade", "SessionID": "0x5E"})
DVRIP_MEDIA = dvrip(1412, b"\0\0\1\xfc" + bytes(60))

P2P_PROBE = lines("DHGET /probe/p2psrv HTTP/1.1", "CSeq: 1")
P2P_CHANNEL = lines(
    "DHPOST /device/5E5E0001PAZ0001/p2p-channel HTTP/1.1", "CSeq: 5", 'Authorization: WSSE profile="UsernameToken"',
    "Content-Type: ", "Content-Length: 0",
)  # fmt: skip
P2P_ANSWER = (
    lines("HTTP/1.1 200 OK", "CSeq: 2", "Content-Type: ", "Content-Length: 51")
    + b"<body><DS>1</DS><US>203.0.113.61:8800</US></body>"
)
P2P_TURNED = bytes(byte ^ 0xFF for byte in STUN_ASK)
P2P_TUNNEL = b"PTCP" + bytes(8) + b"\0\2\xff\xff" + bytes(8) + b"\0\3\1\0"


def cas(command: int, body: bytes, flags: int = 0) -> bytes:
    return (
        struct.pack(">4sIIIIIII", b"\x9e\xba\xac\xe9", 1 << 24, 5, 0, command, flags, len(body), 0) + body + b"5" * 32
    )


CAS_ASK = cas(0x0812, b'<?xml version="1.0" encoding="UTF-8"?><Request><DevSerial>E5E5E0001</DevSerial></Request>')
CAS_ANSWER = cas(0x0811, b'<Response><Client Address="203.0.113.9" Port="40000"/></Response>')
CAS_SECRET = cas(0x3003, bytes(range(64)), 0xFFFFFFFF)


def registration(command: int, body: bytes, flags: int = 2) -> bytes:
    """A registration message; its length as MQTT has it."""
    size, length = len(body), b""
    while True:
        length += bytes([size & 0x7F | (0x80 if size > 0x7F else 0)])
        size >>= 7
        if not size:
            return bytes([command << 4 | flags]) + length + body


REGISTRATION_1 = registration(1, b"\1\2\0\0\x09E5E5E0001" + bytes(range(112)))
REGISTRATION_4 = registration(4, b"\1\1\0\x20" + bytes(80))

TVT_SEARCH = b"MHED\x09\0\1\0\1\0\0\0" + bytes(128)
TVT_ANSWER = (
    b"MHED\x08\0\1\0\2\0\0\0" + b"GATE".ljust(20, b"\0") + bytes.fromhex("00005e005311") + b"\x94\x17"
    + bytes((10, 20, 0, 11)) + bytes(96) + b"I0000000001".ljust(16, b"\0") + b"1.5-1428327".ljust(40, b"\0")
    + b"TD-0000".ljust(16, b"\0") + b"DVC".ljust(28, b"\0")
)  # fmt: skip
TVT_RESULT = (
    b"<multicastSearchResult><productInfo><productModel>TD-0000</productModel><productSeries>IPC</productSeries>"
    b"<softwareVer>5.1.0</softwareVer></productInfo><tcpIp><ipAddr>10.20.0.11</ipAddr>"
    b"<macAddr>00-00-5E-00-53-11</macAddr><devName>GATE</devName></tcpIp></multicastSearchResult>"
)
REOLINK_KEY = (0x1F2D3C4B, 0x5A6C7F8D, 0x38172E4B, 0x8271635A, 0x863F1A2B, 0xA5C6F7D8, 0x8371E1B4, 0x17F2D3A5)


def reolink(text: bytes, number: int = 87) -> bytes:
    turned = bytes(
        byte ^ ((REOLINK_KEY[at >> 2 & 7] + number & 0xFFFFFFFF) >> 8 * (at & 3) & 0xFF) for at, byte in enumerate(text)
    )
    return struct.pack("<4sIIII", b"\x3a\xcf\x87\x2a", len(turned), 1, number, 0x5E5E) + turned


REOLINK_SEARCH = reolink(
    b"<P2P>\n<C2D_C>\n<uid>95270000YGAKNWKJ</uid>\n<cli>\n<port>24862</port>\n</cli>\n<cid>849013</cid>\n</C2D_C>\n</P2P>\n"
)
REOLINK_FOUND = reolink(
    b"<P2P>\n<D2C_C_R>\n<rsp>0</rsp>\n<cid>849013</cid>\n<did>192</did>\n</D2C_C_R>\n</P2P>\n", 0xFFFFFFF0
)
REOLINK_LOGIN = bytes.fromhex("f0debc0a01000000") + struct.pack("<II", 40, 1 << 24) + b"\1\xdc\x14\x65" + bytes(40)
REOLINK_LOGIN_ANSWER = (
    bytes.fromhex("f0debc0a01000000") + struct.pack("<II", 40, 1 << 24) + b"\1\xdd\x14\x66" + bytes(40)
)

TUYA_KEY = bytes.fromhex("6c1ec8e2bb9bb59ab50b0daf649b410a")
TUYA_DOCUMENT = b'{"ip":"10.20.0.11","gwId":"5e5e00015e5e00015e5e","version":"3.3","productKey":"key5e5e0001"}'


def tuya(body: bytes, command: int = 19) -> bytes:
    return struct.pack(">IIII", 0x55AA, 0, command, len(body) + 8) + body + bytes(4) + b"\0\0\xaa\x55"


def tuya_encrypted(document: bytes = TUYA_DOCUMENT) -> bytes:
    padding = 16 - len(document) % 16
    sealed = Cipher(AES(TUYA_KEY), modes.ECB()).encryptor().update(document + bytes([padding]) * padding)
    return tuya(bytes(4) + sealed)


def tuya_new(document: bytes = TUYA_DOCUMENT) -> bytes:
    head = struct.pack(">IHIII", 0x6699, 0, 0, 19, 12 + 4 + len(document) + 16)
    sealed = AESGCM(TUYA_KEY).encrypt(b"5e5e5e5e5e5e", bytes(4) + document, head[4:])
    return head + b"5e5e5e5e5e5e" + sealed + b"\0\0\x99\x66"


TUYA_PLAIN, TUYA_ENCRYPTED, TUYA_NEW = tuya(TUYA_DOCUMENT), tuya_encrypted(), tuya_new()
