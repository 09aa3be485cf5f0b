"""Every setting comes from the file and from the environment, and a wrong one is named with its place."""

from pathlib import Path

import msgspec
import pytest

from collector.errors import SettingsError
from collector.settings import sections
from streams.settings import Settings, StoreSettings, load_settings, state_folder

GIVEN = {
    "collector": {
        "sensor": "switch-2", "site": "harbour", "networks": ["10.20.0.0/16", "fd20::/16"], "max_flows": 11,
        "traffic": "all", "watched": ["10.20.9.0/24", "44:19:b6:00:00:01"],
        "max_readers": 12, "max_names": 13, "max_devices": 14,
        "max_digests": 21, "max_digest_bytes": 22, "digest_hourly_bytes": 23,
        "metrics": "127.0.0.1:1", "heartbeat_seconds": 1.5,
        "canary_seconds": 1.75,
    },
    "rules": {
        "folders": ["/etc/lenswatch/rules", "more"], "profiles": ["us-private", "ca-private"],
        "use_class": "public_safety", "sites": {"quay": {"profiles": ["us-federal-agency"], "use_class": "other"}},
        "waivers": ["/etc/lenswatch/waivers.toml"], "trusted_keys": ["/etc/lenswatch/ops.pub"], "require_signed": True,
        "poll_seconds": 1.25, "may_shrink": True,
    },
    "capture": {
        "filter": "udp", "workers": 2, "ring_bytes": 1 << 25, "block_bytes": 1 << 19, "promiscuous": False,
        "user": "nobody", "follow": True, "engine": "own",
    },
    "baseline": {"learning_days": 18},
    "deep": {"enabled": True, "cpu_share": 0.5, "packets": 3, "memory_bytes": 1 << 31, "hang_seconds": 2.5},
    "geo": {"asn": "/var/geo/asn.mmdb", "country": "/var/geo/country.mmdb"},
    "store": {"folder": "/var/lib/lenswatch", "max_alerts": 15, "max_waiting": 16, "max_devices": 17,
              "alerts_days": 18, "devices_days": 19, "waiting_days": 20},
    "kafka": {
        "servers": "k1:9093,k2:9093", "partitions": 24, "observations_topic": "o", "heartbeats_topic": "h",
        "evidence_topic": "e",
        "security_protocol": "SASL_SSL", "cafile": "/etc/ca.pem", "certfile": "/etc/c.pem", "keyfile": "/etc/k.pem",
        "sasl_mechanism": "SCRAM-SHA-256", "username": "u", "password": "17", "password_file": "/etc/p",
        "token_command": ["token", "--new"], "token_file": "/etc/t",
        "token_url": "https://issuer.example/token", "client_id": "c", "client_secret_file": "/etc/s",
        "token_scope": "kafka",
    },
    "worker": {
        "group": "night", "alerts_topic": "a", "dead_letters_topic": "d", "rules_topic": "r", "replay_topic": "y",
        "instance": "w1", "settle_seconds": 1.5, "commit_seconds": 2.5, "session_seconds": 3.5, "silent_seconds": 4.5,
        "stall_seconds": 5.5, "metrics_host": "::1", "metrics_port": 6,
        "observations_days": 8, "dead_letters_days": 9,
    },
    "spool": {"folder": "/var/spool/lenswatch", "max_bytes": 1048576, "max_age_seconds": 18.5, "drain_seconds": 19.5},
    "evidence": {"keep": False, "folder": "/var/lib/evidence", "max_bytes": 5 << 20, "max_age_seconds": 20.5},
    "watch": {"metrics": "127.0.0.1:2", "drain_seconds": 2.25},
}  # fmt: skip


def as_toml(value: object) -> str:
    """A value as TOML has it."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {as_toml(inner)}" for key, inner in value.items()) + "}"
    return str(msgspec.json.encode(value), "utf-8")


def expected() -> Settings:
    return msgspec.convert(GIVEN, Settings, dec_hook=lambda _, text: Path(text))


def test_the_example_names_every_key() -> None:
    for section in sections(Settings):
        assert {field.name for field in msgspec.structs.fields(section.type)} == set(GIVEN[section.name])


def test_every_key_is_read_from_the_file(tmp_path: Path) -> None:
    path = tmp_path / "lenswatch.toml"
    lines = [
        line
        for section, keys in GIVEN.items()
        for line in (f"[{section}]", *(f"{key} = {as_toml(value)}" for key, value in keys.items()))
    ]
    path.write_text("\n".join(lines), "utf-8")
    assert load_settings(path, {}) == expected()


def test_every_key_is_read_from_the_environment() -> None:
    variables = {
        f"LENSWATCH_{section}_{key}".upper(): value if isinstance(value, str) else as_toml(value)
        for section, keys in GIVEN.items()
        for key, value in keys.items()
    }
    assert load_settings(None, variables) == expected()


def test_sinks_are_tables_by_their_names(tmp_path: Path) -> None:
    path = tmp_path / "lenswatch.toml"
    path.write_text('[sinks.soc]\nkind = "webhook"\n[sinks.siem]\nkind = "jsonl"\npath = "x"\n', "utf-8")
    assert load_settings(path, {"LENSWATCH_SINKS_TOKEN": "not ours"}).sinks == {
        "soc": {"kind": "webhook"}, "siem": {"kind": "jsonl", "path": "x"}
    }  # fmt: skip
    path.write_text("[sinks]\nsoc = 1\n", "utf-8")
    with pytest.raises(SettingsError, match=r"sinks"):
        load_settings(path, {})


def test_the_environment_stands_over_the_file(tmp_path: Path) -> None:
    path = tmp_path / "lenswatch.toml"
    path.write_text('[collector]\nsite = "harbour"\nsensor = "switch-2"\n', "utf-8")
    settings = load_settings(path, {"LENSWATCH_COLLECTOR_SITE": "quay"})
    assert (settings.collector.site, settings.collector.sensor) == ("quay", "switch-2")


@pytest.mark.parametrize("text", ["12", "true", "2026-11-02", "[a]", "quay west", ""])
def test_a_site_may_be_called_anything(text: str) -> None:
    assert load_settings(None, {"LENSWATCH_COLLECTOR_SITE": text}).collector.site == text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[collector]\nsight = 'x'\n", "`sight` - at `$.collector`"),
        ("[colector]\nsite = 'x'\n", "`colector`"),
        ("[store]\nmax_alerts = 'many'\n", "at `$.store.max_alerts`"),
        ("[store]\nmax_alerts = 0\n", "max_alerts is less than 1"),
        ("[store]\nfolder = 7\n", "`$.store.folder`"),
        ("[geo]\nasn = ''\n", "`$.geo.asn`"),
        ("[collector]\nnetworks = ['10.20.0.0/99']\n", "'10.20.0.0/99' does not appear to be an IPv4 or IPv6 network"),
        ("[collector]\nwatched = ['lobby']\n", "'lobby' does not appear to be an IPv4 or IPv6 network"),
        ("[egress.stay]\negress = 'nobody'\n", "`$.egress[...].egress`"),
        ("[egress.stay]\negress = 'own country'\ncountry = 'DE'\n", "name one at [geo] country"),
        ("[collector\n", "at line 1"),
    ],
)
def test_what_is_wrong_in_the_file_is_one_line_with_file_and_key(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "lenswatch.toml"
    path.write_text(text, "utf-8")
    with pytest.raises(SettingsError) as caught:
        load_settings(path, {})
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and words in message and "\n" not in message


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("LENSWATCH_STORE_MAX_ALERTS", "many", "Expected `int`, got `str`"),
        ("LENSWATCH_RULES_FOLDERS", "/etc/rules", "Expected `array`"),
        ("LENSWATCH_COLLECTOR_SIGHT", "x", "there is no such key; there are LENSWATCH_COLLECTOR_"),
    ],
)
def test_what_is_wrong_in_the_environment_is_one_line_with_the_variable(variable: str, value: str, words: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(None, {variable: value})
    assert str(caught.value).startswith(f"{variable}: ") and words in str(caught.value)


def test_other_variables_are_not_ours_to_judge() -> None:
    assert load_settings(None, {"LENSWATCH_CAPTURES": "/captures", "PATH": "/bin"}) == Settings()


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"none\.toml: No such file or directory"):
        load_settings(tmp_path / "none.toml", {})


def test_state_is_kept_where_the_setting_says_else_in_the_users_state_folder(tmp_path: Path) -> None:
    assert state_folder(StoreSettings(folder=tmp_path), {"XDG_STATE_HOME": "/state"}) == tmp_path
    assert state_folder(StoreSettings(), {"XDG_STATE_HOME": "/state"}) == Path("/state/lenswatch")
    assert state_folder(StoreSettings(), {}) == Path.home() / ".local" / "state" / "lenswatch"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("settle_seconds = 0", "settle_seconds is not above 0"),
        ("stall_seconds = -1", "stall_seconds is not above 0"),
        ("metrics_port = 70000", "metrics_port is no port"),
        ('group = "a/b"', "group may hold letters"),
    ],
)
def test_a_wrong_worker_setting_is_named(tmp_path: Path, line: str, words: str) -> None:
    path = tmp_path / "lenswatch.toml"
    path.write_text(f"[worker]\n{line}\n", "utf-8")
    with pytest.raises(SettingsError, match=words):
        load_settings(path, {})


def test_signed_packs_are_asked_for_only_where_a_key_is_trusted(tmp_path: Path) -> None:
    path = tmp_path / "lenswatch.toml"
    path.write_text("[rules]\nrequire_signed = true\n", "utf-8")
    with pytest.raises(SettingsError, match="require_signed needs trusted_keys"):
        load_settings(path, {})
    assert load_settings(path, {"LENSWATCH_RULES_TRUSTED_KEYS": '["a.pub"]'}).rules.require_signed
    with pytest.raises(SettingsError, match="poll_seconds is below 0"):
        load_settings(None, {"LENSWATCH_RULES_POLL_SECONDS": "-1"})
