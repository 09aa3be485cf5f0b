"""An observation through the facts and the detections."""

import dataclasses
import datetime
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.observation import Observation, Url
from rules.check import read_example
from rules.detection import read_detection
from rules.fact import AsNumber, Listing
from rules.match import MAX_DATASETS, RuleSet
from rules.sighting import Contact

Observe = Callable[..., Observation]
DNS = {"event.dataset": "lenswatch.dns", "destination": {"ip": "10.0.0.1", "port": 53}, "network.direction": "internal"}


def query(name: str) -> dict[str, Any]:
    return {**DNS, "dns": {"type": "query", "question": {"name": name, "type": "A"}}}


def request(path: str, host: str = "acme.example", **more: Any) -> dict[str, Any]:
    url = {"original": path, "path": path, "domain": host}
    return {"event.dataset": "lenswatch.http", "destination.domain": host, "url": url, **more}


def touched(ruleset: RuleSet, observation: Observation) -> Contact:
    contact = ruleset.contact(observation)
    assert contact is not None
    return contact


def test_a_camera_that_calls_a_cloud_is_an_alert(ruleset: RuleSet, observe: Observe) -> None:
    (alert,) = ruleset.match(observe({"destination.domain": "EU.Acme.example."}))
    assert alert.message == (
        "Camera 10.0.0.11 called eu.acme.example of Acme Camera Co.; "
        "the company is listed under Programme One since 2021-06-03."
    )
    detail = alert.lenswatch
    assert detail.entity is not None
    assert (detail.entity.id, detail.entity.country, detail.entity.listed) == ("acme", "CN", True)
    assert detail.listings is not None
    assert [(basis.programme, basis.citation) for basis in detail.listings] == [("p1", "1 FR 1")]
    assert alert.rule.ruleset == "d" * 64


def test_the_packets_day_says_which_listings_count_unless_another_day_is_asked_for(
    ruleset: RuleSet, observe: Observe
) -> None:
    observation = observe({"destination.domain": "acme.example", "@timestamp": "2021-06-02T23:59:59Z"})

    def listed(on: datetime.date | None) -> bool:
        (alert,) = ruleset.match(observation, on)
        assert alert.lenswatch.entity is not None
        return alert.lenswatch.entity.listed

    assert not listed(None)
    assert listed(datetime.date(2021, 6, 3))
    east = observe({"destination.domain": "acme.example", "@timestamp": "2021-06-03T01:00:00+02:00"})
    (alert,) = ruleset.match(east)
    assert alert.lenswatch.entity is not None
    assert not alert.lenswatch.entity.listed


def test_a_hit_knows_its_finding_before_its_alert_is_made(ruleset: RuleSet, rule: str, observe: Observe) -> None:
    asked = with_rule(
        ruleset, rule.replace("fold: company", "fold: company\n  steps: true").replace("cloud\n", "firmware\n")
    )
    (hit,) = asked.hits(observe(request("/fw/1/x", "up.acme.example")))
    assert (hit.level, hit.activity, hit.step) == ("high", "update_received", "download")
    alert = hit.alert()
    assert (alert.event.id, alert.lenswatch.level, alert.lenswatch.activity) == (hit.id, hit.level, hit.activity)
    assert alert.lenswatch.steps is not None
    (untold,) = with_rule(ruleset, rule.replace("cloud\n", "firmware\n")).hits(
        observe(request("/fw/1/x", "up.acme.example"))
    )
    assert untold.step is None


def test_what_touches_nothing_is_no_alert(ruleset: RuleSet, observe: Observe) -> None:
    for change in ({}, {"destination.domain": "example.net"}, query("example.net"), request("/x", "example.net")):
        assert ruleset.match(observe(change)) == []
        assert ruleset.contact(observe(change)) is None


def test_matching_twice_gives_the_same_alerts(ruleset: RuleSet, observe: Observe) -> None:
    observation = observe({"destination.domain": "acme.example"})
    before = msgspec.json.encode(observation)
    assert ruleset.match(observation) == ruleset.match(observation)
    assert msgspec.json.encode(observation) == before


def test_a_name_counts_before_an_address(ruleset: RuleSet, observe: Observe) -> None:
    named = touched(ruleset, observe({"destination": {"ip": "198.51.100.7", "domain": "log.acme.example"}}))
    assert (named.role, named.name) == ("telemetry", "log.acme.example")
    bare = touched(ruleset, observe({"destination.ip": "198.51.100.7"}))
    assert (bare.role, bare.name, bare.address, bare.endpoint.match) == ("relay", None, "198.51.100.7", "network")
    other = touched(ruleset, observe({"destination": {"ip": "198.51.100.7", "domain": "example.net"}}))
    assert other.role == "relay"


def test_the_question_of_a_look_up_is_the_name(ruleset: RuleSet, observe: Observe) -> None:
    contact = touched(ruleset, observe(query("Log.ACME.example")))
    assert (contact.role, contact.activity, contact.name) == ("telemetry", "name_lookup", "log.acme.example")


@pytest.mark.parametrize("dataset", ["mdns", "llmnr", "nbns"])
def test_what_is_asked_of_the_neighbours_is_nobodys(ruleset: RuleSet, observe: Observe, dataset: str) -> None:
    change = {**query("cloud.acme.example"), "event.dataset": f"lenswatch.{dataset}", "destination.ip": "198.51.100.7"}
    assert ruleset.contact(observe(change)) is None


@pytest.mark.parametrize("name", ["7.100.51.198.in-addr.arpa", "acme.local", "acme.example.local", "", "."])
def test_names_of_addresses_and_local_names_are_nobodys(ruleset: RuleSet, observe: Observe, name: str) -> None:
    assert ruleset.contact(observe(query(name))) is None


def test_an_inbound_call_says_nothing_by_its_name_and_counts_by_who_calls(ruleset: RuleSet, observe: Observe) -> None:
    inbound = {"network.direction": "inbound", "destination": {"ip": "10.0.0.11", "domain": "acme.example"}}
    assert ruleset.contact(observe({**inbound, "source": {"ip": "203.0.113.5"}})) is None
    assert touched(ruleset, observe({**inbound, "source": {"ip": "198.51.100.9"}})).role == "relay"
    asked = {**inbound, "source": {"ip": "203.0.113.5"}, "event.dataset": "lenswatch.http"}
    assert ruleset.contact(observe({**asked, "url": {"original": "/fw/1/x", "path": "/fw/1/x"}})) is None


@pytest.mark.parametrize(
    ("change", "activity", "step"),
    [
        ({"destination.domain": "up.acme.example"}, "update_check", "check"),
        (query("up.acme.example"), "name_lookup", None),
        (
            {"destination.domain": "up.acme.example", "lenswatch.flow": {"state": "attempt", "duration_seconds": 3.0}},
            "name_lookup",
            None,
        ),
        (
            {"destination.domain": "up.acme.example", "lenswatch.flow": {"state": "closed", "duration_seconds": 3.0}},
            "update_check",
            "check",
        ),
        (request("/fw/7/x.bin", "up.acme.example"), "update_received", "download"),
        (request("/other", "up.acme.example"), "update_check", "check"),
        (request("/fw/7/x.bin", "eu.acme.example"), "update_received", "download"),
        (request("/other", "eu.acme.example"), "cloud_relay", None),
        (request("/a/acme.img", "files.example.net"), "update_received", "download"),
        (
            request("/a/acme.img", "files.example.net", **{"network.direction": "external"}),
            "update_received",
            "download",
        ),
        (
            request("/x", "files.example.net", user_agent={"original": "AcmeUp/2"}),
            "update_check",
            "check",
        ),
    ],
)
def test_the_activity_is_no_more_than_what_was_seen(
    ruleset: RuleSet, observe: Observe, change: dict[str, Any], activity: str, step: str | None
) -> None:
    contact = touched(ruleset, observe(change))
    assert (contact.activity, contact.step) == (activity, step)


def test_a_firmware_file_at_a_customers_host_is_the_makers_firmware(ruleset: RuleSet, observe: Observe) -> None:
    contact = touched(ruleset, observe(request("/acme.img", "shop.zone.acme.example")))
    assert (contact.role, contact.endpoint.match, contact.endpoint.pattern) == ("firmware", "file", r"^acme\.img$")
    plain = touched(ruleset, observe(request("/", "shop.zone.acme.example")))
    assert plain.role == "ddns_customer"


def test_a_firmware_file_that_is_handed_round_at_home_is_no_call(ruleset: RuleSet, observe: Observe) -> None:
    change = request("/acme.img", "10.0.0.5", **{"network.direction": "internal", "destination.ip": "10.0.0.5"})
    assert ruleset.contact(observe(change)) is None


def test_background_knowledge_makes_no_alert_by_itself(ruleset: RuleSet, observe: Observe) -> None:
    observation = observe({"destination.domain": "rumour.acme.example"})
    assert touched(ruleset, observation).endpoint.confidence == "background"
    assert ruleset.match(observation) == []


def with_rule(ruleset: RuleSet, rule: str) -> RuleSet:
    detection = read_detection(Path("rule.yml"), rule.encode())
    return RuleSet(ruleset.facts, ruleset.endpoints, [detection], "d")


def test_a_service_gates_on_the_dataset(ruleset: RuleSet, rule: str, observe: Observe) -> None:
    only_dns = with_rule(ruleset, rule.replace("category: contact", "category: contact, service: dns"))
    assert only_dns.match(observe({"destination.domain": "acme.example"})) == []
    assert len(only_dns.match(observe(query("acme.example")))) == 1


def test_a_rule_without_category_is_asked_of_every_observation(ruleset: RuleSet, rule: str, observe: Observe) -> None:
    text = rule.replace(", category: contact", "").replace("lenswatch.role: cloud", "destination.port: 443")
    any_call = with_rule(ruleset, text)
    for name in ("acme.example", "example.net", "acmecan.com", "rumour.acme.example"):
        assert len(any_call.match(observe({"destination.domain": name}))) == 1


def test_a_lookalike_is_asked_only_of_names_that_no_fact_knows(ruleset: RuleSet, rule: str, observe: Observe) -> None:
    text = rule.replace("category: contact", "category: lookalike").replace(
        "lenswatch.role: cloud", "lenswatch.lookalike.resembles: acmecam.com"
    )
    alike = with_rule(ruleset, text)
    (alert,) = alike.match(observe({"destination.domain": "www.acmecan.net"}))
    assert alert.lenswatch.lookalike is not None
    assert (alert.lenswatch.lookalike.name, alert.lenswatch.lookalike.method) == ("acmecan.net", "edit_distance")
    for name in ("www.acmecam.com", "example.net", "bad.acme.example"):
        assert alike.match(observe({"destination.domain": name})) == []


def test_datasets_nobody_knows_do_not_fill_the_memory(ruleset: RuleSet, observe: Observe) -> None:
    for number in range(MAX_DATASETS + 50):
        change = {"event.dataset": f"lenswatch.x{number}", "destination.domain": "acme.example"}
        assert len(ruleset.match(observe(change))) == 1
    assert len(ruleset._plans) <= MAX_DATASETS


NAMES = st.sampled_from(
    ["acme.example", "up.acme.example", "rumour.acme.example", "bad.acme.example", "example.net", "acmecan.com",
     "X.Acme.Example.", "x.local"]
)  # fmt: skip


@given(
    dataset=st.sampled_from(["lenswatch.dns", "lenswatch.tls", "lenswatch.http", "lenswatch.mdns", "lenswatch.flow"]),
    name=st.none() | NAMES,
    direction=st.sampled_from(["inbound", "outbound", "internal", "external"]),
    peer=st.sampled_from(["198.51.100.7", "192.0.2.1"]),
    path=st.none() | st.sampled_from(["/", "/acme.img", "/fw/1/x"]),
    shown=st.sampled_from(["cloud", "firmware", "relay"]),
)
def test_what_concerns_nobody_makes_no_alert(
    ruleset: RuleSet, rule: str, dataset: str, name: str | None, direction: str, peer: str, path: str | None, shown: str
) -> None:
    asked = with_rule(ruleset, rule.replace("lenswatch.role: cloud", f"lenswatch.role: {shown}"))
    other = "destination" if direction != "inbound" else "source"
    change: dict[str, Any] = {
        "event.dataset": dataset,
        "destination.domain": name,
        "network.direction": direction,
        "lenswatch.device": {"type": "camera", "confidence": 1.0},
        f"{other}.ip": peer,
        "url": {"original": path, "path": path} if path else None,
    }
    observation = read_example({}, change)
    if not asked.concerns(dataset, name, direction, lambda: peer, observation.url, None):
        assert asked.match(observation) == []
    for _ in range(2):
        assert asked.concerns_call(dataset, name, direction, peer) == asked.concerns(
            dataset, name, direction, lambda: peer
        )


def test_of_the_names_that_concern_somebody_or_nobody_a_bounded_number_is_remembered(
    ruleset: RuleSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rules.match.MAX_NAMES", 3)
    ruleset._concerned.clear()
    names = ["acme.example", "example.net", f"{'x' * 300}.acme.example", None, "www.acme.example", "example.org"]
    for name in names * 2:
        known = ruleset.concerns_call("lenswatch.tls", name, "outbound", "192.0.2.1")
        assert known == ruleset.concerns("lenswatch.tls", name, "outbound", lambda: "192.0.2.1")
        assert len(ruleset._concerned) <= 3 and not any(len(each or "") > 255 for _, each, *_ in ruleset._concerned)
    assert ruleset._concerned


def test_what_could_make_an_alert_concerns_somebody(ruleset: RuleSet) -> None:
    def concerns(name: str | None, peer: str = "192.0.2.1") -> bool:
        return ruleset.concerns("lenswatch.tls", name, "outbound", lambda: peer)

    assert concerns("X.Acme.example.")
    assert concerns(None, "198.51.100.7")
    assert not concerns("example.net")
    assert not concerns(None)
    assert not ruleset.concerns("lenswatch.mdns", "acme.example", "internal", lambda: "224.0.0.251")


@pytest.mark.parametrize("dataset", ["dns", "tls", "http"])
@pytest.mark.parametrize("below", ["", "a.", "x.y."])
@pytest.mark.parametrize(
    "zone", ["acme.example", "acmecan.com", "example.net", "b.local", "168.in-addr.arpa", "co.uk", "x"]
)
def test_what_is_unclaimed_concerns_whom_it_would_without_a_name(
    ruleset: RuleSet, dataset: str, below: str, zone: str
) -> None:
    name, whole = below + zone, f"lenswatch.{dataset}"
    if not ruleset.is_unclaimed(name):
        assert zone in ("acme.example", "acmecan.com", "co.uk")
        return
    for peer in ("192.0.2.1", "198.51.100.7"):
        answers = {ruleset.concerns(whole, each, "outbound", lambda peer=peer: peer) for each in (name, None)}  # type: ignore[misc]
        assert len(answers) == 1


@pytest.mark.parametrize("path", ["/", "/a", "/a/acme.img", "/acme.img/", "/xacme.img", "/a/ACME.img", ""])
@pytest.mark.parametrize("agent", [None, "updater/1", "x"])
def test_a_path_that_is_unclaimed_concerns_whom_the_root_would(ruleset: RuleSet, path: str, agent: str | None) -> None:
    def concerns(path: str) -> bool:
        url = Url(original=path, path=path)
        return ruleset.concerns("lenswatch.http", None, "outbound", lambda: "192.0.2.1", url, agent)

    (is_unclaimed,) = ruleset.are_unclaimed_paths([path])
    assert is_unclaimed == (path != "/a/acme.img")
    assert concerns(path) == (concerns("/") if is_unclaimed else True)


def test_a_name_is_looked_up_with_all_that_is_known(ruleset: RuleSet) -> None:
    found = ruleset.lookup(" EU.acme.example. ")
    assert (found.kind, found.normalised) == ("name", "eu.acme.example")
    assert found.match is not None
    assert found.match.pattern == "acme.example"
    assert found.entity is not None
    assert found.entity.name == "Acme Camera Co."
    assert [basis.programme for basis in found.listings] == ["p1"]
    assert ruleset.lookup("eu.acme.example", datetime.date(2020, 1, 1)).listings == ()


def test_a_name_that_nobody_knows_is_looked_up_as_such(ruleset: RuleSet) -> None:
    found = ruleset.lookup("example.net")
    assert (found.kind, found.match, found.entity, found.lookalike, found.not_endpoint) == (
        "name",
        None,
        None,
        None,
        None,
    )
    alike = ruleset.lookup("acmecan.com").lookalike
    assert alike is not None
    assert alike.resembles == "acmecam.com"


def test_a_rejected_name_is_looked_up_with_its_reason(ruleset: RuleSet) -> None:
    found = ruleset.lookup("bad.acme.example")
    assert (found.match, found.not_endpoint) == (None, "looks like acme: a guess")


@pytest.mark.parametrize(("text", "role"), [("198.51.100.7", "relay"), ("203.0.113.1", None), ("2001:db8::1", None)])
def test_an_address_is_looked_up_among_the_networks(ruleset: RuleSet, text: str, role: str | None) -> None:
    found = ruleset.lookup(text)
    assert (found.kind, found.match.role if found.match else None) == ("address", role)
    assert (found.entity is not None) == (role is not None)


def test_an_as_number_is_looked_up(ruleset: RuleSet) -> None:
    number = AsNumber(
        number=64500, organization="ACME-AS", operator="Acme", sources=("s",), confidence="high", entity="acme"
    )
    facts = dataclasses.replace(ruleset.facts, as_numbers={64500: number})
    known = RuleSet(facts, ruleset.endpoints, ruleset.detections, "d")
    for text in ("AS64500", "as64500", "64500"):
        found = known.lookup(text)
        assert (found.kind, found.normalised, found.as_number) == ("as", "AS64500", number)
        assert found.entity is not None
    assert known.lookup("AS64501").as_number is None


def test_a_lookup_survives_json(ruleset: RuleSet) -> None:
    assert b'"normalised":"acme.example"' in msgspec.json.encode(ruleset.lookup("acme.example"))


def test_a_company_without_a_file_is_matched_all_the_same(ruleset: RuleSet, observe: Observe) -> None:
    facts = dataclasses.replace(ruleset.facts, entities={})
    alone = RuleSet(facts, ruleset.endpoints, ruleset.detections, "d")
    (alert,) = alone.match(observe({"destination.domain": "acme.example"}))
    assert alert.lenswatch.entity is not None
    assert (alert.lenswatch.entity.name, alert.lenswatch.entity.listed, alert.lenswatch.listings) == (
        "acme",
        False,
        None,
    )


@pytest.mark.parametrize("number", [4134, 4837, 9808, 45090], ids=["telecom", "unicom", "mobile", "tencent"])
def test_the_network_of_a_listed_company_is_no_alert_by_itself(shipped: RuleSet, observe: Observe, number: int) -> None:
    assert shipped.facts.as_numbers[number].entity in shipped.facts.entities
    for change in (
        {"destination.domain": "cameras.example.org"},
        {"destination": {"ip": "203.0.113.9", "port": 443}},
        {"event.dataset": "lenswatch.flow", "destination": {"ip": "203.0.113.9", "port": 443}},
    ):
        elsewhere = [(each.rule.id, each.lenswatch.outcome) for each in shipped.match(observe(change))]
        within = shipped.match(observe(change | {"destination.as": {"number": number}}))
        assert [(each.rule.id, each.lenswatch.outcome) for each in within] == elsewhere
        assert all(each.lenswatch.entity is None and not each.lenswatch.verdicts for each in within)


def test_listings_that_ended_do_not_count(ruleset: RuleSet, observe: Observe) -> None:
    ended = Listing(
        programme="p1", status="listed", citation="c", sources=("s",), confidence="high",
        until=datetime.date(2026, 11, 1),
    )  # fmt: skip
    entity = msgspec.structs.replace(ruleset.facts.entities["acme"], listings=(ended,))
    facts = dataclasses.replace(ruleset.facts, entities={"acme": entity})
    (alert,) = RuleSet(facts, ruleset.endpoints, ruleset.detections, "d").match(
        observe({"destination.domain": "acme.example"})
    )
    assert alert.lenswatch.entity is not None
    assert not alert.lenswatch.entity.listed


def test_a_prepared_ruleset_answers_as_one_that_is_not(ruleset: RuleSet) -> None:
    before = ruleset.lookup("acme-cameras.example")
    ruleset.prepare()
    assert ruleset.lookup("acme-cameras.example") == before


def test_what_touches_a_known_endpoint_is_asked_apart_from_what_a_detection_may_want(shipped: RuleSet) -> None:
    def touches(name: str | None) -> bool:
        return shipped.touches("lenswatch.flow", name, "outbound", lambda: "192.0.2.7")

    assert touches("www.easy4ipcloud.com") and touches("dahuatec.xyz")
    assert not touches("www.example.org") and not touches(None)
    assert shipped.concerns("lenswatch.flow", "www.example.org", "outbound", lambda: "192.0.2.7"), "a detection asks"
