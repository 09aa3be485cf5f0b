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
    """`[rules]`: which facts and detections there are beside the shipped ones, and who we are."""

    folders: tuple[Path, ...] = ()
    """Further folders of facts and detections, as --rules adds them."""
    profiles: tuple[str, ...] = ()
    """Who we are, for what alerts mean: docs/30-what-it-means-for-us.md."""
    use_class: UseClass | None = None
    """What the cameras are for."""
    sites: dict[str, Site] = {}
    """The sites where we are another, or the cameras are for something else: a table [rules.sites.NAME] each."""
    waivers: tuple[Path, ...] = ()
    """The files of our waivers."""
    trusted_keys: tuple[Path, ...] = ()
    """Files of public keys whose signature a folder or a pack may have."""
    require_signed: bool = False
    """Whether it must have one."""
    poll_seconds: float = 2.0
    """How often is looked whether a file of the rules has changed; 0: never."""
    may_shrink: bool = False
    """Whether new rules may have lost more than half of the indicators."""

    def __post_init__(self) -> None:
        if self.require_signed and not self.trusted_keys:
            raise ValueError("require_signed needs trusted_keys: name the files of public keys")
        if self.poll_seconds < 0:
            raise ValueError("poll_seconds is below 0")

    def organisation(self) -> Organisation:
        """Who we are."""
        return Organisation(everywhere=Site(profiles=self.profiles, use_class=self.use_class), sites=self.sites)


class BaselineSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`[baseline]`: what is usual for a device."""

    learning_days: int = LEARNING_DAYS
    """For so long what a device does is learned, and nothing of it is news; 0: nothing is ever learned."""

    def __post_init__(self) -> None:
        if not 0 <= self.learning_days <= 366:
            raise ValueError("learning_days is not 0 to 366")


class GeoSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`[geo]`: MaxMind DB files; `lenswatch geo build` makes some."""

    asn: Path | None = None
    """The file of AS numbers; without it, those that the facts name are known."""
    country: Path | None = None
    """The file of countries; without it, alerts name none."""


class StoreSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`[store]`: where state is kept, how much of it and for how long."""

    folder: Path | None = None
    """Where state is kept; default: `lenswatch` in the user's state folder."""
    max_alerts: int = 100_000
    """How many alerts are kept."""
    max_waiting: int = 100_000
    """How many alerts may wait for each sink."""
    max_devices: int = 100_000
    """How many devices' stories are kept."""
    alerts_days: int = 0
    """For how long an alert is kept after it was last written; 0: until there are too many."""
    devices_days: int = 366
    """For how long a device's story is kept after it was last written; 0: until there are too many."""
    waiting_days: int = 0
    """For how long an alert waits for a sink; 0: until there are too many."""

    def __post_init__(self) -> None:
        for name in ("alerts_days", "devices_days", "waiting_days"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is below 0")
        for name in ("max_alerts", "max_waiting", "max_devices"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is less than 1")


class WatchSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`[watch]`: what `lenswatch watch` alone needs."""

    metrics: str = ""
    """Where it shows /metrics, /healthz and /readyz (HOST:PORT); "" for nowhere."""
    drain_seconds: float = 10.0
    """How long it waits at its end for what is still to be delivered; the rest goes with the next run."""

    def __post_init__(self) -> None:
        if self.drain_seconds < 0:
            raise ValueError("drain_seconds is below 0")
        host, _, port = self.metrics.rpartition(":")
        if self.metrics and not (host and port.isdigit() and int(port) < 1 << 16):
            raise ValueError(f"metrics is {self.metrics!r}, which is no HOST:PORT")


class WorkerSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`[worker]`: what `lenswatch worker` and `lenswatch topics` need beside [kafka]."""

    group: str = "lenswatch"
    """Workers of one group share the partitions; their tables are named after it."""
    alerts_topic: str = "lenswatch.alerts.v1"
    """The topic of alerts."""
    dead_letters_topic: str = "lenswatch.deadletters.v1"
    """The topic of what could not be read."""
    rules_topic: str = "lenswatch.rules.v1"
    """The topic of packs of rules."""
    replay_topic: str = "lenswatch.replay.v1"
    """The topic of what --replay finds."""
    instance: str | None = None
    """A name of this worker that stays over restarts; no two of a group may share one."""
    settle_seconds: float = 30.0
    """A finding whose window is over is ended when nothing came for so long."""
    commit_seconds: float = 2.0
    """How often is committed; so much is read again after a crash, and changes nothing."""
    session_seconds: float = 30.0
    """A worker that is not heard of for so long has lost its partitions."""
    silent_seconds: float = 900.0
    """A device that was not seen for so long counts as silent."""
    stall_seconds: float = 120.0
    """A worker that ends no record of a partition for so long while records wait in it ends itself."""
    metrics_host: str = "127.0.0.1"
    """The address of /metrics, /healthz and /readyz."""
    metrics_port: int = 9472
    """Their port; 0: none."""
    observations_days: int = 7
    """For how long `topics create` has Kafka keep observations, heartbeats and what a replay finds."""
    dead_letters_days: int = 30
    """For how long it has Kafka keep dead letters."""

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
