"""The rules as the settings ask for them: folders, who we are, waivers."""

import datetime
from collections.abc import Sequence
from pathlib import Path

from rules.load import load_pack, load_rules
from rules.match import RuleSet
from streams.settings import Settings


def rules_for(settings: Settings, folders: Sequence[Path] = (), known: datetime.date | None = None) -> RuleSet:
    """All rules, those of further folders over those of the settings; `known`: as the law could be known on that day.
    Raises what `load_rules` raises."""
    ours = settings.rules
    return load_rules((*ours.folders, *folders), ours.organisation(), ours.waivers, known)


def rules_in(settings: Settings, packed: bytes) -> RuleSet:
    """The rules of a pack, as who the settings say we are. Raises what `load_pack` raises."""
    return load_pack(packed, settings.rules.organisation(), settings.rules.waivers)
