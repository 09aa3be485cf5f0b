"""Folders of facts and detections → RuleSet. Everything that is wrong is said at once, with file and place."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from rules.correlation import Correlation, link
from rules.detection import Detection
from rules.endpoints import EndpointIndex
from rules.errors import RuleError, RuleErrors
from rules.factbook import SHIPPED, Facts, read_facts
from rules.match import RuleSet
from rules.rulebook import read_rulebook

SHIPPED_DETECTIONS = Path(__file__).parent / "detections"


def load_rules(folders: Sequence[Path] = ()) -> RuleSet:
    """The shipped facts and detections, then those of each folder (`facts/**/*.toml`, `detections/**/*.yml`), which
    add, and override by id. Raises RuleErrors with all that is wrong; no detections at all is wrong."""
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
    correlations: dict[str, Correlation] = {}
    for folder in detection_folders:
        try:
            book = read_rulebook(folder)
        except RuleErrors as wrong:
            errors += wrong.errors
        else:
            detections |= {detection.id: detection for detection in book.detections}
            correlations |= {correlation.head.id: correlation for correlation in book.correlations}
    if not detections and not errors:
        errors.append(RuleError(detection_folders[0], "", "holds no detections (**/*.yml); nothing would be found"))
    linked = [] if errors else _link(correlations, detections, errors)
    if errors or facts is None or endpoints is None:
        raise RuleErrors(errors)
    in_order = sorted(detections.values(), key=lambda detection: detection.id)
    heads = [correlation.head for correlation in linked]
    return RuleSet(facts, endpoints, in_order, _digest(facts, (*in_order, *heads)), linked)


def _link(
    correlations: dict[str, Correlation], detections: dict[str, Detection], errors: list[RuleError]
) -> list[Correlation]:
    """The correlations in order of id, each with the detections behind its rules; what is wrong goes to `errors`."""
    linked = []
    for _, correlation in sorted(correlations.items()):
        try:
            linked.append(link(correlation, detections.values()))
        except RuleErrors as wrong:
            errors += wrong.errors
    return linked


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
