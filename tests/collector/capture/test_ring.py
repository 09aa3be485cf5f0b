"""An interface, live: every packet once, tags put back, drops told, an interface that comes and goes survived."""

import dataclasses
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from collector.capture.ring import Ring
from collector.decode import decode
from collector.errors import CaptureError, SettingsError
from collector.ledger import Ledger
from collector.packets import SLACK_BYTES, Block
from collector.settings import CaptureSettings
from tests.collector.conftest import Captured, packets_of
from tests.collector.frames import CAMERA, SERVER, ethernet, ipv4, spaced, tcp_frame, udp, udp_frame
from tests.veth import Wire, needs_a_wire, wire

pytestmark = [pytest.mark.root, needs_a_wire]
SMALL = CaptureSettings(ring_bytes=1 << 20, block_bytes=1 << 17)


@dataclasses.dataclass
class Heard:
    """What a ring handed over while something was done."""

    packets: Captured = dataclasses.field(default_factory=list)
    lost: dict[str, int] = dataclasses.field(default_factory=dict)
    notices: list[str] = dataclasses.field(default_factory=list)
    ticks: list[int] = dataclasses.field(default_factory=list)
    vlans: list[int] = dataclasses.field(default_factory=list)
    waits: list[int] = dataclasses.field(default_factory=list)

    def take(self, block: Block) -> None:
        self.packets += packets_of(block)
        self.waits += [time.time_ns() - at_ns for at_ns in block.time_ns.tolist()]
        for reason, count in block.lost:
            self.lost[reason] = self.lost.get(reason, 0) + count
        self.notices += [block.notice] if block.notice else []
        self.ticks += [block.at_ns] if block.at_ns else []
        if len(block.start):
            assert int((block.start + block.captured).max()) + SLACK_BYTES <= len(block.data)
            ledger = Ledger()
            self.vlans += decode(block, ledger).vlan.tolist()
            assert ledger.open_sums() == []


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Wire]:
    with wire(tmp_path) as made:
        yield made


def listen(
    ring: Ring, act: Callable[[], object], pause: Callable[[], None] = lambda: None, linger: float = 0.1
) -> Heard:
    """What the ring hands over while `act` runs in another thread; `pause` is called at each block."""
    heard = Heard()

    def work() -> None:
        try:
            act()
            time.sleep(linger)
        finally:
            ring.stop()

    worker = threading.Thread(target=work)
    worker.start()
    for block in ring.blocks():
        heard.take(block)
        pause()
    worker.join()
    return heard


def frames(count: int, size: int = 100) -> list[bytes]:
    return [
        udp_frame(number.to_bytes(4, "big") + bytes(size), (CAMERA, 5_000, SERVER, 6_000)) for number in range(count)
    ]


def test_every_packet_comes_once_in_order_and_soon(line: Wire) -> None:
    sent = frames(20_000)
    heard = listen(Ring(line.near), lambda: line.replay(spaced(sent)))
    assert [data for _, data in heard.packets] == sent and heard.lost == {}
    times = [at_ns for at_ns, _ in heard.packets]
    assert times == sorted(times) and abs(times[-1] - time.time_ns()) < 60 * 10**9


def test_a_single_packet_is_handed_over_at_once_and_time_goes_on_without_any(line: Wire) -> None:
    heard = listen(Ring(line.near), lambda: line.replay(spaced(frames(1))), linger=1.0)
    assert len(heard.packets) == 1 and max(heard.waits) < 0.5 * 10**9
    assert len(heard.ticks) >= 3 and heard.ticks == sorted(heard.ticks)


def test_a_vlan_tag_that_the_kernel_took_off_is_back_in_its_place(line: Wire) -> None:
    body = ipv4(udp(b"tagged"), 17)
    tags = [[(0x8100, 20)], [(0x88A8, 300), (0x8100, 20)], [], [(0x8100, 0xE014)]]
    sent = [ethernet(body, tags=each) for each in tags]
    heard = listen(Ring(line.near), lambda: line.replay(spaced(sent)))
    assert [data for _, data in heard.packets] == sent
    assert heard.vlans == [20, 300, 0, 20]


def test_a_filter_lets_only_what_it_wants_in_and_finds_tags_that_were_taken_off(line: Wire) -> None:
    tagged = ethernet(ipv4(udp(b"tagged"), 17), tags=[(0x8100, 20)])
    sent = [tcp_frame(b"tcp"), udp_frame(b"udp"), tagged]
    ring = Ring(line.near, CaptureSettings(filter="tcp port 443 or (vlan 20 and udp)"))
    heard = listen(ring, lambda: line.replay(spaced(sent)))
    assert [data for _, data in heard.packets] == [sent[0], tagged]


def test_what_the_kernel_drops_while_nobody_reads_is_counted_to_the_last_packet(line: Wire) -> None:
    sent, done = frames(4_000, 1_200), threading.Event()

    def send() -> None:
        line.replay(spaced(sent))
        done.set()

    heard = listen(Ring(line.near, SMALL), send, lambda: done.wait(30) and None)
    assert heard.lost["kernel_drop"] > 0 and heard.lost["ring_full"] > 0
    assert len(heard.packets) + heard.lost["kernel_drop"] == len(sent)
    assert [data for _, data in heard.packets] == sent[: len(heard.packets)]


def test_the_ring_is_used_again_and_again_and_its_last_block_has_slack_too(line: Wire) -> None:
    sent = frames(6_000, 1_200)
    heard = listen(Ring(line.near, SMALL), lambda: line.replay(spaced(sent), "--pps=20000"))
    assert len(heard.packets) + heard.lost.get("kernel_drop", 0) == len(sent) and len(heard.packets) > 1_500


def test_an_interface_that_goes_down_and_comes_back_is_survived_and_told(line: Wire) -> None:
    def act() -> None:
        line.replay(spaced([udp_frame(b"before")]))
        time.sleep(0.2)
        line.near_is("down")
        time.sleep(0.4)
        line.near_is("up")
        time.sleep(0.4)
        line.replay(spaced([udp_frame(b"after")]))

    heard = listen(Ring(line.near), act)
    assert [data for _, data in heard.packets] == [udp_frame(b"before"), udp_frame(b"after")]
    assert heard.notices == ["the interface went down; waiting for it", "the interface is up again"]
    assert heard.lost == {"interface_down": 1}


def test_an_interface_that_is_made_anew_is_listened_to_again(line: Wire) -> None:
    def act() -> None:
        from tests.veth import run

        run("ip", "link", "del", line.near)
        time.sleep(0.3)
        line.make_pair()
        time.sleep(0.5)
        line.replay(spaced([udp_frame(b"after")]))

    heard = listen(Ring(line.near), act)
    assert [data for _, data in heard.packets][-1:] == [udp_frame(b"after")]
    assert len(heard.notices) == 2


@pytest.mark.parametrize("promiscuous", [True, False])
def test_packets_to_others_are_asked_for_only_where_the_settings_say_so(line: Wire, promiscuous: bool) -> None:
    from tests.veth import run

    ring = Ring(line.near, CaptureSettings(promiscuous=promiscuous))
    asked = run("ip", "-details", "link", "show", line.near)
    ring.close()
    assert f"promiscuity {int(promiscuous)} " in asked
    assert "promiscuity 0 " in run("ip", "-details", "link", "show", line.near)


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        (CaptureSettings(filter="tcp portt 4"), SettingsError, "capture.filter: 'tcp portt 4'"),
        (
            CaptureSettings(ring_bytes=1 << 32, block_bytes=1 << 31),
            SettingsError,
            "capture.ring_bytes: the kernel gives",
        ),
    ],
)
def test_what_cannot_be_had_is_said_in_one_line(
    line: Wire, settings: CaptureSettings, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words) as raised:
        Ring(line.near, settings)
    assert "\n" not in str(raised.value)


def test_an_interface_is_known_by_its_name_and_a_missing_one_is_refused(line: Wire) -> None:
    assert Ring.opens(line.near) and not Ring.opens("nosuch0")
    with pytest.raises(CaptureError, match="nosuch0: cannot be listened to"):
        Ring("nosuch0")
