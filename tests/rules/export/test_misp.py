"""MISP's own library takes the event whole."""

import json
from collections.abc import Callable

from pymisp import MISPEvent

from rules.export.misp import EXPORT
from rules.indicator import Pack


def test_the_library_takes_every_attribute_with_its_tags(make_pack: Callable[..., Pack], shipped_pack: Pack) -> None:
    for pack in (make_pack(), shipped_pack):
        event = MISPEvent()
        event.load(EXPORT.write(pack).text)
        assert len(event.attributes) == len(pack.indicators)
        for attribute, each in zip(event.attributes, pack.indicators, strict=True):
            assert attribute.uuid == each.uuid and each.id in attribute.comment
            assert attribute.type in event.describe_types["category_type_mappings"][attribute.category]
            names = {tag.name for tag in attribute.tags}
            assert f'lenswatch:role="{each.role}"' in names
            assert {f'lenswatch:programme="{programme}"' for programme in each.programmes} <= names


def test_single_addresses_are_written_bare_and_exceptions_are_told(make_pack: Callable[..., Pack]) -> None:
    attributes = json.loads(EXPORT.write(make_pack()).text)["Event"]["Attribute"]
    values = {each["value"]: each for each in attributes}
    assert values["203.0.113.5"]["type"] == values["198.51.100.0/24"]["type"] == "ip-dst"
    assert "but not bad.acme.example" in values["acme.example"]["comment"]
