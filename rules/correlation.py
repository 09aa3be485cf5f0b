"""A Sigma correlation (specification 2.0, "Correlation Rules") → a Correlation: how often its rules must fire.

Evaluated are `event_count`, `value_count` and `temporal`, with `group-by`, `aliases`, `timespan`, and a condition of
gte or gt: a number that is reached stays reached, in whatever order the observations come in. (That a number stays
small, or is an exact one, is known only when nothing more can come in.) `device.id` is always among group-by, because a
device's observations all come to one place. A rule that the correlation names stands in a file of its own, and
makes its own alerts; or in the correlation's file, after it, and only feeds it.
"""

import dataclasses
import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from rules.detection import (
    HEAD,
    PLACEHOLDERS,
    CorrelationCustom,
    Detection,
    SeriesCase,
    check_head,
    compile_rule,
    read_custom,
    without_dates,
)
from rules.errors import RuleError, RuleErrors
from rules.predicate import Field, fields
from rules.sighting import Sighting

EVENT_COUNT, VALUE_COUNT, TEMPORAL = "event_count", "value_count", "temporal"
KINDS: Final = (EVENT_COUNT, VALUE_COUNT, TEMPORAL)
DEVICE: Final = "device.id"
# What a message may say besides what it may say of one observation, the last that came in.
TALLY_WORDS: Final = frozenset(("count", "values", "timespan"))
MAX_LEAST: Final = 250
MAX_RULES: Final = 16
# A device of which nothing was heard for three days may be forgotten.
MAX_TIMESPAN_SECONDS: Final = 3 * 24 * 60 * 60
_HEAD: Final = tuple(key for key in HEAD if key not in ("logsource", "detection"))
_KEYS: Final = frozenset(
    (*_HEAD, "correlation", "name", "status", "license", "author", "references", "date", "modified", "falsepositives",
     "tags", "related", "taxonomy", "scope")
)  # fmt: skip
_INNER: Final = frozenset(("title", "name", "status", "description", "logsource", "detection"))
_ASKED: Final = frozenset(("type", "rules", "group-by", "timespan", "condition", "aliases"))

Reader = Callable[[Sighting], Any]


@dataclasses.dataclass(frozen=True, slots=True)
class Correlation:
    """One correlation. `least` of what `kind` counts (observations; values of `counted`; rules that fired), within
    `timespan_seconds` of packet time, in one group. `rules` are ids or names; `feeds` the detections behind them, once
    `linked`. `aliases` maps a name of `group_by` to each rule's field."""

    head: Detection
    kind: str
    least: int
    timespan_seconds: int
    group_by: tuple[str, ...]
    rules: tuple[str, ...]
    cases: tuple[SeriesCase, ...]
    inner: tuple[Detection, ...] = ()
    counted: Field | None = None
    aliases: Mapping[str, Mapping[str, str]] = dataclasses.field(default_factory=dict)
    feeds: tuple[Detection, ...] = ()
    readers: tuple[tuple[Reader, ...], ...] = ()

    def group(self, feed: int, seen: Sighting) -> tuple[str, ...] | None:
        """The group that a sighting of the rule numbered `feed` belongs to; None where a field of it is absent."""
        values = [read(seen) for read in self.readers[feed]]
        return None if None in values else tuple(map(str, values))

    def values(self, feed: int, seen: Sighting) -> list[str]:
        """What is counted of a sighting: itself, the values of a field, or the rule that fired."""
        if self.kind == EVENT_COUNT:
            return [seen.observation.event.id]
        if self.kind == TEMPORAL:
            return [self.rules[feed]]
        found = self.counted.read(seen) if self.counted else None
        listed = [] if found is None else found if isinstance(found, list | tuple) else [found]
        return [str(value) for value in listed]


def build_correlation(path: Path, documents: Sequence[dict[str, Any]], content: bytes) -> Correlation:
    """A correlation's file: the correlation, and after it the rules that only feed it. Raises RuleErrors."""
    document, *rest = documents
    errors = [RuleError(path, key, "no such key in a correlation") for key in document if key not in _KEYS]
    errors += check_head(path, document, _HEAD)
    custom = read_custom(path, document, CorrelationCustom, PLACEHOLDERS | TALLY_WORDS, errors)
    version = hashlib.sha256(content).hexdigest()[:16]
    inner = [found for each in rest if (found := _build_inner(path, document, each, version, errors)) is not None]
    rule = _parse(path, document, errors)
    if errors or custom is None or rule is None:
        raise RuleErrors(errors)
    references = [str(reference) for reference in rule.references]
    head = Detection(
        id=str(rule.id),
        title=rule.title,
        level=str(document["level"]),
        description=str(rule.description or ""),
        category=None,
        service=None,
        fold="device",
        message=custom.message,
        example=custom.example,
        cases=(),
        reference=references[0] if references else None,
        path=path,
        version=version,
        content=content,
        fires=lambda seen: False,
        asked=frozenset(),
        directions=frozenset(),
        name=rule.name,
    )
    return Correlation(
        head=head,
        kind=rule.type.name.lower(),
        least=rule.condition.count + (rule.condition.op.name == "GT"),
        timespan_seconds=rule.timespan.seconds,
        group_by=tuple(dict.fromkeys(rule.group_by)),
        rules=tuple(reference.reference for reference in rule.rules),
        cases=custom.cases,
        inner=tuple(inner),
        counted=fields()[rule.condition.fieldref] if rule.condition.fieldref else None,
        aliases={
            alias.alias: {reference.reference: field for reference, field in alias.mapping.items()}
            for alias in rule.aliases
        },
    )


def _build_inner(
    path: Path, outer: dict[str, Any], document: dict[str, Any], version: str, errors: list[RuleError]
) -> Detection | None:
    """A rule that only feeds the correlation before it."""
    name = document.get("name")
    place = f"rule {name}" if isinstance(name, str) else "a rule after the correlation"
    wrong = [RuleError(path, f"{place}: {key}", "no such key in it") for key in document if key not in _INNER]
    wrong += [
        RuleError(path, f"{place}: {key}", "is missing")
        for key in ("title", "name", "logsource", "detection")
        if not isinstance(document.get(key), dict if key in ("logsource", "detection") else str)
    ]
    wrong += check_head(path, {"logsource": document.get("logsource")}, ())
    compiled = compile_rule(path, document, wrong)
    errors += wrong
    if wrong or compiled is None:
        return None
    rule = compiled.rule
    return Detection(
        id=f"{outer.get('id')}/{name}",
        title=rule.title,
        level="informational",
        description=str(rule.description or ""),
        category=rule.logsource.category,
        service=rule.logsource.service,
        fold="device",
        message="",
        example={},
        cases=(),
        reference=None,
        path=path,
        version=version,
        fires=compiled.fires,
        asked=compiled.asked,
        directions=compiled.directions,
        name=rule.name,
    )


def _parse(path: Path, document: dict[str, Any], errors: list[RuleError]) -> Any:
    """pySigma's rule, and what we ask of it besides; what is wrong goes to `errors`."""
    from sigma.correlations import SigmaCorrelationRule
    from sigma.exceptions import SigmaError

    asked = document["correlation"]
    try:
        rule = SigmaCorrelationRule.from_dict(without_dates(document))
    except SigmaError as error:
        errors.append(RuleError(path, "correlation", " ".join(str(error).split())))
        return None
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        # pySigma trusts the kinds of what it is given.
        errors.append(RuleError(path, "correlation", f"is not as Sigma has it: {' '.join(str(error).split())}"))
        return None
    faults = [(key, "no such key; there are " + ", ".join(sorted(_ASKED))) for key in asked.keys() - _ASKED]
    faults += list(_faults(rule))
    errors += [RuleError(path, f"correlation.{place}", reason) for place, reason in faults]
    return rule


def _faults(rule: Any) -> Iterable[tuple[str, str]]:
    """What pySigma lets pass and we do not evaluate, each with its mend."""
    kind, condition = rule.type.name.lower(), rule.condition
    if kind not in KINDS:
        yield "type", f"{kind} is not evaluated; there are {', '.join(KINDS)}"
        return
    if not rule.rules or len({each.reference for each in rule.rules}) != len(rule.rules) or len(rule.rules) > MAX_RULES:
        yield "rules", f"name 1 to {MAX_RULES} rules, each once, by id or name"
    elif not all(isinstance(each.reference, str) for each in rule.rules):
        yield "rules", "holds something that is no id and no name"
    if rule.timespan.seconds > MAX_TIMESPAN_SECONDS:
        yield "timespan", "is longer than 3d; memory is kept for no longer"
    if not hasattr(condition, "op"):
        yield "condition", "is an expression; for temporal leave it out: all of the rules must fire"
    elif condition.op.name not in ("GTE", "GT"):
        yield "condition", f"{condition.op.name.lower()} is known only when nothing more can come in; write gte or gt"
    elif not isinstance(condition.count, int) or not 1 <= condition.count <= MAX_LEAST:
        yield "condition", f"asks for {condition.count}; write a whole number from 1 to {MAX_LEAST}"
    elif kind == TEMPORAL and rule.rules and condition.count + (condition.op.name == "GT") > len(rule.rules):
        yield "condition", "asks for more rules than there are"
    field = getattr(condition, "fieldref", None)
    if (field is not None) != (kind == VALUE_COUNT) or not (field is None or field in fields()):
        yield "condition.field", f"{field!r}: value_count takes one field of an observation, the others none"
    if DEVICE not in (rule.group_by or ()):
        yield "group-by", f"must hold {DEVICE}: a device's observations come to one place, those of several do not"
    aliases = {alias.alias: alias for alias in rule.aliases}
    for name in rule.group_by or ():
        yield from _group_faults(name, aliases.get(name), rule.rules or ())


def _group_faults(name: str, alias: Any, rules: Sequence[Any]) -> Iterable[tuple[str, str]]:
    if alias is None:
        names = [name]
    else:
        names = list(alias.mapping.values())
        if {each.reference for each in alias.mapping} != {each.reference for each in rules}:
            yield f"aliases.{name}", "must name a field for each of the rules"
    for each in names:
        field = fields().get(each)
        if field is None or field.many:
            yield "group-by", f"{each}: no such field, or one that may hold several values"


def link(correlation: Correlation, detections: Iterable[Detection]) -> Correlation:
    """The correlation with the detections behind its rules: its own first, then those by id, then by name. Raises
    RuleErrors."""
    own = {each.name: each for each in correlation.inner}
    by_id: dict[str, Detection] = {}
    by_name: dict[str, Detection] = {}
    for each in detections:
        by_id[each.id] = each
        if each.name:
            by_name[each.name] = each
    found = [own.get(rule) or by_id.get(rule) or by_name.get(rule) for rule in correlation.rules]
    path = correlation.head.path
    errors = [
        RuleError(path, "correlation.rules", f"{rule}: no rule has this id or name")
        for rule, feed in zip(correlation.rules, found, strict=True)
        if feed is None
    ]
    unused = {each.name for each in correlation.inner} - set(correlation.rules)
    errors += [RuleError(path, f"rule {name}", "is not used by the correlation; name or remove it") for name in unused]
    if errors:
        raise RuleErrors(errors)
    readers = tuple(
        tuple(fields()[correlation.aliases.get(name, {}).get(rule, name)].read for name in correlation.group_by)
        for rule in correlation.rules
    )
    return dataclasses.replace(correlation, feeds=tuple(each for each in found if each is not None), readers=readers)
