"""What changed between two sets of facts."""

import dataclasses

import msgspec

from rules.fact import EndpointFile
from rules.factbook import Facts
from rules.factdiff import changes


def test_nothing_changed_between_the_same_facts(facts: Facts) -> None:
    assert changes(facts, facts) == []


def test_a_listing_that_came_went_or_moved_is_told_with_its_company(facts: Facts) -> None:
    acme = facts.entities["acme"]
    moved = msgspec.structs.replace(acme.listings[0], citation="2 FR 2")
    [change] = changes(facts, replaced(facts, acme, listings=(moved, acme.listings[1])))
    assert change[:5] == ("acme", "Acme Camera Co.", True, "listing", "changed")
    assert change.key == "p1" and change.text == "citation: 1 FR 1 → 2 FR 2"
    gone = replaced(facts, acme, listings=acme.listings[1:])
    assert [(each.how, each.text) for each in changes(facts, gone)] == [("removed", "listed since 2021-06-03, 1 FR 1")]
    assert [each.how for each in changes(gone, facts)] == ["added"]


def replaced(facts: Facts, entity: object, **fields: object) -> Facts:
    changed = msgspec.structs.replace(entity, **fields)  # type: ignore[type-var]
    return dataclasses.replace(facts, entities=facts.entities | {"acme": changed})  # type: ignore[dict-item]


def test_names_networks_and_patterns_are_told(facts: Facts) -> None:
    without = dataclasses.replace(
        facts, endpoints={"acme": EndpointFile(entity="acme"), "other": facts.endpoints["other"]}
    )
    told = {(each.what, each.how) for each in changes(facts, without)}
    assert told == {("name", "removed"), ("network", "removed"), ("firmware", "removed")}
    assert {each.how for each in changes(without, facts)} == {"added"}


def test_a_programme_says_that_its_list_was_read_again(facts: Facts) -> None:
    from rules.fact import ListRead

    read = msgspec.structs.replace(facts.programmes["p1"], list_read=ListRead(as_of="2026-11-20", sources=("paper",)))
    [change] = changes(facts, dataclasses.replace(facts, programmes={"p1": read}))
    assert change.text == "list read: never → 2026-11-20" and not change.maker


def test_companies_whose_devices_can_be_seen_come_first(facts: Facts) -> None:
    acme = facts.entities["acme"]
    bare = msgspec.structs.replace(acme, id="aaa", name="Aaa")
    both = dataclasses.replace(
        replaced(facts, acme, listings=()),
        entities=facts.entities | {"aaa": bare, "acme": msgspec.structs.replace(acme, listings=())},
    )
    assert [each.entity for each in changes(facts, both)][:1] == ["acme"]
