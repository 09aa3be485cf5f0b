"""Capture files for the benchmarks, written with numpy: the camera mix and the hard mix, the same bytes every time.

camera: 98 % video (RTP over UDP, and RTSP-interleaved TCP) of cameras, 2 % of DNS, TLS and HTTP calls of the same
cameras, makers' names among them; 2,600 flows, about 1,265 bytes a packet.
hard: 60 % TLS data in 5,000 flows, 15 % SYN, 10 % DNS with unique names, 10 % HTTP with unique paths,
2 % ClientHello, 3 % NTP; each of the latter a flow of its own.
"""

import argparse
import itertools
import struct
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

START_NS = 1_793_606_400 * 10**9
SNAPLEN = 262_144
CHUNK = 20_000
CAMERA_MACS = (b"\x00\xbc\x99", b"\x3c\xef\x8c", b"\x00\x12\x12")
GATEWAY = bytes.fromhex("020000000001")
NAMES = (b"litedev.hik-connect.com", b"www.easy4ipcloud.com", b"pool.ntp.org", b"time.example.net")


def address(kind: int, number: int) -> bytes:
    """An IPv4 address: cameras in 10/8 (kind 10), peers in the benchmarking network 198.18/15 (kind 198)."""
    return bytes((kind, 18 if kind == 198 else 0)) + (number % 65_536).to_bytes(2, "big")


def frame(mac: bytes, packet: bytes) -> bytes:
    """An Ethernet frame from `mac` to the gateway."""
    return GATEWAY + mac + b"\x08\x00" + packet


def ipv4(source: bytes, target: bytes, protocol: int, body: bytes) -> bytes:
    """An IPv4 packet; the checksum is left zero, as offloading hosts do."""
    return struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(body), 1, 0x4000, 64, protocol, 0) + source + target + body


def udp(source: int, target: int, payload: bytes) -> bytes:
    """A UDP datagram."""
    return struct.pack(">HHHH", source, target, 8 + len(payload), 0) + payload


def tcp(source: int, target: int, sequence: int, flags: int, payload: bytes = b"") -> bytes:
    """A TCP segment without options."""
    return struct.pack(">HHIIBBHHH", source, target, sequence % 2**32, 1, 0x50, flags, 8192, 0, 0) + payload


def dns_query(name: bytes, identity: int) -> bytes:
    """A DNS question for an A record."""
    labels = b"".join(bytes((len(label),)) + label for label in name.split(b"."))
    return struct.pack(">HHHHHH", identity % 65_536, 0x0100, 1, 0, 0, 0) + labels + b"\x00\x00\x01\x00\x01"


def client_hello(name: bytes, number: int) -> bytes:
    """A ClientHello of TLS 1.2 and 1.3 with SNI and ALPN."""
    sni = struct.pack(">HHHBH", 0, len(name) + 5, len(name) + 3, 0, len(name)) + name
    alpn = struct.pack(">HHHB", 16, 11, 9, 8) + b"http/1.1"
    groups = bytes.fromhex("000a000400020017") + bytes.fromhex("000d0004000204010403")[:8]
    extensions = sni + alpn + groups + bytes.fromhex("002b0005040304" + "0303")
    suites = bytes.fromhex("130113021303c02bc02fc02cc030009c009d002f0035")
    random = struct.pack(">Q", number) * 4
    body = b"\x03\x03" + random + b"\x00" + struct.pack(">H", len(suites)) + suites + b"\x01\x00"
    body += struct.pack(">H", len(extensions)) + extensions
    handshake = b"\x01" + len(body).to_bytes(3, "big") + body
    return b"\x16\x03\x01" + struct.pack(">H", len(handshake)) + handshake


def server_hello(number: int) -> bytes:
    """A ServerHello of TLS 1.2."""
    body = b"\x03\x03" + struct.pack(">Q", number + 1) * 4 + b"\x00\xc0\x2f\x00\x00\x00"
    handshake = b"\x02" + len(body).to_bytes(3, "big") + body
    return b"\x16\x03\x03" + struct.pack(">H", len(handshake)) + handshake


def http_request(number: int, host: bytes) -> bytes:
    """A GET with a path of its own."""
    return b"GET /files/%08x/item?q=%d HTTP/1.1\r\nHost: %s\r\nUser-Agent: device/1.0\r\nAccept: */*\r\n\r\n" % (
        number, number, host,
    )  # fmt: skip


def write_chunk(stream: BinaryIO, frames: list[bytes], before: int) -> None:
    """Append the frames as pcap records; `before` counts the frames already written and sets their times."""
    parts = []
    for number, data in enumerate(frames, before):
        seconds, rest = divmod(START_NS + number * 2_000, 10**9)
        parts.append(struct.pack("<IIII", seconds, rest // 1000, len(data), len(data)))
        parts.append(data)
    stream.write(b"".join(parts))


def camera_frames(total: int) -> Iterator[bytes]:
    """The frames of the camera mix, in order."""
    random = np.random.default_rng(7)
    pool = random.integers(0, 256, 1 << 20, dtype=np.uint8).tobytes()
    cameras, video_flows, call_flows = 400, 600, 2_000
    calls = itertools.chain.from_iterable(call_frames(flow, cameras, pool) for flow in range(call_flows))
    kinds = random.random(total) < 0.02
    flows = random.integers(0, video_flows, total)
    sizes = np.where(random.random(total) < 0.86, 1_400, random.integers(60, 1_000, total))
    starts = random.integers(0, (1 << 20) - 1_500, total)
    sequence = [1] * video_flows
    for is_call, flow, size, start in zip(kinds.tolist(), flows.tolist(), sizes.tolist(), starts.tolist(), strict=True):
        call = next(calls, None) if is_call else None
        if call is not None:
            yield call
            continue
        camera = flow % cameras
        mac = CAMERA_MACS[camera % 3] + camera.to_bytes(3, "big")
        source, target = address(10, camera), address(10, 60_000 + flow % 4)
        payload = pool[start : start + size]
        if flow % 2:
            body = tcp(554, 30_000 + flow, sequence[flow], 0x10, b"$\x00" + struct.pack(">H", size) + payload)
            sequence[flow] += 4 + size
            yield frame(mac, ipv4(source, target, 6, body))
        else:
            rtp = struct.pack(">BBHII", 0x80, 96, sequence[flow] % 65_536, sequence[flow], flow)
            sequence[flow] += 1
            yield frame(mac, ipv4(source, target, 17, udp(20_000 + 2 * flow, 40_000 + flow, rtp + payload)))


def call_frames(flow: int, cameras: int, pool: bytes) -> Iterator[bytes]:
    """One call that a camera makes beside its video, whole: a DNS question and answer, or a TLS or HTTP connection."""
    camera = flow % cameras
    mac = CAMERA_MACS[camera % 3] + camera.to_bytes(3, "big")
    own, port, name = address(10, camera), 32_768 + flow % 20_000, NAMES[flow % 4]
    kind = flow % 3
    peer = address(10, 65_000) if kind == 0 else address(198, flow)

    def up(body: bytes) -> bytes:
        return GATEWAY + mac + b"\x08\x00" + ipv4(own, peer, 17 if kind == 0 else 6, body)

    def down(body: bytes) -> bytes:
        return mac + GATEWAY + b"\x08\x00" + ipv4(peer, own, 17 if kind == 0 else 6, body)

    if kind == 0:
        query = dns_query(name, flow)
        answer = query[:2] + b"\x81\x80\x00\x01\x00\x01" + query[8:]
        yield up(udp(port, 53, query))
        yield down(udp(53, port, answer + b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x01\x2c\x00\x04" + address(198, flow)))
        return
    service = 443 if kind == 1 else 80
    asked = client_hello(name, flow) if kind == 1 else http_request(flow, name)
    told = [server_hello(flow), *(b"\x17\x03\x03\x03\xe8" + pool[at : at + 1_000] for at in range(0, 6_000, 1_000))]
    if kind == 2:
        told = [b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 6000\r\n\r\n"]
        told += [pool[at : at + 1_000] for at in range(0, 6_000, 1_000)]
    yield up(tcp(port, service, 1_000, 0x02))
    yield down(tcp(service, port, 5_000, 0x12))
    yield up(tcp(port, service, 1_001, 0x10))
    yield up(tcp(port, service, 1_001, 0x18, asked))
    at = 5_001
    for data in told:
        yield down(tcp(service, port, at, 0x18, data))
        at += len(data)
    yield up(tcp(port, service, 1_001 + len(asked), 0x10))
    yield down(tcp(service, port, at, 0x11))
    yield up(tcp(port, service, 1_001 + len(asked), 0x11))


def hard_frames(total: int) -> Iterator[bytes]:
    """The frames of the hard mix, in order."""
    random = np.random.default_rng(11)
    pool = random.integers(0, 256, 1 << 20, dtype=np.uint8).tobytes()
    edges = np.cumsum([0.60, 0.15, 0.10, 0.10, 0.02])
    kinds = np.searchsorted(edges, random.random(total), side="right").tolist()
    data_flows = random.integers(0, 5_000, total).tolist()
    starts = random.integers(0, (1 << 20) - 1_500, total).tolist()
    sequence = [1] * 5_000
    for number, (kind, flow, start) in enumerate(zip(kinds, data_flows, starts, strict=True)):
        host = number % 4_000
        mac = b"\x02\x10\x00" + host.to_bytes(3, "big")
        source, target, port = address(10, host), address(198, number), 1_024 + number % 64_000
        if kind == 0:
            data = b"\x17\x03\x03\x04\xb0" + pool[start : start + 1_200]
            mac, source = b"\x02\x11\x00" + flow.to_bytes(3, "big"), address(10, 10_000 + flow)
            packet = ipv4(source, address(198, flow), 6, tcp(50_000, 443, sequence[flow], 0x18, data))
            sequence[flow] += len(data)
        elif kind == 1:
            packet = ipv4(source, target, 6, tcp(port, 443, number, 2))
        elif kind == 2:
            name = b"h%07x.site-%d.example" % (number, number % 5_000)
            packet = ipv4(source, address(10, 65_000 + number // 64_000), 17, udp(port, 53, dns_query(name, number)))
        elif kind == 3:
            host_name = b"www.site-%d.example" % (number % 5_000)
            packet = ipv4(source, target, 6, tcp(port, 80, number, 0x18, http_request(number, host_name)))
        elif kind == 4:
            name = b"api.site-%d.example" % (number % 5_000)
            packet = ipv4(source, target, 6, tcp(port, 443, number, 0x18, client_hello(name, number)))
        else:
            packet = ipv4(source, target, 17, udp(port, 123, b"\x23" + bytes(47)))
        yield frame(mac, packet)


def flood_frames(flows: int) -> Iterator[bytes]:
    """Flows of one packet each: half DNS questions of unique names, half HTTP requests of unique hosts."""
    for number in range(flows):
        host = number % 60_000
        mac, source = b"\x02\x12" + host.to_bytes(4, "big"), address(10, host)
        port, target = 1_024 + (number // 60_000) % 64_000, address(198, number // 7)
        name = b"h%08x.flood-%d.example" % (number, number % 90_000)
        if number % 2:
            body = ipv4(source, target, 17, udp(port, 53, dns_query(name, number)))
        else:
            body = ipv4(source, target, 6, tcp(port, 80, number, 0x18, http_request(number, name)))
        yield frame(mac, body)


def write_flood(path: Path, flows: int) -> None:
    """Write a flood of `flows` one-packet flows to a pcap file."""
    write_frames(path, flood_frames(flows))


MIXES: dict[str, Callable[[int], Iterator[bytes]]] = {"camera": camera_frames, "hard": hard_frames}


def write_capture(path: Path, mix: str, packets: int) -> None:
    """Write `packets` packets of a mix to a pcap file."""
    write_frames(path, MIXES[mix](packets))


def write_frames(path: Path, source: Iterable[bytes]) -> None:
    """Write frames to a pcap file of microsecond times, 2 µs apart."""
    with path.open("wb") as stream:
        stream.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, SNAPLEN, 1))
        frames: list[bytes] = []
        done = 0
        for data in source:
            frames.append(data)
            if len(frames) == CHUNK:
                write_chunk(stream, frames, done)
                done += len(frames)
                frames = []
        write_chunk(stream, frames, done)


def main() -> None:
    """Write the captures that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("mix", choices=sorted(MIXES))
    parser.add_argument("path", type=Path)
    parser.add_argument("--packets", type=int, default=1_000_000)
    arguments = parser.parse_args()
    write_capture(arguments.path, arguments.mix, arguments.packets)


if __name__ == "__main__":
    main()
