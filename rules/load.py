"""Folders of facts and detections → RuleSet. Everything that is wrong is said at once, with file and place."""

import contextlib
import datetime
import hashlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from collector.errors import LenswatchError
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
from rules.signature import FOLDER_SIGNATURE, NO_TRUST, Trust
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
    layers = [{"facts": SHIPPED, "detections": SHIPPED_DETECTIONS}, *map(_kinds, folders)]
    return {
        f"{number}/{name}": content
        for number, layer in enumerate(layers)
        for name, content in _read_layer(layer).items()
    }


def read_folder(folder: Path) -> tuple[dict[str, bytes], bytes | None]:
    """All files of one folder of facts and detections by their names in it, and the signature that lies beside them.
    Raises RuleErrors that names a file that cannot be read."""
    signature = folder / FOLDER_SIGNATURE
    try:
        return _read_layer(_kinds(folder)), signature.read_bytes() if signature.exists() else None
    except OSError as error:
        raise RuleErrors([RuleError(signature, "", f"cannot be read: {error.strerror or error}")]) from error


def _kinds(folder: Path) -> dict[str, Path]:
    return {kind: folder / kind for kind in ("facts", "detections")}


def _read_layer(layer: dict[str, Path]) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    for kind, folder in layer.items():
        for path in sorted(folder.rglob("*")):
            try:
                if path.is_file() and "__pycache__" not in path.parts:
                    files[f"{kind}/{path.relative_to(folder).as_posix()}"] = path.read_bytes()
            except OSError as error:
                raise RuleErrors([RuleError(path, "", f"cannot be read: {error.strerror or error}")]) from error
    return files


def load_pack(
    content: bytes,
    organisation: Organisation = ANYBODY,
    waivers: Sequence[Path] = (),
    trust: Trust = NO_TRUST,
    signature: bytes | None = None,
) -> RuleSet:
    """The rules of a pack, whole or not at all, for who we are here, with our waivers; where anybody is trusted, only
    with a signature that holds. Raises PackError, SignatureError, or RuleErrors with all that is wrong, and as
    `load_rules`."""
    files = unpack(content)
    signed = trust.check("the pack", files, signature) if trust else None
    layers = sorted({place.partition("/")[0] for place in files}, key=int)
    with _scratch() as base:
        _write(base, files)
        try:
            rules = load_rules([base / layer for layer in layers], organisation, waivers, shipped=False)
        except RuleErrors as wrong:
            raise RuleErrors([_moved(error, base, Path()) for error in wrong.errors]) from wrong
        _check_lists(rules.facts, (base.resolve(),))
    rules.signatures = (signed,)
    return rules


def load_trusted(
    folders: Sequence[Path],
    organisation: Organisation = ANYBODY,
    waivers: Sequence[Path] = (),
    known: datetime.date | None = None,
    trust: Trust = NO_TRUST,
) -> RuleSet:
    """As `load_rules`; where anybody is trusted, of each folder only what its signature covers: what is read is a copy
    of the files that were checked. Raises SignatureError too."""
    if not trust:
        return load_rules(folders, organisation, waivers, known)
    with _scratch() as base:
        signatures = []
        copies = [base / str(number) for number in range(len(folders))]
        for folder, copy in zip(folders, copies, strict=True):
            files, signature = read_folder(folder)
            # Of a folder that holds nothing, that is what is said.
            signatures.append(trust.check(folder, files, signature) if files else None)
            _write(copy, files)
        try:
            rules = load_rules(copies, organisation, waivers, known)
        except RuleErrors as wrong:
            errors = list(wrong.errors)
            for folder, copy in zip(folders, copies, strict=True):
                errors = [_moved(error, copy, folder) for error in errors]
            raise RuleErrors(errors) from wrong
        _check_lists(rules.facts, (base.resolve(), SHIPPED.resolve()))
    rules.signatures = tuple(signatures)
    return rules


def _check_lists(facts: Facts, places: Sequence[Path]) -> None:
    """Raises RuleErrors for a list that lies elsewhere, where neither digest nor signature covers it."""
    outside = [path for _, _, path in facts.bulk if not any(path.is_relative_to(place) for place in places)]
    if outside:
        reason = "lies outside of the pack, where no signature covers it; put it into the pack's facts/"
        raise RuleErrors([RuleError(path, "", reason) for path in outside])


@contextlib.contextmanager
def _scratch() -> Iterator[Path]:
    """A folder of this process alone, for a while. Raises LenswatchError where there is no room for one."""
    try:
        folder = tempfile.TemporaryDirectory(prefix="lenswatch-rules-")
    except OSError as error:
        raise LenswatchError(f"no folder for temporary files: {error.strerror or error}; name one in TMPDIR") from error
    with folder as name:
        yield Path(name)


def _write(base: Path, files: Mapping[str, bytes]) -> None:
    for place, content in files.items():
        path = base / place
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        except OSError as error:
            reason = f"cannot be written: {error.strerror or error}; name another folder in TMPDIR"
            raise LenswatchError(f"{path}: {reason}") from error


def _moved(error: RuleError, copy: Path, place: Path) -> RuleError:
    """An error in a copy as one in the place that was copied."""
    path = place / error.path.relative_to(copy) if error.path.is_relative_to(copy) else error.path
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
