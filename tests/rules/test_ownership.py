"""Three legal tests on one dated graph, and never a guess."""

import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.fact import Entity, Share
from rules.factbook import SHIPPED, read_facts
from rules.ownership import Ownership, read_day

DAY = datetime.date(2026, 11, 2)


def share(by: str, percent: float | None = None, **more: Any) -> Share:
    return Share(by=by, percent=percent, sources=("paper",), **({"confidence": "high"} | more))


def company(id: str, *ownership: Share, **more: Any) -> Entity:
    if "parent" in more:
        more = {"parent_sources": ("paper",), "parent_confidence": "high"} | more
    return Entity(id=id, name=id, kind="company", sources=("paper",), confidence="high", ownership=ownership, **more)


def graph(*companies: Entity) -> Ownership:
    return Ownership({each.id: each for each in companies})


@pytest.fixture(scope="module")
def shipped() -> Ownership:
    return Ownership(read_facts([SHIPPED]).entities)


def test_ezviz_fails_the_first_test_and_passes_the_others(shipped: Ownership) -> None:
    half = shipped.fifty_percent("ezviz", {"hikvision"}, DAY)
    assert (half.certainty, half.low, half.high) == ("no", 48.0, 48.0)
    assert shipped.subsidiary_or_affiliate("ezviz", {"hikvision"}, DAY).certainty == "yes"
    control = shipped.control("ezviz", {"hikvision"}, DAY)
    assert control.certainty == "yes"
    assert [(link.holder, link.percent, link.as_of) for link in control.links] == [("hikvision", 48.0, "2022-12-28")]


def test_the_share_of_the_day_counts(shipped: Ownership) -> None:
    assert shipped.fifty_percent("ezviz", {"hikvision"}, datetime.date(2022, 12, 27)).certainty == "yes"
    assert shipped.fifty_percent("ezviz", {"hikvision"}, datetime.date(2022, 12, 28)).certainty == "no"
    # Before the first figure nobody knows.
    assert shipped.fifty_percent("ezviz", {"hikvision"}, datetime.date(2020, 1, 1)).certainty == "unknown"


def test_cetc_does_not_reach_hikvision_by_half(shipped: Ownership) -> None:
    answer = shipped.fifty_percent("hikvision", {"cetc"}, DAY)
    assert answer.certainty == "no" and answer.high == 37.0
    assert shipped.fifty_percent("cethik", {"cetc"}, DAY).certainty == "unknown"
    assert shipped.control("hikvision", {"cetc"}, DAY).certainty == "yes"


def test_a_link_that_is_background_is_not_sure(shipped: Ownership) -> None:
    for test in (shipped.fifty_percent, shipped.subsidiary_or_affiliate, shipped.control):
        assert test("imou", {"dahua"}, DAY).certainty == "unknown"


def test_a_tenth_is_no_control(shipped: Ownership) -> None:
    assert shipped.control("dahua", {"china-mobile"}, DAY).certainty == "no"
    assert shipped.fifty_percent("dahua", {"china-mobile"}, DAY).certainty == "no"
    # What share makes an affiliate, no programme says.
    assert shipped.subsidiary_or_affiliate("dahua", {"china-mobile"}, DAY).certainty == "unknown"


def test_companies_without_a_link_are_strangers(shipped: Ownership) -> None:
    for test in (shipped.fifty_percent, shipped.subsidiary_or_affiliate, shipped.control):
        answer = test("uniview", {"hikvision"}, DAY)
        assert (answer.certainty, answer.links) == ("no", ())


def test_shares_of_several_owners_add_up_and_half_is_enough() -> None:
    ours = graph(company("a"), company("b"), company("c", share("a", 30), share("b", 20)))
    assert ours.fifty_percent("c", {"a"}, DAY).certainty == "no"
    assert ours.fifty_percent("c", {"a", "b"}, DAY).certainty == "yes"
    assert ours.control("c", {"a", "b"}, DAY).certainty == "no"


def test_a_company_held_by_half_hands_its_whole_share_on() -> None:
    ours = graph(company("a"), company("b", share("a", 50)), company("c", share("b", 50)), company("d", share("c", 49)))
    assert ours.fifty_percent("c", {"a"}, DAY).certainty == "yes"
    assert ours.fifty_percent("d", {"a"}, DAY).certainty == "no"


def test_a_missing_share_is_unknown_only_where_it_can_decide() -> None:
    ours = graph(
        company("a"), company("b", share("a"), share("Somebody Else", 60)), company("c", share("a"), parent="a")
    )
    assert ours.fifty_percent("b", {"a"}, DAY).certainty == "no"
    assert ours.fifty_percent("c", {"a"}, DAY).certainty == "unknown"


def test_a_weak_source_for_a_share_is_not_taken_as_given() -> None:
    ours = graph(company("a"), company("b", share("a", 80, confidence="low")))
    answer = ours.fifty_percent("b", {"a"}, DAY)
    assert (answer.certainty, answer.low, answer.high) == ("unknown", 0.0, 80.0)
    assert ours.control("b", {"a"}, DAY).certainty == "unknown"


def test_holdings_in_a_circle_end() -> None:
    ours = graph(company("a", share("b", 60)), company("b", share("a", 60)), company("x"))
    for test in (ours.fifty_percent, ours.subsidiary_or_affiliate, ours.control):
        assert test("a", {"x"}, DAY).certainty in ("no", "unknown")
    assert ours.above("a") == {"b"}


def test_a_share_that_was_sold_holds_nothing(shipped: Ownership) -> None:
    ours = graph(company("a"), company("b", share("a", 90, as_of="2018", until="2022-06")))
    assert ours.control("b", {"a"}, datetime.date(2022, 6, 30)).certainty == "yes"
    assert ours.control("b", {"a"}, datetime.date(2022, 7, 1)).certainty == "no"
    assert all(holding.holder != "dahua" for holding in shipped.holdings("lorex", DAY))


def test_exactly_half_controls_nobody_by_itself() -> None:
    ours = graph(company("a"), company("b", share("a", 50)))
    assert ours.control("b", {"a"}, DAY).certainty == "unknown"
    assert ours.subsidiary_or_affiliate("b", {"a"}, DAY).certainty == "yes"


def test_a_company_is_reached_by_itself_and_a_stranger_has_no_holdings() -> None:
    ours = graph(company("a"))
    assert ours.fifty_percent("a", {"a"}, DAY).certainty == "yes"
    assert ours.control("a", {"a"}, DAY).certainty == "yes"
    assert ours.holdings("nobody", DAY) == ()


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("2025-09-30", "2025-09-30", "2025-09-30"),
        ("2024-02", "2024-02-01", "2024-02-29"),
        ("2023", "2023-01-01", "2023-12-31"),
    ],
)
def test_a_day_a_month_and_a_year_have_first_and_last_days(text: str, first: str, last: str) -> None:
    assert read_day(text, last=False).isoformat() == first
    assert read_day(text, last=True).isoformat() == last


@pytest.mark.parametrize("text", ["2022/2023", "", "2025-13", "2025-02-30", "2025-01-01-01", "soon"])
def test_what_is_no_day_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        read_day(text, last=True)


NAMES = "abcdef"


@st.composite
def holdings(draw: st.DrawFn) -> dict[tuple[str, str], int]:
    """Shares of earlier companies in later ones, so that there is no circle; of one company no more than all."""
    found: dict[tuple[str, str], int] = {}
    for place, owned in enumerate(NAMES[1:], 1):
        left = 100
        for holder in NAMES[:place]:
            percent = draw(st.integers(0, left))
            if percent:
                found[holder, owned] = percent
                left -= percent
    return found


def graph_of(shares: dict[tuple[str, str], int], hidden: tuple[str, str] | None = None) -> Ownership:
    return graph(*(
        company(
            owned,
            *(
                share(holder, None if (holder, owned) == hidden else percent)
                for (holder, of), percent in shares.items()
                if of == owned
            ),
        )
        for owned in NAMES
    ))  # fmt: skip


def by_hand(shares: dict[tuple[str, str], int], owners: set[str]) -> set[str]:
    """All that is held by half, found by adding until nothing is added."""
    held = set(owners)
    while True:
        more = {name for name in NAMES if sum(shares.get((holder, name), 0) for holder in held) >= 50} - held
        if not more:
            return held
        held |= more


@given(holdings(), st.sets(st.sampled_from(NAMES), min_size=1, max_size=3))
def test_where_every_share_is_known_half_is_what_adding_up_says(
    shares: dict[tuple[str, str], int], owners: set[str]
) -> None:
    held, ours = by_hand(shares, owners), graph_of(shares)
    for name in NAMES:
        assert ours.fifty_percent(name, owners, DAY).certainty == ("yes" if name in held else "no")


@given(holdings(), st.sets(st.sampled_from(NAMES), min_size=1, max_size=3), st.data())
def test_a_share_that_is_hidden_never_turns_an_answer_into_its_opposite(
    shares: dict[tuple[str, str], int], owners: set[str], data: st.DataObject
) -> None:
    if not shares:
        return
    held = by_hand(shares, owners)
    hidden = data.draw(st.sampled_from(sorted(shares)))
    ours = graph_of(shares, hidden)
    for name in NAMES:
        answer = ours.fifty_percent(name, owners, DAY).certainty
        assert answer in ("unknown", "yes" if name in held else "no"), (name, hidden)
