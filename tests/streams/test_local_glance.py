"""With the shipped facts and rules, what is passed at a glance changes no alert, no observation and no sum."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bench.traffic import camera_frames, hard_frames
from collector.capture.source import open_source
from collector.observation import Observation
from collector.settings import ALL
from rules.load import load_rules
from rules.match import RuleSet
from streams.local import LocalWatch, Run
from streams.settings import Settings
from tests.collector.dissectors.messages import dns, question
from tests.collector.frames import BEGIN_NS, Packet, ethernet, ipv4, pcap, tcp, udp
from tests.collector.test_glance import TIME, hello, http_request
from tests.streams.command import OFFICE, OWN_DETECTION, OWN_FACT, OWN_SOURCE
from tests.truth.test_devices import captures

CAPTURES = Path(__file__).parents[1] / "captures"


FIRST_PORT = 20_000
DETECTION = """
title: Said of our own
{0}
description: What anybody says, whoever it concerns.
logsource: {{product: lenswatch{1}}}
detection:
  said: {{{2}}}
  condition: said
"""
ALONE = "id: 1b6f7d1a-50f3-4f35-9c5b-7f4f0c6c2a10\nstatus: experimental\nlevel: high"
TELLS = """
lenswatch:
  fold: device
  message: "{device} said it."
  example: {event: {dataset: lenswatch.dns}}
  cases:
    - {name: said, fires: true}
    - {name: not said, fires: false}
"""
COUNTS = """
title: Much of our own
id: 1b6f7d1a-50f3-4f35-9c5b-7f4f0c6c2aff
status: experimental
level: high
description: Many say it.
correlation:
  type: {0}
  rules: [said]
  group-by: [device.id]
  timespan: 1h
  condition: {{{1}gte: 3}}
lenswatch:
  message: "{{device}} said it {{count}} times within {{timespan}}."
  example: {{event: {{dataset: lenswatch.dns}}, device: {{id: a}}}}
  cases:
    - {{name: three, fires: true, series: [{{}}]}}
    - {{name: one, fires: false, series: [{{}}]}}
---"""
ASKED = (
    (", service: dns", "dns.question.name|endswith: .site-3.example"),
    (", service: http", "user_agent.original|startswith: device"),
    (", service: http", "url.path: /files/3"),
    (", service: tls", "tls.client.server_name|contains: site-3"),
    (", service: tls", "tls.client.ja4|startswith: t13"),
    (", service: ntp", "destination.port: 123"),
    ("", "destination.domain|endswith: site-3.example"),
)
"""Where a detection of one's own asks, and for what: names that no fact knows."""


class Told:
    """An output that keeps what it is given."""

    def __init__(self) -> None:
        self.alerts: list[Any] = []

    def write(self, documents: Sequence[Any]) -> None:
        self.alerts += documents


def watch(
    rules: RuleSet, path: Path, glance: bool, settings: Settings | None = None,
    later: tuple[Path, RuleSet] | None = None,
) -> tuple[Run, tuple[Any, ...]]:  # fmt: skip
    """A capture watched, and everything that can be told of it. `later`: another, and the rules that are in force by
    then."""
    told, watched = Told(), LocalWatch(settings or Settings(), rules)
    assert watched.pipeline._glance is not None  # type: ignore[union-attr]
    if not glance:
        watched.pipeline.glance_with(None)  # type: ignore[union-attr]
    sources = [open_source(str(path))]
    if later is not None:
        watched.renew = lambda _: later[1]
        sources.append(open_source(str(later[0])))
    run = watched.watch(sources, [told])
    return run, (
        told.alerts, run.ledger, run.observations, run.matched, run.told, run.folded, run.waived, run.devices,
        run.uncounted, run.geo,
    )  # fmt: skip


@pytest.fixture
def mixes(tmp_path: Path) -> Iterator[Path]:
    """The mixes of the benchmarks, small."""

    def written() -> Iterator[Path]:
        for name, mix in (("hard", hard_frames), ("camera", camera_frames)):
            path = tmp_path / f"{name}.pcap"
            path.write_bytes(pcap([(BEGIN_NS + at * 2_000, data) for at, data in enumerate(mix(3_000))]))
            yield path

    return written()


def said_by_two(first_port: int, more: bool = False) -> list[Packet]:
    """Questions and requests of two devices under names that no fact knows, and a call to a name that one's own may.
    `more`: who asked by HTTP before asks for that name on the same connection."""
    packets: list[Packet] = []
    for at in range(48):
        name, client = f"h{at}.site-{at % 5}.example", f"10.20.0.{50 + at % 2}"
        request = http_request(name, f"/files/{at % 5}", f"device/{at}")
        asked = (
            (53, dns([question(name)])), (123, TIME), (80, request), (443, hello(name)),
            (443, hello("www.example.com")),
        )  # fmt: skip
        for port, (service, data) in enumerate(asked, first_port + 5 * at):
            if service in (53, 123):
                body = ipv4(udp(data, port, service), 17, client, "198.51.100.53")
            else:
                body = ipv4(tcp(data, port, service, 7), 6, client, f"198.51.100.{at + 1}")
            packets.append((0, ethernet(body, source=f"02:aa:bb:00:00:{50 + at % 2}")))
        if more:
            again = tcp(http_request("www.example.com", "/", None), FIRST_PORT + 5 * at + 2, 80, 7 + len(request))
            body = ipv4(again, 6, client, f"198.51.100.{at + 1}")
            packets.append((0, ethernet(body, source=f"02:aa:bb:00:00:{50 + at % 2}")))
    return packets


def written(path: Path, packets: Sequence[Packet], begin_ns: int = BEGIN_NS) -> Path:
    path.write_bytes(pcap([(begin_ns + at * 1_000_000, data) for at, (_, data) in enumerate(packets)]))
    return path


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two devices say."""
    return written(tmp_path_factory.mktemp("talk") / "talk.pcap", said_by_two(FIRST_PORT))


def with_own(folder: Path, text: str) -> RuleSet:
    """The shipped rules and a detection of one's own."""
    (folder / "own" / "detections").mkdir(parents=True)
    (folder / "own" / "detections" / "ours.yml").write_text(text, "utf-8")
    return load_rules((folder / "own",))


def ours(run: Run) -> Counter[str]:
    """Findings of one's own detections, by name."""
    return Counter(each.rule.name for each in run.alerts.values() if "of our own" in each.rule.name)


@pytest.mark.parametrize("where, asked", ASKED)
@pytest.mark.parametrize("count", ["", "event_count", "value_count"])
def test_a_detection_of_ones_own_is_told_whatever_else_is_passed(
    tmp_path: Path, talk: Path, where: str, asked: str, count: str
) -> None:
    if count:
        field = "field: source.port, " if count == "value_count" else ""
        text = COUNTS.format(count, field) + DETECTION.format("name: said", where, asked)
    else:
        text = DETECTION.format(ALONE, where, asked) + TELLS
    rules = with_own(tmp_path, text)
    for settings in (Settings(), Settings(collector=msgspec.structs.replace(Settings().collector, traffic=ALL))):
        run, lean = watch(rules, talk, True, settings)
        assert lean == watch(rules, talk, False, settings)[1]
    assert sum(ours(run).values()) == 2, "one for each of two devices"


def test_a_name_that_concerned_nobody_concerns_somebody_under_later_rules(
    tmp_path: Path, talk: Path, rules: RuleSet
) -> None:
    folder = tmp_path / "own" / "facts" / "endpoints"
    folder.mkdir(parents=True)
    (folder / "hikvision.toml").write_text(OWN_FACT, "utf-8")
    (folder.parent / "sources.toml").write_text(OWN_SOURCE, "utf-8")
    own = with_own(tmp_path, OWN_DETECTION.replace(", service: tls", ""))
    path = written(tmp_path / "later.pcap", said_by_two(FIRST_PORT + 5_000, more=True), BEGIN_NS + 10**9)
    run, lean = watch(rules, talk, True, later=(path, own))
    assert lean == watch(rules, talk, False, later=(path, own))[1]
    # Those calls that come after, and what is asked of those that were called before, by HTTP.
    assert (run.ledger.observations["lenswatch.tls"], run.ledger.observations["lenswatch.http"]) == (48, 48)
    assert run.told > 0
    assert run.ledger.unasked == {"lenswatch.dns": 96, "lenswatch.ntp": 96, "lenswatch.http": 96, "lenswatch.tls": 144}


def test_where_every_observation_is_taken_none_is_passed(rules: RuleSet, talk: Path) -> None:
    taken = Told()
    watched = LocalWatch(
        Settings(collector=msgspec.structs.replace(Settings().collector, traffic=ALL)), rules, observations=[taken]
    )
    assert watched.pipeline._glance is None  # type: ignore[union-attr]
    run = watched.watch([open_source(str(talk))])
    told = Counter(each.event.dataset for each in taken.alerts if isinstance(each, Observation))
    expected = {"dns": 48, "ntp": 48, "http": 48, "tls": 96}
    assert {name: told[f"lenswatch.{name}"] for name in expected} == expected
    assert not run.ledger.unasked


def test_alerts_and_sums_are_the_same_with_and_without_a_glance(rules: RuleSet, mixes: Iterator[Path]) -> None:
    own = (OFFICE, CAPTURES / "protocols.pcap", CAPTURES / "web.pcap")
    for path in (*own, *mixes, *(path for path, _ in captures())):
        assert watch(rules, path, True)[1] == watch(rules, path, False)[1], path


def test_the_shipped_rules_let_a_flood_be_passed(rules: RuleSet, mixes: Iterator[Path]) -> None:
    watched = LocalWatch(Settings(), rules)
    watched.watch([open_source(str(next(mixes)))])
    glance = watched.pipeline._glance  # type: ignore[union-attr]
    assert glance is not None and any(glance._nobodys.values())
    assert watched.run.ledger.unasked.total() > 500
