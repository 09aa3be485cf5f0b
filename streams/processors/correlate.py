"""The windows of correlations, device by device: what of the observations' occurrences is fulfilled. Plain state."""

from collections import Counter
from collections.abc import Iterable, MutableMapping
from typing import Final

from rules.correlate import CorrelationHit, Occurrence, Windows

MAX_DEVICES: Final = 100_000
DEVICES_EVICTED: Final = "devices_evicted"


class Correlate:
    """Counts occurrences in `devices`, a mapping from device to its windows: a dict, or what outlives the process.
    A device whose windows have changed is assigned anew, so that such a mapping notices. `counts` says by reason what
    was let go."""

    def __init__(
        self,
        devices: MutableMapping[str, Windows] | None = None,
        max_devices: int = MAX_DEVICES,
        counts: Counter[str] | None = None,
    ) -> None:
        self.devices: MutableMapping[str, Windows] = {} if devices is None else devices
        self.max_devices = max_devices
        self.counts: Counter[str] = Counter() if counts is None else counts

    def add(self, occurrences: Iterable[Occurrence]) -> list[CorrelationHit]:
        """Count the occurrences, and say what they fulfil."""
        hits: list[CorrelationHit] = []
        for occurrence in occurrences:
            windows = self.devices.get(occurrence.device)
            if windows is None:
                windows = Windows()
            fulfilled, changed = occurrence.count(windows, self.counts)
            hits += fulfilled
            if changed:
                if occurrence.device not in self.devices and len(self.devices) >= self.max_devices:
                    self._let_go()
                self.devices[occurrence.device] = windows
        return hits

    def _let_go(self) -> None:
        """Of those that came first, the device that has been still the longest."""
        some = [device for device, _ in zip(self.devices, range(16), strict=False)]
        del self.devices[min(some, key=lambda device: (self._newest(device), device))]
        self.counts[DEVICES_EVICTED] += 1

    def _newest(self, device: str) -> float:
        return max((window.newest for window in self.devices[device].groups.values()), default=0.0)
