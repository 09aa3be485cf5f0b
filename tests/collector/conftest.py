"""What the tests of the collector share: captures written and read, and packets sent through a pipeline."""

import socket
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from collector.capture.pcap_file import CaptureFile
from collector.errors import CaptureError
from collector.identify.fingerprint import Call, Fingerprint, Port, Prefix
from collector.ledger import Ledger
from collector.observation import DEVICE_DATASET, Observation
from collector.packets import Block
from collector.pipeline import Pipeline
from collector.settings import CollectorSettings
from tests.collector.frames import Packet, block_of
from tests.collector.manager import managing

Captured = list[tuple[int, bytes]]
ReadCapture = Callable[[bytes], tuple[Captured, CaptureError | None]]
Watch = Callable[..., list[Observation]]

ACME = Fingerprint(
    maker="acme",
    name="Acme Vision",
    prefixes=(
        Prefix(
            organization="Acme", relevance="high", confidence="high", sources=("a",), macs=("00:00:5e", "02:11:22:3/28")
        ),
    ),
    calls=(
        Call(name="device.acme.example", match="exact", relevance="high", confidence="high", sources=("a",)),
        Call(name="p2p.acme.example", match="suffix", relevance="medium", confidence="high", sources=("a",)),
    ),
    ports=(
        Port(
            transport="tcp", port=37_777, side="serves", protocol="acmeproto", relevance="high", confidence="high",
            sources=("a",),
        ),
    ),
)  # fmt: skip
OTHER = Fingerprint(
    maker="zenith",
    name="Zenith",
    prefixes=(
        Prefix(organization="Zenith", relevance="low", confidence="high", sources=("a",), macs=("02:33:44",)),
        Prefix(organization="Zenith", relevance="medium", confidence="high", sources=("a",), macs=("02:11:22",)),
    ),
    calls=(Call(name="api.zenith.example", match="exact", relevance="low", confidence="high", sources=("a",)),),
)


def packets_of(block: Block) -> Captured:
    """Time and bytes of each packet of a block."""
    return [
        (at_ns, block.data[start : start + captured].tobytes())
        for at_ns, start, captured in zip(
            block.time_ns.tolist(), block.start.tolist(), block.captured.tolist(), strict=True
        )
    ]


@pytest.fixture
def read_capture(tmp_path: Path) -> ReadCapture:
    """The packets of a capture's bytes, and the CaptureError that ended the reading, if one did."""

    def read(data: bytes) -> tuple[Captured, CaptureError | None]:
        path = tmp_path / "a.pcap"
        path.write_bytes(data)
        found: Captured = []
        try:
            for block in CaptureFile(str(path)).blocks():
                found += packets_of(block)
        except CaptureError as error:
            return found, error
        return found, None

    return read


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


@pytest.fixture
def fingerprints() -> tuple[Fingerprint, ...]:
    """Two invented makers: acme's devices are cameras, zenith's are perhaps."""
    return (ACME, OTHER)


@pytest.fixture
def watch(fingerprints: tuple[Fingerprint, ...]) -> Watch:
    """The observations of packets (cut into blocks of `size`, if given), through a fresh pipeline to its end; what is
    told of the devices themselves is left out unless asked for (`devices`)."""

    def through(
        packets: Sequence[Packet],
        size: int | None = None,
        settings: CollectorSettings | None = None,
        devices: bool = False,
    ) -> list[Observation]:
        pipeline = Pipeline(settings or CollectorSettings(), fingerprints)
        found = []
        for at in range(0, len(packets), size or len(packets)):
            found += pipeline.process(block_of(packets[at : at + (size or len(packets))]))
        found += pipeline.finish()
        assert pipeline.ledger.open_sums() == []
        return [each for each in found if devices or each.event.dataset != DEVICE_DATASET]

    return through


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    """A service manager that listens."""
    with managing(tmp_path) as end:
        yield end
