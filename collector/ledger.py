"""The loss ledger: every stage counts what came in, what went out, and by reason what it let go. The sum must close."""

import dataclasses
from collections import Counter
from collections.abc import Callable

LOSS_SECONDS = 60.0
"""Between two lines about the same misfortune."""


@dataclasses.dataclass(slots=True)
class Ledger:
    """Counts of one run. `let_go` is by (stage, reason); `observations` by dataset, and so is `unasked`: what was read
    and concerned no detection where nobody takes every observation."""

    packets_in: int = 0
    bytes_in: int = 0
    packets_decoded: int = 0
    flows: int = 0
    observations: Counter[str] = dataclasses.field(default_factory=Counter)
    unasked: Counter[str] = dataclasses.field(default_factory=Counter)
    let_go: Counter[tuple[str, str]] = dataclasses.field(default_factory=Counter)

    def seen(self) -> Counter[str]:
        """By dataset, everything that was read, whether or not it concerned anybody."""
        return self.observations + self.unasked

    def drop(self, stage: str, reason: str, count: int = 1) -> None:
        """Count what a stage let go."""
        if count:
            self.let_go[stage, reason] += count

    def by_reason(self, stage: str) -> dict[str, int]:
        """What one stage let go, by reason, most first."""
        rows = [(reason, count) for (at, reason), count in self.let_go.items() if at == stage]
        return dict(sorted(rows, key=lambda row: (-row[1], row[0])))

    def open_sums(self) -> list[str]:
        """The sums that do not close, in words; empty when all do."""
        undecoded = sum(self.by_reason("decode").values())
        if self.packets_in == self.packets_decoded + undecoded:
            return []
        return [f"decode: {self.packets_in} packets in, {self.packets_decoded} decoded, {undecoded} let go by reason"]


class Losses:
    """Says what the kernel dropped while the reading goes on: at once, and then at most once in LOSS_SECONDS."""

    def __init__(self, ledger: Ledger, say: Callable[[str], None]) -> None:
        self._ledger, self._say = ledger, say
        self._told, self._again_at = 0, 0.0

    def look(self, at_seconds: float) -> None:
        """After a block: whether more was lost by now (seconds of any clock that only goes forward)."""
        dropped = self._ledger.let_go["capture", "kernel_drop"]
        if dropped <= self._told or at_seconds < self._again_at:
            return
        more, self._told, self._again_at = dropped - self._told, dropped, at_seconds + LOSS_SECONDS
        full = self._ledger.let_go["capture", "ring_full"]
        self._say(
            f"the kernel dropped {more:,} packets, {dropped:,} in all (ring full: {full:,} times): "
            "more --workers, a larger [capture] ring_bytes, or a --filter"
        )
