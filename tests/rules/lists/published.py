"""Small files in the publishers' formats, made up but for the names: what the real files look like, without their size.

The advanced XML follows OFAC's "Advanced Sanctions Data Model: explanatory documentation"; the 29 columns and the JSON
are those of data.trade.gov's Consolidated Screening List, file v1.
"""

import csv
import datetime
import io
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from rules.fact import Entity

NAMESPACE = "https://sanctionslistservice.ofac.treas.gov/api/PublicationPreview/exports/ADVANCED_XML"
OLD_NAMESPACE = "http://www.un.org/sanctions/1.0"
LISTS = {"SDN": "1550", "CMIC": "92052", "other": "91512"}
COLUMNS = [
    "_id", "source", "entity_number", "type", "programs", "name", "title", "addresses", "federal_register_notice",
    "start_date", "end_date", "standard_order", "license_requirement", "license_policy", "call_sign", "vessel_type",
    "gross_tonnage", "gross_registered_tonnage", "vessel_flag", "vessel_owner", "remarks", "source_list_url",
    "alt_names", "citizenships", "dates_of_birth", "nationalities", "places_of_birth", "source_information_url", "ids",
]  # fmt: skip
SOURCES = {
    "SDN": "Specially Designated Nationals (SDN) - Treasury Department",
    "EL": "Entity List (EL) - Bureau of Industry and Security",
    "CMIC": "Non-SDN Chinese Military-Industrial Complex Companies List (CMIC) - Treasury Department",
    "DPL": "Denied Persons List (DPL) - Bureau of Industry and Security",
    "NS-MBS": "Non-SDN Menu-Based Sanctions List (NS-MBS List) - Treasury Department",
}


def party(name: str, uid: str = "900001", on: str = "SDN", **more: Any) -> dict[str, Any]:
    """One party; `tags`, `since`, `aliases`, `ids`, `country`, `person` can be said."""
    return {"name": name, "uid": uid, "list": on} | more


def _date(name: str, day: str) -> str:
    year, month, number = (int(part) for part in day.split("-"))
    parts = f"<Year>{year}</Year><Month>{month}</Month><Day>{number}</Day>"
    return f'<{name} CalendarTypeID="1">{parts}</{name}>'


def _party_xml(at: int, each: dict[str, Any]) -> tuple[str, str, str, str]:
    identity, uid = str(50000 + at), each["uid"]
    documents = "".join(
        f'<IDRegDocument ID="{at}{number}" IDRegDocTypeID="92056" IdentityID="{identity}" ValidityID="1">'
        f"<IDRegistrationNo>{escape(value)}</IDRegistrationNo></IDRegDocument>"
        for number, value in enumerate(each.get("ids", ()))
    )
    aliases = "".join(
        f'<Alias FixedRef="{uid}" AliasTypeID="1403" Primary="{"true" if number == 0 else "false"}" LowQuality="false">'
        f'<DocumentedName ID="{at}{number}" FixedRef="{uid}" DocNameStatusID="1"><DocumentedNamePart>'
        f'<NamePartValue NamePartGroupID="1" ScriptID="215">{escape(text)}</NamePartValue>'
        "</DocumentedNamePart></DocumentedName></Alias>"
        for number, text in enumerate((each["name"], *each.get("aliases", ())))
    )
    features = ""
    location = ""
    if each.get("country"):
        location = (
            f'<Location ID="{7000 + at}"><LocationCountry CountryID="{each["country"]}" CountryRelevanceID="1413"/>'
            "</Location>"
        )
        features += (
            f'<Feature ID="{at}" FeatureTypeID="25"><FeatureVersion ID="{at}" ReliabilityID="1">'
            f'<VersionLocation LocationID="{7000 + at}"/></FeatureVersion></Feature>'
        )
    if each.get("isin"):
        features += (
            f'<Feature ID="9{at}" FeatureTypeID="92050"><FeatureVersion ID="9{at}" ReliabilityID="1">'
            f'<VersionDetail DetailTypeID="1432">{each["isin"]}</VersionDetail></FeatureVersion></Feature>'
        )
    if each.get("person"):
        features += f'<Feature ID="8{at}" FeatureTypeID="8"><FeatureVersion ID="8{at}" ReliabilityID="1"/></Feature>'
    profile = (
        f'<DistinctParty FixedRef="{uid}"><Comment/><Profile ID="{uid}" PartySubTypeID="3">'
        f'<Identity ID="{identity}" FixedRef="{uid}" Primary="true" False="false">{aliases}</Identity>{features}'
        "</Profile></DistinctParty>"
    )
    measures = "".join(
        f'<SanctionsMeasure ID="{at}{number}" SanctionsTypeID="1"><Comment>{tag}</Comment></SanctionsMeasure>'
        for number, tag in enumerate(each.get("tags", ()))
    )
    entry = (
        f'<SanctionsEntry ID="{uid}" ProfileID="{uid}" ListID="{LISTS[each["list"]]}">'
        f'<EntryEvent ID="{uid}" EntryEventTypeID="1" LegalBasisID="92049"><Comment/>'
        f"{_date('Date', each.get('since', '2020-01-02'))}</EntryEvent>{measures}</SanctionsEntry>"
    )
    return location, documents, profile, entry


def ofac_xml(path: Path, parties: list[dict[str, Any]], day: str = "2026-10-01", namespace: str = NAMESPACE) -> Path:
    """An advanced XML file."""
    made = [_party_xml(at, each) for at, each in enumerate(parties)]
    sets = (
        '<CountryValues><Country ID="11065" ISO2="CN">China</Country><Country ID="11212" ISO2="US">United States'
        "</Country></CountryValues><FeatureTypeValues>"
        '<FeatureType ID="8" FeatureTypeGroupID="1">Birthdate</FeatureType>'
        '<FeatureType ID="25" FeatureTypeGroupID="1">Location</FeatureType>'
        '<FeatureType ID="92050" FeatureTypeGroupID="1">ISIN:</FeatureType></FeatureTypeValues>'
        '<LegalBasisValues><LegalBasis ID="92049" LegalBasisShortRef="x">Executive Order 14032 (China)</LegalBasis>'
        '</LegalBasisValues><ListValues><List ID="1550">SDN List</List><List ID="91512">Consolidated List</List>'
        '<List ID="92052">Non-SDN Chinese Military-Industrial Complex Companies List</List></ListValues>'
    )
    sections = ("Locations", "IDRegDocuments", "DistinctParties", "SanctionsEntries")
    body = "".join(f"<{name}>{''.join(parts[at] for parts in made)}</{name}>" for at, name in enumerate(sections))
    path.write_text(
        f'<?xml version="1.0" encoding="utf-8"?>\n<Sanctions xmlns={quoteattr(namespace)} Version="1">'
        f"{_date('DateOfIssue', day)}<ReferenceValueSets>{sets}</ReferenceValueSets>{body}</Sanctions>\n",
        encoding="utf-8",
    )
    return path


def row(name: str, source: str = "EL", **more: str) -> dict[str, str]:
    """One row of the Consolidated Screening List."""
    given = {"source": SOURCES.get(source, source), "name": name, "type": "Entity", "start_date": "2019-10-09"}
    return dict.fromkeys(COLUMNS, "") | given | more


def csl_csv(path: Path, rows: list[dict[str, str]]) -> Path:
    """The CSV file."""
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    path.write_text(out.getvalue(), encoding="utf-8")
    return path


def csl_json(path: Path, rows: list[dict[str, str]]) -> Path:
    """The JSON file, in which several values are lists."""
    results = []
    for each in rows:
        many = {
            key: [part.strip() for part in each[key].split(";") if part.strip()] for key in ("alt_names", "programs")
        }
        ids = [{"type": part.split(", ")[1], "number": part.split(", ")[2]} for part in each["ids"].split("; ") if part]
        places = [{"country": part.rpartition(", ")[2]} for part in each["addresses"].split(";") if part]
        results.append(each | many | {"ids": ids, "addresses": places})
    path.write_text(json.dumps({"results": results}, indent=1), encoding="utf-8")
    return path


def whole_csl(entities: Iterable[Entity], padding: int = 40) -> list[dict[str, str]]:
    """Rows that name every company which the facts have on the lists of the CSL, and others beside them."""
    lists = {"US-OFAC-SDN": "SDN", "US-BIS-EL": "EL", "US-NS-CMIC": "CMIC"}
    rows = [
        row(
            (listing.name_on_list or entity.name).upper(), lists[listing.programme], start_date=str(listing.since),
            entity_number=entity.identifiers.get("ofac_uid", ""), addresses=f"A Street, {entity.country}",
        )
        for entity in entities
        for listing in entity.listings
        if listing.programme in lists and listing.status == "listed" and listing.until is None
    ]  # fmt: skip
    return rows + [row(f"TRADER {at} FZE", source) for source in ("SDN", "EL", "CMIC", "DPL") for at in range(padding)]


def table(path: Path, text: str) -> Path:
    """A typed table."""
    path.write_text(text, encoding="utf-8")
    return path


def day(text: str) -> datetime.date:
    """A day."""
    return datetime.date.fromisoformat(text)
