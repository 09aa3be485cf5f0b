"""What travels: every fact that is wanted, once, in one order, and nothing that is a customer's or nobody's."""

import dataclasses
import datetime

import msgspec

from rules.fact import BulkList, EndpointFile, EndpointName
from rules.factbook import Facts
from rules.indicator import Except, Wanted, gather
from rules.match import RuleSet

DAY = datetime.date(2026, 11, 25)


def by_value(facts: Facts, **wanted: object) -> dict[str, str]:
    return {each.value: each.kind for each in gather(facts, DAY, Wanted(**wanted))}  # type: ignore[arg-type]


def test_every_kind_of_fact_travels(facts: Facts) -> None:
    found = by_value(facts)
    assert found["acme.example"] == "zone" and found["log.acme.example"] == "name"
    assert found["198.51.100.0/24"] == "network" and found[r"^/fw/\d+/"] == "path"
    assert found[r"^acme\.img$"] == "file" and found["^AcmeUp/"] == "useragent"
    assert found[r"^api(-[a-z]{2})?\.acme\.example$"] == "pattern"


def test_background_knowledge_does_not_travel_unless_asked_for(facts: Facts) -> None:
    assert "rumour.acme.example" not in by_value(facts)
    assert "rumour.acme.example" in by_value(facts, min_confidence="background")
    assert "other.example" in by_value(facts) and "other.example" not in by_value(facts, min_confidence="medium")


def test_the_hosts_of_a_dynamic_dns_zone_are_customers_and_do_not_travel(facts: Facts) -> None:
    found = {each.value: each for each in gather(facts, DAY, Wanted())}
    assert found["zone.acme.example"].kind == found["www.zone.acme.example"].kind == "name"
    assert Except("zone.acme.example", True) in found["acme.example"].excluded


def test_a_zone_excepts_what_is_rejected_and_what_is_not_wanted_below_it(facts: Facts) -> None:
    [zone] = [each for each in gather(facts, DAY, Wanted(frozenset({"cloud"}))) if each.value == "acme.example"]
    assert {hole.name: hole.below for hole in zone.excluded} == {
        "bad.acme.example": True, "log.acme.example": False, "zone.acme.example": True, "up.acme.example": False,
        "rumour.acme.example": False, "www.zone.acme.example": False,
    }  # fmt: skip


def test_a_rejected_name_does_not_travel_though_an_endpoint_says_it(facts: Facts) -> None:
    guess = EndpointName(name="x.bad.acme.example", match="exact", role="cloud", confidence="high", sources=("paper",))
    file = msgspec.structs.replace(facts.endpoints["acme"], endpoint=(*facts.endpoints["acme"].endpoint, guess))
    assert "x.bad.acme.example" not in by_value(dataclasses.replace(facts, endpoints={"acme": file}))


def test_roles_and_programmes_choose(facts: Facts) -> None:
    assert set(by_value(facts, roles=frozenset({"telemetry"}))) == {"log.acme.example"}
    assert "other.example" not in by_value(facts, programmes=frozenset({"p1"}))
    assert by_value(facts, programmes=frozenset({"p2"})) == {}


def test_a_programme_counts_on_the_days_it_lists_the_company(facts: Facts) -> None:
    wanted = Wanted(programmes=frozenset({"p1"}))
    assert gather(facts, datetime.date(2021, 6, 2), wanted) == ()
    found = gather(facts, datetime.date(2021, 6, 3), wanted)
    assert found[0].citations == "p1 since 2021-06-03: 1 FR 1" and found[0].programmes == ("p1",)


def test_a_long_list_travels_line_by_line(facts: Facts) -> None:
    bulk = BulkList(file="x.txt", role="cloud", confidence="low", sources=("paper",))
    lines = ["a.long.example # why", "", "# nothing", "192.0.2.0/28", "Acme.example"]
    found = {each.value: each for each in gather(facts, DAY, Wanted(), [("other", bulk, lines)])}
    assert found["a.long.example"].kind == "zone" and found["192.0.2.0/28"].kind == "network"
    assert found["acme.example"].entity == "acme", "a fact of its own says more than a list's line"


def test_the_same_fact_has_the_same_id_in_every_pack(facts: Facts) -> None:
    whole = {each.value: each.id for each in gather(facts, DAY, Wanted())}
    part = {each.value: each.id for each in gather(facts, DAY, Wanted(frozenset({"telemetry"})))}
    assert part["log.acme.example"] == whole["log.acme.example"]


def test_the_order_does_not_hang_on_the_files_order(facts: Facts) -> None:
    turned = {
        entity: EndpointFile(entity=entity, endpoint=file.endpoint[::-1], firmware=file.firmware, network=file.network)
        for entity, file in reversed(facts.endpoints.items())
    }
    assert gather(facts, DAY, Wanted()) == gather(dataclasses.replace(facts, endpoints=turned), DAY, Wanted())


def test_every_shipped_indicator_has_an_id_of_its_own(shipped: RuleSet) -> None:
    found = gather(shipped.facts, DAY, Wanted(min_confidence="background"))
    assert len({each.id for each in found}) == len(found) > 250
