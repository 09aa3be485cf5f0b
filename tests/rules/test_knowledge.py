"""The facts as they could be known on a day."""

import datetime

import msgspec

from rules.fact import Listing
from rules.factbook import Facts
from rules.knowledge import first_known, known_at
from rules.verdict import Judge, Question

LISTING = Listing(
    programme="p1", status="removed", citation="1 FR 1", sources=("paper",), confidence="high",
    since=datetime.date(2024, 1, 31), published=datetime.date(2024, 4, 2), until=datetime.date(2025, 1, 7),
    end_published=datetime.date(2025, 1, 10), editions=(datetime.date(2024, 1, 31), datetime.date(2024, 9, 1)),
)  # fmt: skip


def with_listing(facts: Facts, listing: Listing) -> Facts:
    facts.entities["acme"] = msgspec.structs.replace(facts.entities["acme"], listings=(listing,))
    return facts


def listings(facts: Facts, day: str) -> tuple[Listing, ...]:
    return known_at(facts, datetime.date.fromisoformat(day)).entities["acme"].listings


def test_a_listing_is_not_known_before_it_is_published(facts: Facts) -> None:
    facts = with_listing(facts, LISTING)
    assert listings(facts, "2024-04-01") == ()
    assert len(listings(facts, "2024-04-02")) == 1


def test_an_end_that_was_not_yet_published_has_not_happened(facts: Facts) -> None:
    facts = with_listing(facts, LISTING)
    (before,) = listings(facts, "2025-01-09")
    assert (before.status, before.until) == ("listed", None)
    (after,) = listings(facts, "2025-01-10")
    assert (after.status, after.until) == ("removed", datetime.date(2025, 1, 7))


def test_later_editions_are_not_known(facts: Facts) -> None:
    (known,) = listings(with_listing(facts, LISTING), "2024-08-31")
    assert known.editions == (datetime.date(2024, 1, 31),)


def test_a_withdrawal_is_known_from_its_day(facts: Facts) -> None:
    published, withdrawn = datetime.date(2026, 2, 13), datetime.date(2026, 2, 15)
    gone = msgspec.structs.replace(
        LISTING, status="listed", since=published, published=published, until=None, end_published=None,
        withdrawn=withdrawn,
    )  # fmt: skip
    facts = with_listing(facts, gone)
    assert listings(facts, "2026-02-14")[0].withdrawn is None
    assert listings(facts, "2026-02-15")[0].withdrawn == withdrawn


def test_what_we_learned_late_counts_from_when_we_knew() -> None:
    late = msgspec.structs.replace(LISTING, known_since=datetime.date(2024, 6, 1))
    assert first_known(late) == datetime.date(2024, 6, 1)
    assert first_known(LISTING) == datetime.date(2024, 4, 2)
    assert first_known(msgspec.structs.replace(LISTING, published=None)) == datetime.date(2024, 1, 31)


def test_shares_findings_and_rules_of_later_days_are_not_known(shipped_facts: Facts) -> None:
    then = known_at(shipped_facts, datetime.date(2022, 12, 27))
    assert [share.percent for share in then.entities["ezviz"].ownership] == [60.0]
    assert then.entities["hikvision"].military_link is None
    assert known_at(shipped_facts, datetime.date(2026, 6, 8)).entities["hikvision"].military_link is not None
    acts = then.programmes["US-DOD-1260H"].acts
    assert not [act for act in acts if act.since == datetime.date(2026, 6, 30)]
    assert [edition.date.year for edition in then.programmes["US-DOD-1260H"].editions] == [2021, 2022]


def test_a_rules_reach_is_known_when_it_is_and_its_suspension_when_that_is(shipped_facts: Facts) -> None:
    def reach(day: str) -> list[tuple[datetime.date | None, datetime.date | None]]:
        then = known_at(shipped_facts, datetime.date.fromisoformat(day))
        return [(each.since, each.until) for each in then.programmes["US-BIS-EL"].reach]

    first, last = datetime.date(2025, 9, 29), datetime.date(2025, 11, 9)
    assert reach("2025-09-28") == []
    assert reach("2025-10-15") == [(first, None)]
    assert reach("2025-11-09") == [(first, last)]
    control = known_at(shipped_facts, datetime.date(2024, 1, 1)).programmes["US-DOD-1260H"].reach
    assert [each.since for each in control] == [datetime.date(2026, 6, 30)]


def test_who_was_not_on_a_list_is_not_known_before_the_list_is(shipped_facts: Facts) -> None:
    def asked(company: str, programme: str, day: str) -> tuple[str, str | None]:
        then = datetime.date.fromisoformat(day)
        question = Question(company, "device_present", then, relation="made")
        said = Judge(known_at(shipped_facts, then)).judge(question, programme, "us-dod-contractor")
        return said.outcome, said.list_as_of

    # The list of 2026-06-08 was published two days later.
    assert asked("uniview", "US-DOD-1260H", "2024-01-01") == ("context_only", None)
    assert asked("uniview", "US-DOD-1260H", "2026-06-09") == ("context_only", None)
    assert asked("uniview", "US-DOD-1260H", "2026-06-10") == ("checked_not_listed", "2026-06-08")
    # Of a list that says its month alone, the month's last day is sure.
    assert asked("hikvision", "US-OFAC-SDN", "2026-08-30") == ("context_only", None)
    assert asked("hikvision", "US-OFAC-SDN", "2026-08-31") == ("checked_not_listed", "2026-08")
    assert asked("tiandy", "US-MCCAIN-889", "2019-08-13") == ("checked_not_listed", "2019-08-13")
    assert asked("tiandy", "US-MCCAIN-889", "2019-08-12") == ("context_only", None)


def test_the_digest_says_what_was_left_out(facts: Facts) -> None:
    assert known_at(facts, datetime.date(2024, 1, 1)).digest.endswith("known-at-2024-01-01")
