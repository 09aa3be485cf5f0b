"""A token is asked for as RFC 6749 has it; what goes wrong is one line, and no secret is in it."""

import base64
import json
import ssl

import pytest
import trustme

from collector.errors import SettingsError
from collector.token_endpoint import fetch_token
from tests.collector.issuing import Reply, issuing

SECRET = "correct: horse"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def trust(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def test_who_asks_gets_a_token(authority: trustme.CA, trust: ssl.SSLContext) -> None:
    granted = Reply(200, json.dumps({"access_token": "t0ken", "token_type": "bearer", "expires_in": 60}))
    with issuing(authority, lambda _: granted) as (url, asked):
        assert fetch_token(url, "edge 1", SECRET, "kafka", trust, 5) == "t0ken"
        assert fetch_token(url, "edge 1", SECRET, None, trust, 5) == "t0ken"
    first, second = asked
    assert first.path == "/token" and first.form == {"grant_type": "client_credentials", "scope": "kafka"}
    assert base64.b64decode(first.who.removeprefix("Basic ")) == b"edge+1:correct%3A+horse"
    assert second.form == {"grant_type": "client_credentials"}


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (
            Reply(401, json.dumps({"error": "invalid_client", "error_description": "who\x1b[31m"})),
            "401 invalid_client who�",
        ),
        (Reply(500, "<html>"), "500"),
        (Reply(200, "<html>"), "the answer holds no token"),
        (Reply(200, json.dumps({"token": "t"})), "the answer holds no token"),
        (Reply(200, '"' + "x" * (1 << 20)), "the answer holds no token"),
    ],
)
def test_what_an_issuer_says_instead_is_one_line(
    authority: trustme.CA, trust: ssl.SSLContext, reply: Reply, words: str
) -> None:
    with issuing(authority, lambda _: reply) as (url, _), pytest.raises(SettingsError) as caught:
        fetch_token(url, "edge", SECRET, None, trust, 5)
    text = str(caught.value)
    assert text.startswith(f"kafka.token_url {url}: ") and words in text and "\n" not in text and "\x1b" not in text
    assert "horse" not in text


def test_no_secret_is_sent_to_where_an_issuer_points_instead(authority: trustme.CA, trust: ssl.SSLContext) -> None:
    with issuing(authority, lambda _: Reply(200, '{"access_token": "x"}')) as (other, asked):
        for code in (301, 302, 303, 307, 308):
            with (
                issuing(authority, lambda _, code=code: Reply(code, "", {"Location": other})) as (url, _),
                pytest.raises(SettingsError, match=str(code)),
            ):
                fetch_token(url, "edge", SECRET, None, trust, 5)
        assert asked == []


def test_an_issuer_that_is_not_trusted_gets_no_secret(authority: trustme.CA) -> None:
    with (
        issuing(authority, lambda _: Reply(200, "{}")) as (url, asked),
        pytest.raises(SettingsError, match="certificate verify failed"),
    ):
        fetch_token(url, "edge", SECRET, None, ssl.create_default_context(), 5)
    assert asked == []


def test_an_issuer_that_is_away_is_one_line(trust: ssl.SSLContext) -> None:
    with pytest.raises(SettingsError, match=r"kafka\.token_url https://127\.0\.0\.1:1/token: Connection refused"):
        fetch_token("https://127.0.0.1:1/token", "edge", SECRET, None, trust, 5)
