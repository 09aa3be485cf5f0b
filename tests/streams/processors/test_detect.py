"""Every hit goes into its fold, and what is told and what only counts add up."""

from collections.abc import Callable
from typing import Any

from collector.observation import AutonomousSystem, Geo, Observation
from rules.match import RuleSet
from streams.processors.correlate import Correlate
from streams.processors.detect import Memory, concerning, enriched, judge
from streams.processors.egress import Policies, Policy
from streams.processors.firmware import Updates
from streams.processors.fold import Fold

See = Callable[..., Observation]
CLOUD: dict[str, Any] = {"event.dataset": "lenswatch.tls", "destination.domain": "www.easy4ipcloud.com"}


def test_a_repeat_is_matched_and_not_told(rules: RuleSet, observe: See) -> None:
    fold = Fold()
    memory = Memory(fold, Correlate(), Updates())
    judged = judge([observe(CLOUD), observe(CLOUD | {"event.id": "again"})], rules, lambda _: memory)
    assert (judged.matched, judged.told, fold.folded) == (2, 1, 1)
    assert [alert.lenswatch.revision for alert in judged.news] == [1]


def test_an_observation_that_touches_nobody_asks_for_no_fold(rules: RuleSet, observe: See) -> None:
    asked: list[str] = []
    plain = observe({"event.dataset": "lenswatch.tls", "destination.domain": "www.example.org"})
    judged = judge([plain], rules, lambda device: asked.append(device))  # type: ignore[func-returns-value]
    assert judged == ([], 0, 0, {}) and asked == []


def test_a_hit_that_was_counted_before_is_let_go(rules: RuleSet, observe: See) -> None:
    assert judge([observe(CLOUD)], rules, lambda _: None) == ([], 0, 0, {})


def test_a_hit_says_which_device_it_is_of(rules: RuleSet, observe: See) -> None:
    devices: list[str] = []
    unnamed = observe(CLOUD | {"device": None, "lenswatch.site": "harbour"})
    judge([observe(CLOUD), unnamed], rules, devices.append)  # type: ignore[arg-type, func-returns-value]
    assert list(dict.fromkeys(devices)) == ["site/3c:ef:8c:00:53:11", "harbour/10.0.0.11"]


def test_observations_are_enriched_only_where_somebody_knows_more(observe: See) -> None:
    found = [observe(CLOUD)]
    assert enriched(found, None) is found
    (more,) = enriched(found, lambda address: (AutonomousSystem(number=64_500), None))
    assert more.destination.as_ == AutonomousSystem(number=64_500) and found[0].destination.as_ is None


def test_what_breaks_a_policy_is_said_after_the_country_is_known(observe: See) -> None:
    flow = observe(CLOUD | {"event.dataset": "lenswatch.flow", "lenswatch.device": {"type": "camera", "confidence": 1}})
    policies = Policies({"home": Policy(egress="own country", country="NL")})
    for country, breaks in (("NL", False), ("CN", True)):
        geo = Geo(country_iso_code=country)
        (told,) = enriched([flow], lambda address, geo=geo: (None, geo), policies)  # type: ignore[misc]
        assert told.lenswatch is not None and (told.lenswatch.egress is not None) == breaks


def test_what_could_be_no_hit_is_told_apart_and_nothing_else(rules: RuleSet, observe: See) -> None:
    names = ("www.easy4ipcloud.com", "www.example.org", "dahuatec.xyz", "materialfile.dahuasecurity.com", None)
    datasets = ("lenswatch.tls", "lenswatch.dns", "lenswatch.http", "lenswatch.flow", "lenswatch.broken")
    found = []
    for dataset in datasets:
        for name in names:
            for direction in ("outbound", "inbound", "internal", None):
                change = {"event.dataset": dataset, "destination.domain": name, "network.direction": direction}
                if dataset == "lenswatch.dns":
                    change |= {"destination.domain": None, "dns": {"type": "query"}}
                    change |= {"dns.question": {"name": name, "type": "A"}} if name else {}
                found.append(observe(change))
    kept = list(concerning(found, rules))
    assert all(rules.hits(each) == [] for each in found if each not in kept)
    assert 0 < len([each for each in found if rules.hits(each)]) <= len(kept) < len(found)
