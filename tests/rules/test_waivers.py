"""Exceptions: what they cover, when they end, and which are refused."""

import datetime
from pathlib import Path

import pytest

from rules.errors import RuleErrors
from rules.fact import ROLES
from rules.factbook import Facts
from rules.waivers import NO_WAIVERS, Waivers, faults, read_waivers

DAY = datetime.date(2026, 11, 2)
TEXT = """
[[waiver]]
id = "w-1"
ground = "FAR 4.2104 waiver, phase-out until spring"
approver = "J. Doe, agency head"
reference = "letter 2026-114"
from = 2026-01-01
until = 2026-11-20
companies = ["acme"]
roles = ["time"]
sites = ["hq"]
devices = ["hq/00:11"]
"""


def read(tmp_path: Path, facts: Facts, text: str) -> Waivers:
    path = tmp_path / "waivers.toml"
    path.write_text(text)
    return read_waivers([path], facts)


def covers(waivers: Waivers, day: datetime.date = DAY, **other: str) -> bool:
    given = {"company": "acme", "role": "time", "device": "hq/00:11", "site": "hq"} | other
    return bool(waivers.covering(day, given["company"], given["role"], [given["device"]], given["site"]))


def test_a_waiver_covers_what_all_of_its_scope_fits(tmp_path: Path, facts: Facts) -> None:
    waivers = read(tmp_path, facts, TEXT)
    assert covers(waivers)
    for other in ({"company": "other"}, {"role": "cloud"}, {"device": "hq/00:12"}, {"site": "lab"}):
        assert not covers(waivers, **other), other


def test_it_covers_its_first_and_its_last_day_and_no_other(tmp_path: Path, facts: Facts) -> None:
    waivers = read(tmp_path, facts, TEXT)
    days = ("2025-12-31", "2026-01-01", "2026-11-20", "2026-11-21")
    assert [covers(waivers, datetime.date.fromisoformat(day)) for day in days] == [False, True, True, False]


def test_one_that_ends_within_30_days_is_named(tmp_path: Path, facts: Facts) -> None:
    waivers = read(tmp_path, facts, TEXT)
    assert [each.id for each in waivers.ending(datetime.date(2026, 10, 21))] == ["w-1"]
    assert waivers.ending(datetime.date(2026, 10, 20)) == []
    assert waivers.ending(datetime.date(2026, 11, 21)) == []
    assert waivers.all[0].days_left(DAY) == 18


@pytest.mark.parametrize(
    ("old", "new", "place", "word"),
    [
        ('ground = "FAR 4.2104 waiver, phase-out until spring"', 'ground = " "', "ground", "is empty"),
        ("until = 2026-11-20", "until = 2025-11-20", "until", "is before from"),
        ('companies = ["acme"]', 'companies = ["akme"]', "companies", "'akme'"),
        ('roles = ["time"]', 'roles = ["tyme"]', "roles", "'tyme'"),
        ('sites = ["hq"]', 'sites = ["*"]', "waiver[0]", "stands for nothing"),
        ('sites = ["hq"]', 'site = ["hq"]', "waiver[0]", "unknown field `site`"),
        ("until = 2026-11-20", "", "waiver[0]", "missing required field `until`"),
        ('approver = "J. Doe, agency head"', "", "waiver[0]", "missing required field `approver`"),
        ("until = 2026-11-20", 'until = "soon"', "waiver[0]", "date"),
    ],
)
def test_a_wrong_waiver_is_refused_with_file_and_key(
    tmp_path: Path, facts: Facts, old: str, new: str, place: str, word: str
) -> None:
    with pytest.raises(RuleErrors) as refused:
        read(tmp_path, facts, TEXT.replace(old, new))
    assert "waivers.toml" in str(refused.value) and place in str(refused.value) and word in str(refused.value)


@pytest.mark.parametrize(
    "scope",
    [
        "",
        'sites = ["hq"]',
        f"roles = {list(ROLES)}".replace("'", '"'),
        'companies = ["acme", "other"]',
        'programmes = ["p1"]\ncompanies = ["acme", "other"]',
    ],
)
def test_one_that_would_swallow_everything_is_refused(tmp_path: Path, facts: Facts, scope: str) -> None:
    text = TEXT[: TEXT.index("companies")] + scope
    with pytest.raises(RuleErrors, match="swallow every alert"):
        read(tmp_path, facts, text)


def test_all_of_which_an_alert_can_come_to_be_is_everything(tmp_path: Path, shipped_facts: Facts) -> None:
    concerned = {programme for profile in shipped_facts.profiles.values() for programme in profile.programmes}
    head = TEXT[: TEXT.index("companies")]
    for key, ids, all_there_are in (
        ("companies", sorted(shipped_facts.endpoints), shipped_facts.entities),
        ("programmes", sorted(concerned), shipped_facts.programmes),
    ):
        assert set(ids) < set(all_there_are)
        with pytest.raises(RuleErrors, match=rf"waiver\[0\]\.{key}: .*would swallow every alert"):
            read(tmp_path, shipped_facts, f"{head}{key} = {ids}")
        assert read(tmp_path, shipped_facts, f"{head}{key} = {ids[1:]}")


def test_ids_are_once_and_all_faults_are_told_at_once(tmp_path: Path, facts: Facts) -> None:
    with pytest.raises(RuleErrors) as refused:
        read(tmp_path, facts, TEXT + TEXT.replace('"acme"', '"akme"'))
    assert len(refused.value.errors) == 2


@pytest.mark.parametrize("text", ["", "x = 1", "[waiver]\nid = 'x'", "waiver = 1", "[[waiver"])
def test_a_file_without_waivers_is_refused(tmp_path: Path, facts: Facts, text: str) -> None:
    with pytest.raises(RuleErrors, match=r"waivers\.toml"):
        read(tmp_path, facts, text)


def test_a_file_that_is_not_there_is_named(tmp_path: Path, facts: Facts) -> None:
    with pytest.raises(RuleErrors, match="nowhere"):
        read_waivers([tmp_path / "nowhere.toml"], facts)


def test_a_scenario_ends_waivers_the_day_before(tmp_path: Path, facts: Facts) -> None:
    waivers = read(tmp_path, facts, TEXT)
    for ids in (["w-1"], ["*"]):
        ended = waivers.ended(ids, DAY)
        assert (covers(ended, DAY - datetime.timedelta(days=1)), covers(ended)) == (True, False)
    assert covers(waivers.ended(["w-2"], DAY))


def test_a_sound_waiver_has_no_fault_and_tells_its_scope(tmp_path: Path, facts: Facts) -> None:
    (waiver,) = read(tmp_path, facts, TEXT).all
    assert faults(waiver, facts) == []
    assert waiver.scope() == "companies: acme; roles: time; devices: hq/00:11; sites: hq"
    assert not NO_WAIVERS
