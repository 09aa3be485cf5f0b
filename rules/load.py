"""Folders of facts and detections → RuleSet. Everything that is wrong is said at once, with file and place."""

import datetime
import hashlib
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rules.correlation import Correlation, link
from rules.court import ANYBODY, Court, Organisation
from rules.detection import Detection
from rules.endpoints import EndpointIndex
from rules.errors import RuleError, RuleErrors, known_word
from rules.factbook import SHIPPED, Facts, read_facts
from rules.knowledge import known_at
from rules.match import RuleSet
from rules.pack import unpack
from rules.rulebook import read_rulebook
from rules.scenario import assume
from rules.verdict import Judge
from rules.waivers import read_waivers

SHIPPED_DETECTIONS = Path(__file__).parent / "detections"


def load_rules(
    folders: Sequence[Path] = (),
    organisation: Organisation = ANYBODY,
    waivers: Sequence[Path] = (),
    known: datetime.date | None = None,
    shipped: bool = True,
) -> RuleSet:
    """The shipped facts and detections, then those of each folder (`facts/**/*.toml`, `detections/**/*.yml`), which
    add, and override by id; who we are, and the files of our waivers. `known`: with the law as it could be known on
    that day. Raises RuleErrors with all that is wrong; no detections at all is wrong. Raises SettingsError for a
    profile that there is not. Without `shipped` the first folder is what the others add to."""
    errors: list[RuleError] = []
    fact_folders, detection_folders = ([SHIPPED], [SHIPPED_DETECTIONS]) if shipped else ([], [])
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
        errors.append(
            RuleError(
                (*detection_folders, SHIPPED_DETECTIONS)[0],
                "",
                "holds no detections (**/*.yml); nothing would be found",
            )
        )
    linked = [] if errors else _link(correlations, detections, errors)
    if errors or facts is None or endpoints is None:
        raise RuleErrors(errors)
    in_order = sorted(detections.values(), key=lambda detection: detection.id)
    heads = [correlation.head for correlation in linked]
    organisation.check(facts)
    exceptions = read_waivers(waivers, facts)
    if known is not None:
        facts = known_at(facts, known)
    court = Court(Judge(facts), organisation, exceptions)
    return RuleSet(facts, endpoints, in_order, _digest(facts, (*in_order, *heads)), court, linked)


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


def under_scenario(rules: RuleSet, id: str, begins: datetime.date) -> RuleSet:
    """The same rules over the facts and waivers as a scenario changes them from a day on. Raises SettingsError that
    lists the scenarios where there is none of this id."""
    scenario = rules.facts.scenarios[known_word(id, rules.facts.scenarios, "scenario")]
    facts = assume(rules.facts, scenario, begins)
    court = Court(Judge(facts), rules.court.organisation, rules.court.waivers.ended(scenario.waivers_ended, begins))
    heads = [correlation.head for correlation in rules.correlations]
    digest = _digest(facts, (*rules.detections, *heads))
    return RuleSet(facts, rules.endpoints, rules.detections, digest, court, rules.correlations)


def collect_files(folders: Sequence[Path] = ()) -> dict[str, bytes]:
    """All files of the shipped facts and detections, and of the folders', by their names in a pack. Raises RuleErrors
    that names a file that cannot be read."""
    layers = [{"facts": SHIPPED, "detections": SHIPPED_DETECTIONS}]
    layers += [{kind: folder / kind for kind in ("facts", "detections")} for folder in folders]
    files: dict[str, bytes] = {}
    for number, layer in enumerate(layers):
        for kind, folder in layer.items():
            for path in sorted(folder.rglob("*")):
                try:
                    if path.is_file() and "__pycache__" not in path.parts:
                        files[f"{number}/{kind}/{path.relative_to(folder).as_posix()}"] = path.read_bytes()
                except OSError as error:
                    raise RuleErrors([RuleError(path, "", f"cannot be read: {error.strerror or error}")]) from error
    return files


def load_pack(content: bytes, organisation: Organisation = ANYBODY, waivers: Sequence[Path] = ()) -> RuleSet:
    """The rules of a pack, whole or not at all, for who we are here, with our waivers. Raises PackError, or RuleErrors
    with all that is wrong, and as `load_rules`."""
    files = unpack(content)
    with tempfile.TemporaryDirectory(prefix="lenswatch-rules-") as name:
        base = Path(name)
        for place, inner in files.items():
            path = base / place
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(inner)
        layers = sorted({place.partition("/")[0] for place in files}, key=int)
        try:
            return load_rules([base / layer for layer in layers], organisation, waivers, shipped=False)
        except RuleErrors as wrong:
            raise RuleErrors([_in_pack(base, error) for error in wrong.errors]) from wrong


def _in_pack(base: Path, error: RuleError) -> RuleError:
    path = error.path.relative_to(base) if error.path.is_relative_to(base) else error.path
    return RuleError(path, error.place, error.reason)


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
