"""What a sighting means for this organisation: whose verdicts, which waiver, which words."""

import datetime
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from collector.errors import SettingsError
from collector.observation import Observation
from rules.court import Court, Organisation, Site, in_words
from rules.load import load_rules
from rules.match import RuleSet
from rules.sighting import Sighting
from rules.waivers import Waiver, Waivers

Observe = Callable[..., Observation]
DAY = datetime.date(2026, 11, 2)
CONTRACTOR = Organisation(everywhere=Site(profiles=("us-federal-contractor",)))
FIRMWARE: dict[str, Any] = {
    "destination.domain": "assets.hikvision.com",
    "event.dataset": "lenswatch.http",
    "url": {"original": "/a/digicap.dav", "domain": "assets.hikvision.com", "path": "/a/digicap.dav"},
}


def waiver(**scope: Any) -> Waiver:
    given = {"begins": datetime.date(2026, 1, 1), "until": datetime.date(2026, 12, 31)} | scope
    return Waiver(id="w-1", ground="g", approver="a", reference="r", **given)


def court(shipped: RuleSet, organisation: Organisation = CONTRACTOR, *waivers: Waiver) -> Court:
    return Court(shipped.court.judge, organisation, Waivers(waivers))


@pytest.fixture
def seen(shipped: RuleSet, observe: Observe) -> Callable[..., Sighting]:
    def make(**change: Any) -> Sighting:
        observation = observe(FIRMWARE | change)
        return Sighting(observation, None, shipped.contact(observation), day=DAY)

    return make


def test_the_company_that_was_called_is_judged_for_what_was_seen(
    shipped: RuleSet, seen: Callable[..., Sighting]
) -> None:
    found = court(shipped).verdicts(seen())
    assert {(each.entity, each.activity, each.relation) for each in found} == {
        ("hikvision", "update_received", "operates")
    }
    assert {each.programme: each.outcome for each in found}["US-MCCAIN-889"] == "reportable"


def test_the_maker_of_the_device_is_judged_for_its_being_there(shipped: RuleSet, seen: Callable[..., Sighting]) -> None:
    found = court(shipped).verdicts(seen(**{"device.manufacturer": "dahua"}))
    made = [each for each in found if each.relation == "made"]
    assert [(each.entity, each.programme, each.outcome) for each in made] == [("dahua", "US-MCCAIN-889", "prohibited")]


def test_a_maker_that_no_programme_restricts_adds_nothing(shipped: RuleSet, seen: Callable[..., Sighting]) -> None:
    for maker in ("xiongmai", "Nobody Ltd."):
        found = court(shipped).verdicts(seen(**{"device.manufacturer": maker}))
        assert not [each for each in found if each.relation == "made"], maker


@pytest.mark.parametrize(
    ("number", "relation", "company"), [(4134, "carries", "china-telecom"), (45090, "hosts", "tencent")]
)
def test_the_network_of_the_peer_is_context_and_never_the_outcome(
    shipped: RuleSet, seen: Callable[..., Sighting], number: int, relation: str, company: str
) -> None:
    system = {"destination.as": {"number": number}}
    defence = Organisation(everywhere=Site(profiles=("us-dod-contractor",)))
    found = court(shipped, defence).verdicts(seen(**system))
    beside = [each for each in found if each.relation == relation]
    assert {each.entity for each in beside} == {company}
    assert {each.outcome for each in beside} == {"context_only"}


def test_a_site_may_be_somebody_else(shipped: RuleSet, seen: Callable[..., Sighting]) -> None:
    ours = Organisation(everywhere=Site(profiles=("us-private",)), sites={"lab": Site(profiles=("uk-private",))})
    assert {each.profile for each in court(shipped, ours).verdicts(seen())} == {"us-private"}
    assert {each.profile for each in court(shipped, ours).verdicts(seen(**{"lenswatch.site": "lab"}))} == {"uk-private"}


def test_the_use_class_of_the_site_counts(shipped: RuleSet, seen: Callable[..., Sighting]) -> None:
    ours = Organisation(everywhere=Site(profiles=("us-federal-contractor",), use_class="other"))
    found = {each.programme: each.outcome for each in court(shipped, ours).verdicts(seen())}
    assert found["US-MCCAIN-889"] == "review"


def test_several_profiles_each_get_their_verdicts(shipped: RuleSet, seen: Callable[..., Sighting]) -> None:
    ours = Organisation(everywhere=Site(profiles=("us-private", "ca-private")))
    found = court(shipped, ours).verdicts(seen())
    assert [each.profile for each in found] == ["us-private"] * 3 + ["ca-private"] * 2
    words = in_words(found)
    assert "For us-private: review under US-FCC" in words and "For ca-private: " in words


def test_a_profile_that_there_is_not_is_refused_with_its_place(shipped: RuleSet) -> None:
    ours = Organisation(sites={"lab": Site(profiles=("us_private",))})
    with pytest.raises(SettingsError, match=r"\[rules\.sites\.lab\] profiles: .*'us_private'.*us-private"):
        ours.check(shipped.facts)
    with pytest.raises(SettingsError, match="us_private"):
        load_rules(organisation=ours)


def test_without_contact_there_is_nothing_to_judge(shipped: RuleSet, observe: Observe) -> None:
    sighting = Sighting(observe({"destination.domain": "example.org"}))
    assert court(shipped).verdicts(sighting) == []
    assert in_words([]) == ""


def test_a_waiver_of_a_company_silences_whatever_it_says(shipped: RuleSet, seen: Callable[..., Sighting]) -> None:
    assert court(shipped, CONTRACTOR, waiver(companies=("hikvision",))).waiver(seen()) == "w-1"
    assert court(shipped, CONTRACTOR, waiver(companies=("dahua",))).waiver(seen()) is None
    assert court(shipped).waiver(seen()) is None


def test_a_waiver_of_a_programme_silences_only_where_no_other_says_more(
    shipped: RuleSet, seen: Callable[..., Sighting]
) -> None:
    relay = {"destination.domain": "litedev.hik-connect.com", "event.dataset": "lenswatch.tls", "url": None}
    only_889 = court(shipped, CONTRACTOR, waiver(programmes=("US-MCCAIN-889",)))
    assert only_889.waiver(seen(**relay)) == "w-1"
    # For an update the FCC's rules ask for a review: that is not waived.
    assert only_889.waiver(seen()) is None
    marked = {each.programme: each.waiver for each in only_889.verdicts(seen())}
    assert marked["US-MCCAIN-889"] == "w-1" and marked["US-FCC"] is None
    both = court(shipped, CONTRACTOR, waiver(programmes=("US-MCCAIN-889", "US-FCC")))
    assert both.waiver(seen()) == "w-1"


def test_a_waiver_of_one_company_does_not_cover_the_maker_of_the_device(
    shipped: RuleSet, seen: Callable[..., Sighting]
) -> None:
    relay = {"destination.domain": "eucas.ezvizlife.com", "event.dataset": "lenswatch.tls", "url": None}
    ezviz = court(shipped, CONTRACTOR, waiver(programmes=("US-MCCAIN-889",), companies=("ezviz",)))
    assert ezviz.waiver(seen(**relay)) == "w-1"
    assert ezviz.waiver(seen(**relay, **{"device.manufacturer": "hikvision"})) is None


def test_a_look_up_is_silent_where_the_use_it_shows_is_waived(shipped: RuleSet, seen: Callable[..., Sighting]) -> None:
    lookup = {
        "event.dataset": "lenswatch.dns", "destination.domain": None, "url": None,
        "dns": {"type": "query", "question": {"name": "litedev.hik-connect.com", "type": "A"}},
    }  # fmt: skip
    assert seen(**lookup).contact.activity == "name_lookup"  # type: ignore[union-attr]
    assert court(shipped, CONTRACTOR, waiver(programmes=("US-MCCAIN-889",))).waiver(seen(**lookup)) == "w-1"
    assert court(shipped, CONTRACTOR, waiver(programmes=("US-NS-CMIC",))).waiver(seen(**lookup)) is None
    private = Organisation(everywhere=Site(profiles=("us-private",)))
    assert court(shipped, private, waiver(programmes=("US-FCC",))).waiver(seen(**lookup)) is None


def test_a_programme_that_says_nothing_waives_nothing(shipped: RuleSet, seen: Callable[..., Sighting]) -> None:
    assert court(shipped, CONTRACTOR, waiver(programmes=("US-NS-CMIC",))).waiver(seen()) is None


def test_a_waiver_is_of_a_device_by_id_or_address(shipped: RuleSet, seen: Callable[..., Sighting]) -> None:
    for device in ("site/00:00:5e:00:53:11", "10.0.0.11"):
        assert court(shipped, CONTRACTOR, waiver(devices=(device,))).waiver(seen()) == "w-1"
    assert court(shipped, CONTRACTOR, waiver(devices=("10.0.0.12",))).waiver(seen()) is None


def test_the_words_say_who_what_since_when_why_and_what_to_do(shipped: RuleSet, seen: Callable[..., Sighting]) -> None:
    words = in_words(court(shipped).verdicts(seen()))
    assert words.startswith("For us-federal-contractor: reportable under US-MCCAIN-889 since 2020-08-13. The update")
    assert words.endswith("Report a find to the contracting officer within one business day (FAR 52.204-25).")


def test_rules_are_loaded_with_waivers_that_match_obeys(tmp_path: Path, observe: Observe) -> None:
    path = tmp_path / "w.toml"
    path.write_text(
        '[[waiver]]\nid = "w"\nground = "g"\napprover = "a"\nreference = "r"\nfrom = 2026-11-01\nuntil = 2026-11-02\n'
        'companies = ["hikvision"]\n'
    )
    loaded = load_rules(organisation=CONTRACTOR, waivers=[path])
    observation = observe(FIRMWARE | {"@timestamp": "2026-11-02T23:59:59Z"})
    assert [hit.waiver for hit in loaded.hits(observation)] == ["w"]
    assert loaded.match(observation) == []
    (alert,) = loaded.match(observe(FIRMWARE | {"@timestamp": "2026-11-03T00:00:00Z"}))
    assert alert.lenswatch.outcome == "reportable" and alert.lenswatch.duties
    assert "For us-federal-contractor: reportable" in alert.message
