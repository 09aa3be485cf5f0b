"""A Sigma rule (YAML, specification 2.0) → a Detection: pySigma parses, we compile its condition and evaluate it.

`logsource.product` is lenswatch. `service` gates on the dataset (dns, tls, http, flow, broken …), `category` on what
the facts say: `contact` (an endpoint fact matched) or `lookalike`. The key `lenswatch` carries what Sigma has no word
for: what one finding is (`fold`), the sentence (`message`), whether it tells `steps`, an example and cases.
"""

import dataclasses
import datetime
import hashlib
import string
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, TypeVar

import msgspec

from rules.alert import LEVELS
from rules.errors import RuleError, RuleErrors
from rules.predicate import MODIFIERS, ConditionError, Predicate, compile_condition, demanded
from rules.sentence import WORDS

PRODUCT: Final = "lenswatch"
CATEGORIES: Final = ("contact", "lookalike")
PLACEHOLDERS: Final = frozenset(WORDS)
DIRECTION: Final = "network.direction"
MAX_FILE_BYTES: Final = 256 * 1024
_KEYS: Final = frozenset(
    ("title", "id", "name", "status", "description", "license", "author", "references", "date", "modified", "logsource",
     "detection", "fields", "falsepositives", "level", "tags", "related", "taxonomy", "scope", "lenswatch")
)  # fmt: skip

HEAD: Final = ("title", "id", "level", "description", "logsource", "detection", "lenswatch")

Fold = Literal["company", "endpoint", "device", "name", "news"]
Own = TypeVar("Own", "Custom", "CorrelationCustom")


class Case(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """One case of a detection: the example with `change` laid over it (dotted or nested keys; null removes)."""

    name: str
    fires: bool
    change: dict[str, Any] = {}


class Custom(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The key `lenswatch` of a rule. `fold`: what one finding is, besides rule, device and window. `steps`: the finding
    is a firmware update, and its alert tells the steps that were seen."""

    fold: Fold
    message: str
    example: dict[str, Any]
    cases: tuple[Case, ...]
    steps: bool = False


class SeriesCase(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """One case of a correlation: for each of `series` the example with it laid over, in the order in which they come
    in. `repeat` has the whole series come so many times; each observation has an id of its own unless it says one."""

    name: str
    fires: bool
    series: tuple[dict[str, Any], ...]
    repeat: int = 1


class CorrelationCustom(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The key `lenswatch` of a correlation; what one finding is, its group-by says."""

    message: str
    example: dict[str, Any]
    cases: tuple[SeriesCase, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Detection:
    """One compiled rule. `version` begins the SHA-256 of its file, `name` is what a correlation may call it; `fires`
    reads the fields of `asked` alone, and is silent in all but these `directions` (None: it need not be). `content` is
    that of its file."""

    id: str
    title: str
    level: str
    description: str
    category: str | None
    service: str | None
    fold: Fold
    message: str
    example: dict[str, Any]
    cases: tuple[Case, ...]
    reference: str | None
    path: Path
    version: str
    fires: Predicate = dataclasses.field(repr=False, compare=False)
    asked: frozenset[str]
    directions: frozenset[str] | None
    steps: bool = False
    name: str | None = None
    content: bytes = dataclasses.field(default=b"", repr=False, compare=False)


def read_detection(path: Path, content: bytes) -> Detection:
    """One rule file. Raises RuleErrors."""
    documents = read_documents(path, content)
    if len(documents) != 1 or "correlation" in documents[0]:
        raise RuleErrors([RuleError(path, "", "holds no rule, or several; a file holds one rule, a mapping")])
    return build_detection(path, documents[0], content)


def build_detection(path: Path, document: dict[str, Any], content: bytes) -> Detection:
    """The one document of a rule file. Raises RuleErrors."""
    errors = [RuleError(path, key, "no such key in a rule") for key in document if key not in _KEYS]
    errors += check_head(path, document, HEAD)
    custom = read_custom(path, document, Custom, PLACEHOLDERS, errors)
    compiled = compile_rule(path, document, errors)
    if errors or custom is None or compiled is None:
        raise RuleErrors(errors)
    rule = compiled.rule
    source = rule.logsource
    references = [str(reference) for reference in rule.references]
    return Detection(
        id=str(rule.id),
        title=rule.title,
        level=str(document["level"]),
        description=str(rule.description or ""),
        category=source.category,
        service=source.service,
        fold=custom.fold,
        message=custom.message,
        example=custom.example,
        cases=custom.cases,
        reference=references[0] if references else None,
        path=path,
        version=hashlib.sha256(content).hexdigest()[:16],
        content=content,
        fires=compiled.fires,
        asked=compiled.asked,
        directions=compiled.directions,
        steps=custom.steps,
        name=rule.name,
    )


def read_documents(path: Path, content: bytes) -> list[dict[str, Any]]:
    """The YAML documents of a file. Raises RuleErrors where one of them is no mapping."""
    import yaml
    from sigma.rule.base import SigmaYAMLLoader

    if len(content) > MAX_FILE_BYTES:
        raise RuleErrors([RuleError(path, "", f"is longer than {MAX_FILE_BYTES} bytes; a file holds one rule")])
    try:
        documents = list(yaml.load_all(content, Loader=SigmaYAMLLoader))
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f"line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or " ".join(str(error).split())
        raise RuleErrors([RuleError(path, place, f"is not YAML: {problem}")]) from None
    if not documents or not all(isinstance(document, dict) for document in documents):
        raise RuleErrors([RuleError(path, "", "holds no rule, or several; a file holds one rule, a mapping")])
    return documents


def check_head(path: Path, document: dict[str, Any], keys: Sequence[str]) -> list[RuleError]:
    """What is wrong with the plain keys of a rule, those of `keys` that are missing first."""
    errors = []
    for key in keys:
        if not document.get(key):
            errors.append(RuleError(path, key, "is missing; every rule has one"))
    if document.get("level") and document["level"] not in LEVELS:
        errors.append(RuleError(path, "level", f"is none of {', '.join(LEVELS)}"))
    if document.get("id"):
        try:
            uuid.UUID(str(document["id"]))
        except ValueError:
            errors.append(RuleError(path, "id", "is no UUID; make one with: python -m uuid"))
    source = document.get("logsource")
    if isinstance(source, dict):
        if source.get("product") != PRODUCT:
            errors.append(RuleError(path, "logsource.product", f"must be {PRODUCT}"))
        if source.get("category") not in (None, *CATEGORIES):
            errors.append(RuleError(path, "logsource.category", f"is none of {', '.join(CATEGORIES)}; or leave it out"))
        for key in source.keys() - {"product", "category", "service", "definition"}:
            errors.append(RuleError(path, f"logsource.{key}", "no such key; there are product, category and service"))
    return errors


def read_custom(
    path: Path, document: dict[str, Any], kind: type[Own], words: frozenset[str], errors: list[RuleError]
) -> Own | None:
    """The key `lenswatch` of a rule, whose message may use the words; what is wrong goes to `errors`."""
    if not document.get("lenswatch"):
        return None
    try:
        custom: Own = msgspec.convert(document["lenswatch"], kind)
    except msgspec.ValidationError as error:
        reason, _, inner = str(error).partition(" - at `$")
        errors.append(RuleError(path, f"lenswatch{inner.rstrip('`')}", reason))
        return None
    if not (any(case.fires for case in custom.cases) and any(not case.fires for case in custom.cases)):
        errors.append(RuleError(path, "lenswatch.cases", "need one case at least that fires and one that is silent"))
    fault = _template_fault(custom.message, words)
    if fault:
        errors.append(RuleError(path, "lenswatch.message", fault))
    return custom


def _template_fault(message: str, words: frozenset[str]) -> str | None:
    try:
        parts = [part[1:] for part in string.Formatter().parse(message) if part[1] is not None]
    except ValueError as error:
        return f"is no template: {error}"
    wrong = sorted({str(name) for name, _, _ in parts} - words)
    if wrong:
        return f"no such word: {', '.join(wrong)}; there are {', '.join(sorted(words))}"
    for name, form, conversion in parts:
        if form or conversion:
            return f"{{{name}}} takes no format; write {{{name}}}"
    return None


class Compiled(NamedTuple):
    """A pySigma rule and its condition as a function; see Detection for the rest."""

    rule: Any
    fires: Predicate
    asked: frozenset[str]
    directions: frozenset[str] | None


def compile_rule(path: Path, document: dict[str, Any], errors: list[RuleError]) -> Compiled | None:
    """A rule's condition, compiled; what is wrong goes to `errors`."""
    from sigma.exceptions import SigmaError
    from sigma.rule import SigmaRule

    if not isinstance(document.get("detection"), dict) or not isinstance(document.get("logsource"), dict):
        return None
    wrong = len(errors)
    errors += _modifier_faults(path, document["detection"], "detection")
    if len(errors) > wrong:
        return None
    try:
        rule = SigmaRule.from_dict(without_dates(document))
        if len(rule.detection.parsed_condition) != 1:
            raise ConditionError("detection.condition", "is a list; write one condition")
        condition = rule.detection.parsed_condition[0].parsed
        asked: set[str] = set()
        predicate = compile_condition(condition, asked)
        _check_used(rule.detection)
        return Compiled(rule, predicate, frozenset(asked), demanded(condition, DIRECTION))
    except ConditionError as error:
        place = error.place if error.place.startswith("detection") else f"detection: {error.place}"
        errors.append(RuleError(path, place, error.reason))
    except SigmaError as error:
        errors.append(RuleError(path, "detection", " ".join(str(error).split())))
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        # pySigma trusts the kinds of what it is given.
        errors.append(RuleError(path, "", f"is not as Sigma has it: {' '.join(str(error).split())}"))
    return None


def without_dates(document: dict[str, Any]) -> dict[str, Any]:
    """pySigma wants ISO days as text where YAML has made them dates."""
    return {key: value.isoformat() if isinstance(value, datetime.date) else value for key, value in document.items()}


def _modifier_faults(path: Path, node: Any, place: str) -> list[RuleError]:
    errors = []
    if isinstance(node, list):
        for item in node:
            errors += _modifier_faults(path, item, place)
    elif isinstance(node, dict):
        for key, value in node.items():
            _, *modifiers = str(key).split("|")
            for modifier in modifiers:
                if modifier not in MODIFIERS:
                    reason = f"the modifier {modifier} is not evaluated; there are {', '.join(MODIFIERS)}"
                    errors.append(RuleError(path, f"{place}.{key}", reason))
            errors += _modifier_faults(path, value, f"{place}.{key}")
    return errors


def _check_used(detection: Any) -> None:
    """Refuses a selection that the condition forgets: most likely a filter that then never filters."""
    used: set[str] = set()

    def walk(node: Any) -> None:
        if hasattr(node, "identifier"):
            used.add(node.identifier)
        elif hasattr(node, "pattern"):
            used.update(found.identifier for found in node.resolve_referenced_detections(detection))
        else:
            for arg in getattr(node, "args", ()):
                walk(arg)

    walk(detection.parsed_condition[0].parse(postprocess=False))
    for name in detection.detections:
        if name not in used:
            raise ConditionError(f"detection.{name}", "is not used by the condition; use it or remove it")
