"""Facts as files: reads folders of TOML into one `Facts`, and refuses what is wrong, all of it at once.

`KINDS` says what lies where in a folder, `rules/fact.py` what each file may hold. The shipped folder comes first; a
user's folder adds to it and overrides by id: a source, programme, entity, activity or AS number by its key, an endpoint
by name and match (and with it whose it is), a firmware fact by kind and pattern, a relabel by brand.
"""

import dataclasses
import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin

import msgspec
import tomli

from rules.edition import apply_editions
from rules.errors import RuleError, RuleErrors
from rules.fact import (
    MAX_REGEXES,
    ActivityFile,
    AsNumber,
    BulkList,
    EndpointFile,
    EndpointName,
    Entity,
    FirmwareFact,
    Listing,
    ListingFile,
    NetworkAddress,
    NetworkFile,
    NotEndpointFile,
    NotTheCompany,
    Profile,
    Programme,
    Relabel,
    RelabelFile,
    Scenario,
    Source,
    SourceFile,
)
from rules.factcheck import Known, edition_faults, faults, missing_activities, reference_faults

SHIPPED = Path(__file__).parent / "facts"
KINDS: dict[str, type[msgspec.Struct]] = {
    "sources.toml": SourceFile,
    "programmes": Programme,
    "entities": Entity,
    "listings": ListingFile,
    "relabels.toml": RelabelFile,
    "endpoints": EndpointFile,
    "networks": NetworkFile,
    "not_endpoints.toml": NotEndpointFile,
    "activities.toml": ActivityFile,
    "profiles": Profile,
    "scenarios": Scenario,
}

Table = TypeVar("Table", bound=msgspec.Struct)
Parts = list[tuple[str, msgspec.Struct]]


@dataclasses.dataclass(frozen=True, slots=True)
class Facts:
    """All facts of the folders that were read.

    `endpoints` is by entity id, the files of all folders merged. `bulk` is (entity id, list, its file). `activities`
    maps a role, and "firmware_download", to an activity. `digest` is the SHA-256 over paths and contents of the files.
    `indicators`: how many names, networks and patterns each folder holds.
    """

    sources: dict[str, Source]
    programmes: dict[str, Programme]
    entities: dict[str, Entity]
    relabels: tuple[Relabel, ...]
    endpoints: dict[str, EndpointFile]
    bulk: tuple[tuple[str, BulkList, Path], ...]
    as_numbers: dict[int, AsNumber]
    not_endpoints: tuple[NotTheCompany, ...]
    activities: dict[str, str]
    digest: str
    profiles: dict[str, Profile] = dataclasses.field(default_factory=dict)
    scenarios: dict[str, Scenario] = dataclasses.field(default_factory=dict)
    indicators: tuple[int, ...] = ()


def read_facts(folders: Sequence[Path]) -> Facts:
    """Reads the folders in order, a later one over an earlier one. Raises `RuleErrors` with all that is wrong."""
    book = _Book()
    for folder in folders:
        book.read_folder(folder)
    book.check()
    if book.errors:
        raise RuleErrors(book.errors)
    return book.facts()


class _Book:
    """What was read so far. `parts` keeps every table with its file and place, for the checks across files."""

    def __init__(self) -> None:
        self.errors: list[RuleError] = []
        self.parts: list[tuple[Path, str, msgspec.Struct]] = []
        self.digest = hashlib.sha256()
        self.named: dict[type[msgspec.Struct], set[str]] = {
            kind: set() for kind in (Source, Programme, Entity, Profile)
        }
        self.sources_unread = False
        self.sources: dict[str, Source] = {}
        self.programmes: dict[str, Programme] = {}
        self.entities: dict[str, Entity] = {}
        self.editions: list[ListingFile] = []
        self.relabels: dict[str, Relabel] = {}
        self.names: dict[tuple[str, str], tuple[str, EndpointName]] = {}
        self.firmware: dict[tuple[str, str, str], FirmwareFact] = {}
        self.networks: dict[str, tuple[str, NetworkAddress]] = {}
        self.bulk: dict[tuple[str, Path], BulkList] = {}
        self.as_numbers: dict[int, AsNumber] = {}
        self.not_endpoints: list[NotTheCompany] = []
        self.activities: dict[str, str] = {}
        self.profiles: dict[str, Profile] = {}
        self.scenarios: dict[str, Scenario] = {}
        self.indicators: list[int] = []

    def facts(self) -> Facts:
        entities, programmes = apply_editions(self.entities, self.programmes, self.editions)
        return Facts(
            sources=self.sources,
            programmes=programmes,
            entities=entities,
            relabels=tuple(self.relabels.values()),
            endpoints=self._endpoint_files(),
            bulk=tuple((entity, bulk, path) for (entity, path), bulk in self.bulk.items()),
            as_numbers=self.as_numbers,
            not_endpoints=tuple(self.not_endpoints),
            activities=self.activities,
            digest=self.digest.hexdigest(),
            profiles=self.profiles,
            scenarios=self.scenarios,
            indicators=tuple(self.indicators),
        )

    def _endpoint_files(self) -> dict[str, EndpointFile]:
        merged: dict[str, dict[str, list[Any]]] = {}

        def add(entity: str, field: str, fact: msgspec.Struct) -> None:
            merged.setdefault(entity, {}).setdefault(field, []).append(fact)

        for entity, name in self.names.values():
            add(entity, "endpoint", name)
        for (entity, _, _), firmware in self.firmware.items():
            add(entity, "firmware", firmware)
        for entity, network in self.networks.values():
            add(entity, "network", network)
        for (entity, _), bulk in self.bulk.items():
            add(entity, "list", bulk)
        return {
            entity: EndpointFile(entity=entity, **{field: tuple(facts) for field, facts in fields.items()})
            for entity, fields in sorted(merged.items())
        }

    def check(self) -> None:
        """The checks across files, once all folders are read."""
        known = Known(self.named[Source], self.named[Programme], self.named[Entity], self.named[Profile])
        for path, place, part in self.parts:
            for key, reason in reference_faults(part, known):
                if not (self.sources_unread and "source" in key):
                    self._refuse(path, _join(place, key), reason)
        regexes = [(path, place) for path, place, part in self.parts if getattr(part, "match", None) == "regex"]
        if len(regexes) > MAX_REGEXES:
            path, place = regexes[MAX_REGEXES]
            self._refuse(path, place, f"is regex {MAX_REGEXES + 1} of at most {MAX_REGEXES}; use suffix or exact")
        missing = missing_activities(self.activities)
        if missing and not self.errors:
            path = next((path for path, _, part in self.parts if isinstance(part, ActivityFile)), SHIPPED)
            self._refuse(path, "activities", f"no activity for {', '.join(missing)}; add it to activities.toml")

    def read_folder(self, folder: Path) -> None:
        """Reads one folder. What stands twice in it is refused; what an earlier folder said is overridden."""
        paths = sorted(folder.rglob("*.toml"), key=lambda path: path.relative_to(folder).as_posix())
        if not paths:
            reason = "no facts (*.toml) in this folder" if folder.is_dir() else "no such folder"
            self._refuse(folder, "", f"{reason}; name a folder that holds {', '.join(KINDS)}")
        seen: dict[object, str] = {}
        before = len(self.parts)
        self.indicators.append(0)
        for path in paths:
            parts = path.relative_to(folder).parts
            kind = KINDS.get(parts[0]) if len(parts) == (1 if parts[0].endswith(".toml") else 2) else None
            if kind is None:
                self._refuse(path, "", f"no facts are read from here; the places are {', '.join(KINDS)}")
                continue
            document = self._parse(folder, path)
            self._name(path, kind, document)
            if document is not None:
                self._add(path, *self._convert_document(path, document, kind), seen)
        self._check_editions(self.parts[before:])

    def _check_editions(self, parts: list[tuple[Path, str, msgspec.Struct]]) -> None:
        """The listings of a folder beside the editions that are known with it; what a list that was read says of its
        own edition is as it is."""
        for path, place, part in parts:
            if type(part) is Listing and part.programme in self.programmes:
                for key, reason in edition_faults(part, self.programmes[part.programme]):
                    self._refuse(path, _join(place, key), reason)

    def _name(self, path: Path, kind: type[msgspec.Struct], document: dict[str, Any] | None) -> None:
        """Notes the ids of a file, wrong or not: one error in it must not bring one for each reference to it."""
        if kind in self.named:
            self.named[kind].add(path.stem)
        elif kind is SourceFile:
            sources = {} if document is None else document.get("sources")
            self.named[Source].update(sources if isinstance(sources, dict) else ())
            self.sources_unread |= document is None

    def _refuse(self, path: Path, place: str, reason: str) -> None:
        self.errors.append(RuleError(path, place, reason))

    def _parse(self, folder: Path, path: Path) -> dict[str, Any] | None:
        try:
            content = path.read_bytes()
            self._digest(path.relative_to(folder).as_posix(), content)
            return tomli.loads(content.decode("utf-8"))
        except OSError as error:
            self._refuse(path, "", f"cannot be read: {error.strerror or error}")
        except UnicodeDecodeError as error:
            self._refuse(path, f"byte {error.start}", "is not UTF-8; save the file as UTF-8")
        except (tomli.TOMLDecodeError, RecursionError) as error:
            self._refuse(path, "", f"is not TOML: {error}")
        return None

    def _digest(self, name: str, content: bytes) -> None:
        self.digest.update(f"{name}\0{len(content)}\0".encode())
        self.digest.update(content)

    def _convert_document(self, path: Path, document: dict[str, Any], kind: type[Table]) -> tuple[Table | None, Parts]:
        """Converts item by item, so that each wrong item of a file is named and not only the first."""
        fields = {field.encode_name: field.type for field in msgspec.structs.fields(kind)}
        whole: dict[str, Any] = dict(document)
        parts: Parts = []
        for key, value in document.items():
            item_kind = _item_kind(fields.get(key))
            if item_kind is None or not isinstance(value, list | dict):
                continue
            named = isinstance(value, dict)
            items: dict[Any, msgspec.Struct] = {}
            for index, item in value.items() if isinstance(value, dict) else enumerate(value):
                place = f"{key}.{index}" if named else f"{key}[{index}]"
                fact = self._convert(path, place, item, item_kind)
                if fact is not None:
                    items[index] = fact
                    parts.append((place, fact))
            whole[key] = items if named else tuple(items.values())
        table = self._convert(path, "", whole, kind)
        if table is not None:
            parts.append(("", table))
        return table, parts

    def _convert(self, path: Path, place: str, value: Any, kind: type[Table]) -> Table | None:
        try:
            return msgspec.convert(value, kind)
        except msgspec.ValidationError as error:
            reason, _, inner = str(error).partition(" - at `")
            mend = ""
            if "unknown field" in reason:
                mend = f"; the fields are {', '.join(field.encode_name for field in msgspec.structs.fields(kind))}"
            self._refuse(path, _join(place, inner.rstrip("`").removeprefix("$").lstrip(".")), reason + mend)
        return None

    def _add(self, path: Path, table: msgspec.Struct | None, parts: Parts, seen: dict[object, str]) -> None:
        for place, part in parts:
            self.parts.append((path, place, part))
            for key, reason in faults(part):
                self._refuse(path, _join(place, key), reason)
            for once in _keys_of(part, table):
                if once in seen:
                    self._refuse(path, place, f"{once[-1]!r} stands twice, first in {seen[once]}; keep one of them")
                seen[once] = f"{path.name} {place}".rstrip()
        match table:
            case SourceFile():
                self.sources |= table.sources
            case Programme() | Entity() | Profile() | Scenario():
                self._add_by_id(path, table)
            case ListingFile():
                self.editions.append(table)
            case RelabelFile():
                self.relabels |= {relabel.brand.casefold(): relabel for relabel in table.relabel}
            case EndpointFile():
                self._add_endpoints(path, table, parts)
            case NetworkFile():
                self.as_numbers |= {number.number: number for number in _as_numbers(table)}
            case NotEndpointFile():
                self.not_endpoints += table.not_endpoint
            case ActivityFile():
                self.activities.update({str(role): activity for role, activity in table.activities.items()})

    def _add_by_id(self, path: Path, table: Programme | Entity | Profile | Scenario) -> None:
        if path.stem != table.id:
            self._refuse(path, "id", f"is {table.id!r}, but the file is {path.name}; make them the same")
            return
        match table:
            case Programme():
                self.programmes[table.id] = table
            case Entity():
                self.entities[table.id] = table
            case Profile():
                self.profiles[table.id] = table
            case Scenario():
                self.scenarios[table.id] = table

    def _add_endpoints(self, path: Path, table: EndpointFile, parts: Parts) -> None:
        entity = table.entity
        for place, fact in parts:
            self.indicators[-1] += isinstance(fact, EndpointName | FirmwareFact | NetworkAddress)
            match fact:
                case EndpointName():
                    self.names[fact.match, fact.name] = (entity, fact)
                case FirmwareFact():
                    self.firmware[entity, fact.kind, fact.pattern] = fact
                case NetworkAddress():
                    self.networks[fact.network] = (entity, fact)
                case BulkList():
                    self._add_bulk(path, place, entity, fact)
                case _:
                    pass

    def _add_bulk(self, path: Path, place: str, entity: str, fact: BulkList) -> None:
        bulk = (path.parent / fact.file).resolve()
        try:
            content = bulk.read_bytes()
            self._digest(fact.file, content)
            self.indicators[-1] += count_lines(content)
        except OSError as error:
            reason = f"{bulk} cannot be read: {error.strerror or error}; the path counts from this file's folder"
            self._refuse(path, f"{place}.file", reason)
            return
        self.bulk[entity, bulk] = fact


def count_lines(content: bytes) -> int:
    """How many lines of a list are no comments."""
    whole = b"\n" + content.rstrip(b"\n")
    return whole.count(b"\n") - whole.count(b"\n#") if content.strip() else 0


def _join(place: str, key: str) -> str:
    return ".".join(part for part in (place, key) if part)


def _item_kind(kind: Any) -> type[msgspec.Struct] | None:
    """The struct of which a field is a tuple or a dict, if it is one."""
    if get_origin(kind) in (tuple, dict):
        item = get_args(kind)[1 if get_origin(kind) is dict else 0]
        if isinstance(item, type) and issubclass(item, msgspec.Struct):
            return item
    return None


def _keys_of(fact: msgspec.Struct, table: msgspec.Struct | None) -> Iterator[tuple[str, ...]]:
    """What may stand once in a folder."""
    match fact:
        case EndpointName():
            yield "endpoint", fact.match, fact.name
        case FirmwareFact() if isinstance(table, EndpointFile):
            yield "firmware", table.entity, fact.kind, fact.pattern
        case NetworkAddress():
            yield "network", fact.network
        case Relabel():
            yield "relabel", fact.brand.casefold()
        case NetworkFile():
            for number in fact.numbers:
                yield "as", number
        case _:
            pass


def _as_numbers(table: NetworkFile) -> Iterator[AsNumber]:
    for number, organization in table.numbers.items():
        if number.isdigit():
            yield AsNumber(
                number=int(number),
                organization=organization,
                operator=table.operator,
                sources=table.sources,
                confidence=table.confidence,
                entity=table.entity,
                relation=table.relation,
                note=table.note,
            )
