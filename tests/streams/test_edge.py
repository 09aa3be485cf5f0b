"""A collector learns from the rules what a known endpoint is, those of its own folders too, and nothing else."""

from pathlib import Path

import pytest

from collector.errors import LenswatchError
from streams.edge import known_endpoints
from tests.streams.command import run


def test_names_that_the_facts_know_touch_and_others_do_not() -> None:
    touches = known_endpoints(None)

    def asks(name: str | None, address: str = "192.0.2.1") -> bool:
        return touches("lenswatch.dns", name, "internal", lambda: address, None, None)

    assert asks("www.hikvision.com") and asks("litedev.hik-connect.com") and asks("dahuatec.xyz")
    assert not asks("www.example.org") and not asks("hikvision.com.example.org") and not asks(None)


def test_flows_of_no_interest_do_not_touch_though_a_detection_may_ask_for_them() -> None:
    assert not known_endpoints(None)("lenswatch.flow", None, "outbound", lambda: "192.0.2.1", None, None)


def test_the_centres_sections_and_sinks_are_not_looked_at_and_a_missing_folder_is_named(tmp_path: Path) -> None:
    config = tmp_path / "lenswatch.toml"
    config.write_text('[collector]\nsensor = "gate"\n[anything]\nkey = 1\n', "utf-8")
    assert known_endpoints(config)("lenswatch.dns", "www.hikvision.com", "internal", lambda: "192.0.2.1", None, None)
    config.write_text(f'[rules]\nfolders = ["{tmp_path}/gone"]\n', "utf-8")
    with pytest.raises(LenswatchError, match="gone"):
        known_endpoints(config)


def test_where_signed_rules_are_asked_for_an_unsigned_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "own" / "facts").mkdir(parents=True)
    (tmp_path / "own" / "facts" / "sources.toml").write_text("", "utf-8")
    assert run("rules", "keygen", tmp_path / "ops", state=tmp_path).code == 0
    config = tmp_path / "lenswatch.toml"
    config.write_text(
        f'[rules]\nfolders = ["{tmp_path}/own"]\ntrusted_keys = ["{tmp_path}/ops.pub"]\nrequire_signed = true\n',
        "utf-8",
    )
    with pytest.raises(LenswatchError, match="sign"):
        known_endpoints(config)
