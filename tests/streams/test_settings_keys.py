"""Every key has its words, once; what is shown is in force, and shows no secret."""

import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from collector.settings import sections
from streams.dispatch.opening import kinds
from streams.settings import Settings, load_settings
from streams.settings_keys import DEFAULT, FILE, HIDDEN, NAMED, example, keys_in_force, shown, strangers, words_of


def structs() -> Iterator[tuple[str, type[msgspec.Struct]]]:
    for section in sections(Settings):
        yield section.name, section.type
    yield from NAMED.items()
    for name, kind in kinds().items():
        yield f"sinks of kind {name}", kind.table


@pytest.mark.parametrize(("place", "kind"), list(structs()), ids=lambda each: each if isinstance(each, str) else "")
def test_every_key_has_its_words(place: str, kind: type[msgspec.Struct]) -> None:
    words = words_of(kind)
    assert set(words) == {field.name for field in msgspec.structs.fields(kind)}, place
    for name, text in words.items():
        assert text[0] == text[0].upper() and text.endswith("."), f"{place}.{name}: a sentence, please: {text}"


def test_tables_by_name_are_all_known() -> None:
    """What stands in a mapping of the settings is explained too."""
    found = set()
    for section in (Settings, *(section.type for section in sections(Settings))):
        prefix = "" if section is Settings else "rules."
        found |= {prefix + field.name for field in msgspec.structs.fields(section) if "dict[" in str(field.type)}
    assert found == {*NAMED, "sinks"}


FULL = """
[collector]
site = "quay"
[kafka]
servers = "k1:9093"
password = "correct horse"
security_protocol = "SASL_SSL"
sasl_mechanism = "SCRAM-SHA-512"
username = "edge"
[rules.sites.quay]
profiles = ["us-private"]
[egress.lobby]
egress = "none"
[sinks.soc]
kind = "webhook"
url = "https://soc.example.org/hooks/t0ken?key=s3cret"
secret_env = "LENSWATCH_SOC_SECRET"
"""


def test_each_value_is_shown_with_where_it_comes_from(tmp_path: Path) -> None:
    path = tmp_path / "lenswatch.toml"
    path.write_text(FULL, "utf-8")
    environment = {"LENSWATCH_COLLECTOR_SENSOR": "gate", "LENSWATCH_STORE_ALERTS_DAYS": "30"}
    keys = {(key.section, key.key): key for key in keys_in_force(load_settings(path, environment), path, environment)}
    found = {name: (key.value, key.origin) for name, key in keys.items()}
    assert found["collector", "site"] == ('"quay"', FILE)
    assert found["collector", "sensor"] == ('"gate"', "LENSWATCH_COLLECTOR_SENSOR")
    assert found["collector", "max_flows"] == ("1000000", DEFAULT)
    assert found["store", "folder"] == (None, DEFAULT)
    assert found["store", "alerts_days"] == ("30", "LENSWATCH_STORE_ALERTS_DAYS")
    assert found["rules.sites.quay", "profiles"] == ('["us-private"]', FILE)
    assert found["rules.sites.quay", "use_class"] == (None, DEFAULT)
    assert found["egress.lobby", "egress"] == ('"none"', FILE)
    assert found["sinks.soc", "timeout_seconds"] == ("20.0", DEFAULT)
    assert keys["store", "alerts_days"].unit == "days" and keys["spool", "max_bytes"].unit == "bytes"
    assert len({key.section for key in keys.values()}) == len(sections(Settings)) + 3


def test_no_secret_is_shown(tmp_path: Path) -> None:
    path = tmp_path / "lenswatch.toml"
    path.write_text(FULL, "utf-8")
    text = msgspec.json.encode(list(keys_in_force(load_settings(path, {}), path, {}))).decode()
    assert "horse" not in text and "t0ken" not in text and "s3cret" not in text
    assert "https://soc.example.org/…" in text and HIDDEN in text
    assert shown("urls", ["https://a.example/b", "no address"]) == ["https://a.example/…", "no address"]
    assert shown("token_file", "/etc/token") == "/etc/token" and shown("routing_key", "abc") == HIDDEN


def test_a_variable_that_sets_nothing_is_a_stranger(tmp_path: Path) -> None:
    path = tmp_path / "lenswatch.toml"
    path.write_text(FULL, "utf-8")
    environment = {
        "LENSWATCH_COLLECTER_SITE": "x", "LENSWATCH_COLLECTOR_SITE": "y", "LENSWATCH_SOC_SECRET": "z", "PATH": "/bin",
    }  # fmt: skip
    assert strangers(load_settings(path, environment), environment) == ["LENSWATCH_COLLECTER_SITE"]


def test_the_example_holds_every_key_and_is_the_default(tmp_path: Path) -> None:
    lines = list(example())
    path = tmp_path / "example.toml"
    path.write_text("\n".join(lines), "utf-8")
    assert load_settings(path, {}) == Settings()
    for _, kind in structs():
        for field in msgspec.structs.fields(kind):
            assert any(line.startswith(f"# {field.name} = ") for line in lines), field.name
    assert max(map(len, lines)) <= 140


def test_what_the_example_comments_out_is_the_default_too(tmp_path: Path) -> None:
    whole = "\n".join(example()).partition("\n# [")[0]
    path = tmp_path / "example.toml"
    path.write_text(re.sub(r"^# (?=[a-z_]+ = [^…\n])", "", whole, flags=re.MULTILINE), "utf-8")
    assert "\nmax_flows = 1000000\n" in path.read_text("utf-8")
    assert load_settings(path, {}) == Settings()
