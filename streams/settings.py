"""All settings: one TOML file with a section a package; every key also as `LENSWATCH_<SECTION>_<KEY>`."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from collector.evidence.ring import EvidenceSettings
from collector.kafka_settings import KafkaSettings
from collector.settings import CaptureSettings, CollectorSettings, DeepSettings, default_state_folder, read_settings
from collector.spool import SpoolSettings
from rules.court import Organisation, Site, UseClass
from streams.processors.baseline import LEARNING_DAYS
from streams.processors.egress import OWN_COUNTRY, Policy

# What Kafka allows in a topic's name, of which the group is a part.
GROUP = re.compile(r"[A-Za-z0-9._-]{1,100}")


class RulesSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`[rules]`: further folders of facts and detections, as --rules adds them; who we are (`profiles`), and what the
    cameras are for (`use_class`), at some `sites` another; and the files of our waivers. Whose signature a folder or a
    pack may have (`trusted_keys`, files of public keys), and whether it must have one. How often a changed file is
    looked for while `watch` or `worker` runs (`poll_seconds`, 0: never), and whether rules may follow that have lost
    more than half of the indicators."""

    folders: tuple[Path, ...] = ()
    profiles: tuple[str, ...] = ()
    use_class: UseClass | None = None
    sites: dict[str, Site] = {}
    waivers: tuple[Path, ...] = ()
    trusted_keys: tuple[Path, ...] = ()
    require_signed: bool = False
    poll_seconds: float = 2.0
    may_shrink: bool = False

    def __post_init__(self) -> None:
        if self.require_signed and not self.trusted_keys:
            raise ValueError("require_signed needs trusted_keys: name the files of public keys")
        if self.poll_seconds < 0:
            raise ValueError("poll_seconds is below 0")

    def organisation(self) -> Organisation:
        """Who we are."""
        return Organisation(everywhere=Site(profiles=self.profiles, use_class=self.use_class), sites=self.sites)


class BaselineSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`[baseline]`: for so many days what a device does is learned, and nothing of it is news; 0: never learn."""

    learning_days: int = LEARNING_DAYS

    def __post_init__(self) -> None:
        if not 0 <= self.learning_days <= 366:
            raise ValueError("learning_days is not 0 to 366")


class GeoSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`[geo]`: MaxMind DB files for AS numbers and countries."""

    asn: Path | None = None
    country: Path | None = None


class StoreSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`[store]`: where state is kept (default: the user's state folder), how many alerts and stories of devices at
    most, and how many alerts may wait for each sink; and for how many days each is kept after it was last written (0:
    until there are too many)."""

    folder: Path | None = None
    max_alerts: int = 100_000
    max_waiting: int = 100_000
    max_devices: int = 100_000
    alerts_days: int = 0
    devices_days: int = 366
    waiting_days: int = 0

    def __post_init__(self) -> None:
        for name in ("alerts_days", "devices_days", "waiting_days"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is below 0")
        for name in ("max_alerts", "max_waiting", "max_devices"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is less than 1")


class WatchSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`[watch]`: where `lenswatch watch` shows its metrics (host:port, "" for nowhere), and how long it waits at its
    end for what is still to be delivered; the rest goes with the next run."""

    metrics: str = ""
    drain_seconds: float = 10.0

    def __post_init__(self) -> None:
        if self.drain_seconds < 0:
            raise ValueError("drain_seconds is below 0")
        host, _, port = self.metrics.rpartition(":")
        if self.metrics and not (host and port.isdigit() and int(port) < 1 << 16):
            raise ValueError(f"metrics is {self.metrics!r}, which is no HOST:PORT")


class WorkerSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`[worker]`: workers of one `group` share the partitions; `instance` is a name of this worker that stays over
    restarts. A finding is ended once its window is over and nothing came for `settle_seconds`. A worker that ends
    no record of a partition for `stall_seconds` while records wait in it ends itself. `metrics_port` 0: no metrics.
    `observations_days` (of heartbeats and replays too) and `dead_letters_days`: for how long `topics create` has Kafka
    keep them."""

    group: str = "lenswatch"
    alerts_topic: str = "lenswatch.alerts.v1"
    dead_letters_topic: str = "lenswatch.deadletters.v1"
    rules_topic: str = "lenswatch.rules.v1"
    replay_topic: str = "lenswatch.replay.v1"
    instance: str | None = None
    settle_seconds: float = 30.0
    commit_seconds: float = 2.0
    session_seconds: float = 30.0
    silent_seconds: float = 900.0
    stall_seconds: float = 120.0
    metrics_host: str = "127.0.0.1"
    metrics_port: int = 9472
    observations_days: int = 7
    dead_letters_days: int = 30

    def __post_init__(self) -> None:
        for name in ("settle_seconds", "commit_seconds", "session_seconds", "silent_seconds", "stall_seconds"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is not above 0")
        if min(self.observations_days, self.dead_letters_days) < 1:
            raise ValueError("observations_days or dead_letters_days is less than 1")
        if not 0 <= self.metrics_port <= 65_535:
            raise ValueError("metrics_port is no port")
        if not GROUP.fullmatch(self.group):
            raise ValueError("group may hold letters, digits, '.', '_' and '-' only")


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The whole settings file. `[sinks.NAME]` is a table a sink; its keys are those of its `kind`. `[egress.NAME]` is a
    policy."""

    collector: CollectorSettings = CollectorSettings()
    capture: CaptureSettings = CaptureSettings()
    deep: DeepSettings = DeepSettings()
    rules: RulesSettings = RulesSettings()
    geo: GeoSettings = GeoSettings()
    baseline: BaselineSettings = BaselineSettings()
    store: StoreSettings = StoreSettings()
    kafka: KafkaSettings = KafkaSettings()
    worker: WorkerSettings = WorkerSettings()
    spool: SpoolSettings = SpoolSettings()
    evidence: EvidenceSettings = EvidenceSettings()
    watch: WatchSettings = WatchSettings()
    sinks: dict[str, dict[str, Any]] = {}
    egress: dict[str, Policy] = {}

    def __post_init__(self) -> None:
        for name, policy in self.egress.items():
            if policy.egress == OWN_COUNTRY and self.geo.country is None:
                raise ValueError(f"egress.{name}: countries are known by a file alone; name one at [geo] country")


def load_settings(path: Path | None, environment: Mapping[str, str] = os.environ) -> Settings:
    """The settings of a file and the environment. Raises SettingsError that names file or variable, and key."""
    return read_settings(Settings, path, environment)


def state_folder(settings: StoreSettings, environment: Mapping[str, str] = os.environ) -> Path:
    """Where state is kept: the setting, else `lenswatch` in the XDG state folder (XDG Base Directory 0.8)."""
    if settings.folder is not None:
        return settings.folder
    return default_state_folder(environment)
