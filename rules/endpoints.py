"""Names and addresses → which company, in which role, by which fact.

A name matches on label boundaries only (RFC 1034 section 3.1), and the longest match wins: a fact about the whole
name (exact before regex before suffix), else the suffix with the most labels. A dict keyed by the last two labels
says what is known there and whether anything lies deeper, so that a miss costs one probe however many facts there
are. Addresses are matched by longest prefix (`networks.py`).
"""

import contextlib
import re
from collections.abc import Iterable
from typing import Final

import idna
import msgspec

from rules.fact import BulkList, EndpointFile, NotTheCompany
from rules.networks import NetworkIndex

MAX_NAME_LENGTH: Final = 253
CUSTOMER_ROLE: Final = "ddns_customer"
_HOST_NAME = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)*")
# RFC 3490 section 3.1: the three other characters that stand for the dot.
_OTHER_DOTS = str.maketrans("\u3002\uff0e\uff61", "...")


class EndpointMatch(msgspec.Struct, frozen=True):
    """The fact that ties a name or an address to a company.

    `match` is suffix, exact, regex or network; for a firmware fact it is path, file or useragent. `pattern` is
    what the fact itself says, `sources` are ids of the source table.
    """

    entity: str
    role: str
    confidence: str
    pattern: str
    match: str
    sources: tuple[str, ...]
    note: str | None = None
    brand: str | None = None


class _List(msgspec.Struct, frozen=True):
    """What all entries of one bulk list share."""

    entity: str
    role: str
    confidence: str
    match: str
    sources: tuple[str, ...]
    note: str | None


class _DynamicZone(msgspec.Struct, frozen=True):
    """A dynamic DNS zone: its own pages are the company's, the hosts below it are its customers'."""

    company: EndpointMatch
    customer: EndpointMatch


class _Zone(msgspec.Struct):
    """What is known at and below two labels: whose the two labels are, how many labels the longest suffix below has,
    whether exact names lie there, the patterns that are asked there, and the names that are rejected."""

    owner: "_Owner | None"
    deepest: int
    exact: bool
    patterns: tuple[tuple[str, re.Pattern[str], EndpointMatch], ...] = ()
    rejected: tuple[tuple[str, NotTheCompany], ...] = ()


_Owner = EndpointMatch | _List | _DynamicZone | NotTheCompany


def normalise_name(name: str) -> str:
    """A host name as it is compared: lower case, no last dot, IDNA A-labels (RFC 5891).

    A name that IDNA refuses is only lowered: it came from the network, and then it matches nothing.
    """
    if not name.isascii():
        name = name.translate(_OTHER_DOTS)
        with contextlib.suppress(UnicodeError):
            name = idna.encode(name.rstrip("."), uts46=True).decode("ascii")
    if name[-1:] == ".":
        name = name[:-1]
    return name.lower()


def is_host_name(name: str) -> bool:
    """Whether a normalised name can be a host's: labels of letters, digits, hyphens and underscores."""
    return len(name) <= MAX_NAME_LENGTH and _HOST_NAME.fullmatch(name) is not None


class EndpointIndex:
    """All endpoint names and networks. `add_*` and `reject` fill it; then `seal` it, and ask.

    `size` is the number of names, patterns and networks that were added.
    """

    __slots__ = ("_deep", "_exact", "_first", "_networks", "_shared", "_top", "size")

    def __init__(self) -> None:
        self._first: dict[str, _Owner | _Zone] = {}
        self._deep: dict[str, _Owner] = {}
        self._exact: dict[str, _Owner] = {}
        self._top: dict[str, _Owner] = {}
        self._shared: dict[tuple[int, bool], _Zone] = {}
        self._networks: NetworkIndex[EndpointMatch | _List] = NetworkIndex()
        self.size = 0

    def match_name(self, name: str) -> EndpointMatch | None:
        """The fact behind a normalised name, or None. A name that the facts reject has none."""
        last = name.rfind(".")
        cut = name.rfind(".", 0, last) + 1 if last > 0 else 0
        entry = self._first.get(name[cut:] if cut else name)
        if entry is None and not self._top:
            return None
        owner, start = self._owner(name, cut, entry)
        return None if owner is None else _answer(owner, name, start)

    def rejection(self, name: str) -> NotTheCompany | None:
        """The fact that says that a normalised name is not the company's that it looks like, or None."""
        owner, _ = self._owner(name, _start_of(name, 2), self._first.get(_last_two(name)))
        return owner if type(owner) is NotTheCompany else None

    def match_address(self, address: str) -> EndpointMatch | None:
        """The network fact behind an address as text; None for none, and for text that is no address."""
        found = self._networks.match(address)
        if found is None:
            return None
        text, owner = found
        if type(owner) is EndpointMatch:
            return owner
        return EndpointMatch(owner.entity, owner.role, owner.confidence, text, "network", owner.sources, owner.note)

    @property
    def has_networks(self) -> bool:
        """Whether any address can match."""
        return len(self._networks) > 0

    def _owner(self, name: str, cut: int, entry: "_Owner | _Zone | None") -> tuple[_Owner | None, int]:
        """Whose the name is, and where in it the fact's own name begins. `cut`: where the last two labels begin."""
        if entry is None:
            top = name.rfind(".") + 1
            return self._top.get(name[top:]), top
        if type(entry) is not _Zone:
            return entry, cut  # type: ignore[return-value]
        for rejected, fact in entry.rejected:
            if is_below(name, rejected):
                return fact, 0
        if entry.exact and (owner := self._exact.get(name)) is not None:
            return owner, 0
        owner, start = entry.owner, cut
        if entry.deepest > 2:
            at = _start_of(name, entry.deepest)
            while at < cut:
                deeper = self._deep.get(name[at:])
                if deeper is not None:
                    owner, start = deeper, at
                    break
                at = name.find(".", at) + 1
        for under, pattern, match in entry.patterns:
            if is_below(name, under) and pattern.fullmatch(name):
                return match, 0
        if owner is None and self._top:
            return self._owner(name, cut, None)
        return owner, start

    def add_file(self, file: EndpointFile) -> None:
        """Takes the names and networks of one `endpoints/<entity>.toml`. Raises ValueError for what is no host name,
        no network or no regular expression."""
        for fact in file.endpoint:
            match = EndpointMatch(
                file.entity, fact.role, fact.confidence, fact.name, fact.match, fact.sources, fact.note, fact.brand
            )
            if fact.match == "regex":
                pattern = re.compile(fact.name)
                for under in fact.under:
                    self._add_pattern(_checked(under), pattern, match)
            elif fact.role == "ddns" and fact.match == "suffix":
                zone = _DynamicZone(match, msgspec.structs.replace(match, role=CUSTOMER_ROLE))
                self._add_name(_checked(fact.name), zone, exact=False, replace=True)
            else:
                self._add_name(_checked(fact.name), match, exact=fact.match == "exact", replace=True)
        for network in file.network:
            match = EndpointMatch(
                file.entity, network.role, network.confidence, network.network, "network", network.sources, network.note
            )
            self._add_network(network.network, match)

    def add_list(self, entity: str, bulk: BulkList, lines: Iterable[str]) -> None:
        """Takes a bulk list, a name or a network a line. Raises ValueError with the line that is neither."""
        shared = _List(entity, bulk.role, bulk.confidence, bulk.match, bulk.sources, bulk.note)
        exact = bulk.match == "exact"
        for number, line in enumerate(lines, 1):
            text = (line.partition("#")[0] if "#" in line else line).strip()
            if not text:
                continue
            try:
                if _is_network(text):
                    self._add_network(text, shared)
                else:
                    self._add_name(_checked(text), shared, exact, replace=False)
            except ValueError as error:
                raise ValueError(f"line {number}: {error}") from None

    def reject(self, fact: NotTheCompany) -> None:
        """Takes names that are not the company's: they, and all below them, match nothing, whatever other facts say.
        Comes after all additions."""
        for text in fact.names:
            name = _checked(text)
            key = _last_two(name)
            self._widen(key, 2, exact=False)
            zone = self._first[key]
            assert type(zone) is _Zone
            self._first[key] = msgspec.structs.replace(zone, rejected=(*zone.rejected, (name, fact)))

    def seal(self) -> "EndpointIndex":
        """Makes the added networks answerable; to be called once, after the last addition."""
        self._networks.seal()
        return self

    def _add_network(self, text: str, owner: EndpointMatch | _List) -> None:
        self.size += 1
        self._networks.add(text, owner)

    def _add_name(self, name: str, owner: _Owner, exact: bool, replace: bool) -> None:
        """Lists do not replace: a fact of its own says more than a list's line."""
        self.size += 1
        labels = name.count(".") + 1
        if exact:
            _put(self._exact, name, owner, replace)
            self._widen(_last_two(name), 2, exact=True)
        elif labels == 1:
            _put(self._top, name, owner, replace)
        elif labels > 2:
            _put(self._deep, name, owner, replace)
            self._widen(_last_two(name), labels, exact=False)
        else:
            entry = self._first.get(name)
            if entry is None:
                self._first[name] = owner
            elif type(entry) is _Zone:
                if replace or entry.owner is None:
                    self._first[name] = _Zone(owner, entry.deepest, entry.exact, entry.patterns)
            elif replace:
                self._first[name] = owner

    def _widen(self, key: str, deepest: int, exact: bool) -> None:
        """Notes at two labels that something lies below them."""
        entry = self._first.get(key)
        if entry is None:
            self._first[key] = self._plain_zone(deepest, exact)
        elif type(entry) is not _Zone:
            self._first[key] = _Zone(entry, deepest, exact)  # type: ignore[arg-type]
        elif deepest > entry.deepest or (exact and not entry.exact):
            deepest, exact = max(deepest, entry.deepest), exact or entry.exact
            if entry.owner is None and not entry.patterns:
                self._first[key] = self._plain_zone(deepest, exact)
            else:
                self._first[key] = _Zone(entry.owner, deepest, exact, entry.patterns)

    def _plain_zone(self, deepest: int, exact: bool) -> _Zone:
        """A zone that owns nothing itself. All of one shape are one object, since a long list has very many."""
        zone = self._shared.get((deepest, exact))
        if zone is None:
            zone = self._shared[deepest, exact] = _Zone(None, deepest, exact)
        return zone

    def _add_pattern(self, under: str, pattern: re.Pattern[str], match: EndpointMatch) -> None:
        self.size += 1
        key = _last_two(under)
        self._widen(key, 2, exact=False)
        zone = self._first[key]
        assert type(zone) is _Zone
        patterns = (*zone.patterns, (under, pattern, match))
        self._first[key] = _Zone(zone.owner, zone.deepest, zone.exact, patterns)


def is_below(name: str, zone: str) -> bool:
    """Whether a normalised name is the zone or lies below it, on a label boundary."""
    return name.endswith(zone) and (len(name) == len(zone) or name[-len(zone) - 1] == ".")


def _answer(owner: _Owner, name: str, start: int) -> EndpointMatch | None:
    if type(owner) is EndpointMatch:
        return owner
    if type(owner) is _List:
        below = start > 0 and owner.role == "ddns" and not (start == 4 and name.startswith("www."))
        role = CUSTOMER_ROLE if below else owner.role
        return EndpointMatch(owner.entity, role, owner.confidence, name[start:], owner.match, owner.sources, owner.note)
    if type(owner) is _DynamicZone:
        customers = start > 0 and not (start == 4 and name.startswith("www."))
        return owner.customer if customers else owner.company
    return None


def _checked(text: str) -> str:
    name = normalise_name(text)
    if not is_host_name(name):
        raise ValueError(f"{text!r} is no host name")
    return name


def _is_network(text: str) -> bool:
    return "/" in text or ":" in text or (text[-1].isdigit() and text.replace(".", "").isdigit())


def _put(names: dict[str, _Owner], name: str, owner: _Owner, replace: bool) -> None:
    if replace:
        names[name] = owner
    else:
        names.setdefault(name, owner)


def _start_of(name: str, labels: int) -> int:
    """Where the last `labels` labels of a name begin."""
    at = 0
    for _ in range(name.count(".") + 1 - labels):
        at = name.find(".", at) + 1
    return at


def _last_two(name: str) -> str:
    return name[_start_of(name, 2) :]
