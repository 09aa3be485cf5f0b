"""Pieces of evidence add up as independent ones do, and what a browser is, is told by what it says of itself."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.identify.evidence import BROWSER, CALL_WEIGHTS, MIN_CONFIDENCE, PORT_WEIGHT, PREFIX_WEIGHTS, combine


def test_no_evidence_says_nothing() -> None:
    assert combine([]) == 0.0


def test_two_pieces_say_more_than_either_and_never_all() -> None:
    assert combine([0.5, 0.5]) == 0.75
    assert combine([0.8, 0.7]) == pytest.approx(0.94)


@given(weights=st.lists(st.floats(0, 1), max_size=12), more=st.floats(0, 1))
def test_the_sum_is_a_probability_whatever_the_order_and_more_evidence_never_says_less(
    weights: list[float], more: float
) -> None:
    whole = combine(weights)
    assert 0.0 <= whole <= 1.0
    assert combine(list(reversed(weights))) == pytest.approx(whole)
    assert combine([*weights, more]) >= whole - 1e-12


def test_one_strong_sign_is_enough_and_weak_ones_are_not() -> None:
    assert PREFIX_WEIGHTS["high"] >= MIN_CONFIDENCE and CALL_WEIGHTS["high"] >= MIN_CONFIDENCE
    assert (
        PREFIX_WEIGHTS["medium"] < MIN_CONFIDENCE and combine([PREFIX_WEIGHTS["medium"], PORT_WEIGHT]) > MIN_CONFIDENCE
    )
    assert combine([PREFIX_WEIGHTS["low"], CALL_WEIGHTS["low"]]) < MIN_CONFIDENCE


@pytest.mark.parametrize(
    ("agent", "is_browser"),
    [
        ("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36", True),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7)", True),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0", True),
        ("Mozilla/5.0 (Linux; Android 14; Pixel 8)", True),
        ("Mozilla/5.0 (compatible; camera/1.0)", False),
        ("Mozilla/5.0", False),
        ("cam/2.1 Mozilla/5.0 (Windows NT 10.0)", False),
        ("", False),
    ],
)
def test_a_browser_says_which_desktop_or_phone_it_runs_on(agent: str, is_browser: bool) -> None:
    assert bool(BROWSER.match(agent)) is is_browser
