"""Rules that travel in messages answer as those that stayed, and what did not change is not compiled again."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from collector.observation import Observation
from rules.check import run_cases
from rules.load import load_rules
from rules.match import RuleSet
from rules.transfer import Assembly, dismantle
from tests.rules.own import RULE

LISTS = """entity = "hikvision"
[[list]]
file = "suffix.txt"
role = "cloud"
confidence = "low"
match = "suffix"
sources = ["own"]
[[list]]
file = "exact.txt"
role = "push"
confidence = "low"
match = "exact"
sources = ["own"]
"""
NETWORKS = ["198.51.100.0/24", "198.51.100.7", "2001:db8:7::/48", "2001:db8::1"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a detection and two lists more."""
    folder = tmp_path_factory.mktemp("own")
    places = folder / "facts" / "endpoints"
    places.mkdir(parents=True)
    (folder / "detections").mkdir()
    (folder / "detections" / "own.yml").write_text(RULE, "utf-8")
    (folder / "facts" / "sources.toml").write_text('[sources.own]\ntitle = "Own"\nkind = "registry"\n', "utf-8")
    (places / "hikvision.toml").write_text(LISTS, "utf-8")
    names = [f"host{number}.z{number % 50}.example" for number in range(400)]
    (places / "suffix.txt").write_text("\n".join([*names, "z7.example", *NETWORKS]), "utf-8")
    (places / "exact.txt").write_text("\n".join(["z8.example", "host3.z3.example", "a.b.c.z9.example"]), "utf-8")
    return folder


@pytest.fixture(scope="module")
def whole(folder: Path) -> RuleSet:
    return load_rules([folder])


def put_together(rules: RuleSet, old: RuleSet, most: int) -> RuleSet:
    assembly = Assembly(old)
    *early, last = dismantle(rules, most)
    assert all(assembly.take(message) is None for message in early)
    found = assembly.take(last)
    assert found is not None
    return found


@pytest.mark.parametrize("most", [1, 7, 4_096])
def test_every_name_and_address_gets_the_answer_that_it_had(whole: RuleSet, shipped: RuleSet, most: int) -> None:
    found = put_together(whole, shipped, most)
    dice = random.Random(most)
    names = [f"host{dice.randrange(500)}.z{dice.randrange(60)}.example" for _ in range(500)]
    names += [f"x.{name}" for name in names] + [f"z{number}.example" for number in range(60)]
    names += [fact.name for file in whole.facts.endpoints.values() for fact in file.endpoint if fact.match != "regex"]
    names += [f"www.{name}" for name in names] + ["a.b.c.z9.example", "b.c.z9.example", "dahuatec.xyz", "nobody.test"]
    for name in names:
        assert found.endpoints.match_name(name) == whole.endpoints.match_name(name)
        assert found.endpoints.rejection(name) == whole.endpoints.rejection(name)
        assert found.endpoints.knows_zone(name) == whole.endpoints.knows_zone(name)
    for address in ("198.51.100.7", "198.51.100.8", "198.51.101.1", "2001:db8:7::9", "2001:db8::1", "2001:db8::2"):
        assert found.endpoints.match_address(address) == whole.endpoints.match_address(address)
    assert found.endpoints.size == whole.endpoints.size and found.digest == whole.digest


def test_every_case_of_every_detection_goes_as_it_went(whole: RuleSet, shipped: RuleSet) -> None:
    found = put_together(whole, shipped, 500)
    results = run_cases(found)
    assert len(results) == len(run_cases(whole)) and all(result.passed for result in results)


def test_the_same_observation_makes_the_same_alert(
    whole: RuleSet, shipped: RuleSet, observe: Callable[..., Observation]
) -> None:
    found = put_together(whole, shipped, 500)
    seen = observe({"destination.domain": "host5.z5.example"})
    (one, *_), (other, *_) = whole.match(seen), found.match(seen)
    assert one == other


def test_a_detection_that_did_not_change_is_not_compiled_again(whole: RuleSet, shipped: RuleSet) -> None:
    found = put_together(whole, shipped, 500)
    old = {each.id: each for each in shipped.detections}
    fresh = [each for each in found.detections if each.id not in old]
    assert [each.title for each in fresh] == ["Camera called a test name"]
    assert all(each.fires is old[each.id].fires for each in found.detections if each.id in old)


def test_rules_that_were_put_together_can_travel_on(whole: RuleSet, shipped: RuleSet) -> None:
    found = put_together(put_together(whole, shipped, 300), shipped, 200)
    assert found.endpoints.match_name("host9.z9.example") == whole.endpoints.match_name("host9.z9.example")
