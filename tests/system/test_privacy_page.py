"""What docs/50-privacy.md tells a privacy officer is what the settings and the code do."""

import re

import msgspec

from collector.evidence.witness import MAX_KEPT_BYTES
from streams.dispatch.outbox import FILE_NAME as OUTBOX
from streams.processors.baseline import MAX_MET
from streams.processors.partition import FORGET_HABITS_SECONDS, FORGET_SECONDS
from streams.processors.stories import MAX_ADDRESSES, MAX_CALLED
from streams.settings import Settings
from streams.topics import EVIDENCE_DAYS
from tests.house.tree import ROOT

PAGE = (ROOT / "docs" / "50-privacy.md").read_text("utf-8")
DEFAULT = re.compile(r"`\[(\w+)\] (\w+)` = `([^`]+)`")
KEEPS = ("days", "keep", "max_alerts", "max_devices", "max_waiting", "max_age_seconds", "max_bytes")


def test_every_default_on_the_page_is_the_settings() -> None:
    settings = Settings()
    told = DEFAULT.findall(PAGE)
    assert len(told) >= 10
    for section, key, value in told:
        assert value == str(getattr(getattr(settings, section), key)), f"[{section}] {key}"


def test_every_setting_that_bounds_what_is_kept_is_on_the_page() -> None:
    told = {(section, key) for section, key, _ in DEFAULT.findall(PAGE)}
    for section in ("store", "spool", "worker", "baseline", "evidence"):
        for field in msgspec.structs.fields(getattr(Settings(), section)):
            if field.name.endswith("_days") or field.name in KEEPS:
                assert (section, field.name) in told, f"[{section}] {field.name} is not on the page"


def test_the_days_in_words_are_the_settings_and_the_bounds_are_the_codes() -> None:
    assert Settings().collector.traffic == "touched" and "| `touched` (the default) |" in PAGE
    for traffic in ("cameras", "touched", "all"):
        assert f"| `{traffic}`" in PAGE
    assert f"| {FORGET_SECONDS / 86_400:.0f} days after it was last heard of" in PAGE
    assert f"| {FORGET_HABITS_SECONDS / 86_400:.0f} days after it was last heard of" in PAGE
    assert f"at most {Settings().spool.max_age_seconds / 86_400:.0f} days" in PAGE
    ours = Settings().evidence
    assert (
        f"| {ours.max_bytes >> 20} MiB |" in PAGE
        and f"| {ours.max_age_seconds / 86_400:.0f}, since they came |" in PAGE
    )
    assert EVIDENCE_DAYS * 24 == 1 and "the topic of evidence | 1 hour" in PAGE
    assert f"up to {MAX_KEPT_BYTES >> 10} KiB" in PAGE
    assert f"| {Settings().store.devices_days} | `[store] devices_days`" in PAGE
    assert f"| {Settings().worker.observations_days} days | `[worker] observations_days`" in PAGE
    assert f"| {Settings().worker.dead_letters_days} days | `[worker] dead_letters_days`" in PAGE
    assert f"{MAX_CALLED} peers, {MAX_ADDRESSES} addresses, and {MAX_MET} companies" in PAGE
    assert f"`outbox/{OUTBOX}`" in PAGE
