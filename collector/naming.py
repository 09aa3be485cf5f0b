"""Names behind addresses: a bounded memory, a client at a time (passive DNS and more).

What a client was told by DNS, or itself said in TLS or HTTP, names where it goes. The memory is per client, because two
clients may be told two names for one address. The oldest entries go first when it is full.
"""

import itertools
from collections.abc import Iterable

MAX_NAMES = 200_000
EVICTED_SHARE = 8
KEPT_SECONDS = 86_400
NS = 10**9


class NameMemory:
    """Both ends → the server's name; the ends are the bytes of the client's address and, behind it, of the server's.
    `evicted` counts what the bound let go."""

    def __init__(self, max_names: int = MAX_NAMES) -> None:
        self.max_names = max_names
        self.evicted = 0
        self._names: dict[bytes, tuple[str, int, str]] = {}

    def __len__(self) -> int:
        return len(self._names)

    def __contains__(self, ends: bytes) -> bool:
        """Whether a name once led this client to this server."""
        return ends in self._names

    def learn(self, client: bytes, addresses: Iterable[bytes], name: str, at_ns: int, source: str) -> None:
        """For this client `name` has these addresses, at `at_ns` (nanoseconds since 1970), as `source` says."""
        names, known = self._names, (name, at_ns, source)
        for address in addresses:
            ends = client + address
            names.pop(ends, None)
            names[ends] = known
        if len(names) > self.max_names:
            self._forget_oldest()

    def learn_one(self, ends: bytes, name: str, at_ns: int, source: str) -> None:
        """As `learn`, of one address."""
        names = self._names
        names.pop(ends, None)
        names[ends] = name, at_ns, source
        if len(names) > self.max_names:
            self._forget_oldest()

    def _forget_oldest(self) -> None:
        # Many at once: taking one at a time off a dict's front means passing all that were taken before.
        names = self._names
        oldest = list(itertools.islice(names, len(names) - self.max_names + self.max_names // EVICTED_SHARE))
        for ends in oldest:
            del names[ends]
        self.evicted += len(oldest)

    def name_of(self, client: bytes, address: bytes, at_ns: int) -> tuple[str, str] | None:
        """The name that last led this client to the address within KEPT_SECONDS before `at_ns`, and its source."""
        return self.name_at(client + address, at_ns)

    def name_at(self, ends: bytes, at_ns: int) -> tuple[str, str] | None:
        """As `name_of`."""
        known = self._names.get(ends)
        if known is None or at_ns - known[1] > KEPT_SECONDS * NS:
            return None
        return known[0], known[2]
