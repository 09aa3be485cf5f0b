"""The rules as the settings ask for them."""

import datetime
from pathlib import Path

import pytest

from collector.errors import SettingsError
from rules.court import Site
from streams.ruleset import rules_for
from streams.settings import load_settings

WAIVER = """
[[waiver]]
id = "phase-out"
ground = "waiver under FAR 4.2104"
approver = "head of the agency"
reference = "letter 12"
from = 2026-01-01
until = 2026-12-01
companies = ["dahua"]
"""


def test_profiles_sites_waivers_and_knowledge_come_from_the_settings(tmp_path: Path) -> None:
    (tmp_path / "w.toml").write_text(WAIVER)
    config = tmp_path / "s.toml"
    config.write_text(
        f'[rules]\nprofiles = ["us-private"]\nuse_class = "other"\nwaivers = ["{tmp_path / "w.toml"}"]\n'
        '[rules.sites.lab]\nprofiles = ["us-federal-contractor", "us-grant-recipient"]\n'
    )
    rules = rules_for(load_settings(config, {}), known=datetime.date(2021, 1, 1))
    ours = rules.court.organisation
    assert ours.at("anywhere") == ours.at(None) == Site(profiles=("us-private",), use_class="other")
    assert ours.at("lab") == Site(profiles=("us-federal-contractor", "us-grant-recipient"))
    assert [waiver.id for waiver in rules.court.waivers.all] == ["phase-out"]
    listed = {each.programme for each in rules.facts.entities["hikvision"].listings if each.status == "listed"}
    assert listed == {"US-BIS-EL", "US-MCCAIN-889"}


def test_profiles_may_come_from_the_environment(tmp_path: Path) -> None:
    settings = load_settings(None, {"LENSWATCH_RULES_PROFILES": '["uk-sensitive"]'})
    assert rules_for(settings).court.organisation.everywhere.profiles == ("uk-sensitive",)


@pytest.mark.parametrize("text", ['profiles = ["us_private"]', '[rules.sites.lab]\nprofiles = ["x"]'])
def test_a_profile_that_there_is_not_is_a_settings_error(tmp_path: Path, text: str) -> None:
    config = tmp_path / "s.toml"
    config.write_text(f"[rules]\n{text}\n")
    with pytest.raises(SettingsError, match="there is no profile"):
        rules_for(load_settings(config, {}))


def test_a_use_class_that_there_is_not_is_a_settings_error(tmp_path: Path) -> None:
    config = tmp_path / "s.toml"
    config.write_text('[rules]\nuse_class = "shop"\n')
    with pytest.raises(SettingsError, match="use_class"):
        load_settings(config, {})
