"""A page answers in a thread until it is closed, and then its address is free."""

import urllib.request
from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIEnvironment

import pytest

from collector.page import MAX_SILENT_SECONDS, Page, Reading


def answer(question: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
    start("200 OK", [("Content-Type", "text/plain")])
    return [str(question["PATH_INFO"]).encode()]


def test_a_page_answers_until_it_is_closed_and_then_its_port_is_free(capsys: pytest.CaptureFixture[str]) -> None:
    page = Page("127.0.0.1", 0, answer)
    with urllib.request.urlopen(f"http://127.0.0.1:{page.port}/x", timeout=5) as told:
        assert told.read() == b"/x"
    with pytest.raises(OSError, match="in use"):
        Page("127.0.0.1", page.port, answer)
    port = page.port
    page.close()
    Page("127.0.0.1", port, answer).close()
    assert capsys.readouterr() == ("", "")


def test_what_reads_nothing_for_long_does_not_read_any_more() -> None:
    counts, now = [0], [1_000.0]
    reading = Reading(lambda: counts[0], lambda: now[0])
    assert reading.why_not() == "no packet has been read yet"
    counts[0] = 5
    assert reading.why_not() == ""
    now[0] += MAX_SILENT_SECONDS
    assert reading.why_not() == ""
    now[0] += 1
    assert reading.why_not() == "no packet has been read for 601 s"
    counts[0] = 6
    assert reading.why_not() == ""
