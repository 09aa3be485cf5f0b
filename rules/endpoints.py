"""Names and addresses → which company, in which role, by which fact.

A name matches on label boundaries only (RFC 1034 section 3.1), and the longest match wins: a fact about the whole
name (exact before regex before suffix), else the suffix with the most labels. Every name that a fact has, and every
name above it, has an entry that says whether anything lies deeper. A lookup begins at the last two labels, which have
a dict of their own, and goes down while that is so: an unknown name costs one probe, however many facts there are.
Addresses are matched by longest prefix (`networks.py`).
"""

import contextlib
import itertools
import re
from array import array
from collections.abc import Iterable, Iterator
from typing import Any, Final

import idna
import msgspec

from rules.fact import BulkList, EndpointFile, NotTheCompany
from rules.networks import NetworkIndex

MAX_NAME_LENGTH: Final = 253
CUSTOMER_ROLE: Final = "ddns_customer"
_HOST_NAME = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)*")
# A name that needs no second look: it has a dot, and its end tells it from an address.
_PLAIN_NAME = re.compile(rf"(?=[^.]*\.){_HOST_NAME.pattern}(?<![0-9])").fullmatch
# RFC 3490 section 3.1: the three other characters that stand for the dot.
_OTHER_DOTS = str.maketrans("\u3002\uff0e\uff61", "...")


class EndpointMatch(msgspec.Struct, frozen=True, gc=False):
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


class _Node(msgspec.Struct, frozen=True):
    """What is known at a name: whose it is with all below it, whose it is alone, and whether anything lies deeper.

    `patterns` are asked for all names at and below it; `rejected` says that those are nobody's.
    """

    owner: "_Owner | None" = None
    exact: "_Owner | None" = None
    deeper: bool = False
    patterns: tuple[tuple[re.Pattern[str], EndpointMatch], ...] = ()
    rejected: NotTheCompany | None = None


_Owner = EndpointMatch | _List | _DynamicZone | NotTheCompany
_Table = dict[str | None, _Owner | _Node]


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

    __slots__ = ("_deep", "_first", "_networks", "_owners", "_shared", "_top", "size")

    def __init__(self) -> None:
        # An owner alone stands for a node that has nothing else: a long list has very many.
        self._first: _Table = dict(_NO_NAME)
        self._deep: _Table = dict(_NO_NAME)
        self._top: dict[str, _Owner] = {}
        self._shared: dict[tuple[int, int, bool], _Node] = {}
        self._networks: NetworkIndex[EndpointMatch | _List] = NetworkIndex()
        self._owners: list[_Owner | _Node] = []
        self.size = 0

    def match_name(self, name: str) -> EndpointMatch | None:
        """The fact behind a normalised name, or None. A name that the facts reject has none."""
        last = name.rfind(".")
        cut = name.rfind(".", 0, last) + 1 if last > 0 else 0
        entry = self._first.get(name[cut:] if cut else name)
        if type(entry) is _Node:
            owner, start = self._descend(name, cut, entry)
            return None if owner is None else _answer(owner, name, start)
        if entry is not None:
            return _answer(entry, name, cut)  # type: ignore[arg-type]
        owner = self._top.get(name[last + 1 :]) if self._top else None
        return None if owner is None else _answer(owner, name, last + 1)

    def knows_zone(self, zone: str) -> bool:
        """Whether any name at or below two labels (or one) can match or is rejected."""
        return zone in self._first or zone.rpartition(".")[2] in self._top

    def rejection(self, name: str) -> NotTheCompany | None:
        """The fact that says that a normalised name is not the company's that it looks like, or None."""
        cut = _start_of(name, 2)
        entry = self._first.get(name[cut:])
        owner = self._descend(name, cut, entry)[0] if type(entry) is _Node else None
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

    def _descend(self, name: str, cut: int, node: _Node) -> "tuple[_Owner | None, int]":
        """Whose a name is, and where in it the fact's own name begins. `node` is that of its end, from `cut` on."""
        owner: _Owner | None = None
        start, patterns = 0, node.patterns
        while node.rejected is None:
            if node.owner is not None:
                owner, start = node.owner, cut
            if cut == 0:
                owner, start = (owner, start) if node.exact is None else (node.exact, 0)
                break
            if not node.deeper:
                break
            cut = name.rfind(".", 0, cut - 1) + 1
            entry = self._deep.get(name[cut:])
            if type(entry) is not _Node:
                if entry is not None:
                    owner, start = entry, cut  # type: ignore[assignment]
                break
            node = entry
            patterns += node.patterns
        else:
            return node.rejected, cut
        if patterns and not (cut == 0 and node.exact is not None):
            for pattern, match in patterns:
                if pattern.fullmatch(name):
                    return match, 0
        if owner is None and self._top:
            start = name.rfind(".") + 1
            owner = self._top.get(name[start:])
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
            self._networks.add([network.network], match)
            self.size += 1

    def add_list(self, entity: str, bulk: BulkList, lines: Iterable[str]) -> None:
        """Takes a bulk list, a name or a network a line. Raises ValueError with the line that is neither."""
        shared = _List(entity, bulk.role, bulk.confidence, bulk.match, bulk.sources, bulk.note)
        exact = bulk.match == "exact"
        plain: list[str] = []
        networks: list[str] = []
        where = array("I")
        for number, line in enumerate(lines, 1):
            # Nearly every line is a name as it is compared, or a network, and lists are long.
            if not line[-1:].isdecimal() and _PLAIN_NAME(line) and len(line) <= MAX_NAME_LENGTH:
                plain.append(line)
                continue
            text = (line.partition("#")[0] if "#" in line else line).strip()
            if not text:
                continue
            if _is_network(text):
                networks.append(text)
                where.append(number)
                continue
            try:
                self._add_name(_checked(text), shared, exact, replace=False)
            except ValueError as error:
                raise ValueError(f"line {number}: {error}") from None
        self._add_names(plain, shared, exact)
        before = len(self._networks)
        try:
            self._networks.add(networks, shared)
        except ValueError as error:
            raise ValueError(f"line {where[len(self._networks) - before]}: {error}") from None
        self.size += len(networks)

    def reject(self, fact: NotTheCompany) -> None:
        """Takes names that are not the company's: they, and all below them, match nothing, whatever other facts say.
        Comes after all additions."""
        for text in fact.names:
            name = _checked(text)
            self._reach(name)
            self._table(name)[name] = _Node(rejected=fact)

    def seal(self) -> "EndpointIndex":
        """Makes the added networks answerable; to be called once, after the last addition."""
        self._networks.seal()
        return self

    def pieces(self, most: int) -> Iterator[tuple[Any, ...]]:
        """The sealed index in pieces of at most `most` entries, for an empty one elsewhere to `take` in this order."""
        tables: dict[str, dict[Any, Any]] = {"_top": self._top, "_first": self._first, "_deep": self._deep}
        owners = {id(owner): owner for table in tables.values() for owner in table.values()}
        numbers = {key: number for number, key in enumerate(owners)}
        yield "owners", list(owners.values()), self.size
        for place, table in tables.items():
            names, entries = iter(table), map(numbers.__getitem__, map(id, table.values()))
            if None in table:
                next(names), next(entries)
            while some := list(itertools.islice(names, most)):
                yield place, "\n".join(some), array("I", itertools.islice(entries, most))
        for piece in self._networks.pieces(most):
            yield "networks", piece

    def take(self, piece: tuple[Any, ...]) -> None:
        """Take a piece of another index."""
        place, what, *more = piece
        if place == "owners":
            self._owners, self.size = what, more[0]
        elif place == "networks":
            self._networks.take(what)
        else:
            getattr(self, place).update(zip(what.split("\n"), map(self._owners.__getitem__, more[0]), strict=True))

    def _add_name(self, name: str, owner: _Owner, exact: bool, replace: bool) -> None:
        """Lists do not replace: a fact of its own says more than a list's line."""
        self.size += 1
        if "." not in name and not exact:
            if replace or name not in self._top:
                self._top[name] = owner
            return
        self._reach(name)
        entry = self._table(name).get(name)
        if entry is None and not exact:
            self._table(name)[name] = owner
            return
        node = self._node(name)
        if exact:
            self._set(name, node.owner, owner if replace else node.exact or owner, node.deeper, node)
        else:
            self._set(name, owner if replace else node.owner or owner, node.exact, node.deeper, node)

    def _add_names(self, names: list[str], owner: _List, exact: bool) -> None:
        """As `_add_name` of each, none replacing; names have a dot. What nobody has named yet goes in all at once."""
        entry = self._shape(None, owner, False) if exact else owner
        known = [name for table, some in self._by_table(names) for name in _fill(table, some, entry)]
        self.size += len(names) - len(known)
        for name in known:
            self._add_name(name, owner, exact, replace=False)
        above = names
        while above:
            above = [name for name in {name[name.find(".") + 1 :] for name in above} if "." in name]
            for table, some in self._by_table(above):
                for name in _fill(table, some, self._shape(None, None, True)):
                    node = self._node(name)
                    if not node.deeper:
                        self._set(name, node.owner, node.exact, True, node)

    def _by_table(self, names: list[str]) -> "tuple[tuple[_Table, list[str]], ...]":
        first = [name for name in names if name.count(".") == 1]
        deep = [name for name in names if name.count(".") > 1]
        return (self._first, first), (self._deep, deep)

    def _add_pattern(self, under: str, pattern: re.Pattern[str], match: EndpointMatch) -> None:
        self.size += 1
        self._reach(under)
        node = self._node(under)
        self._table(under)[under] = msgspec.structs.replace(node, patterns=(*node.patterns, (pattern, match)))

    def _reach(self, name: str) -> None:
        """Notes at the names above a name that something lies deeper."""
        cut = name.find(".") + 1
        while cut and name.find(".", cut) > 0:
            above = name[cut:]
            node = self._node(above)
            if node.deeper:
                return
            self._set(above, node.owner, node.exact, True, node)
            cut = name.find(".", cut) + 1

    def _table(self, name: str) -> "_Table":
        return self._deep if name.count(".") > 1 else self._first

    def _node(self, name: str) -> _Node:
        entry = self._table(name).get(name)
        if type(entry) is _Node:
            return entry
        return _NOTHING if entry is None else _Node(owner=entry)  # type: ignore[arg-type]

    def _set(self, name: str, owner: _Owner | None, exact: _Owner | None, deeper: bool, old: _Node) -> None:
        if old.patterns or old.rejected is not None:
            self._table(name)[name] = _Node(owner, exact, deeper, old.patterns, old.rejected)
            return
        self._table(name)[name] = self._shape(owner, exact, deeper)

    def _shape(self, owner: _Owner | None, exact: _Owner | None, deeper: bool) -> _Node:
        """All nodes of one shape are one object, since a long list has very many."""
        shape = (id(owner), id(exact), deeper)
        node = self._shared.get(shape)
        if node is None:
            node = self._shared[shape] = _Node(owner, exact, deeper)
        return node


_NOTHING: Final = _Node()
# Python keeps the hashes of a table in it where not every key is text. Whether a long table has a name is then told
# without a look at the names in it, which lie all over memory: a sixth of what a look-up costs.
_NO_NAME: Final[_Table] = {None: _NOTHING}


def _fill(table: dict[Any, Any], names: list[str], entry: Any) -> list[str]:
    """Give the names that have no entry this one; those that have one already."""
    fresh = dict.fromkeys(names, entry)
    known = [name for name in fresh if name in table]
    for name in known:
        del fresh[name]
    table.update(fresh)
    return known


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


def _start_of(name: str, labels: int) -> int:
    """Where the last `labels` labels of a name begin."""
    at = 0
    for _ in range(name.count(".") + 1 - labels):
        at = name.find(".", at) + 1
    return at
