"""`lenswatch verdict`: the compliance officer's question, answered by the command itself."""

import json
from pathlib import Path
from typing import Any

import pytest

from rules.load import load_rules
from tests.streams.command import OFFICE, Ran, run

ON = ("--on", "2026-11-02")


def ask(state: Path, *arguments: str, **more: str) -> dict[str, Any]:
    ran = run("verdict", *arguments, "--json", state=state, **more)
    assert (ran.code, ran.err) == (0, "")
    answer: dict[str, Any] = json.loads(ran.out)
    return answer


def outcomes(answer: dict[str, Any]) -> dict[str, str]:
    return {row["programme"]: row["outcome"] for row in answer["verdicts"]}


def told(state: Path, *arguments: str) -> Ran:
    return run("verdict", *arguments, state=state)


def test_one_row_a_programme_with_outcome_citation_since_source_and_sentence(tmp_path: Path) -> None:
    answer = ask(tmp_path, "hikvision", "--activity", "device_present", "--profile", "us-federal-contractor", *ON)
    row = answer["verdicts"][0]
    assert answer["outcome"] == row["outcome"] == "prohibited"
    assert (row["programme"], row["since"]) == ("US-MCCAIN-889", "2020-08-13")
    assert row["citation"] and row["sources"] and row["says"].endswith(".")
    assert "one business day" in answer["duties"][0]
    assert outcomes(answer)["US-OFAC-SDN"] == "checked_not_listed"
    assert len(outcomes(answer)) == len(answer["verdicts"])


def test_the_use_class_of_the_site_decides(tmp_path: Path) -> None:
    question = ("dahua", "--activity", "device_present", "--profile", "us-federal-contractor", *ON)
    assert ask(tmp_path, *question, "--use-class", "critical_infrastructure")["outcome"] == "prohibited"
    assert ask(tmp_path, *question, "--use-class", "other")["outcome"] == "review"


def test_without_an_activity_each_programme_tells_all(tmp_path: Path) -> None:
    answer = ask(tmp_path, "hikvision", "--profile", "us-federal-contractor", *ON)
    row = answer["verdicts"][0]
    assert row["activities"]["update_check"] == "reportable" and row["activities"]["name_lookup"] == "context_only"
    assert outcomes(answer)["US-NS-CMIC"] == "not_restricted"
    text = told(tmp_path, "hikvision", "--profile", "us-federal-contractor", *ON).out
    assert "reportable: update check, update received" in " ".join(text.split())


def test_an_answer_in_words_has_the_whole_chain(tmp_path: Path) -> None:
    ran = told(tmp_path, "EZVIZ", "--activity", "cloud_relay", "--profile", "us-federal-contractor", *ON)
    text = " ".join(ran.out.split())
    assert ran.code == 0
    for words in (
        "Hangzhou EZVIZ Network Co., Ltd. (ezviz)",
        "as us-federal-contractor",
        "outcome prohibited",
        "US-MCCAIN-889: prohibited for us-federal-contractor since 2020-08-13",
        "citation Pub. L. 115-232 § 889(a)(1)(B); FAR 52.204-25",
        "sources far-25, ezviz-48",
    ):
        assert words in text, words


def test_without_a_profile_it_says_so_and_gives_the_general_picture(tmp_path: Path) -> None:
    text = " ".join(told(tmp_path, "hikvision", "--activity", "device_present", *ON).out.split())
    assert "no profile says who we are, so this is the general picture" in text
    assert "prohibited for us-federal-contractor, us-dod-contractor" in text


def test_profile_and_use_class_come_from_the_settings_unless_they_are_given(tmp_path: Path) -> None:
    config = tmp_path / "s.toml"
    config.write_text('[rules]\nprofiles = ["us-federal-contractor"]\nuse_class = "other"\n')
    question = ("hikvision", "--activity", "device_present", "--config", str(config), *ON)
    assert ask(tmp_path, *question)["outcome"] == "review"
    assert ask(tmp_path, *question, "--use-class", "public_safety")["outcome"] == "prohibited"
    assert ask(tmp_path, *question, "--profile", "us-private")["outcome"] == "not_restricted"


def test_a_scenario_is_asked_from_its_first_day(tmp_path: Path) -> None:
    question = (
        "hikvision", "--activity", "update_received", "--profile", "us-private", "--scenario", "hikvision-sdn-90"
    )  # fmt: skip
    now = ask(tmp_path, *question, *ON)
    row = next(row for row in now["verdicts"] if row["programme"] == "US-OFAC-SDN")
    assert (row["outcome"], row["wind_down_until"]) == ("licence_required", "2027-01-31")
    later = ask(tmp_path, *question, *ON, "--from", "2026-12-01")
    assert outcomes(later)["US-OFAC-SDN"] == "checked_not_listed"
    assert all("wind_down_until" not in row for row in later["verdicts"])


def test_the_day_and_what_was_known_on_it_are_two_questions(tmp_path: Path) -> None:
    question = ("dahua", "--activity", "device_present", "--profile", "us-dod-contractor")
    assert outcomes(ask(tmp_path, *question, "--on", "2026-06-29"))["US-DOD-1260H"] == "not_restricted"
    assert outcomes(ask(tmp_path, *question, "--on", "2026-07-01"))["US-DOD-1260H"] == "prohibited"
    then = ask(tmp_path, *question, "--on", "2026-07-01", "--known-at", "2023-01-01")
    assert outcomes(then)["US-DOD-1260H"] == "not_restricted"
    assert then["known_at"] == "2023-01-01"


def test_a_military_link_is_told_in_the_officials_words_only_where_there_is_one(tmp_path: Path) -> None:
    link = ask(tmp_path, "hikvision", *ON)["military_link"]
    assert "directly affiliated with the PLA" in link["claim"] and link["edition"] == "2026-06-08"
    assert "91 FR 35189" in link["citation"]
    assert ask(tmp_path, "dahua", *ON)["military_link"] is None
    assert ask(tmp_path, "hikvision", "--on", "2026-06-07")["military_link"] is None


def test_a_company_is_found_by_brand_and_name(tmp_path: Path) -> None:
    for text in ("Hikvision", "HILOOK", "海康威视", "hikvision"):
        assert ask(tmp_path, text, *ON)["company"] == "hikvision"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("hikvison",), ("hikvison: no such company; do you mean hikvision?", "dahua")),
        (("dahua", "--activity", "buying"), ("buying: no such activity", "cloud_relay", "new_device")),
        (("dahua", "--profile", "us_private"), ("us_private: no such profile; do you mean us-private?", "tw-agency")),
        (("dahua", "--use-class", "shop"), ("shop: no such use class", "public_safety")),
        (("dahua", "--scenario", "doom"), ("doom: no such scenario", "hikvision-sdn-45")),
    ],
)
def test_unknown_words_list_the_known_ones(tmp_path: Path, arguments: tuple[str, ...], words: tuple[str, ...]) -> None:
    ran = told(tmp_path, *arguments)
    assert (ran.code, ran.out, len(ran.complaints)) == (2, "", 1)
    assert all(word in ran.err for word in words), ran.err


@pytest.mark.parametrize("option", ["--on", "--known-at", "--from"])
def test_a_day_that_is_none_is_a_usage_error(tmp_path: Path, option: str) -> None:
    ran = told(tmp_path, "dahua", "--scenario", "dahua-sdn-45", option, "2026-11")
    assert ran.code == 2 and option in ran.err and "YYYY-MM-DD" in ran.err


def test_a_first_day_without_its_scenario_is_a_usage_error(tmp_path: Path) -> None:
    ran = told(tmp_path, "dahua", "--from", "2026-11-02")
    assert (ran.code, ran.out) == (2, "") and "--scenario" in ran.err


@pytest.fixture(scope="module")
def contractor(tmp_path_factory: pytest.TempPathFactory) -> tuple[Ran, Path]:
    """A watch of the office by a federal contractor, and its state folder."""
    state = tmp_path_factory.mktemp("contractor")
    ran = run("watch", OFFICE, state=state, LENSWATCH_RULES_PROFILES='["us-federal-contractor"]')
    return ran, state


def test_every_alert_of_a_company_carries_verdicts_and_the_outcome(contractor: tuple[Ran, Path]) -> None:
    alerts = run("alerts", "--json", state=contractor[1]).alerts
    judged = [alert for alert in alerts if alert.lenswatch.entity is not None]
    assert judged
    for alert in judged:
        detail = alert.lenswatch
        own = [each for each in detail.verdicts or () if each.relation == "operates"]
        assert own[0].programme == "US-MCCAIN-889" and len(own) == 5
        assert {each.profile for each in own} == {"us-federal-contractor"}
        assert f"For us-federal-contractor: {(detail.outcome or '').replace('_', ' ')} under" in alert.message
    assert "verdicts " in contractor[0].err and "prohibited" in contractor[0].err
    assert "for us: prohibited" in " ".join(contractor[0].out.split())


def test_every_citation_of_every_alert_resolves_to_a_fact_with_a_source(contractor: tuple[Ran, Path]) -> None:
    facts = load_rules().facts
    cited = {act.citation for programme in facts.programmes.values() for act in programme.acts}
    cited |= {programme.authority for programme in facts.programmes.values()}
    listed = {listing.citation for entity in facts.entities.values() for listing in entity.listings}
    count = 0
    for alert in run("alerts", "--json", state=contractor[1]).alerts:
        for verdict in alert.lenswatch.verdicts or ():
            count += 1
            assert verdict.citation in cited and (verdict.listing is None or verdict.listing in listed)
            for link in verdict.ownership or ():
                assert set(link.sources) <= facts.sources.keys() and link.sources
            assert verdict.sources and set(verdict.sources) <= facts.sources.keys()
        entity = alert.lenswatch.entity
        if entity is not None and entity.military_link is not None:
            assert entity.military_link.source in facts.sources
    assert count > 20


def test_explain_goes_on_over_owners_and_listings_to_the_verdicts(contractor: tuple[Ran, Path]) -> None:
    alerts = run("alerts", "--json", state=contractor[1]).alerts
    alert = next(each for each in alerts if each.lenswatch.entity and each.lenswatch.entity.id == "ezviz")
    text = " ".join(run("rules", "explain", alert.event.id, state=contractor[1]).out.split())
    chain = [
        alert.network.community_id,
        alert.lenswatch.endpoint.pattern if alert.lenswatch.endpoint else "",
        "company Hangzhou EZVIZ Network Co., Ltd. (ezviz",
        "listing US-MCCAIN-889",
        "outcome prohibited",
        "verdict US-MCCAIN-889:",
        "owner hikvision has 48 % of ezviz as of 2022-12-28",
        "source ezviz-48:",
        "citation ",
    ]
    place = 0
    for words in chain:
        place = text.find(words, place)
        assert place >= 0, words


def test_a_watch_without_a_profile_says_so_once(tmp_path: Path) -> None:
    ran = run("watch", OFFICE, state=tmp_path)
    (line,) = [line for line in ran.err.splitlines() if line.startswith("verdicts")]
    assert "in general" in line and "set [rules] profiles" in line
    assert "for us" not in ran.out
    assert all("For us-" not in alert.message for alert in run("alerts", "--json", state=tmp_path).alerts)


def test_a_watch_may_ask_what_could_be_known(tmp_path: Path) -> None:
    run("watch", OFFICE, "--known-at", "2019-12-31", state=tmp_path)
    listed = {
        listing.programme
        for alert in run("alerts", "--json", state=tmp_path).alerts
        for listing in alert.lenswatch.listings or ()
    }
    assert listed == {"US-BIS-EL", "US-MCCAIN-889"}
