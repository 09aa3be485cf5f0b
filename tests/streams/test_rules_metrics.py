"""What is said of the rules in force, in few series."""

import copy
import datetime

import msgspec
from prometheus_client import CollectorRegistry, generate_latest

from rules.court import Court
from rules.match import RuleSet
from rules.signature import Signature
from rules.waivers import Waiver, Waivers
from streams.rules_metrics import MAX_PACKS, MAX_WAIVERS, RulesMeters

WAIVER = Waiver(
    id="w",
    ground="g",
    approver="a",
    reference="r",
    begins=datetime.date(2026, 11, 1),
    until=datetime.date(2026, 11, 30),
)
SIGNED = Signature(3, "", 1, datetime.datetime(2026, 11, 25, tzinfo=datetime.UTC), "00aa")


def with_waivers(rules: RuleSet, waivers: list[Waiver], signatures: tuple[Signature | None, ...] = ()) -> RuleSet:
    changed = copy.copy(rules)
    changed.court = Court(rules.court.judge, waivers=Waivers(waivers))
    changed.signatures = signatures
    return changed


def value(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    return registry.get_sample_value(f"lenswatch_{name}", labels)


def test_the_rules_in_force_are_told_and_those_before_are_not(rules: RuleSet) -> None:
    registry = CollectorRegistry()
    meters = RulesMeters(registry)
    meters.show(with_waivers(rules, [WAIVER], (SIGNED, None)))
    assert value(registry, "rules_info", digest=rules.digest) == 1
    assert value(registry, "rules_indicators") == sum(rules.facts.indicators) > 200
    assert value(registry, "rules_pack_signed_timestamp_seconds", pack="1", key="00aa") == SIGNED.signed.timestamp()
    assert value(registry, "rules_packs_unsigned") == 1
    assert value(registry, "waiver_begin_timestamp_seconds", waiver="w") == 1_793_491_200
    assert value(registry, "waiver_end_timestamp_seconds", waiver="w") == 1_796_083_200
    fresh = with_waivers(rules, [])
    fresh.digest = "bb"
    meters.take(fresh)
    assert value(registry, "rules_info", digest="bb") == 1
    assert value(registry, "rules_info", digest=rules.digest) is None
    assert value(registry, "waiver_end_timestamp_seconds", waiver="w") is None


def test_what_was_taken_and_refused_is_counted_from_nought(rules: RuleSet) -> None:
    registry = CollectorRegistry()
    meters = RulesMeters(registry)
    for result in ("taken", "refused"):
        assert value(registry, "rules_reloads_total", result=result) == 0
    meters.take(rules)
    meters.refuse()
    for result in ("taken", "refused"):
        assert value(registry, "rules_reloads_total", result=result) == 1


def test_of_many_waivers_those_that_end_next_are_shown(rules: RuleSet) -> None:
    registry = CollectorRegistry()
    today = datetime.datetime.now(datetime.UTC).date()
    days = {"ended": -1, "next": 0, **{f"w{number}": number + 1 for number in range(MAX_WAIVERS)}}
    waivers = [
        msgspec.structs.replace(WAIVER, id=id, until=today + datetime.timedelta(days=left)) for id, left in days.items()
    ]
    RulesMeters(registry).show(with_waivers(rules, waivers))
    shown = {id for id in days if value(registry, "waiver_end_timestamp_seconds", waiver=id) is not None}
    assert days.keys() - shown == {"ended", f"w{MAX_WAIVERS - 1}"}


def test_past_the_caps_nothing_more_is_shown_and_what_is_covered_counts_as_other(rules: RuleSet) -> None:
    registry = CollectorRegistry()
    meters = RulesMeters(registry)
    many = [msgspec.structs.replace(WAIVER, id=f"w{number}") for number in range(MAX_WAIVERS + 20)]
    meters.show(with_waivers(rules, [WAIVER]))
    meters.show(with_waivers(rules, many, (SIGNED,) * (MAX_PACKS + 5)))
    lines = generate_latest(registry).decode().splitlines()
    assert sum(line.startswith("lenswatch_waiver_end") for line in lines) == MAX_WAIVERS
    # Of a waiver that is gone nothing stays.
    assert sum(line.startswith("lenswatch_waived_hits_total") for line in lines) == MAX_WAIVERS
    assert sum(line.startswith("lenswatch_rules_pack_signed") for line in lines) == MAX_PACKS
    meters.waive({each.id: 2 for each in many})
    assert value(registry, "waived_hits_total", waiver="other") == 40
    assert value(registry, "waived_hits_total", waiver="w0") == 2
