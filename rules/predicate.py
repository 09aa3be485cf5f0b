"""The condition of a Sigma rule as a function over one sighting, and the fields that it may name.

Sigma specification 2.0: strings compare without case unless `cased`, `*` and `?` are wildcards, a list field matches
when one of its elements does, null is an absent field. The fields are those of the vocabulary
(`collector/observation.py`) and the context that matching adds (`CONTEXT_FIELDS`).
"""

import dataclasses
import difflib
import functools
import ipaddress
import re
import types
import typing
from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec

from collector.observation import Observation
from rules.sighting import Sighting

Predicate = Callable[[Sighting], bool]
Test = Callable[[Any], bool]
Reader = Callable[[Sighting], Any]

MODIFIERS: Final = (
    "all", "cased", "cidr", "contains", "dotall", "endswith", "exists", "fieldref", "gt", "gte", "i", "ignorecase",
    "lt", "lte", "m", "multiline", "neq", "re", "s", "startswith", "windash",
)  # fmt: skip


class ConditionError(ValueError):
    """A condition that cannot be compiled: `place` is the field or selection, the text the reason and its mend."""

    def __init__(self, place: str, reason: str) -> None:
        super().__init__(reason)
        self.place, self.reason = place, reason


@dataclasses.dataclass(frozen=True, slots=True)
class Field:
    """A field that a rule may name. `kind` is text, number, boolean or time; `many` when it may hold several values."""

    name: str
    kind: str
    many: bool
    read: Reader


CONTEXT_FIELDS: Final[dict[str, tuple[str, bool, Reader]]] = {
    "lenswatch.entity.id": ("text", False, lambda seen: seen.contact and seen.contact.entity_id),
    "lenswatch.entity.name": ("text", False, lambda seen: seen.contact and seen.contact.company),
    "lenswatch.entity.country": ("text", False, lambda seen: seen.contact and seen.contact.country),
    "lenswatch.entity.listed": ("boolean", False, lambda seen: seen.standing and seen.standing.listed),
    "lenswatch.entity.programmes": ("text", True, lambda seen: (seen.standing and seen.standing.programmes) or None),
    "lenswatch.entity.military_link": ("text", True, lambda seen: seen.standing and seen.standing.military_grounds),
    "lenswatch.role": ("text", False, lambda seen: seen.contact and seen.contact.role),
    "lenswatch.activity": ("text", False, lambda seen: seen.contact and seen.contact.activity),
    "lenswatch.endpoint.confidence": ("text", False, lambda seen: seen.contact and seen.contact.endpoint.confidence),
    "lenswatch.endpoint.pattern": ("text", False, lambda seen: seen.contact and seen.contact.endpoint.pattern),
    "lenswatch.endpoint.match": ("text", False, lambda seen: seen.contact and seen.contact.endpoint.match),
    "lenswatch.firmware.step": ("text", False, lambda seen: seen.contact and seen.contact.step),
    "lenswatch.lookalike.name": ("text", False, lambda seen: seen.lookalike and seen.lookalike.name),
    "lenswatch.lookalike.resembles": ("text", False, lambda seen: seen.lookalike and seen.lookalike.resembles),
    "lenswatch.lookalike.method": ("text", False, lambda seen: seen.lookalike and seen.lookalike.method),
}


@functools.cache
def observation_fields() -> dict[str, Field]:
    """Every dotted name of an observation's leaves, from the structs themselves."""
    return {name: Field(name, kind, many, _reader(path, many)) for name, kind, many, path in _leaves(Observation)}


@functools.cache
def fields() -> dict[str, Field]:
    """Every field that a detection may name: the observation's and the context's."""
    context = {name: Field(name, kind, many, read) for name, (kind, many, read) in CONTEXT_FIELDS.items()}
    return observation_fields() | context


_KINDS: Final[dict[Any, str]] = {str: "text", int: "number", float: "number", bool: "boolean"}


def _leaves(
    struct: type[msgspec.Struct], name: str = "", path: tuple[str, ...] = (), many: bool = False
) -> Iterator[tuple[str, str, bool, tuple[str, ...]]]:
    for field in msgspec.structs.fields(struct):
        kind, is_list = _plain(field.type)
        dotted = f"{name}.{field.encode_name}" if name else field.encode_name
        inner, inner_many = (*path, field.name), many or is_list
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            yield from _leaves(kind, dotted, inner, inner_many)
        else:
            yield dotted, _KINDS.get(kind, "time"), inner_many, inner


def _plain(kind: Any) -> tuple[Any, bool]:
    """A field's type without None, and whether it is a list of it."""
    if isinstance(kind, types.UnionType) or typing.get_origin(kind) is typing.Union:
        kind = next(part for part in typing.get_args(kind) if part is not type(None))
    if typing.get_origin(kind) is list:
        return typing.get_args(kind)[0], True
    return kind, False


def _reader(path: tuple[str, ...], many: bool) -> Reader:
    def read(seen: Sighting) -> Any:
        value: Any = seen.observation
        for attribute in path:
            value = getattr(value, attribute)
            if value is None:
                return None
        return value

    def read_many(seen: Sighting) -> Any:
        values: list[Any] = [seen.observation]
        for attribute in path:
            found = [getattr(value, attribute) for value in values]
            values = []
            for value in found:
                if type(value) is list:
                    values += value
                elif value is not None:
                    values.append(value)
        return values or None

    return read_many if many else read


def compile_condition(condition: Any, asked: set[str]) -> Predicate:
    """The function of a postprocessed pySigma condition tree; every field that it reads is added to `asked`.

    Raises ConditionError.
    """
    kind = type(condition).__name__
    if kind in ("ConditionAND", "ConditionOR"):
        parts = _merged([*condition.args], kind == "ConditionOR", asked)
        return _every(parts) if kind == "ConditionAND" else _any(parts)
    if kind == "ConditionNOT":
        inner = compile_condition(condition.args[0], asked)
        return lambda seen: not inner(seen)
    if kind == "ConditionFieldEqualsValueExpression":
        return _compile_item(condition.field, condition.value, asked)
    if kind == "ConditionValueExpression":
        raise ConditionError("detection", f"the keyword {str(condition.value)!r} has no field; name one")
    raise ConditionError("detection.condition", "holds a part that is empty; remove it")


def demanded(condition: Any, field: str) -> frozenset[str] | None:
    """The texts, in lower case, of which a field must hold one for a postprocessed pySigma condition tree to be true.

    None where it may hold anything, or nothing.
    """
    parts = [demanded(arg, field) for arg in getattr(condition, "args", ()) if not isinstance(arg, str)]
    match type(condition).__name__:
        case "ConditionAND":
            known = [part for part in parts if part is not None]
            return frozenset.intersection(*known) if known else None
        case "ConditionOR":
            every = [part for part in parts if part is not None]
            return frozenset().union(*every) if every and len(every) == len(parts) else None
        case "ConditionFieldEqualsValueExpression" if condition.field == field:
            text = _plain_text(condition)
            return None if text is None else frozenset({text})
    return None


def _every(parts: list[Predicate]) -> Predicate:
    if len(parts) == 2:
        first, second = parts
        return lambda seen: first(seen) and second(seen)

    def every(seen: Sighting) -> bool:
        return all(part(seen) for part in parts)

    return every


def _any(parts: list[Predicate]) -> Predicate:
    if len(parts) == 1:
        return parts[0]

    def some(seen: Sighting) -> bool:
        return any(part(seen) for part in parts)

    return some


def _merged(args: list[Any], alternatives: bool, asked: set[str]) -> list[Predicate]:
    """The parts of a condition; plain texts for one field that are alternatives become one look into a set."""
    texts: dict[str, list[str]] = {}
    rest = []
    for arg in args:
        text = _plain_text(arg) if alternatives else None
        if text is None:
            rest.append(compile_condition(arg, asked))
        else:
            texts.setdefault(arg.field, []).append(text)
    return [_among(_field(asked, name, "text"), values) for name, values in texts.items()] + rest


def _plain_text(arg: Any) -> str | None:
    if type(arg).__name__ != "ConditionFieldEqualsValueExpression" or type(arg.value).__name__ != "SigmaString":
        return None
    if arg.field in fields() and fields()[arg.field].kind != "text":
        return None
    parts = arg.value.s
    return parts[0].lower() if len(parts) == 1 and isinstance(parts[0], str) else None


def _among(field: Field, values: list[str]) -> Predicate:
    wanted = frozenset(values)
    return _bind(field, lambda value: value.lower() in wanted)


def _field(asked: set[str], name: str | None, *kinds: str) -> Field:
    """The field, which from here on counts as asked for: there is no other way to one."""
    if name is None:
        raise ConditionError("detection", "a keyword has no field; name one")
    field = fields().get(name)
    if field is None:
        raise ConditionError(name, f"no such field{_nearest(name)}")
    if kinds and field.kind not in kinds:
        raise ConditionError(name, f"is {field.kind}, and is compared with {' or '.join(kinds)}")
    asked.add(name)
    return field


def _nearest(name: str) -> str:
    near = difflib.get_close_matches(name, fields(), 1, 0.6)
    return f"; did you mean {near[0]}?" if near else "; docs/21-add-a-detection.md lists the fields"


def _bind(field: Field, test: Test) -> Predicate:
    """A test of a field's value: of one element, where there are several; an absent field passes none."""
    read = field.read
    if field.many:

        def holds_one(seen: Sighting) -> bool:
            values = read(seen)
            return values is not None and any(map(test, values))

        return holds_one

    def holds(seen: Sighting) -> bool:
        value = read(seen)
        return value is not None and test(value)

    return holds


def _compile_item(name: str | None, value: Any, asked: set[str]) -> Predicate:
    kind = type(value).__name__
    if kind == "SigmaExpansion":
        return _any([_compile_item(name, alternative, asked) for alternative in value.values])
    if kind in ("SigmaString", "SigmaCasedString"):
        return _bind(_field(asked, name, "text"), text_test(value.s, cased=kind == "SigmaCasedString"))
    if kind == "SigmaNumber":
        return _compile_number(_field(asked, name, "number", "text"), value.number)
    if kind == "SigmaBool":
        return _bind(_field(asked, name, "boolean"), lambda found, wanted=value.boolean: found is wanted)  # type: ignore[misc]
    if kind == "SigmaNull":
        return _absent(_field(asked, name))
    if kind == "SigmaExists":
        absent = _absent(_field(asked, name))
        return (lambda seen: not absent(seen)) if value.exists else absent
    if kind == "SigmaRegularExpression":
        return _bind(_field(asked, name, "text"), _regex_test(str(name), value))
    if kind == "SigmaCIDRExpression":
        return _bind(_field(asked, name, "text"), cidr_test(value.network))
    if kind == "SigmaCompareExpression":
        return _bind(_field(asked, name, "number"), _compare_test(value.op.name, value.number.number))
    if kind == "SigmaFieldReference":
        return _compile_reference(_field(asked, name), _field(asked, value.field), value)
    raise ConditionError(str(name), f"{kind} is not evaluated here; the modifiers are {', '.join(MODIFIERS)}")


def _compile_number(field: Field, number: float) -> Predicate:
    """Sigma writes numbers without quotes where a field is text, too: `network.vlan.id: 5`."""
    text = str(number)
    return _bind(field, (lambda value: value == text) if field.kind == "text" else (lambda value: value == number))


def _absent(field: Field) -> Predicate:
    read = field.read
    return lambda seen: read(seen) is None


def text_test(parts: list[Any], cased: bool) -> Test:
    """The test of one text against a Sigma string: its parts are texts and the wildcards."""
    words = [part if isinstance(part, str) else part.name for part in parts]
    stars = [not isinstance(part, str) and part.name == "WILDCARD_MULTI" for part in parts]
    plain = [word if cased else word.lower() for word in words]
    match stars:
        case []:
            return lambda value: value == ""
        case [False] if isinstance(parts[0], str):
            text = plain[0]
            return (lambda value: value == text) if cased else (lambda value: value.lower() == text)
        case [True, False, True] if isinstance(parts[1], str):
            text = plain[1]
            return (lambda value: text in value) if cased else (lambda value: text in value.lower())
        case [False, True] if isinstance(parts[0], str):
            text = plain[0]
            return (lambda value: value.startswith(text)) if cased else (lambda value: value.lower().startswith(text))
        case [True, False] if isinstance(parts[1], str):
            text = plain[1]
            return (lambda value: value.endswith(text)) if cased else (lambda value: value.lower().endswith(text))
    wild = {"WILDCARD_MULTI": ".*", "WILDCARD_SINGLE": "."}
    expression = "".join(re.escape(part) if isinstance(part, str) else wild[part.name] for part in parts)
    pattern = re.compile(expression, re.DOTALL | (0 if cased else re.IGNORECASE))
    return lambda value: pattern.fullmatch(value) is not None


def _regex_test(name: str, value: Any) -> Test:
    flags = 0
    for flag in value.flags:
        flags |= getattr(re, flag.name)
    try:
        pattern = re.compile(str(value.regexp), flags)
    except re.error as error:
        raise ConditionError(name, f"is no regular expression: {error}") from None
    return lambda found: pattern.search(found) is not None


def cidr_test(network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> Test:
    """The test of an address as text against a network; text that is no address passes none."""

    def holds(value: str) -> bool:
        try:
            return ipaddress.ip_address(value) in network
        except ValueError:
            return False

    return holds


def _compare_test(operator: str, number: float) -> Test:
    tests: dict[str, Test] = {
        "LT": lambda value: value < number,
        "LTE": lambda value: value <= number,
        "GT": lambda value: value > number,
        "GTE": lambda value: value >= number,
    }
    return tests[operator]


def _compile_reference(field: Field, other: Field, reference: Any) -> Predicate:
    """`fieldref`: one of the values of a field equals (or begins or ends with) one of the other's."""
    for_both = (field.read, other.read)

    def values(read: Reader, seen: Sighting) -> list[Any]:
        found = read(seen)
        listed = [] if found is None else list(found) if isinstance(found, list | tuple) else [found]
        return [value.lower() if isinstance(value, str) else value for value in listed]

    def holds(seen: Sighting) -> bool:
        ours, theirs = (values(read, seen) for read in for_both)
        if reference.starts_with or reference.ends_with:
            at_start = reference.starts_with
            pairs = ((str(one), str(two)) for one in ours for two in theirs)
            return any(one.startswith(two) if at_start else one.endswith(two) for one, two in pairs)
        return any(one == two for one in ours for two in theirs)

    return holds
