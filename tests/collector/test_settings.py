"""Settings from a file and from the environment; what is wrong is one line with the file or variable and the key."""

from pathlib import Path

import msgspec
import pytest

from collector.errors import SettingsError
from collector.settings import (
    OWN_NETWORKS,
    CaptureSettings,
    CollectorSettings,
    DeepSettings,
    default_state_folder,
    read_settings,
)


class Root(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    collector: CollectorSettings = msgspec.field(default_factory=CollectorSettings)


VALUES = {
    "sensor": ("gate", "gate"),
    "site": ("north", "north"),
    "networks": ('["192.0.2.0/24"]', ("192.0.2.0/24",)),
    "watched": ('["192.0.2.7"]', ("192.0.2.7",)),
    "traffic": ("cameras", "cameras"),
    "max_flows": ("5", 5),
    "max_readers": ("6", 6),
    "max_names": ("7", 7),
    "max_devices": ("8", 8),
    "max_digests": ("9", 9),
    "max_digest_bytes": ("10", 10),
    "digest_hourly_bytes": ("11", 11),
    "metrics": ("127.0.0.1:9", "127.0.0.1:9"),
    "canary_seconds": ("9.5", 9.5),
    "heartbeat_seconds": ("2.5", 2.5),
}


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "lenswatch.toml"
    path.write_text(text, encoding="utf-8")
    return path


def refusal(path: Path | None, **environment: str) -> str:
    """The one line that a wrong setting is answered with."""
    with pytest.raises(SettingsError) as caught:
        read_settings(Root, path, environment)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_without_anything_the_defaults_hold() -> None:
    assert read_settings(Root, None, {}).collector == CollectorSettings()
    assert CollectorSettings().networks == OWN_NETWORKS


def test_a_file_says_what_differs(tmp_path: Path) -> None:
    path = write(tmp_path, '[collector]\nsensor = "gate"\nnetworks = ["192.0.2.0/24", "fd20::/16"]\nmax_flows = 10\n')
    settings = read_settings(Root, path, {}).collector
    assert (settings.sensor, settings.networks, settings.max_flows) == ("gate", ("192.0.2.0/24", "fd20::/16"), 10)
    assert settings.site == "default"


def test_every_key_has_a_value_here() -> None:
    assert set(VALUES) == set(CollectorSettings.__struct_fields__)


@pytest.mark.parametrize("key", VALUES)
def test_every_key_can_be_set_in_the_environment_over_the_file(tmp_path: Path, key: str) -> None:
    path = write(tmp_path, '[collector]\nsensor = "x"\nsite = "x"\nnetworks = []\nmax_flows = 1\nmax_readers = 1\n')
    text, value = VALUES[key]
    for file in (None, path):
        settings = read_settings(Root, file, {f"LENSWATCH_COLLECTOR_{key.upper()}": text, "HOME": "/"}).collector
        assert getattr(settings, key) == value
    assert getattr(read_settings(Root, path, {}).collector, key) != value


@pytest.mark.parametrize("text", ["12", "true", "1.5", "north, side", '"quoted"', "a = b", "[x]"])
def test_a_site_may_be_called_anything(text: str) -> None:
    site = read_settings(Root, None, {"LENSWATCH_COLLECTOR_SITE": text}).collector.site
    assert site == text.strip('"')


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[collector]\nsensr = 'x'\n", ("sensr", "collector")),
        ("[colector]\n", ("colector",)),
        ("[collector]\nmax_flows = 'many'\n", ("max_flows", "int")),
        ("[collector]\nmax_flows = 0\n", ("max_flows is less than 1",)),
        ("[collector]\nmax_devices = -1\n", ("max_devices is less than 1",)),
        ("[collector]\nnetworks = '10.0.0.0/8'\n", ("networks", "array")),
        ("[collector]\nnetworks = ['10.0.0.1/8']\n", ("10.0.0.1/8",)),
        ("[collector]\nnetworks = ['office']\n", ("office",)),
        ("collector = 5\n", ("collector",)),
        ("[collector\n", ("line 1",)),
    ],
)
def test_what_is_wrong_in_a_file_is_told_with_its_key(tmp_path: Path, text: str, words: tuple[str, ...]) -> None:
    path = write(tmp_path, text)
    line = refusal(path)
    assert line.startswith(f"{path}: ") and all(word in line for word in words), line


@pytest.mark.parametrize(
    ("variable", "text", "word"),
    [
        ("LENSWATCH_COLLECTOR_MAX_FLOWS", "many", "int"),
        ("LENSWATCH_COLLECTOR_MAX_FLOWS", "0", "less than 1"),
        ("LENSWATCH_COLLECTOR_NETWORKS", "10.0.0.0/8", "array"),
        ("LENSWATCH_COLLECTOR_NETWORKS", '["10.0.0.0/40"]', "10.0.0.0/40"),
        ("LENSWATCH_COLLECTOR_MAX_FLOW", "1", "no such key"),
        ("LENSWATCH_COLLECTOR_SENSOR_NAME", "x", "no such key"),
    ],
)
def test_what_is_wrong_in_the_environment_is_told_with_its_variable(variable: str, text: str, word: str) -> None:
    line = refusal(None, **{variable: text})
    assert line.startswith(f"{variable}: ") and word in line


def test_a_wrong_file_is_told_though_the_environment_mends_it(tmp_path: Path) -> None:
    path = write(tmp_path, "[collector]\nmax_flows = 'many'\n")
    assert refusal(path, LENSWATCH_COLLECTOR_MAX_FLOWS="5").startswith(f"{path}: ")


def test_variables_of_others_are_none_of_ours() -> None:
    environment = {"LENSWATCH_CAPTURES": "/captures", "LENSWATCHER_COLLECTOR_SITE": "x", "COLLECTOR_SITE": "x"}
    assert read_settings(Root, None, environment).collector == CollectorSettings()


def test_a_file_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    assert refusal(tmp_path / "missing.toml") == f"{tmp_path / 'missing.toml'}: No such file or directory"
    assert refusal(tmp_path) == f"{tmp_path}: Is a directory"
    path = tmp_path / "latin.toml"
    path.write_bytes(b'[collector]\nsite = "\xe9"\n')
    assert refusal(path).startswith(f"{path}: ") and "utf-8" in refusal(path)


@pytest.mark.parametrize(
    ("key", "text", "words"),
    [
        ("metrics", "9471", "no HOST:PORT"),
        ("metrics", "a:99999", "no HOST:PORT"),
        ("heartbeat_seconds", "0", "above 0"),
    ],
)
def test_a_place_for_metrics_and_a_heartbeat_must_be_possible(key: str, text: str, words: str) -> None:
    assert words in refusal(None, **{f"LENSWATCH_COLLECTOR_{key}".upper(): text})


def test_state_is_kept_where_the_user_keeps_it() -> None:
    assert default_state_folder({"XDG_STATE_HOME": "/var/state"}) == Path("/var/state/lenswatch")
    assert default_state_folder({}) == Path.home() / ".local" / "state" / "lenswatch"


class Paired(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    one: int = 0
    two: int = 0

    def __post_init__(self) -> None:
        if self.one != self.two:
            raise ValueError("one and two go together")


class PairedRoot(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    paired: Paired = Paired()


def test_a_rule_over_two_keys_is_asked_of_file_and_environment_together(tmp_path: Path) -> None:
    path = write(tmp_path, "[paired]\none = 3\n")
    assert read_settings(PairedRoot, path, {"LENSWATCH_PAIRED_TWO": "3"}).paired == Paired(one=3, two=3)
    both = {"LENSWATCH_PAIRED_ONE": "4", "LENSWATCH_PAIRED_TWO": "4"}
    assert read_settings(PairedRoot, None, both).paired == Paired(one=4, two=4)
    with pytest.raises(SettingsError, match=r"^LENSWATCH_PAIRED_TWO: one and two go together"):
        read_settings(PairedRoot, path, {"LENSWATCH_PAIRED_TWO": "5"})
    with pytest.raises(SettingsError, match=f"^{path}: one and two go together"):
        read_settings(PairedRoot, path, {})


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("cpu_share", 0.0, "cpu_share is not above 0"),
        ("cpu_share", 1.5, "cpu_share is not above 0 and at most 1"),
        ("packets", 0, "packets is less than 1"),
        ("memory_bytes", 1 << 20, "tshark does not start"),
        ("hang_seconds", 0, "hang_seconds is not above 0"),
    ],
)
def test_bounds_of_the_long_tail_that_are_none_are_refused(key: str, value: float, reason: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=reason):
        msgspec.convert({key: value}, DeepSettings)
    assert not DeepSettings().enabled


@pytest.mark.parametrize(
    ("given", "reason"),
    [({"engine": "snort"}, "none of own, pyshark"), ({"engine": "pyshark", "workers": 2}, "workers must be 1")],
)
def test_an_engine_that_is_none_or_cannot_be_shared_is_refused(given: dict[str, object], reason: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=reason):
        msgspec.convert(given, CaptureSettings)


@pytest.mark.parametrize("key", ["max_digests", "max_digest_bytes", "digest_hourly_bytes"])
def test_a_budget_of_digests_below_nothing_is_refused(tmp_path: Path, key: str) -> None:
    assert f"{key} is below 0" in refusal(write(tmp_path, f"[collector]\n{key} = -1\n"))
