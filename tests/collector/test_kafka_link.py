"""What Kafka would not say is said: which address, which reason. The real broker's part is in tests/system."""

import logging
import socket
from pathlib import Path
from unittest import mock

import msgspec
import pytest
import zstandard
from kafka.errors import KafkaConnectionError, SaslAuthenticationFailedError
from kafka.net.transport import KafkaTCPTransport
from kafka.record import util as record_util
from kafka.record.default_records import DefaultRecordBatch, DefaultRecordBatchBuilder

from collector import kafka_link
from collector.errors import LenswatchError, SettingsError
from collector.kafka_link import LastWords, Tokens, check_build, connect, knock, security_options, wording
from collector.kafka_settings import KafkaSettings
from collector.record import ZSTD_LEVEL


def test_this_build_is_fast_and_can_compress() -> None:
    check_build()


def test_a_build_without_crc32c_or_zstandard_is_refused() -> None:
    with mock.patch.object(record_util, "crc32c_c", None), pytest.raises(LenswatchError, match=r"without crc32c.*pip"):
        check_build()
    with mock.patch.object(kafka_link, "has_zstd", lambda: False), pytest.raises(LenswatchError, match="zstandard"):
        check_build()


def test_records_are_compressed_at_our_level_and_read_back_by_kafka_python() -> None:
    value = msgspec.json.encode([{"number": number} for number in range(1000)])
    builder = DefaultRecordBatchBuilder(
        2, DefaultRecordBatchBuilder.CODEC_ZSTD, 0, producer_id=-1, producer_epoch=-1, base_sequence=-1, batch_size=0
    )
    builder.append(0, 0, None, value, [])
    packed = builder.build()
    assert [record.value for record in DefaultRecordBatch(bytes(packed))] == [value]
    sent = bytes(packed[DefaultRecordBatchBuilder.HEADER_STRUCT.size :])
    plain = zstandard.ZstdDecompressor().decompress(sent)
    assert sent == zstandard.ZstdCompressor(ZSTD_LEVEL).compress(plain) != zstandard.ZstdCompressor().compress(plain)


def test_nobody_at_any_address_is_one_line_with_each_reason() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(LenswatchError, match=f"^127.0.0.1:{port}: Connection refused; no.host.invalid:9092: "):
            knock(KafkaSettings(servers=f"127.0.0.1:{port},no.host.invalid:9092"))
        taken.listen()
        knock(KafkaSettings(servers=f"no.host.invalid:9092,127.0.0.1:{port}"))
    with pytest.raises(LenswatchError, match=r"kafka\.servers is empty"):
        knock(KafkaSettings())


# kafka-python leaves them to the collector of cycles; they are closed when connect() gives up.
@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
def test_who_listens_and_never_answers_is_given_up() -> None:
    with socket.socket() as silent, mock.patch.object(kafka_link, "ANSWER_SECONDS", 0.3):
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises(LenswatchError, match="no answer within 0 s"):
            connect(KafkaSettings(servers=f"127.0.0.1:{silent.getsockname()[1]}"), "test")
        open_before = len(list(Path("/proc/self/fd").iterdir()))
        with pytest.raises(LenswatchError):
            connect(KafkaSettings(servers=f"127.0.0.1:{silent.getsockname()[1]}"), "test")
        assert len(list(Path("/proc/self/fd").iterdir())) <= open_before


def test_the_last_complaint_is_kept_and_nothing_reaches_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    words, log = LastWords(), logging.getLogger("kafka.net.manager")
    with words.listening():
        log.error("Connection failed: %s", KafkaConnectionError("Handshake failed: certificate has expired"))
        log.warning("%s tries again in %d s", "somebody", 3)
    assert words.text == "certificate has expired"
    assert capsys.readouterr().err == ""
    logging.getLogger("kafka").removeHandler(words)
    with words.listening():
        assert words.text == ""
    logging.getLogger("kafka").removeHandler(words)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (KafkaConnectionError("Handshake failed: no"), "no"),
        (SaslAuthenticationFailedError("bad\npassword"), "bad password"),
        (ValueError(), "Value"),
    ],
)
def test_an_error_is_worded_without_its_class(error: Exception, text: str) -> None:
    assert wording(error) == text


def test_the_settings_become_the_clients_options(tmp_path: Path) -> None:
    assert security_options(KafkaSettings())["ssl_context"] is None
    (tmp_path / "token").write_text("abc")
    (tmp_path / "token").chmod(0o600)
    settings = KafkaSettings(security_protocol="SASL_SSL", sasl_mechanism="OAUTHBEARER", token_file=tmp_path / "token")
    provider = security_options(settings)["sasl_oauth_token_provider"]
    assert isinstance(provider, Tokens) and provider.token() == "abc"
    (tmp_path / "token").unlink()
    with pytest.raises(SettingsError, match="token"):
        security_options(settings)
    scram = KafkaSettings(
        security_protocol="SASL_SSL", sasl_mechanism="SCRAM-SHA-256", username="edge", password="secret"
    )
    options = security_options(scram)
    assert (options["sasl_plain_username"], options["sasl_plain_password"]) == ("edge", "secret")


def test_what_came_right_before_the_end_of_a_connection_is_read() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        transport = KafkaTCPTransport(None, ours, host="127.0.0.1")
        theirs.sendall(b"why it was closed")
        theirs.close()
        assert transport._sock_recv() == (b"why it was closed", None)
        data, error = transport._sock_recv()
        assert data == b"" and isinstance(error, KafkaConnectionError)
