"""The embedded wiring: every source to its end, every sum closed, nothing lost at an interrupt."""

import contextlib
import gzip
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from collector.capture.pcap_file import CaptureFile
from collector.capture.source import open_source
from collector.errors import LenswatchError, SettingsError
from collector.observation import Declared, Observation
from collector.packets import Block
from rules.alert import Alert
from rules.load import load_rules
from rules.match import RuleSet
from streams.device_store import DeviceStore
from streams.local import LocalWatch, Run
from streams.processors.baseline import Habits
from streams.processors.declared import Register
from streams.processors.egress import Policy
from streams.settings import GeoSettings, Settings
from streams.storybook import Storybook, restore
from tests.collector.frames import BEGIN_NS, NS, Talk, pcap
from tests.streams.command import OFFICE


class Kept:
    """An output that keeps what it is given."""

    def __init__(self) -> None:
        self.documents: list[Any] = []

    def write(self, documents: Sequence[Observation | Alert]) -> None:
        self.documents += documents

    def habits_of(self, identifier: str) -> Habits | None:
        """Nothing is known to be usual."""
        return None


def watch(rules: RuleSet, *sources: Any, geo: Path | None = None) -> tuple[Run, Kept, Kept]:
    seen, told = Kept(), Kept()
    settings = Settings(geo=GeoSettings(asn=geo, country=geo))
    return LocalWatch(settings, rules, None, [seen]).watch(sources, [told]), seen, told


def test_outputs_get_what_the_run_counts(rules: RuleSet) -> None:
    run, seen, told = watch(rules, open_source(str(OFFICE)))
    assert len(seen.documents) == run.observations == sum(run.ledger.observations.values())
    assert {alert.event.id: alert for alert in told.documents} == run.alerts
    assert run.by_level() == {"high": 3, "medium": 2, "low": 6, "informational": 1}
    assert run.problems == [] and not run.interrupted and run.seconds > 0


def test_flows_that_nobody_closed_are_closed_at_the_end(rules: RuleSet) -> None:
    _, seen, _ = watch(rules, open_source(str(OFFICE)))
    flows: dict[str, set[str]] = {"opened": set(), "closed": set(), "attempt": set()}
    for each in seen.documents:
        if each.event.dataset == "lenswatch.flow":
            flows[each.lenswatch.flow.state].add(each.network.community_id)
    assert flows["opened"] and flows["opened"] <= flows["closed"]


def test_every_sum_closes_with_and_without_an_output_for_observations(rules: RuleSet) -> None:
    whole, _, _ = watch(rules, open_source(str(OFFICE)))
    short = LocalWatch(Settings(), rules).watch([open_source(str(OFFICE))])
    for run in (whole, short):
        assert run.open_sums() == [] and run.matched == run.told + run.folded
    assert list(whole.alerts.values()) == list(short.alerts.values())
    assert whole.ledger.seen() == short.ledger.seen()


def test_a_sum_that_does_not_close_is_told() -> None:
    from collector.ledger import Ledger

    run = Run(Ledger(), matched=5, told=1, folded=3)
    assert run.open_sums() == ["fold: 5 alerts in, 1 told, 3 folded, 0 waived"]
    run.waived["w"] = 1
    assert run.open_sums() == []


def test_what_a_long_run_remembers_of_its_findings_is_bounded_and_their_number_is_not(
    rules: RuleSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, _, _ = watch(rules, open_source(str(OFFICE)))
    monkeypatch.setattr("streams.local.MAX_RUN_ALERTS", 3)
    bounded = Run(run.ledger)
    for alert in run.alerts.values():
        bounded.tell([alert])
    assert list(bounded.alerts) == list(run.alerts)[-3:]
    assert bounded.by_level() == run.by_level() and bounded.gone.total() == len(run.alerts) - 3


def test_a_capture_that_ends_early_is_a_problem_and_the_next_is_read(rules: RuleSet, tmp_path: Path) -> None:
    cut = tmp_path / "cut.pcap"
    cut.write_bytes(OFFICE.read_bytes()[:-1])
    run, _, _ = watch(rules, open_source(str(cut)), open_source(str(OFFICE)))
    assert len(run.problems) == 1 and run.problems[0].startswith(f"{cut}: byte ")
    assert run.ledger.packets_in == 477 + 478 and run.open_sums() == []


class Interrupted:
    """A capture in the midst of which a person loses patience."""

    name, size_bytes = "interrupted", None

    def blocks(self) -> Iterator[Block]:
        yield from CaptureFile(str(OFFICE)).blocks()
        raise KeyboardInterrupt


def test_an_interrupt_ends_the_run_and_what_was_read_is_told(rules: RuleSet) -> None:
    whole, _, _ = watch(rules, open_source(str(OFFICE)))
    run, _, told = watch(rules, Interrupted(), open_source(str(OFFICE)))
    assert run.interrupted and run.ledger.packets_in == 478 and run.open_sums() == []
    assert run.alerts == whole.alerts and told.documents


def test_progress_is_told_of_every_block(rules: RuleSet) -> None:
    blocks: list[Block] = []
    LocalWatch(Settings(), rules).watch([open_source(str(OFFICE))], progress=blocks.append)
    assert blocks and blocks[-1].position == OFFICE.stat().st_size


def test_geo_files_put_number_and_country_into_observations_and_alerts(
    rules: RuleSet, tmp_path: Path, write_geo_file: Callable[..., Path]
) -> None:
    record = {"autonomous_system_number": 64_500, "country": {"iso_code": "NL"}}
    both = write_geo_file(tmp_path / "both.mmdb", {"198.51.100.0/24": record})
    run, seen, _ = watch(rules, open_source(str(OFFICE)), geo=both)
    assert run.open_sums() == []
    for document in (*seen.documents, *run.alerts.values()):
        outside = document.network.direction == "outbound" and document.destination.ip.startswith("198.51.100.")
        assert (document.destination.as_ is not None) == (document.destination.geo is not None) == outside


@pytest.mark.parametrize("name", ["office.pcap", "office.pcap.gz", "a capture"])
def test_a_capture_is_opened_whatever_its_name(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(gzip.compress(OFFICE.read_bytes()) if name.endswith("gz") else OFFICE.read_bytes())
    assert open_source(str(path)).size_bytes == path.stat().st_size


def test_what_is_no_file_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(LenswatchError, match="no such capture, folder or interface; name one, or - for standard input"):
        open_source(str(tmp_path / "none.pcap"))


STAY = {"stay": Policy(egress="none")}
BROKEN = "Call that the device's policy forbids"


def forbidden(run: Run) -> set[str]:
    return {alert.source.ip for alert in run.alerts.values() if alert.rule.name == BROKEN}


def test_cameras_that_may_call_nobody_are_told_of_and_without_a_policy_nothing_changes(rules: RuleSet) -> None:
    before = LocalWatch(Settings(), rules).watch([open_source(str(OFFICE))])
    run = LocalWatch(Settings(egress=STAY), rules).watch([open_source(str(OFFICE))])
    cameras = {"10.20.8.10", "10.20.8.21", "10.20.8.22", "10.20.8.23", "10.20.8.24", "fd20:8::22"}
    assert forbidden(run) == cameras and forbidden(before) == set()
    assert before.alerts.keys() < run.alerts.keys() and run.open_sums() == []


def test_a_device_that_the_inventory_puts_under_a_policy_need_be_no_camera(rules: RuleSet) -> None:
    laptop = "10.20.16.41"
    for row in (Declared(address=laptop, egress="none"), Declared(address=laptop, group="guests")):
        policies = {"guests stay": Policy(egress="none", groups=("guests",))}
        run = LocalWatch(Settings(egress=policies), rules, register=Register([row])).watch([open_source(str(OFFICE))])
        assert forbidden(run) == {laptop} and run.open_sums() == []


def test_a_policy_that_nobody_set_is_refused_before_anything_is_read(rules: RuleSet) -> None:
    register = Register([Declared(address="10.20.16.41", egress="lobby")])
    with pytest.raises(SettingsError, match="names the policy 'lobby'"):
        LocalWatch(Settings(), rules, register=register)


DAY_NS = 86_400 * NS
HIKVISION_MAC = "44:19:b6:00:00:14"


def day_of_calls(folder: Path, day: int, *names: str) -> Path:
    """A capture of a camera that calls these names over HTTP, on a day."""
    packets: list[tuple[int, bytes]] = []
    for number, name in enumerate(names):
        ends = ("10.20.1.14", 40_000 + number, f"192.0.2.{80 + number}", 80)
        talk = Talk(ends, BEGIN_NS + day * DAY_NS + number * NS, HIKVISION_MAC)
        talk.send(0, f"GET / HTTP/1.1\r\nHost: {name}\r\n\r\n".encode())
        talk.send(1, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        talk.close()
        packets += talk.packets
    path = folder / f"day{day}.pcap"
    path.write_bytes(pcap(packets))
    return path


def test_a_first_call_to_a_company_is_told_after_the_learning_time_though_each_day_is_a_run_of_its_own(
    rules: RuleSet, tmp_path: Path
) -> None:
    told: list[tuple[int, Alert]] = []
    for day in range(17):
        names = ("www.example.org", "www.easy4ipcloud.com") if day == 15 else ("www.example.org",)
        store = DeviceStore(tmp_path, 10)
        with contextlib.closing(Storybook(store)) as book:
            local = LocalWatch(Settings(), rules, stories=book)
            restore(local.pipeline.inventory, store)
            run = local.watch([open_source(str(day_of_calls(tmp_path, day, *names)))])
        assert run.open_sums() == []
        told += [(day, alert) for alert in run.alerts.values() if alert.rule.name.startswith("First call")]
    assert [day for day, _ in told] == [15]
    alert = told[0][1]
    assert alert.lenswatch.baseline is not None and alert.lenswatch.baseline.new == ["company dahua"]
    assert "before this day it has not called the company Zhejiang Dahua" in alert.message


def test_named_flows_of_cameras_to_outside_are_observed_for_their_stories_and_the_rest_as_before(
    rules: RuleSet,
) -> None:
    plain = LocalWatch(Settings(), rules)._concerns
    telling = LocalWatch(Settings(), rules, stories=Kept())._concerns
    for dataset, name, direction, told in (
        ("lenswatch.flow", "www.example.com", "outbound", True),
        ("lenswatch.flow", "www.example.com", "internal", False),
        ("lenswatch.dns", "www.example.com", "outbound", False),
    ):
        before = plain(dataset, name, direction, lambda: "192.0.2.80")
        assert telling(dataset, name, direction, lambda: "192.0.2.80") == (told or before)


def test_whose_traffic_is_told_of_goes_by_the_rules_that_are_in_force(rules: RuleSet, tmp_path: Path) -> None:
    own = tmp_path / "own" / "facts"
    (own / "endpoints").mkdir(parents=True)
    (own / "sources.toml").write_text('[sources.ours]\ntitle = "our own finding"\nkind = "note"\n', "utf-8")
    (own / "endpoints" / "hikvision.toml").write_text(
        'entity = "hikvision"\n[[endpoint]]\nname = "our-own-cloud.example"\nmatch = "suffix"\nrole = "cloud"\n'
        'confidence = "high"\nsources = ["ours"]\n', "utf-8",
    )  # fmt: skip
    local = LocalWatch(Settings(), rules)
    ask = ("lenswatch.dns", "a.our-own-cloud.example", "internal", lambda: "10.20.0.1")
    assert not local._touches(*ask)
    local.rules = load_rules([own.parent])
    assert local._touches(*ask)
