"""Folders of facts and detections → RuleSet. Everything that is wrong is said at once, with file and place."""

import datetime
import hashlib
from collections.abc import Sequence
from pathlib import Path

from rules.court import ANYBODY, Court, Organisation
from rules.detection import Detection, read_detections
from rules.endpoints import EndpointIndex
from rules.errors import RuleError, RuleErrors, known_word
from rules.factbook import SHIPPED, Facts, read_facts
from rules.knowledge import known_at
from rules.match import RuleSet
from rules.scenario import assume
from rules.verdict import Judge
from rules.waivers import read_waivers

SHIPPED_DETECTIONS = Path(__file__).parent / "detections"


def load_rules(
    folders: Sequence[Path] = (),
    organisation: Organisation = ANYBODY,
    waivers: Sequence[Path] = (),
    known: datetime.date | None = None,
) -> RuleSet:
    """The shipped facts and detections, then those of each folder (`facts/**/*.toml`, `detections/**/*.yml`), which
    add, and override by id; who we are, and the files of our waivers. `known`: with the law as it could be known on
    that day. Raises RuleErrors with all that is wrong; no detections at all is wrong. Raises SettingsError for a
    profile that there is not."""
    errors: list[RuleError] = []
    fact_folders, detection_folders = [SHIPPED], [SHIPPED_DETECTIONS]
    for folder in folders:
        inner = [folder / "facts", folder / "detections"]
        if not any(place.is_dir() for place in inner):
            errors.append(RuleError(folder, "", "holds no rules; put them in its folders facts/ and detections/"))
        fact_folders += [place for place in inner[:1] if place.is_dir()]
        detection_folders += [place for place in inner[1:] if place.is_dir()]
    facts = endpoints = None
    try:
        facts = read_facts(fact_folders)
        endpoints = index_endpoints(facts)
    except RuleErrors as wrong:
        errors += wrong.errors
    detections: dict[str, Detection] = {}
    for folder in detection_folders:
        try:
            detections |= {detection.id: detection for detection in read_detections(folder)}
        except RuleErrors as wrong:
            errors += wrong.errors
    if not detections and not errors:
        errors.append(RuleError(detection_folders[0], "", "holds no detections (**/*.yml); nothing would be found"))
    if errors or facts is None or endpoints is None:
        raise RuleErrors(errors)
    in_order = sorted(detections.values(), key=lambda detection: detection.id)
    organisation.check(facts)
    exceptions = read_waivers(waivers, facts)
    if known is not None:
        facts = known_at(facts, known)
    court = Court(Judge(facts), organisation, exceptions)
    return RuleSet(facts, endpoints, in_order, _digest(facts, in_order), court)


def under_scenario(rules: RuleSet, id: str, begins: datetime.date) -> RuleSet:
    """The same rules over the facts and waivers as a scenario changes them from a day on. Raises SettingsError that
    lists the scenarios where there is none of this id."""
    scenario = rules.facts.scenarios[known_word(id, rules.facts.scenarios, "scenario")]
    facts = assume(rules.facts, scenario, begins)
    court = Court(Judge(facts), rules.court.organisation, rules.court.waivers.ended(scenario.waivers_ended, begins))
    return RuleSet(facts, rules.endpoints, rules.detections, _digest(facts, rules.detections), court)


def index_endpoints(facts: Facts) -> EndpointIndex:
    """The index over all names and networks, bulk lists included. Raises RuleErrors."""
    index, errors = EndpointIndex(), []
    for entity, file in facts.endpoints.items():
        try:
            index.add_file(file)
        except ValueError as error:
            errors.append(RuleError(SHIPPED / "endpoints" / f"{entity}.toml", "", str(error)))
    for entity, bulk, path in facts.bulk:
        try:
            index.add_list(entity, bulk, path.read_text("utf-8").splitlines())
        except UnicodeDecodeError as error:
            errors.append(RuleError(path, f"byte {error.start}", "is not UTF-8; save the file as UTF-8"))
        except OSError as error:
            errors.append(RuleError(path, "", f"cannot be read: {error.strerror or error}"))
        except ValueError as error:
            line, _, reason = str(error).partition(": ")
            errors.append(RuleError(path, line, f"{reason}; each line is one name or network"))
    for fact in facts.not_endpoints:
        index.reject(fact)
    if errors:
        raise RuleErrors(errors)
    return index.seal()


def _digest(facts: Facts, detections: Sequence[Detection]) -> str:
    digest = hashlib.sha256(facts.digest.encode())
    for detection in detections:
        digest.update(f"{detection.id}\0{detection.version}\0".encode())
    return digest.hexdigest()
