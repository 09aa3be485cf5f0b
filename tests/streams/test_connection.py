"""Settings become what the Kafka client wants to be told, and a broker that is not there is one line."""

import asyncio
import socket
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from collector.errors import LenswatchError, SettingsError
from collector.kafka_settings import KafkaSettings
from streams.connection import client_options, reaching


def test_plain_is_plain() -> None:
    options = client_options(KafkaSettings(servers="a:1, b:2"))
    assert options["bootstrap_servers"] == ["a:1", "b:2"] and options["security_protocol"] == "PLAINTEXT"
    assert "ssl_context" not in options and "sasl_mechanism" not in options


def test_a_password_goes_with_tls_only(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("hunter2\n")
    secret.chmod(0o600)
    settings = KafkaSettings(
        servers="a:1", security_protocol="SASL_SSL", sasl_mechanism="SCRAM-SHA-512", username="worker",
        password_file=secret,
    )  # fmt: skip
    options = client_options(settings)
    assert options["ssl_context"] is not None and options["sasl_mechanism"] == "SCRAM-SHA-512"
    assert (options["sasl_plain_username"], options["sasl_plain_password"]) == ("worker", "hunter2")


def test_a_token_is_asked_for_anew_at_each_connection(tmp_path: Path) -> None:
    token = tmp_path / "token"
    settings = KafkaSettings(
        servers="a:1", security_protocol="SASL_SSL", sasl_mechanism="OAUTHBEARER", token_file=token
    )
    provider = client_options(settings)["sasl_oauth_token_provider"]
    for words in ("first", "second"):
        token.write_text(words)
        token.chmod(0o600)
        assert asyncio.run(provider.token()) == words


def test_no_broker_named_is_a_matter_of_settings() -> None:
    with pytest.raises(SettingsError, match="--kafka HOST:PORT"):
        client_options(KafkaSettings())


def test_a_broker_that_is_not_there_is_one_line() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        settings = KafkaSettings(servers=f"127.0.0.1:{taken.getsockname()[1]}")

        async def ask() -> None:
            with reaching(settings):
                consumer = AIOKafkaConsumer(**client_options(settings))
                try:
                    await consumer.start()
                finally:
                    await consumer.stop()

        with pytest.raises(LenswatchError, match=r"^127.0.0.1:\d+: no broker answers there") as refused:
            asyncio.run(ask())
    assert "\n" not in str(refused.value)


def test_what_kafka_refuses_names_the_broker() -> None:
    with pytest.raises(LenswatchError, match="a:1: Kafka refuses: "), reaching(KafkaSettings(servers="a:1")):
        raise KafkaError("no")
