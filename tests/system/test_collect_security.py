"""TLS and who we are, on a real Kafka with an authority of the test's own: it works, or one line says why not."""

import base64
import datetime
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from tests.streams.command import OFFICE
from tests.system.broker import Broker, Listener
from tests.system.edge import PARTITIONS, Edge, office_observations, read_topic

pytestmark = pytest.mark.system
USER, PASSWORD = "edge", "correct horse"
LONG_AGO = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, authority: trustme.CA) -> Path:
    """PEM files: the authority, the broker's key and certificate, an expired one, and a sensor's."""
    place = tmp_path_factory.mktemp("certificates")
    authority.cert_pem.write_to_path(place / "ca.pem")
    trustme.CA().cert_pem.write_to_path(place / "other-ca.pem")
    write_store(place / "broker.pem", authority.issue_cert("127.0.0.1"))
    expired = authority.issue_cert("127.0.0.1", not_before=LONG_AGO, not_after=LONG_AGO + datetime.timedelta(1))
    write_store(place / "expired.pem", expired)
    sensor = authority.issue_cert("edge.example", common_name="edge")
    sensor.private_key_pem.write_to_path(place / "key.pem")
    (place / "key.pem").chmod(0o600)
    sensor.cert_chain_pems[0].write_to_path(place / "cert.pem")
    return place


def write_store(path: Path, certificate: trustme.LeafCert) -> None:
    """Key and certificate as Kafka reads them: the key in PKCS 8."""
    key = load_pem_private_key(certificate.private_key_pem.bytes(), None)
    text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(text + b"".join(each.bytes() for each in certificate.cert_chain_pems))


def listener(place: Path, protocol: str, certificate: str = "broker.pem", **more: str) -> Listener:
    """A listener with a certificate; underscores in names are dots."""
    tls = {
        "ssl.keystore.type": "PEM", "ssl.keystore.location": str(place / certificate),
        "ssl.truststore.type": "PEM", "ssl.truststore.location": str(place / "ca.pem"),
    }  # fmt: skip
    return Listener(protocol, tls | {name.replace("_", "."): value for name, value in more.items()})


@pytest.fixture(scope="module")
def secured(kafka_libs: Path, place: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A broker with SASL over TLS (SCRAM and OAUTHBEARER), and with TLS for who has a certificate."""
    scram = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
    bearer = "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required"
    tokens = f'{bearer} unsecuredLoginStringClaim_sub="broker";'
    broker = Broker(
        tmp_path_factory.mktemp("secured"),
        kafka_libs,
        [
            listener(
                place, "SASL_SSL",
                sasl_enabled_mechanisms="SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER",
            ),
            listener(place, "SSL", ssl_client_auth="required"),
        ],
        ["--add-scram", f"SCRAM-SHA-512=[name={USER},password={PASSWORD}]",
         "--add-scram", f"SCRAM-SHA-256=[name={USER},password={PASSWORD}]"],
        {
            "listener.name.sasl_ssl.sasl.enabled.mechanisms": "SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER",
            "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": scram,
            "listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config": scram,
            "listener.name.sasl_ssl.oauthbearer.sasl.jaas.config": tokens,
        },
    ).start()  # fmt: skip
    yield broker
    broker.stop()


@pytest.fixture
def edge(secured: Broker, place: Path, tmp_path: Path) -> Edge:
    """A sensor that may."""
    topic, heartbeats = secured.create_topic(partitions=PARTITIONS), secured.create_topic(partitions=1)
    return Edge(tmp_path, secured.addresses["SASL_SSL"], topic, heartbeats, {
        "LENSWATCH_KAFKA_SECURITY_PROTOCOL": "SASL_SSL", "LENSWATCH_KAFKA_CAFILE": str(place / "ca.pem"),
        "LENSWATCH_KAFKA_SASL_MECHANISM": "SCRAM-SHA-512", "LENSWATCH_KAFKA_USERNAME": USER,
        "LENSWATCH_KAFKA_PASSWORD": PASSWORD, "LENSWATCH_SPOOL_DRAIN_SECONDS": "20",
    })  # fmt: skip


def with_token(edge: Edge, tmp_path: Path, expires: float) -> None:
    """OAUTHBEARER with a token from a command; an unsigned one, as the broker takes when nothing else is set up."""

    def part(content: dict[str, object]) -> str:
        return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")

    token = f"{part({'alg': 'none'})}.{part({'sub': USER, 'iat': time.time() - 10, 'exp': expires})}."
    (tmp_path / "token").write_text(token)
    for name in ("USERNAME", "PASSWORD"):
        del edge.settings[f"LENSWATCH_KAFKA_{name}"]
    edge.settings["LENSWATCH_KAFKA_SASL_MECHANISM"] = "OAUTHBEARER"
    edge.settings["LENSWATCH_KAFKA_TOKEN_COMMAND"] = json.dumps(["cat", str(tmp_path / "token")])


def expect_all(edge: Edge, broker: Broker) -> None:
    """The office arrives whole."""
    ran = edge.run(str(OFFICE))
    assert ran.returncode == 0, ran.stderr
    assert sum(head.count for _, head, _ in read_topic(broker, edge.topic).records) == office_observations()


def expect_refusal(edge: Edge, words: str) -> None:
    """`--check` says why in one line, and tells no secret."""
    ran = edge.run(str(OFFICE), "--check")
    lines = ran.stderr.splitlines()
    assert ran.returncode == 1 and len(lines) == 1, ran.stderr
    assert words in lines[0]
    assert edge.servers in lines[0] and "correct" not in ran.stderr + ran.stdout


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-512", "SCRAM-SHA-256"])
def test_scram_over_tls(edge: Edge, secured: Broker, mechanism: str) -> None:
    edge.settings["LENSWATCH_KAFKA_SASL_MECHANISM"] = mechanism
    expect_all(edge, secured)


def test_a_token_over_tls(edge: Edge, secured: Broker, tmp_path: Path) -> None:
    with_token(edge, tmp_path, time.time() + 3600)
    expect_all(edge, secured)


def test_a_certificate_of_ones_own(edge: Edge, secured: Broker, place: Path) -> None:
    edge.servers = secured.addresses["SSL"]
    edge.settings = {
        "LENSWATCH_KAFKA_SECURITY_PROTOCOL": "SSL", "LENSWATCH_KAFKA_CAFILE": str(place / "ca.pem"),
        "LENSWATCH_KAFKA_CERTFILE": str(place / "cert.pem"), "LENSWATCH_KAFKA_KEYFILE": str(place / "key.pem"),
    }  # fmt: skip
    expect_all(edge, secured)


def test_a_wrong_password_is_said_and_nothing_is_lost(edge: Edge, secured: Broker) -> None:
    edge.settings["LENSWATCH_KAFKA_PASSWORD"] = "incorrect"
    expect_refusal(edge, "invalid credentials with SASL mechanism SCRAM-SHA-512")
    edge.settings["LENSWATCH_SPOOL_DRAIN_SECONDS"] = "3"
    ran = edge.run(str(OFFICE))
    assert ran.returncode == 1 and f"{office_observations()} observations wait for the next start" in ran.stderr
    edge.settings |= {"LENSWATCH_KAFKA_PASSWORD": PASSWORD, "LENSWATCH_SPOOL_DRAIN_SECONDS": "20"}
    assert edge.run(str(OFFICE)).returncode == 0
    assert sum(head.count for _, head, _ in read_topic(secured, edge.topic).records) == 2 * office_observations()


def test_an_expired_token_is_said(edge: Edge, tmp_path: Path) -> None:
    with_token(edge, tmp_path, time.time() - 3600)
    expect_refusal(edge, "invalid_token")


def test_an_authority_that_is_not_ours_is_said(edge: Edge, place: Path) -> None:
    edge.settings["LENSWATCH_KAFKA_CAFILE"] = str(place / "other-ca.pem")
    expect_refusal(edge, "certificate verify failed")


def test_a_plain_client_at_an_encrypted_listener_is_refused(edge: Edge) -> None:
    edge.settings = {}
    expect_refusal(edge, "is kafka.security_protocol the right one")


def test_an_expired_certificate_is_said(kafka_libs: Path, place: Path, tmp_path: Path, edge: Edge) -> None:
    expired = Broker(tmp_path / "kafka", kafka_libs, [listener(place, "SSL", "expired.pem")]).start()
    try:
        edge.servers = expired.addresses["SSL"]
        edge.settings = {"LENSWATCH_KAFKA_SECURITY_PROTOCOL": "SSL", "LENSWATCH_KAFKA_CAFILE": str(place / "ca.pem")}
        expect_refusal(edge, "certificate has expired")
    finally:
        expired.stop()


def test_credentials_over_a_plain_connection_are_refused_before_anything_is_sent(edge: Edge) -> None:
    for protocol in ("PLAINTEXT", "SASL_PLAINTEXT"):
        edge.settings["LENSWATCH_KAFKA_SECURITY_PROTOCOL"] = protocol
        del edge.settings["LENSWATCH_KAFKA_CAFILE"]
        ran = edge.run(str(OFFICE))
        assert ran.returncode == 2 and "readable" in ran.stderr and "SASL_SSL" in ran.stderr
        edge.settings["LENSWATCH_KAFKA_CAFILE"] = "unused"
