"""All settings: one TOML file with a section a package; every key also as `LENSWATCH_<SECTION>_<KEY>`."""

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from collector.settings import CaptureSettings, CollectorSettings, read_settings


class RulesSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`[rules]`: further folders of facts and detections, as --rules adds them."""

    folders: tuple[Path, ...] = ()


class GeoSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`[geo]`: MaxMind DB files for AS numbers and countries."""

    asn: Path | None = None
    country: Path | None = None


class StoreSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`[store]`: where state is kept (default: the user's state folder), and how many alerts at most."""

    folder: Path | None = None
    max_alerts: int = 100_000

    def __post_init__(self) -> None:
        if self.max_alerts < 1:
            raise ValueError("max_alerts is less than 1")


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The whole settings file."""

    collector: CollectorSettings = CollectorSettings()
    capture: CaptureSettings = CaptureSettings()
    rules: RulesSettings = RulesSettings()
    geo: GeoSettings = GeoSettings()
    store: StoreSettings = StoreSettings()


def load_settings(path: Path | None, environment: Mapping[str, str] = os.environ) -> Settings:
    """The settings of a file and the environment. Raises SettingsError that names file or variable, and key."""
    return read_settings(Settings, path, environment)


def state_folder(settings: StoreSettings, environment: Mapping[str, str] = os.environ) -> Path:
    """Where state is kept: the setting, else `lenswatch` in the XDG state folder (XDG Base Directory 0.8)."""
    if settings.folder is not None:
        return settings.folder
    base = environment.get("XDG_STATE_HOME")
    return (Path(base) if base else Path.home() / ".local" / "state") / "lenswatch"
