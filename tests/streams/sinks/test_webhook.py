"""Signed as the specification says, by its own verifier; under 20 kB; and the secrets stay secret."""

import asyncio
import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from standardwebhooks import Webhook, WebhookVerificationError

from collector.canary import make_canary
from collector.errors import SettingsError
from rules.alert import Alert
from rules.match import RuleSet
from streams.sinks.webhook import MAX_BODY_BYTES, SignedWebhook, write_body
from tests.streams.dispatch.carrying import SECRET, deliver, webhook, write_secret
from tests.streams.receiver import Got, Receiver

OTHER = "whsec_" + base64.b64encode(bytes(range(32))).decode()
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PRIVATE = "whsk_" + base64.b64encode(bytes(range(32))).decode()


def post(folder: Path, alert: Alert, secret: str = SECRET, **more: Any) -> Got:
    """What a receiver gets of an alert."""
    with Receiver() as receiver:
        assert deliver(webhook("soc", receiver.url, folder, secret, **more), alert) == "204 No Content"
    (got,) = receiver.got
    return got


def test_the_specifications_own_verifier_takes_it(tmp_path: Path, alert: Alert) -> None:
    got = post(tmp_path, alert)
    data = Webhook(SECRET).verify(got.body, got.headers)
    assert data["type"] == "lenswatch.alert.new"
    assert msgspec.convert(data["data"], Alert, strict=False).event.id == alert.event.id
    assert got.id == f"{alert.event.id}-1" and got.headers["content-type"] == "application/json"
    with pytest.raises(WebhookVerificationError):
        Webhook(OTHER).verify(got.body, got.headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(got.body + b" ", got.headers)


def test_while_secrets_change_both_are_signed_with(tmp_path: Path, alert: Alert) -> None:
    got = post(tmp_path, alert, f"{OTHER}\n{SECRET}")
    for secret in (SECRET, OTHER):
        Webhook(secret).verify(got.body, got.headers)


def test_a_secret_that_changes_while_we_run_counts_from_then_on(tmp_path: Path, alert: Alert) -> None:
    async def run(sink: SignedWebhook) -> None:
        await sink.deliver([alert])
        (tmp_path / "soc.secret").write_text("whsec_broken\n", "utf-8")
        await sink.deliver([alert])
        (tmp_path / "soc.secret").write_text(OTHER, "utf-8")
        await sink.deliver([alert])
        await sink.close()

    with Receiver() as receiver:
        asyncio.run(run(webhook("soc", receiver.url, tmp_path)))
    for got, secret in zip(receiver.got, (SECRET, SECRET, OTHER), strict=True):
        Webhook(secret).verify(got.body, got.headers)


def test_an_ed25519_signature_is_that_of_the_key(tmp_path: Path, alert: Alert) -> None:
    got = post(tmp_path, alert, PRIVATE)
    version, _, signature = got.headers["webhook-signature"].partition(",")
    signed = f"{got.id}.{got.headers['webhook-timestamp']}.".encode() + got.body
    assert version == "v1a"
    KEY.public_key().verify(base64.b64decode(signature), signed)
    with pytest.raises(InvalidSignature):
        KEY.public_key().verify(base64.b64decode(signature), signed + b" ")


def test_a_retry_has_the_same_id_and_a_later_revision_another(tmp_path: Path, alerts_of: Callable[..., Any]) -> None:
    (first,), (second,) = alerts_of(1), alerts_of(1, revision=2)
    ids = [post(tmp_path, alert).id for alert in (first, first, second)]
    assert ids[0] == ids[1] != ids[2]


def swollen(alert: Alert) -> Alert:
    """An alert whose every text and list is as long as the network can make it."""
    detail = alert.lenswatch
    assert detail.listings
    return msgspec.structs.replace(
        alert,
        message="m" * 30_000,
        lenswatch=msgspec.structs.replace(
            detail, listings=detail.listings * 60, evidence=["e" * 32] * 1_000, device_evidence=["x" * 500] * 200
        ),
    )


def test_a_body_is_under_20_kb_and_says_where_the_whole_is(alert: Alert) -> None:
    for link, where in (
        (None, f"lenswatch alerts show {alert.event.id}"),
        ("https://soc.example/alerts/{id}", f"https://soc.example/alerts/{alert.event.id}"),
    ):
        body = write_body(swollen(alert), link)
        assert len(body) <= MAX_BODY_BYTES < 20_000
        document = json.loads(body)
        assert document["shortened"] == where and document["data"]["event"]["id"] == alert.event.id
        assert document["data"]["lenswatch"]["listings"][0]["citation"]
    assert "shortened" not in json.loads(write_body(alert, None))


def test_a_body_of_the_longest_texts_of_other_scripts_is_under_20_kb(alert: Alert) -> None:
    wide = msgspec.json.decode(msgspec.json.encode(swollen(alert)).replace(b"mmmm", "𝔐".encode()), type=Alert)
    assert len(write_body(wide, None)) < 20_000


def test_a_canary_is_marked_as_one(rules: RuleSet, alert: Alert) -> None:
    (canary,) = rules.match(make_canary("sensor", "hq", alert.timestamp))
    assert json.loads(write_body(canary, None))["type"] == "lenswatch.canary"


@pytest.mark.parametrize(
    ("secret", "word"),
    [
        ("", "holds 0 secrets"),
        ("\n".join([SECRET] * 5), "holds 5 secrets"),
        ("c2VjcmV0", "begins neither with whsec_ nor with whsk_"),
        ("whsec_c2hvcnQ=", "is 5 bytes"),
        ("whsec_!!!", "is no base 64"),
        ("whsk_c2hvcnQ=", "an ed25519 key has 32"),
    ],
)
def test_a_wrong_secret_is_refused_without_being_shown(tmp_path: Path, secret: str, word: str) -> None:
    with pytest.raises(SettingsError, match=word) as failed:
        webhook("soc", "https://example.org/", tmp_path, secret)
    assert all(part not in str(failed.value) for part in secret.split() if len(part) > 10)


def test_a_secret_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    table = {"url": "https://example.org/", "secret_file": str(tmp_path / "gone")}
    with pytest.raises(SettingsError, match=r"gone cannot be read: No such file"):
        SignedWebhook.build("soc", table)


def test_a_secret_file_that_everybody_can_read_is_refused_with_the_mend(tmp_path: Path) -> None:
    path = write_secret(tmp_path / "soc.secret")
    table = {"url": "https://example.org/", "secret_file": str(path)}
    SignedWebhook.build("soc", table)
    path.chmod(0o604)
    with pytest.raises(SettingsError, match=f"by every user of this machine: chmod 600 {path}"):
        SignedWebhook.build("soc", table)


def test_a_secret_may_come_from_the_environment(tmp_path: Path, alert: Alert, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOC_SECRET", f"{OTHER} {SECRET}")
    with Receiver() as receiver:
        table = {"url": receiver.url, "secret_env": "SOC_SECRET", "allow": ["127.0.0.1"]}
        deliver(SignedWebhook.build("soc", table), alert)
    for secret in (SECRET, OTHER):
        Webhook(secret).verify(receiver.got[0].body, receiver.got[0].headers)


@pytest.mark.parametrize(
    ("more", "word"),
    [
        ({"secret_env": "SOC_SECRET_THAT_IS_NOT_THERE"}, "there is no such environment variable"),
        ({}, "secret_file and secret_env: name one of them"),
        ({"secret_env": "SOC_SECRET", "secret_file": "secret"}, "secret_file and secret_env: name one of them"),
    ],
)
def test_a_secret_comes_from_one_place(more: dict[str, str], word: str) -> None:
    with pytest.raises(SettingsError, match=word):
        SignedWebhook.build("soc", {"url": "https://example.org/", **more})


def test_a_wrong_secret_of_the_environment_is_refused_without_being_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOC_SECRET", "whsec_aGlkZGVuIGJ1dCBzaG9ydA==")
    with pytest.raises(SettingsError, match="secret_env SOC_SECRET: line 1: is 16 bytes") as failed:
        SignedWebhook.build("soc", {"url": "https://example.org/", "secret_env": "SOC_SECRET"})
    assert "aGlkZGVu" not in str(failed.value)


def test_the_secret_never_shows_in_a_failure(tmp_path: Path, alert: Alert) -> None:
    receiver = Receiver().start()
    receiver.stop()
    with pytest.raises(Exception, match="Connect") as failed:
        deliver(webhook("soc", receiver.url, tmp_path), alert)
    text = f"{failed.value!r} {failed.value.__cause__!r}"
    assert SECRET not in text and SECRET.removeprefix("whsec_") not in text
