"""Pieces of evidence add up as independent ones do, and what a browser is, is told by what it says of itself."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.identify.evidence import (
    BROWSER,
    CALL_WEIGHTS,
    MAX_OPINIONS,
    MIN_CONFIDENCE,
    PORT_WEIGHT,
    PREFIX_WEIGHTS,
    Opinion,
    Opinions,
    Sign,
    combine,
    weigh,
)

OEMS = {"acmelite": "acme"}


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


def opinion(*signs: Sign) -> Opinion:
    return weigh(signs, OEMS)


def test_ten_names_that_were_looked_up_are_one_witness() -> None:
    one = opinion(Sign("a", "names", 0.4, "acme", 0.6))
    ten = opinion(*(Sign(str(number), "names", 0.4, "acme", 0.6) for number in range(10)))
    assert (ten.kind, ten.confidence, ten.maker_confidence) == (one.kind, one.confidence, one.maker_confidence)
    assert (
        one.kind == "unknown"
        and opinion(Sign("a", "names", 0.4, "acme"), Sign("b", "ports", 0.5, "acme")).kind == "camera"
    )


def test_the_likeliest_kind_is_said_and_another_is_shown_beside() -> None:
    protocol = Sign("p", "protocol", 0.85, "acme", 0.85)
    recorder = opinion(protocol, Sign("m", "model", 0.7, "acme", 0.7, "recorder"))
    assert (recorder.kind, recorder.maker, recorder.contradictions) == ("recorder", "acme", [])
    both = opinion(
        protocol, Sign("m", "model", 0.7, "acme", 0.7, "recorder"), Sign("w", "wsd_type", 0.7, None, 0.0, "camera")
    )
    assert both.contradictions == [
        f"also speaks for a device of kind {'camera' if both.kind == 'recorder' else 'recorder'}"
    ]
    assert opinion(protocol).kind == "camera", "what is not told apart is a camera"


def test_what_speaks_against_takes_from_it_and_is_shown() -> None:
    found = opinion(Sign("p", "protocol", 0.85, "acme", 0.85), Sign("browses", "browser", 0.8, kind="other"))
    assert (found.kind, found.against) == ("other", ["browses"])
    assert found.contradictions == ["also speaks against a camera: browses"]
    weak = opinion(Sign("p", "protocol", 0.85, "acme", 0.85), Sign("n", "dhcp_hostname", 0.1, kind="other"))
    assert weak.kind == "camera" and weak.confidence == pytest.approx(0.85 * 0.9) and weak.contradictions == []


def test_another_maker_is_shown_and_not_averaged() -> None:
    found = opinion(Sign("p", "MAC prefix", 0.8, "acme", 0.85), Sign("q", "http_server", 0.7, "zenith", 0.75))
    assert (found.maker, found.confidence) == ("acme", 0.8)
    assert found.contradictions == ["also speaks for zenith: q"]


def test_a_brand_and_the_maker_behind_it_are_one_side() -> None:
    label = Sign("l", "MAC prefix", 0.8, "acmelite", 0.85)
    inside = Sign("p", "protocol", 0.85, "acme", 0.85)
    model = Sign("m", "model", 0.7, "acme", 0.7, "camera")
    found = opinion(label, inside, model)
    assert (found.maker, found.oem, found.contradictions) == ("acmelite", "acme", [])
    assert found.confidence == pytest.approx(combine([0.8, 0.85, 0.7]), abs=1e-3)
    sold = opinion(inside, Sign("b", "brand", 0.1, "acme", 0.4, None, "Corner Shop"))
    assert (sold.maker, sold.brand, sold.oem) == ("acme", "Corner Shop", "acme")
    own = opinion(Sign("l", "MAC prefix", 0.8, "acme", 0.85), Sign("c", "names", 0.7, "acmelite", 0.7))
    assert (own.maker, own.oem) == ("acme", None), "the box is the maker's own, whose brand's service it calls"


def test_a_brand_alone_is_no_maker() -> None:
    assert opinion(Sign("b", "brand", 0.1, "acme", 0.4, None, "Corner Shop"))[2:6] == (None, 0.4, None, None)


def test_a_sign_of_no_maker_counts_beside_every_makers() -> None:
    found = opinion(Sign("p", "MAC prefix", 0.05, "acme", 0.85), Sign("w", "wsd_type", 0.7, None, 0.0, "camera"))
    assert (found.kind, found.maker) == ("camera", "acme") and found.confidence == pytest.approx(0.715, abs=1e-3)
    assert opinion(Sign("w", "wsd_type", 0.7, None, 0.0, "camera")).maker is None


def test_the_same_signs_are_weighed_once_and_what_is_remembered_is_bounded() -> None:
    opinions, label = Opinions(OEMS), Sign("l", "MAC prefix", 0.8, "acmelite", 0.85)
    assert opinions.of([label]) is opinions.of([label]) and opinions.of([label]).oem == "acme"
    for number in range(MAX_OPINIONS + 10):
        opinions.of([Sign(str(number), "names", 0.1)])
    assert len(opinions._known) <= MAX_OPINIONS
