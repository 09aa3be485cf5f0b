"""The centre over TLS with a password, on a real Kafka with an authority of the test's own."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from rules.load import load_rules
from tests.streams.command import spawn
from tests.system.broker import Broker
from tests.system.centre import centre_at
from tests.system.load import expected, make_load, substance
from tests.system.test_collect_security import PASSWORD, USER, listener, write_store

pytestmark = pytest.mark.system
SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule required;"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority, the broker's key and certificate, and another authority."""
    place, authority = tmp_path_factory.mktemp("certificates"), trustme.CA()
    authority.cert_pem.write_to_path(place / "ca.pem")
    trustme.CA().cert_pem.write_to_path(place / "other-ca.pem")
    write_store(place / "broker.pem", authority.issue_cert("127.0.0.1"))
    return place


@pytest.fixture(scope="module")
def guarded(kafka_libs: Path, certificates: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A broker with SCRAM over TLS beside its plain listener."""
    broker = Broker(
        tmp_path_factory.mktemp("guarded"), kafka_libs,
        [listener(certificates, "SASL_SSL", sasl_enabled_mechanisms="SCRAM-SHA-512")],
        ["--add-scram", f"SCRAM-SHA-512=[name={USER},password={PASSWORD}]"],
        {"listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": SCRAM},
    ).start()  # fmt: skip
    yield broker
    broker.stop()


@pytest.fixture
def credentials(guarded: Broker, certificates: Path) -> dict[str, str]:
    """The environment of a worker that may."""
    return {
        "LENSWATCH_KAFKA_SERVERS": guarded.addresses["SASL_SSL"], "LENSWATCH_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
        "LENSWATCH_KAFKA_CAFILE": str(certificates / "ca.pem"), "LENSWATCH_KAFKA_SASL_MECHANISM": "SCRAM-SHA-512",
        "LENSWATCH_KAFKA_USERNAME": USER, "LENSWATCH_KAFKA_PASSWORD": PASSWORD,
    }  # fmt: skip


def test_a_worker_over_tls_with_a_password_tells_the_same(
    guarded: Broker, credentials: dict[str, str], tmp_path: Path
) -> None:
    observations = make_load(1_000, 20)
    with centre_at(guarded.address, tmp_path / "centre", variables=credentials) as centre:
        worker = centre.worker("w1").wait_ready()
        centre.send(centre.records(observations, 25))
        centre.wait_done()
        assert substance(centre.told()) == substance(expected(observations, load_rules()))
        assert worker.end() == 0, worker.said()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"LENSWATCH_KAFKA_PASSWORD": "incorrect"}, "uthentication"),
        ({"LENSWATCH_KAFKA_CAFILE": "other-ca.pem"}, "no broker answers there, or not to us"),
    ],
)
def test_who_may_not_is_told_in_one_line(
    credentials: dict[str, str], certificates: Path, change: dict[str, str], words: str, tmp_path: Path
) -> None:
    change = {name: str(certificates / value) if name.endswith("FILE") else value for name, value in change.items()}
    ran = spawn("topics", "check", state=tmp_path, **(credentials | change))
    (line,) = ran.complaints
    assert (
        ran.code == 1
        and len(ran.err.splitlines()) == 1
        and words in line
        and credentials["LENSWATCH_KAFKA_SERVERS"] in line
    )
    assert "incorrect" not in ran.err and PASSWORD not in ran.err
