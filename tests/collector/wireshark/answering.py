"""One packet through a real tshark: its layers."""

import shutil

import pytest

from collector.pcapng_writer import PacketWriter
from collector.wireshark.layers import Layer, layers_of
from collector.wireshark.tshark import Tshark
from tests.collector.frames import CAMERA, SERVER, Talk, udp_frame

needs_tshark = pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")


def layers_over_udp(payload: bytes, port: int, back: bool = False) -> dict[str, Layer]:
    return dissected(udp_frame(payload, (CAMERA, 40_000, SERVER, port), back))


def layers_over_tcp(payload: bytes, port: int, side: int = 0) -> dict[str, Layer]:
    talk = Talk((CAMERA, 40_000, SERVER, port))
    talk.send(side, payload)
    return dissected(talk.packets[-1][1])


def dissected(frame: bytes) -> dict[str, Layer]:
    tshark = Tshark()
    tshark.send(PacketWriter().packet(1, 10**18, frame, len(frame)), 10)
    answer = tshark.answers.get(timeout=30)
    tshark.close()
    assert answer is not None
    return {layer.name: layer for layer in layers_of(answer)}
