"""The types of an alert's fields for a search engine, read off the alert itself: ECS's types where ECS has the field.

Source: Elastic Common Schema 8, field reference. Only types that Elasticsearch and OpenSearch both have are used.
"""

from typing import Any, Final

import msgspec
from msgspec.inspect import (
    BoolType,
    CustomType,
    DateTimeType,
    DateType,
    DictType,
    FloatType,
    IntType,
    ListType,
    StructType,
    Type,
    UnionType,
)

from rules.alert import Alert

# To be raised whenever what `mapping_of_alerts` returns is another: a search engine keeps the mapping that it has.
MAPPING_VERSION: Final = 1
# As ECS has it. A longer keyword is kept and cannot be searched; Lucene refuses a document for one of 32,766 bytes.
IGNORE_ABOVE: Final = 1024
KEYWORD: Final[dict[str, Any]] = {"type": "keyword", "ignore_above": IGNORE_ABOVE}
# Sentences, which are searched by their words.
TEXTS: Final = frozenset({"message", "says", "note", "claim", "detail", "description"})
# Where ECS has another type than that of our value.
ECS_TYPES: Final[dict[str, dict[str, Any]]] = {"event.risk_score": {"type": "float"}, "network.vlan.id": KEYWORD}


def mapping_of_alerts() -> dict[str, Any]:
    """The mapping of an index of alerts. A field that it does not name is kept, and cannot be searched."""
    return {"dynamic": False, **field_of(msgspec.inspect.type_info(Alert), "")}


def field_of(kind: Type, path: str) -> dict[str, Any]:
    """The mapping of one field, by its dotted path; of a list that of what it holds."""
    if isinstance(kind, UnionType):
        (kind,) = (each for each in kind.types if not isinstance(each, msgspec.inspect.NoneType))
    if isinstance(kind, ListType):
        return field_of(kind.item_type, path)
    if isinstance(kind, StructType):
        inner = {
            each.encode_name: field_of(each.type, f"{path}.{each.encode_name}".lstrip(".")) for each in kind.fields
        }
        return {"properties": inner}
    if path in ECS_TYPES:
        return ECS_TYPES[path]
    # The keys of a dictionary are anybody's, and an index has room for so many fields only.
    if isinstance(kind, DictType | CustomType):
        return {"type": "object", "enabled": False}
    for kinds, name in (
        ((DateTimeType, DateType), "date"),
        ((BoolType,), "boolean"),
        ((IntType,), "long"),
        ((FloatType,), "double"),
    ):
        if isinstance(kind, kinds):
            return {"type": name}
    last = path.rpartition(".")[2]
    if last == "ip":
        return {"type": "ip"}
    return {"type": "text"} if last in TEXTS else KEYWORD
