"""Whatever a text is, what comes out can be written in UTF-8, is bounded, and steers no screen where it is shown."""

import datetime

from hypothesis import given

from streams.formats.plain import MAX_ITEMS, MAX_TEXT, milliseconds, sound, sound_document, visible
from tests.streams.formats.whole import ANY_TEXT


@given(ANY_TEXT)
def test_any_text_becomes_one_that_utf_8_holds(text: str) -> None:
    assert sound(text).encode().decode() == sound(text)
    assert len(sound(text, 5)) <= 5


@given(ANY_TEXT)
def test_what_is_made_visible_is_printable_and_what_was_so_stays(text: str) -> None:
    assert visible(text).isprintable()
    if text.isprintable():
        assert visible(text) == text
    assert set(visible(text, keep="\n")) - {"\n"} <= {c for c in visible(text, keep="\n") if c.isprintable()}


def test_what_turns_a_line_round_is_shown() -> None:
    assert visible("a\u202eb\x1b[31m\n") == "a\\u202eb\\x1b[31m\\n"


def test_a_document_is_bounded_and_holds_no_none() -> None:
    made = sound_document({"a": None, "b": ["x" * 9_000] * 900, "c": {"d": "\ud800"}, "n": 1})
    assert made == {"b": ["x" * (MAX_TEXT - 1) + "…"] * MAX_ITEMS, "c": {"d": "\ufffd"}, "n": 1}


def test_milliseconds_are_those_since_1970() -> None:
    assert milliseconds(datetime.datetime(1970, 1, 1, 0, 0, 1, 250_000, datetime.UTC)) == 1_250
