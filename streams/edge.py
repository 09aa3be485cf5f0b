"""What a collector must know of the rules: which names and addresses are known endpoints. It is all that it is told."""

import os
from collections.abc import Callable
from pathlib import Path

import msgspec

from collector.observation import Url
from collector.settings import read_settings
from rules.load import load_trusted
from streams.ruleset import trust_in
from streams.settings import RulesSettings

Touches = Callable[[str, str | None, str, Callable[[], str], Url | None, str | None], bool]
"""Dataset, name, direction, the other side's address, URL, user agent → does it touch a known endpoint?"""


class EdgeRules(msgspec.Struct, frozen=True, kw_only=True):
    """The section of the settings file that says which rules there are; the others are not looked at."""

    rules: RulesSettings = RulesSettings()


def known_endpoints(config: Path | None) -> Touches:
    """What says whether a contact touches an endpoint that the shipped facts, or those of `[rules] folders`, know; they
    are trusted as a watch would. Raises LenswatchError."""
    ours = read_settings(EdgeRules, config, os.environ).rules
    rules = load_trusted(ours.folders, trust=trust_in(ours))
    # What is loaded when it is first asked would be asked for by a process that has given up its right to read it.
    rules.prepare()
    return rules.touches
