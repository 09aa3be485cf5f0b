"""Programme × activity × profile, on a day: the committed matrix, and the words and ways beside it."""

import dataclasses
import datetime
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from rules.alert import Verdict
from rules.fact import OUTCOMES
from rules.factbook import SHIPPED, Facts, read_facts
from rules.knowledge import known_at
from rules.scenario import assume
from rules.verdict import (
    EVIDENCE_ONLY,
    LISTED,
    MADE_ACTIVITIES,
    TOLD,
    UNREACHED,
    Judge,
    Question,
    duties_of,
    rank,
    short_name,
    strongest,
    telling_first,
)

MATRIX: dict[str, Any] = tomllib.loads((Path(__file__).parent / "verdicts.toml").read_text("utf-8"))
DAY = datetime.date(2026, 11, 2)
COLUMNS = (
    "device_present", "name_lookup", "update_check", "update_received", "cloud_relay", "media_relay",
    "telemetry_upload", "paid_service", "new_device",
)  # fmt: skip
CODES = {
    "P": "prohibited", "L": "licence_required", "R": "reportable", "?": "review", "c": "context_only",
    ".": "not_restricted", "-": "checked_not_listed",
}  # fmt: skip
MAKERS = ("hikvision", "dahua", "uniview", "tiandy", "xiongmai")


@pytest.fixture(scope="module")
def facts() -> Facts:
    return read_facts([SHIPPED])


@pytest.fixture(scope="module")
def judge(facts: Facts) -> Judge:
    return Judge(facts)


def one(judge: Judge, company: str, programme: str, activity: str, profile: str | None = None, **more: Any) -> Verdict:
    relation = "made" if activity in MADE_ACTIVITIES else "operates"
    given: dict[str, Any] = {"day": DAY, "relation": relation} | more
    return judge.judge(Question(company, activity, **given), programme, profile)


def rows_of(table: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Company and codes; "others" are the camera makers that no row names."""
    named = {company for key in table for company in key.split()}
    for key, codes in table.items():
        for company in [each for each in MAKERS if each not in named] if key == "others" else key.split():
            yield company, codes


def cells_of(table: dict[str, str]) -> Iterator[tuple[str, str, str]]:
    for company, codes in rows_of(table):
        cells = codes.split()
        assert len(cells) == len(COLUMNS), (company, codes)
        yield from ((company, activity, CODES[cell]) for activity, cell in zip(COLUMNS, cells, strict=True))


def profile_rows() -> list[tuple[str, str]]:
    return [(who, programme) for who, tables in MATRIX["profiles"].items() for programme in tables]


@pytest.mark.parametrize(("who", "programme"), profile_rows())
def test_each_cell_of_the_matrix_is_what_the_engine_says(judge: Judge, who: str, programme: str) -> None:
    profile, *use = who.split()
    for company, activity, outcome in cells_of(MATRIX["profiles"][who][programme]):
        said = one(judge, company, programme, activity, profile, use_class=use[0] if use else None)
        assert said.outcome == outcome, (company, activity, said.says)


def test_the_matrix_covers_every_profile_with_every_programme_and_camera_maker(facts: Facts) -> None:
    covered = {who.split()[0]: set(tables) for who, tables in MATRIX["profiles"].items() if " " not in who}
    assert covered.keys() == facts.profiles.keys()
    seen_elsewhere = {programme for tables in covered.values() for programme in tables}
    for id, profile in facts.profiles.items():
        assert covered[id] <= set(profile.programmes), id
        assert profile.programmes[0] in covered[id], id
        assert set(profile.programmes) <= seen_elsewhere, id
    for tables in MATRIX["profiles"].values():
        for programme, table in tables.items():
            assert set(MAKERS) <= {company for company, _ in rows_of(table)}, programme
    assert sum(len(list(cells_of(table))) for tables in MATRIX["profiles"].values() for table in tables.values()) > 1000


@pytest.mark.parametrize("who", MATRIX["scenarios"])
def test_a_scenario_changes_what_it_says_and_nothing_else(facts: Facts, who: str) -> None:
    scenario, *other = who.split()
    programme = other[0] if other else "US-OFAC-SDN"
    judge = Judge(assume(facts, facts.scenarios[scenario], DAY))
    before = Judge(assume(facts, facts.scenarios[scenario], DAY + datetime.timedelta(days=1)))
    for company, activity, outcome in cells_of(MATRIX["scenarios"][who]):
        said = one(judge, company, programme, activity, "us-private")
        assert said.outcome == outcome, (company, activity, said.says)
        unchanged = one(Judge(facts), company, programme, activity, "us-private")
        assert one(before, company, programme, activity, "us-private").outcome == unchanged.outcome


@pytest.mark.parametrize("relation", MATRIX["relations"])
def test_a_host_and_a_carrier_are_context_where_the_programme_says_so(judge: Judge, relation: str) -> None:
    for programme, cells in MATRIX["relations"][relation].items():
        profile = "us-dod-contractor" if programme == "US-DOD-1260H" else "us-federal-contractor"
        for company, code in cells.items():
            said = one(judge, company, programme, "cloud_relay", profile, relation=relation)
            assert said.outcome == CODES[code], (programme, company, said.says)


@pytest.mark.parametrize("company", MATRIX["listed"])
def test_each_company_is_listed_from_its_day_and_not_the_day_before(judge: Judge, company: str) -> None:
    for programme, text in MATRIX["listed"][company].items():
        place = judge.position(company, programme, DAY)
        if not text:
            assert place.basis in (*UNREACHED, "unknown", "unconfirmed"), (programme, place)
            continue
        day, *basis = text.split()
        since = datetime.date.fromisoformat(day)
        assert (place.basis, place.since) == (basis[0] if basis else "named", since), programme
        assert judge.position(company, programme, since).basis == place.basis, programme
        eve = judge.position(company, programme, since - datetime.timedelta(days=1))
        assert eve.basis == "not_found" or basis, (programme, eve)


def dated_cells(key: str) -> list[tuple[str, str, str]]:
    return [(each["who"], str(day), code) for each in MATRIX[key] for day, code in each["answers"].items()]


@pytest.mark.parametrize(("who", "day", "code"), dated_cells("days"))
def test_the_law_of_the_day_counts(judge: Judge, who: str, day: str, code: str) -> None:
    profile, company, programme, activity = who.split()
    said = one(judge, company, programme, activity, profile, day=datetime.date.fromisoformat(day))
    assert said.outcome == CODES[code], said.says


@pytest.mark.parametrize(("who", "known", "code"), dated_cells("known"))
def test_what_was_published_later_was_not_known(facts: Facts, who: str, known: str, code: str) -> None:
    profile, company, programme, activity, day = who.split()
    then = Judge(known_at(facts, datetime.date.fromisoformat(known)))
    said = one(then, company, programme, activity, profile, day=datetime.date.fromisoformat(day))
    assert said.outcome == CODES[code], said.says


def test_outcome_and_duty_of_a_find_stand_side_by_side(judge: Judge) -> None:
    found = judge.verdicts(Question("hikvision", "device_present", DAY, ("us-federal-contractor",), None, "made"))
    assert strongest(found) == "prohibited"
    assert "within one business day" in duties_of(found)[0]
    assert [verdict.programme for verdict in found] == list(judge.facts.profiles["us-federal-contractor"].programmes)


def test_every_verdict_has_citation_sentence_and_sources_that_exist(facts: Facts, judge: Judge) -> None:
    for company in facts.entities:
        for programme in facts.programmes:
            for activity in (*COLUMNS, *EVIDENCE_ONLY):
                for profile in (None, *facts.profiles):
                    said = one(judge, company, programme, activity, profile)
                    assert said.outcome in OUTCOMES and said.citation and said.says.strip().endswith("."), said
                    assert said.sources and set(said.sources) <= facts.sources.keys(), said
                    assert "{" not in said.says, said
                    assert said.outcome != "checked_not_listed" or (said.list_as_of or "?") in said.says, said


def test_a_time_server_and_a_name_server_are_the_evidence_that_a_look_up_is(facts: Facts, judge: Judge) -> None:
    for company in facts.entities:
        for programme in facts.programmes:
            for profile in (None, *facts.profiles):
                said = {
                    (each.outcome, each.says)
                    for activity in EVIDENCE_ONLY
                    for each in [one(judge, company, programme, activity, profile)]
                }
                ((outcome, words),) = said
                assert outcome in ("context_only", "checked_not_listed"), (company, programme, words)


def test_checked_and_not_listed_says_the_lists_date(judge: Judge) -> None:
    said = one(judge, "uniview", "US-DOD-1260H", "device_present", "us-dod-contractor")
    assert (said.outcome, said.list_as_of) == ("checked_not_listed", "2026-06-08") and "2026-06-08" in said.says


def test_on_a_day_before_its_listing_a_company_is_not_listed_and_it_says_since_when_it_is(judge: Judge) -> None:
    said = one(judge, "dahua", "US-DOD-1260H", "device_present", "us-dod-contractor", day=datetime.date(2022, 1, 1))
    assert said.says == "Dahua is not listed on that day. It is since 2022-10-05."
    said = one(judge, "megvii", "US-DOD-1260H", "device_present", "us-dod-contractor")
    assert said.says == "Megvii is not listed on that day (list of 2026-06-08). It was listed until 2025-01-07."


def test_what_nobody_checked_is_not_called_clear(judge: Judge) -> None:
    said = one(judge, "reolink", "US-OFAC-SDN", "device_present", "us-private")
    assert (said.outcome, said.basis) == ("context_only", "not_checked") and "no all-clear" in said.says


def test_without_a_profile_the_picture_says_on_whom_it_depends(judge: Judge) -> None:
    said = one(judge, "hikvision", "US-MCCAIN-889", "device_present")
    assert said.outcome == "review"
    assert "prohibited for us-federal-contractor, us-dod-contractor" in said.says
    assert said.profile is None


def test_without_a_profile_what_holds_for_everybody_is_said_as_it_is(judge: Judge) -> None:
    assert one(judge, "hikvision", "US-NS-CMIC", "device_present").outcome == "not_restricted"
    told = judge.verdicts(Question("hikvision", "device_present", DAY))
    assert {judge.position("hikvision", each.programme, DAY).basis for each in told} <= TOLD < LISTED


def test_a_doubt_is_told_without_a_profile_too(judge: Judge) -> None:
    said = one(judge, "hikvision", "US-TX-PROHIBITED", "device_present")
    assert said.outcome == "review" and "generally known; it was not seen" in said.says


def test_a_derived_listing_leads_to_the_company_that_is_named(judge: Judge) -> None:
    said = one(judge, "ezviz", "US-MCCAIN-889", "cloud_relay", "us-federal-contractor")
    assert [(link.holder, link.company, link.percent) for link in said.ownership or ()] == [
        ("hikvision", "ezviz", 48.0)
    ]
    assert said.listing == "'subsidiary or affiliate' of Hikvision"


def test_the_picture_of_a_profile_names_other_listings_beside_it(judge: Judge) -> None:
    picture = judge.picture(Question("hikvision", "device_present", DAY, ("us-private",), None, "made"))
    concerned = [each.programme for each in picture if each.concerns]
    assert concerned == ["US-OFAC-SDN", "US-FCC", "US-BIS-EL"]
    assert "US-MCCAIN-889" in {each.programme for each in picture if not each.concerns}
    assert strongest(picture) == "not_restricted"


def test_as_far_as_the_sources_go_a_private_firm_may_use_and_update_what_it_owns(judge: Judge) -> None:
    for company in MAKERS:
        for activity in ("device_present", "cloud_relay", "update_received"):
            found = judge.verdicts(Question(company, activity, DAY, ("us-private",)))
            assert rank(strongest(found) or "") >= rank("review"), (company, activity)


def test_a_doubt_never_makes_an_answer_stronger_than_review(facts: Facts, judge: Judge) -> None:
    for company in facts.entities:
        for programme in facts.programmes:
            place = judge.position(company, programme, DAY)
            if place.doubt is not None:
                for activity in COLUMNS:
                    for profile in facts.profiles:
                        said = one(judge, company, programme, activity, profile)
                        assert rank(said.outcome) >= rank("review"), said
                        assert said.duties is None or not said.says.startswith("To be looked at"), said


def test_a_list_withdrawn_within_the_hour_never_applied_and_can_be_told(facts: Facts) -> None:
    day = datetime.date(2026, 2, 13)
    gone = msgspec.structs.replace(
        next(each for each in facts.entities["alibaba"].listings if each.programme == "US-DOD-1260H"),
        since=day, published=day, withdrawn=day, editions=(day,),
    )  # fmt: skip
    alibaba = msgspec.structs.replace(facts.entities["alibaba"], listings=(gone,))
    facts = dataclasses.replace(facts, entities=facts.entities | {"alibaba": alibaba})
    for known in (None, day, day + datetime.timedelta(days=30)):
        judge = Judge(facts if known is None else known_at(facts, known))
        for asked in (day - datetime.timedelta(days=1), day, DAY):
            said = one(judge, "alibaba", "US-DOD-1260H", "cloud_relay", "us-dod-contractor", day=asked)
            assert said.outcome == "checked_not_listed"
            assert "withdrawn on 2026-02-13" in said.says


def test_the_rule_that_may_have_come_back_is_off_and_says_so(facts: Facts) -> None:
    wholly = msgspec.structs.replace(facts.entities["ezviz"].ownership[-1], percent=60.0)
    ezviz = msgspec.structs.replace(facts.entities["ezviz"], ownership=(wholly,))
    facts = dataclasses.replace(facts, entities=facts.entities | {"ezviz": ezviz})
    day = datetime.date(2026, 11, 20)
    said = one(Judge(facts), "ezviz", "US-BIS-EL", "telemetry_upload", "us-private", day=day)
    assert said.outcome == "checked_not_listed" and "no source seen confirms" in said.says
    back = Judge(assume(facts, facts.scenarios["bis-affiliates-back"], day))
    said = one(back, "ezviz", "US-BIS-EL", "telemetry_upload", "us-private", day=day)
    assert (said.outcome, said.basis) == ("review", "ownership")
    assert [(link.holder, link.percent) for link in said.ownership or ()] == [("hikvision", 60.0)]
    while_in_force = datetime.date(2025, 10, 15)
    said = one(Judge(facts), "ezviz", "US-BIS-EL", "telemetry_upload", "us-private", day=while_in_force)
    assert (said.basis, said.since) == ("ownership", datetime.date(2025, 9, 29))


def test_a_wind_down_says_the_days_that_are_left(facts: Facts) -> None:
    judge = Judge(assume(facts, facts.scenarios["hikvision-sdn-45"], DAY))
    said = one(judge, "hikvision", "US-OFAC-SDN", "update_received", "us-private", day=datetime.date(2026, 12, 1))
    assert said.wind_down_until == datetime.date(2026, 12, 17) and "16 days left" in said.says
    said = one(judge, "hikvision", "US-OFAC-SDN", "update_received", "us-private", day=datetime.date(2026, 12, 18))
    assert said.outcome == "licence_required" and "ended on 2026-12-17" in said.says


def test_answers_are_remembered_and_memory_is_bounded(facts: Facts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rules.verdict.MAX_REMEMBERED", 8)
    monkeypatch.setattr("rules.verdict.MAX_POSITIONS", 8)
    judge = Judge(facts)
    question = Question("hikvision", "cloud_relay", DAY, ("us-private",))
    assert judge.verdicts(question) is judge.verdicts(question)
    for days in range(50):
        judge.verdicts(question._replace(day=DAY + datetime.timedelta(days=days)))
    assert max(len(judge._remembered), len(judge._positions), len(judge._rows)) <= 8


def test_the_order_of_outcomes_is_the_laws(judge: Judge) -> None:
    assert sorted(OUTCOMES, key=rank) == list(OUTCOMES)
    assert strongest([]) is None
    lookup = one(judge, "hikvision", "US-NS-CMIC", "name_lookup", "us-finance")
    assert telling_first(lookup) > telling_first(one(judge, "hikvision", "US-NS-CMIC", "cloud_relay", "us-finance"))


def test_a_company_has_the_name_that_people_call_it(facts: Facts) -> None:
    assert short_name(facts.entities["hikvision"], "hikvision") == "Hikvision"
    assert short_name(None, "acme") == "acme"
