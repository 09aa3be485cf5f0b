"""Rules take the place of others unless half is missing, or they are older."""

import copy
import datetime

import pytest

from rules.match import RuleSet
from rules.signature import Signature
from rules.succession import Standing, refusal, standing_of


def stands(*indicators: int, versions: tuple[int | None, ...] = ()) -> Standing:
    return Standing("digest", indicators, versions)


@pytest.mark.parametrize(
    ("before", "after", "may"),
    [
        (stands(300, 100), stands(300, 50), True),
        (stands(300, 100), stands(300, 49), False),
        (stands(300, 1_000_000), stands(300, 0), False),
        (stands(300, 100), stands(900, 49), False),
        (stands(300, 100), stands(200), True),
        (stands(300, 100), stands(199), False),
        (stands(300), stands(300, 0), True),
        (stands(), stands(), True),
        (stands(0), stands(0), True),
    ],
)
def test_more_than_half_of_the_indicators_may_not_go_unless_it_is_meant(
    before: Standing, after: Standing, may: bool
) -> None:
    reason = refusal(before, after, may_shrink=False)
    assert (reason is None) == may
    if reason is not None:
        assert "[rules] may_shrink" in reason and "--may-shrink" in reason and "\n" not in reason
    assert refusal(before, after, may_shrink=True) is None


@pytest.mark.parametrize(
    ("before", "after", "may"),
    [
        ((3,), (3,), True),
        ((3,), (4,), True),
        ((3,), (2,), False),
        ((None, 3), (None, 2), False),
        ((3,), (None,), True),
        ((None,), (1,), True),
        ((3,), (), True),
    ],
)
def test_an_older_signed_pack_never_follows_a_newer_one(
    before: tuple[int | None, ...], after: tuple[int | None, ...], may: bool
) -> None:
    reason = refusal(stands(versions=before), stands(versions=after), may_shrink=True)
    assert (reason is None) == may
    assert reason is None or "is older (version 2) than the one in force (version 3)" in reason


def test_what_is_remembered_of_rules_is_read_from_them(ruleset: RuleSet) -> None:
    assert standing_of(ruleset) == (ruleset.digest, ruleset.facts.indicators, ())
    signed = copy.copy(ruleset)
    signed.signatures = (None, Signature(5, "", 1, datetime.datetime.now(datetime.UTC), "key"))
    assert standing_of(signed).versions == (None, 5)
