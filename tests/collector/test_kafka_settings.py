"""Credentials never go over a plain connection; a wrong file or key is one line that names it."""

import datetime
import ssl
import stat
from pathlib import Path
from typing import Any

import pytest
import trustme

from collector.errors import SettingsError
from collector.kafka_settings import KafkaSettings, read_password, read_token, tls_context

SCRAM: dict[str, Any] = {
    "security_protocol": "SASL_SSL", "sasl_mechanism": "SCRAM-SHA-512", "username": "edge", "password": "secret",
}  # fmt: skip

BEARER: dict[str, Any] = {"security_protocol": "SASL_SSL", "sasl_mechanism": "OAUTHBEARER"}


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def test_the_defaults_are_a_plain_connection_without_credentials() -> None:
    assert KafkaSettings(servers="a:9092, b:9093,").addresses == ["a:9092", "b:9093"]
    assert tls_context(KafkaSettings()) is None


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"username": "edge"}, "would send the credentials readable: set it to SASL_SSL"),
        ({"password": "secret"}, "readable"),
        ({"token_file": Path("token")}, "readable"),
        ({"sasl_mechanism": "PLAIN"}, "readable"),
        (SCRAM | {"security_protocol": "SASL_PLAINTEXT"}, "readable: set it to SASL_SSL"),
        ({"security_protocol": "SASL_PLAINTEXT"}, "readable"),
        (SCRAM | {"security_protocol": "SSL"}, "go together"),
        ({"security_protocol": "SASL_SSL"}, "go together"),
        (SCRAM | {"password": None}, "needs kafka.username and a password"),
        (SCRAM | {"username": ""}, "needs kafka.username and a password"),
        ({"security_protocol": "SASL_SSL", "sasl_mechanism": "OAUTHBEARER"}, "token_command or kafka.token_file"),
        (BEARER | {"token_url": "https://issuer.example/token"}, "needs kafka.client_id and kafka.client_secret_file"),
        (
            BEARER | {"token_url": "http://issuer.example/token", "client_id": "c", "client_secret_file": Path("s")},
            "would send the secret readable",
        ),
        ({"security_protocol": "SSL", "certfile": Path("a.pem")}, "go together"),
        ({"cafile": Path("ca.pem")}, "PLAINTEXT, but certificates are named"),
        ({"servers": "broker"}, "'broker' is no HOST:PORT"),
        ({"servers": "broker:99999"}, "no HOST:PORT"),
        ({"partitions": 0}, "1 to 10000 are allowed"),
    ],
)
def test_settings_that_contradict_themselves_are_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        KafkaSettings(**settings)


def test_an_authority_of_ones_own_and_a_certificate_for_the_broker(tmp_path: Path, authority: trustme.CA) -> None:
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    mine = authority.issue_cert("edge.example")
    mine.private_key_pem.write_to_path(tmp_path / "key.pem")
    (tmp_path / "key.pem").chmod(0o600)
    mine.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    context = tls_context(
        KafkaSettings(
            security_protocol="SSL",
            cafile=tmp_path / "ca.pem",
            certfile=tmp_path / "cert.pem",
            keyfile=tmp_path / "key.pem",
        )
    )
    assert context is not None and context.check_hostname and context.verify_mode == ssl.CERT_REQUIRED
    assert len(context.get_ca_certs()) == 1


def test_a_file_that_is_not_there_or_no_certificate_is_named(tmp_path: Path) -> None:
    (tmp_path / "junk.pem").write_text("no certificate")
    (tmp_path / "junk.pem").chmod(0o600)
    with pytest.raises(SettingsError, match=r"gone\.pem: kafka\.cafile cannot be read: No such file"):
        tls_context(KafkaSettings(security_protocol="SSL", cafile=tmp_path / "gone.pem"))
    with pytest.raises(SettingsError, match=r"junk\.pem: kafka\.cafile cannot be read"):
        tls_context(KafkaSettings(security_protocol="SSL", cafile=tmp_path / "junk.pem"))
    with pytest.raises(SettingsError, match=r"junk\.pem: kafka\.certfile and keyfile cannot be read"):
        tls_context(
            KafkaSettings(security_protocol="SSL", certfile=tmp_path / "junk.pem", keyfile=tmp_path / "junk.pem")
        )


def test_a_password_comes_from_the_settings_or_a_file(tmp_path: Path) -> None:
    assert read_password(KafkaSettings(**SCRAM)) == "secret"
    path = tmp_path / "password"
    settings = KafkaSettings(**(SCRAM | {"password": None, "password_file": path}))
    with pytest.raises(SettingsError, match=r"kafka\.password_file .*password cannot be read: No such file"):
        read_password(settings)
    path.write_text("\n")
    path.chmod(0o640)
    with pytest.raises(SettingsError, match=r"password_file .* is empty"):
        read_password(settings)
    path.write_text("from a file\n")
    assert read_password(settings) == "from a file"


def test_a_token_comes_from_a_command_or_a_file(tmp_path: Path) -> None:
    def settings(**token: object) -> KafkaSettings:
        return KafkaSettings(security_protocol="SASL_SSL", sasl_mechanism="OAUTHBEARER", **token)  # type: ignore[arg-type]

    (tmp_path / "token").write_text("abc\n")
    (tmp_path / "token").chmod(0o600)
    assert read_token(settings(token_file=tmp_path / "token")) == "abc"
    script = tmp_path / "tokens"
    script.write_text("#!/bin/sh\necho def\n")
    script.chmod(stat.S_IRWXU)
    assert read_token(settings(token_command=(str(script),))) == "def"
    for command, words in (((str(tmp_path / "gone"),), "gave no token"), (("false",), "gave no token"),
                           (("true",), "printed nothing")):  # fmt: skip
        with pytest.raises(SettingsError, match=words):
            read_token(settings(token_command=command))


def test_a_secret_is_not_in_the_words_of_an_error() -> None:
    with pytest.raises(ValueError) as caught:
        KafkaSettings(**(SCRAM | {"security_protocol": "PLAINTEXT"}))
    assert "secret" not in str(caught.value)


def test_an_encrypted_key_is_refused_and_nobody_is_asked(tmp_path: Path, authority: trustme.CA) -> None:
    from cryptography.hazmat.primitives.serialization import (
        BestAvailableEncryption,
        Encoding,
        PrivateFormat,
        load_pem_private_key,
    )

    mine = authority.issue_cert("edge.example", not_after=datetime.datetime(2100, 1, 1, tzinfo=datetime.UTC))
    key = load_pem_private_key(mine.private_key_pem.bytes(), None)
    (tmp_path / "key.pem").write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"pass"))
    )
    (tmp_path / "key.pem").chmod(0o600)
    mine.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    with pytest.raises(SettingsError, match=r"cert\.pem: .*the key is encrypted"):
        tls_context(
            KafkaSettings(security_protocol="SSL", certfile=tmp_path / "cert.pem", keyfile=tmp_path / "key.pem")
        )


def test_secrets_that_everybody_may_read_are_refused(tmp_path: Path, authority: trustme.CA) -> None:
    mine = authority.issue_cert("edge.example")
    mine.private_key_pem.write_to_path(tmp_path / "key.pem")
    mine.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    secret = tmp_path / "secret"
    secret.write_text("abc\n")
    for path in (secret, tmp_path / "key.pem"):
        path.chmod(0o644)
    own = KafkaSettings(security_protocol="SSL", certfile=tmp_path / "cert.pem", keyfile=tmp_path / "key.pem")
    with pytest.raises(SettingsError, match=r"kafka\.keyfile .*can be read by every user.*chmod 600"):
        tls_context(own)
    with pytest.raises(SettingsError, match=r"kafka\.password_file .*can be read by every user"):
        read_password(KafkaSettings(**(SCRAM | {"password": None, "password_file": secret})))
    with pytest.raises(SettingsError, match=r"kafka\.token_file .*can be read by every user"):
        read_token(KafkaSettings(security_protocol="SASL_SSL", sasl_mechanism="OAUTHBEARER", token_file=secret))
