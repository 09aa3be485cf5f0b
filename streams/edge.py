"""What a collector must know of the rules: which names and addresses are known endpoints. It is all that it is told."""

import os
from pathlib import Path

import msgspec

from collector.settings import read_settings
from rules.load import load_rules
from streams.settings import RulesSettings
from streams.storybook import Concerns


class EdgeRules(msgspec.Struct, frozen=True, kw_only=True):
    """The section of the settings file that says which rules there are; the others are not looked at."""

    rules: RulesSettings = RulesSettings()


def known_endpoints(config: Path | None) -> Concerns:
    """What says whether a contact touches an endpoint that the shipped facts, or those of `[rules] folders`, know.
    Raises LenswatchError."""
    return load_rules(read_settings(EdgeRules, config, os.environ).rules.folders).touches
