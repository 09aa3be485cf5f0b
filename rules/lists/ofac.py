"""OFAC's Advanced Sanctions List Standard, SDN_ADVANCED.XML and CONS_ADVANCED.XML, read as a stream.

Format: OFAC, "Advanced Sanctions Data Model: explanatory documentation", after the UN's Enhanced Sanctions List
Standard: `ReferenceValueSets`, `Locations`, `IDRegDocuments`, `DistinctParties` and `SanctionsEntries`, in this order,
tied by numbers. The namespace changed in 2024, so elements are known by their local names. They are dropped as soon
as they were read; what stays is names and numbers for each party.
"""

import datetime
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from xml.etree.ElementTree import Element, ParseError

from rules.errors import RuleError
from rules.lists.reader import Entry, Reader, Tally

SDN, CMIC, OTHER = "SDN", "CMIC", "other"
CMIC_LIST: Final = "92052"
SETS: Final = ("ListValues", "CountryValues", "FeatureTypeValues", "LegalBasisValues")
RECORDS: Final = frozenset({"Location", "IDRegDocument", "DistinctParty", "ProfileRelationship", "SanctionsEntry"})
# Features whose text is an identifier; registration documents all are.
IDENTIFYING: Final = ("isin", "legal entity", "unified social credit")
PERSON_FEATURES: Final = ("birthdate", "place of birth", "gender")
MAX_PARTIES: Final = 1_000_000


def read(path: Path, tally: Tally) -> Iterator[Entry]:
    """The entries of the SDN and CMIC lists; those of other lists are counted. Raises RuleError."""
    from defusedxml.common import DefusedXmlException
    from defusedxml.ElementTree import iterparse

    book = _Parties(path)
    try:
        depth = 0
        for event, element in iterparse(path, events=("start", "end"), forbid_dtd=True):
            if event == "start":
                if depth == 0 and _local(element) != "Sanctions":
                    raise RuleError(
                        path, "", f"begins with <{_local(element)}>, not <Sanctions>: no advanced XML of OFAC"
                    )
                depth += 1
                continue
            depth -= 1
            if depth in (1, 2):
                yield from book.take(element, tally, whole_section=depth == 1)
            if _local(element) in RECORDS:
                element.clear()
    except ParseError as error:
        line, column = error.position
        raise RuleError(path, f"line {line}", f"is cut off or no XML (column {column}); fetch it again") from error
    except DefusedXmlException as error:
        raise RuleError(path, "", f"holds what no list needs ({type(error).__name__}); it was not read") from error
    except OSError as error:
        raise RuleError(path, "", f"cannot be read: {error.strerror or error}") from error


class _Parties:
    """What the later sections refer to."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._sets: dict[str, dict[str, str]] = {name: {} for name in SETS}
        self._iso: dict[str, str] = {}
        self._countries: dict[str, str] = {}
        self._documents: dict[str, list[str]] = {}
        self._parties: dict[str, dict[str, Any]] = {}

    def take(self, element: Element, tally: Tally, whole_section: bool) -> Iterator[Entry]:
        """One element of the second or third level, when it is whole."""
        match _local(element):
            case "DateOfIssue" if whole_section:
                tally.published = _day(element)
            case name if name in SETS:
                self._read_set(name, element)
            case "Location":
                country = _first(element, "LocationCountry")
                if country is not None:
                    self._countries[element.get("ID", "")] = self._iso.get(country.get("CountryID", ""), "")
            case "IDRegDocument":
                self._read_document(element)
            case "DistinctParty":
                self._read_party(element)
            case "SanctionsEntry":
                yield from self._read_entry(element, tally)

    def _read_set(self, name: str, element: Element) -> None:
        for value in element:
            number = value.get("ID", "")
            self._sets[name][number] = (value.text or "").strip()
            if name == "CountryValues":
                self._iso[number] = value.get("ISO2", "")
        element.clear()

    def _read_document(self, element: Element) -> None:
        number = _first(element, "IDRegistrationNo")
        if number is not None and number.text:
            self._documents.setdefault(element.get("IdentityID", ""), []).append(number.text.strip())

    def _read_party(self, element: Element) -> None:
        profile = _first(element, "Profile")
        if profile is None:
            return
        if len(self._parties) >= MAX_PARTIES:
            raise RuleError(self._path, "", f"holds more than {MAX_PARTIES} parties; it was not read further")
        names: list[tuple[bool, str]] = []
        identifiers: list[str] = []
        for identity in _all(profile, "Identity"):
            identifiers += self._documents.pop(identity.get("ID", ""), [])
            for alias in _all(identity, "Alias"):
                for documented in _all(alias, "DocumentedName"):
                    words = " ".join((part.text or "").strip() for part in _all(documented, "NamePartValue"))
                    names.append((alias.get("Primary") == "true", words))
        countries, person = set(), False
        for feature in _all(profile, "Feature"):
            kind = self._sets["FeatureTypeValues"].get(feature.get("FeatureTypeID", ""), "").casefold()
            person |= kind in PERSON_FEATURES
            text = _first(feature, "VersionDetail")
            if text is not None and text.text and any(word in kind for word in IDENTIFYING):
                identifiers.append(text.text.strip())
            if kind == "location":
                countries |= {
                    self._countries.get(each.get("LocationID", ""), "") for each in _all(feature, "VersionLocation")
                }
        self._parties[profile.get("ID", "")] = {
            "names": [words for _, words in sorted(names, key=lambda each: not each[0]) if words],
            "identifiers": tuple(dict.fromkeys(identifiers)),
            "countries": tuple(sorted(countries - {""})),
            "person": person,
        }

    def _read_entry(self, element: Element, tally: Tally) -> Iterator[Entry]:
        number, profile = element.get("ID", ""), element.get("ProfileID", "")
        title = self._sets["ListValues"].get(element.get("ListID", ""), "")
        tags = {(comment.text or "").strip() for comment in _all(element, "Comment")} - {""}
        list_name = SDN if title == "SDN List" else CMIC if _is_cmic(element, title, tags) else OTHER
        tally.counts[list_name] += 1
        party = self._parties.get(profile)
        if party is None or not party["names"]:
            raise RuleError(
                self._path, f"SanctionsEntry {number}", f"its party {profile} is not in the file; fetch it again"
            )
        if list_name == OTHER:
            return
        events = list(_all(element, "EntryEvent"))
        days = [day for event in events if (day := _day(_first(event, "Date"))) is not None]
        bases = {self._sets["LegalBasisValues"].get(event.get("LegalBasisID", ""), "") for event in events}
        words = [*sorted(bases - {"", "Unknown"}), *sorted(tags), f"OFAC UID {profile}"]
        programmes: tuple[str, ...] = ("US-NS-CMIC",) if list_name == CMIC else ("US-OFAC-SDN",)
        if any(tag.startswith("GLOMAG") for tag in tags):
            programmes += ("US-GLOMAG",)
        yield Entry(
            programmes=programmes,
            list_name=list_name,
            name=party["names"][0],
            aliases=tuple(dict.fromkeys(party["names"][1:])),
            place=f"SanctionsEntry {number}",
            citation="; ".join(words),
            number=profile,
            identifiers=party["identifiers"],
            countries=party["countries"],
            since=min(days, default=None),
            person=party["person"],
        )


def _is_cmic(element: Element, title: str, tags: set[str]) -> bool:
    """By the list's number or name, or by the programme's tag where the entry stands on the consolidated list."""
    named = "CMIC" in title or "Chinese Military" in title
    return named or element.get("ListID") == CMIC_LIST or any(tag.startswith("CMIC") for tag in tags)


def _local(element: Element) -> str:
    return element.tag.rpartition("}")[2]


def _all(element: Element, name: str) -> Iterator[Element]:
    return (each for each in element.iter() if _local(each) == name)


def _first(element: Element, name: str) -> Element | None:
    return next(_all(element, name), None)


def _day(element: Element | None) -> datetime.date | None:
    if element is None:
        return None
    parts = {_local(each): (each.text or "").strip() for each in element.iter()}
    try:
        return datetime.date(int(parts["Year"]), int(parts["Month"]), int(parts["Day"]))
    except (KeyError, ValueError):
        return None


READER = Reader(
    name="ofac",
    title="OFAC sanctions list, advanced XML",
    url="https://sanctionslist.ofac.treas.gov/Home/SdnList",
    programmes={SDN: ("US-OFAC-SDN", "US-GLOMAG"), CMIC: ("US-NS-CMIC",)},
    read=read,
    files=((SDN, "ofac-sdn"), (CMIC, "ofac-cons")),
)
