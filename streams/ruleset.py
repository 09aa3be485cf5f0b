"""The rules as the settings ask for them: folders, who we are, waivers, whom we trust."""

import datetime
from collections.abc import Sequence
from pathlib import Path

from rules.keys import read_trust
from rules.load import load_pack, load_trusted
from rules.match import RuleSet
from rules.signature import NO_TRUST, Trust
from streams.settings import RulesSettings, Settings


def rules_for(settings: Settings, folders: Sequence[Path] = (), known: datetime.date | None = None) -> RuleSet:
    """All rules, those of further folders over those of the settings; `known`: as the law could be known on that day.
    Raises what `load_trusted` raises."""
    ours = settings.rules
    return load_trusted((*ours.folders, *folders), ours.organisation(), ours.waivers, known, trust_in(ours))


def rules_in(settings: Settings, packed: bytes, signature: bytes | None = None) -> RuleSet:
    """The rules of a pack, as who the settings say we are. Raises what `load_pack` raises."""
    ours = settings.rules
    return load_pack(packed, ours.organisation(), ours.waivers, trust_in(ours), signature)


def trust_in(settings: RulesSettings) -> Trust:
    """Whose signature the settings ask for. Raises KeyFileError."""
    return read_trust(settings.trusted_keys, settings.require_signed) if settings.trusted_keys else NO_TRUST
