"""Text from the network comes out bounded and printable, and no document can make its reader work or fetch."""

import time

import pytest

from collector.texts import (
    MAX_LIST_ITEMS,
    MAX_TEXT_CHARACTERS,
    clean,
    find_element,
    read_element,
    read_mac,
    read_object,
    read_text,
    read_words,
    text_of,
)


def test_text_ends_at_a_nul_and_is_utf_8_or_latin_1() -> None:
    assert read_text(b"gate\0\xff") == "gate" and read_text("Tür".encode()) == "Tür" and read_text(b"T\xfcr") == "Tür"
    assert read_text(b"  \0x") is None and read_text(b"") is None


def test_text_is_cut_and_control_characters_are_escaped() -> None:
    assert clean("a" * 1_000) == "a" * MAX_TEXT_CHARACTERS
    assert clean("a\x1b[0m\x9b\u202e\U000e0041") == "a\\x1b[0m\\x9b\\u202e\\U000e0041"
    assert clean("\ud800") == "\\ud800" and clean(None) is None


@pytest.mark.parametrize(
    ("document", "text"),
    [
        ("<a>x</a>", "x"),
        ("<n:a b='1'> x </n:a>", "x"),
        ("<ab>y</ab><a>x</a>", "x"),
        ("<a>&lt;&amp;&#65;&#x42;&quot;&apos;</a>", "<&AB\"'"),
        ("<a>&#1114112;&#xD800;&nope;</a>", "&#1114112;&#xD800;&nope;"),
        ("<a></a>", None),
        ("<a>x", None),
        ("<b>x</b>", None),
    ],
)
def test_an_element_is_found_by_its_local_name(document: str, text: str | None) -> None:
    assert read_element(document, "a") == text


def test_a_list_is_as_long_as_it_is_but_for_its_bound() -> None:
    many = " ".join(["word"] * 500)
    assert read_words(find_element(f"<a>{many}</a>", "a")) == ["word"] * MAX_LIST_ITEMS
    assert read_words(None) is None and read_words(" ") is None


@pytest.mark.parametrize("text", ["<a" * 30_000, "<a " * 20_000, "<" * 60_000, "<a>" * 20_000, "<" + "a:" * 30_000])
def test_no_document_makes_its_reader_work_long(text: str) -> None:
    began = time.process_time()
    read_element(text, "a")
    assert time.process_time() - began < 1


def test_an_object_nested_too_deep_or_of_another_kind_is_none() -> None:
    for data in (b'{"a":' * 100_000, b"[1]", b"1", b"", b"\xff\xfe", b'{"a":1e999999}'):
        assert read_object(data) is None or isinstance(read_object(data), dict)
    assert read_object(b'{"a": "\xe9"}') == {"a": "é"}


def test_a_text_in_an_object_is_found_by_its_path() -> None:
    table = {"a": {"b": "x", "n": 5, "t": True, "l": [1]}}
    assert text_of(table, "a", "b") == "x" and text_of(table, "a", "n") == "5"
    for path in (("a",), ("a", "t"), ("a", "l"), ("a", "b", "c"), ("z",)):
        assert text_of(table, *path) is None
    assert text_of({"n": 10**2_000}, "n") == "1" + "0" * (MAX_TEXT_CHARACTERS - 1)


@pytest.mark.parametrize(
    ("text", "mac"),
    [("<MAC>BC-AD-28-00-00-01</MAC>", "bc:ad:28:00:00:01"), ("<MAC>bc:ad:28:00:00:01</MAC>", "bc:ad:28:00:00:01"),
     ("<MAC></MAC>", None), ("<IP>10.0.0.1</IP>", None)],
)  # fmt: skip
def test_a_mac_is_written_in_one_way(text: str, mac: str | None) -> None:
    assert read_mac(text, "MAC") == mac
