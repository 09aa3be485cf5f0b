"""What is said to Prometheus of the rules in force: which they are, who signed them, what is waived."""

import datetime
from collections.abc import Mapping
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge

from rules.match import RuleSet

PREFIX: Final = "lenswatch_"
MAX_WAIVERS, MAX_PACKS = 100, 20
OTHER, NONE = "other", "none"


class RulesMeters:
    """The rules in force, and how often others were taken, or refused. Of more waivers or packs than the caps allow the
    rest is not shown; what those waivers cover counts as "other"."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, words: str, *labels: str) -> Gauge:
            return Gauge(PREFIX + name, words, labels, registry=registry)

        self.info = gauge("rules_info", "1 for the rules in force.", "digest")
        self.loaded = gauge("rules_loaded_timestamp_seconds", "When the rules in force were read.")
        self.reloads = Counter(
            PREFIX + "rules_reloads", "Times that the rules were read again.", ("result",), registry=registry
        )
        self.indicators = gauge("rules_indicators", "Names, networks and patterns of the rules in force.")
        self.signed = gauge(
            "rules_pack_signed_timestamp_seconds", "When a signed pack in force was signed.", "pack", "key"
        )
        self.unsigned = gauge(
            "rules_packs_unsigned", "Packs in force without a signature, where signatures are looked at."
        )
        self.begins = gauge("waiver_begin_timestamp_seconds", "The first moment of a waiver.", "waiver")
        self.ends = gauge("waiver_end_timestamp_seconds", "The first moment after a waiver.", "waiver")
        self.waived = Counter(PREFIX + "waived_hits", "Hits that a waiver covers.", ("waiver",), registry=registry)
        self._waivers: frozenset[str] = frozenset()
        for result in ("taken", "refused"):
            self.reloads.labels(result)

    def show(self, rules: RuleSet) -> None:
        """These rules are in force from now on."""
        for each in (self.info, self.signed, self.begins, self.ends):
            each.clear()
        self.info.labels(rules.digest).set(1)
        self.loaded.set_to_current_time()
        self.indicators.set(sum(rules.facts.indicators))
        self.unsigned.set(rules.signatures.count(None))
        for number, signature in enumerate(rules.signatures[:MAX_PACKS], 1):
            if signature is not None:
                self.signed.labels(str(number), signature.key).set(signature.signed.timestamp())
        today = datetime.datetime.now(datetime.UTC).date()
        # Those that end next matter most, those that have ended least.
        every = sorted(rules.court.waivers.all, key=lambda waiver: (waiver.until < today, waiver.until))
        shown = every[:MAX_WAIVERS]
        for waiver in shown:
            self.begins.labels(waiver.id).set(_midnight(waiver.begins))
            self.ends.labels(waiver.id).set(_midnight(waiver.until + datetime.timedelta(days=1)))
        fresh = frozenset(waiver.id for waiver in shown)
        for gone in self._waivers - fresh:
            self.waived.remove(gone)
        for waiver in shown:
            self.waived.labels(waiver.id)
        self._waivers = fresh

    def take(self, rules: RuleSet) -> None:
        """Rules that were read again took the place of those before."""
        self.reloads.labels("taken").inc()
        self.show(rules)

    def refuse(self) -> None:
        """Rules that were read again were not taken."""
        self.reloads.labels("refused").inc()

    def waive(self, counts: Mapping[str, int]) -> None:
        """So many hits more were covered, by waiver."""
        for waiver, count in counts.items():
            self.waived.labels(waiver if waiver in self._waivers else OTHER).inc(count)


def _midnight(day: datetime.date) -> float:
    return datetime.datetime.combine(day, datetime.time(), datetime.UTC).timestamp()
