"""Ten sites in two regions: each settings file is sound, and gets through to a Kafka that is as strict as they are."""

import json
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from collector.settings import variable_of
from streams.settings import load_settings
from tests.collector.issuing import Reply, issuing
from tests.streams.command import OFFICE, PROGRAM, environment, read_alerts, run, spawn
from tests.system.broker import ROOT, Broker
from tests.system.centre import until
from tests.system.test_collect_security import PASSWORD, listener, write_store
from tests.system.tokens import AUDIENCE, ISSUER, Issuer

pytestmark = pytest.mark.system
ENTERPRISE = ROOT / "deploy" / "settings" / "enterprise"
REGIONS = ("americas", "emea")
SITES = sorted(ENTERPRISE.glob("*/sites/*.env"))
WORKER_USER = "lenswatch-worker"
SERVERS, INSTANCE = variable_of("kafka", "servers"), variable_of("worker", "instance")
WAIVERS = """[[waiver]]
id = "phase-out"
ground = "the contract ends"
approver = "the board"
reference = "42"
from = 2020-01-01
until = 2099-12-31
companies = ["hikvision"]
"""


def variables_of(path: Path) -> dict[str, str]:
    """An EnvironmentFile as systemd reads it."""
    return dict(part.partition("=")[::2] for part in shlex.split(path.read_text("utf-8"), comments=True))


@pytest.fixture(scope="module")
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, issuer: Issuer) -> Path:
    """What lies in /etc/lenswatch on machines of both regions, and the broker's own certificate and keys."""
    place, authority = tmp_path_factory.mktemp("etc"), trustme.CA()
    for folder in ("tls", "secrets"):
        (place / folder).mkdir()
    authority.cert_pem.write_to_path(place / "tls" / "ca.pem")
    authority.cert_pem.write_to_path(place / "ca.pem")
    for name in ("sensor", "worker"):
        own = authority.issue_cert(f"{name}.example", common_name=name)
        own.private_key_pem.write_to_path(place / "tls" / f"{name}.key")
        own.cert_chain_pems[0].write_to_path(place / "tls" / f"{name}.pem")
        (place / "tls" / f"{name}.key").chmod(0o640)
    write_store(place / "broker.pem", authority.issue_cert("127.0.0.1"))
    issuer.write_keys(place / "keys.json")
    secrets = {
        "kafka.password": PASSWORD, "kafka.token": issuer.token("sensor"),
        "soc.secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    }  # fmt: skip
    for name, text in secrets.items():
        (place / "secrets" / name).write_text(f"{text}\n", "utf-8")
        (place / "secrets" / name).chmod(0o600)
    (place / "waivers.toml").write_text(WAIVERS, "utf-8")
    assert run("rules", "keygen", place / "ops", state=place).code == 0
    return place


def settings_file(place: Path, name: str, folder: Path, sinks: bool = True) -> Path:
    """A file of the example with this place for /etc/lenswatch; its sinks are others' addresses."""
    text = (ENTERPRISE / name).read_text("utf-8")
    text = text.replace("/etc/lenswatch", str(place)).replace("/var/log/lenswatch", str(folder))
    path = folder / name.replace("/", "-")
    path.write_text(text if sinks else text.partition("\n[sinks.")[0], "utf-8")
    return path


def test_there_are_ten_sites_in_two_regions_and_each_has_its_profiles() -> None:
    assert len(SITES) == 10 and {path.parents[1].name for path in SITES} == set(REGIONS)
    for region in REGIONS:
        known = load_settings(ENTERPRISE / region / "worker.toml", {}).rules.sites
        assert set(known) == {path.stem for path in SITES if path.parents[1].name == region}
        assert all(site.profiles and site.use_class for site in known.values())
    variables = [variables_of(path) for path in SITES]
    for key in ("site", "sensor", "networks"):
        assert len({each[variable_of("collector", key)] for each in variables}) == 10, key


def test_every_way_to_say_who_we_are_is_there_and_none_without_tls() -> None:
    kafka = [load_settings(path, {}).kafka for path in sorted(ENTERPRISE.glob("*/*.toml"))]
    assert len(kafka) == 4 and all(each.security_protocol.endswith("SSL") and each.cafile for each in kafka)
    assert {each.sasl_mechanism for each in kafka} == {None, "SCRAM-SHA-512", "OAUTHBEARER"}
    assert sum(each.certfile is not None for each in kafka) == 3


@pytest.mark.parametrize("path", SITES, ids=lambda path: path.stem)
def test_a_sensor_s_settings_are_sound(path: Path, place: Path, tmp_path: Path) -> None:
    region = path.parents[1].name
    own = variables_of(path)
    ran = run("settings", "check", settings_file(place, f"{region}/collector.toml", tmp_path), state=tmp_path, **own)
    assert ran.code == 0 and not ran.err, ran.err
    assert f'site = "{path.stem}"   # LENSWATCH_COLLECTOR_SITE' in ran.out


@pytest.mark.parametrize("region", REGIONS)
def test_a_worker_s_settings_are_sound_and_open_secrets_are_refused(region: str, place: Path, tmp_path: Path) -> None:
    path = settings_file(place, f"{region}/worker.toml", tmp_path)
    ran = run("settings", "check", path, state=tmp_path, **{INSTANCE: "worker-1"})
    assert ran.code == 0 and not ran.err, ran.err
    secret = place / "secrets" / ("kafka.token" if region == "americas" else "kafka.password")
    for each in (secret, place / "tls" / "worker.key", place / "secrets" / "soc.secret"):
        mode = each.stat().st_mode
        each.chmod(0o644)
        ran = run("settings", "check", path, state=tmp_path)
        each.chmod(mode)
        assert ran.code == 2 and f"{each} can be read by every user" in ran.err


@pytest.fixture(scope="module")
def strict(kafka_libs: Path, place: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A broker that asks sensors for certificates, and others for SCRAM or a token that its issuer signed."""
    security = "org.apache.kafka.common.security"
    keys = (place / "keys.json").as_uri()
    sasl = "listener.name.sasl_ssl"
    bearer = f"{security}.oauthbearer.OAuthBearerLoginModule required"
    broker = Broker(
        tmp_path_factory.mktemp("strict"), kafka_libs,
        [
            listener(
                place, "SASL_SSL", sasl_enabled_mechanisms="SCRAM-SHA-512,OAUTHBEARER", ssl_client_auth="requested"
            ),
            listener(place, "SSL", ssl_client_auth="required"),
        ],
        ["--add-scram", f"SCRAM-SHA-512=[name={WORKER_USER},password={PASSWORD}]"],
        {
            f"{sasl}.scram-sha-512.sasl.jaas.config": f"{security}.scram.ScramLoginModule required;",
            f"{sasl}.oauthbearer.sasl.jaas.config": f'{bearer} unsecuredLoginStringClaim_sub="broker";',
            f"{sasl}.oauthbearer.sasl.server.callback.handler.class":
                f"{security}.oauthbearer.OAuthBearerValidatorCallbackHandler",
            "sasl.oauthbearer.jwt.validator.class": f"{security}.oauthbearer.BrokerJwtValidator",
            "sasl.oauthbearer.jwks.endpoint.url": keys,
            "sasl.oauthbearer.expected.audience": AUDIENCE,
            "sasl.oauthbearer.expected.issuer": ISSUER,
        },
        [f"-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls={keys}"],
    ).start()  # fmt: skip
    yield broker
    broker.stop()


@pytest.fixture(scope="module")
def topics(strict: Broker, place: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Made by the settings of a worker."""
    folder = tmp_path_factory.mktemp("topics")
    for region in REGIONS:
        path = settings_file(place, f"{region}/worker.toml", folder, sinks=False)
        made = spawn("topics", "create", "--config", path, state=folder, **{SERVERS: strict.addresses["SASL_SSL"]})
        assert made.code == 0, made.err


@pytest.mark.parametrize(("region", "site"), [("emea", "hamburg"), ("americas", "houston")])
@pytest.mark.usefixtures("topics")
def test_what_a_sensor_sees_becomes_alerts_of_its_site(
    region: str, site: str, strict: Broker, place: Path, tmp_path: Path
) -> None:
    collector = settings_file(place, f"{region}/collector.toml", tmp_path)
    address = strict.addresses["SSL" if load_settings(collector, {}).kafka.security_protocol == "SSL" else "SASL_SSL"]
    own = variables_of(ENTERPRISE / region / "sites" / f"{site}.env") | {SERVERS: address}
    # The office of the demo has other networks than the site.
    del own[variable_of("collector", "networks")]
    sent = spawn("collect", OFFICE, "--config", collector, state=tmp_path, **own)
    assert sent.code == 0, sent.err
    config = settings_file(place, f"{region}/worker.toml", tmp_path, sinks=False)
    found, said = tmp_path / "found.jsonl", tmp_path / "said"
    more = {SERVERS: strict.addresses["SASL_SSL"], INSTANCE: "w1", variable_of("worker", "metrics_port"): "0"}
    with said.open("wb") as err:
        worker = subprocess.Popen(
            [str(PROGRAM), "worker", "--config", str(config), "--alerts", str(found)], stdout=err, stderr=err,
            env=environment(tmp_path, more),
        )  # fmt: skip
    try:
        until(
            lambda: found.exists() and any(
                alert.lenswatch.site == site for alert in read_alerts(found.read_text("utf-8").rpartition("\n")[0])
            ),
            60, f"an alert of {site} is told; the worker said {said.read_text('utf-8')}",
        )  # fmt: skip
        worker.terminate()
        assert worker.wait(40) == 0, said.read_text("utf-8")
    finally:
        worker.kill()
        worker.wait()


@pytest.mark.parametrize("wrong", ["signature", "audience", "expired"])
@pytest.mark.usefixtures("topics")
def test_a_token_that_the_issuer_did_not_mean_is_refused(
    wrong: str, strict: Broker, place: Path, issuer: Issuer, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    who = Issuer() if wrong == "signature" else issuer
    audience, seconds = "another" if wrong == "audience" else AUDIENCE, -3600.0 if wrong == "expired" else 3600.0
    token.write_text(who.token("sensor", seconds, audience), "utf-8")
    token.chmod(0o600)
    more = {SERVERS: strict.addresses["SASL_SSL"], variable_of("kafka", "token_file"): str(token)}
    ran = spawn(
        "topics", "check", "--config", settings_file(place, "americas/worker.toml", tmp_path), state=tmp_path, **more
    )
    assert ran.code == 1 and len(ran.complaints) == 1 and strict.addresses["SASL_SSL"] in ran.err, ran.err


@pytest.mark.usefixtures("topics")
def test_a_token_that_is_fetched_from_its_issuer_opens_kafka(
    strict: Broker, place: Path, issuer: Issuer, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("between us\n", "utf-8")
    secret.chmod(0o600)
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    (tmp_path / "ca.pem").write_bytes((tmp_path / "ca.pem").read_bytes() + (place / "ca.pem").read_bytes())
    granted = Reply(200, json.dumps({"access_token": issuer.token("sensor"), "token_type": "bearer"}))
    with issuing(authority, lambda _: granted) as (url, asked):
        kafka = {"servers": strict.addresses["SASL_SSL"], "cafile": tmp_path / "ca.pem", "token_url": url,
                 "client_id": "edge", "client_secret_file": secret}  # fmt: skip
        more = {variable_of("kafka", key): str(value) for key, value in kafka.items()}
        files = [settings_file(place, f"americas/{role}.toml", tmp_path) for role in ("worker", "collector")]
        ran = spawn("topics", "check", "--config", files[0], state=tmp_path, **more)
        assert ran.code == 0, ran.err
        ran = spawn("collect", OFFICE, "--check", "--config", files[1], state=tmp_path, **more)
        assert ran.code == 0 and "topic      lenswatch.observations.v1, 12 partitions" in ran.out, ran.err
    assert len(asked) >= 2 and "between us" not in ran.out + ran.err
