"""STIX as the reference library reads it, and its patterns as the pattern grammar does."""

from collections.abc import Callable
from typing import Any

import pytest
import stix2
from stix2.pattern_visitor import create_pattern_object

from rules.export.stix import EXPORT, pattern
from rules.indicator import Indicator, Pack


def read(pack: Pack) -> list[Any]:
    bundle = stix2.parse(EXPORT.write(pack).text, allow_custom=False, version="2.1")
    return list(bundle.objects)


def test_the_library_reads_every_object_and_every_reference_resolves(
    make_pack: Callable[..., Pack], shipped_pack: Pack
) -> None:
    for pack in (make_pack(), shipped_pack):
        objects = read(pack)
        ids = {each.id for each in objects}
        assert len(ids) == len(objects)
        indicators = [each for each in objects if each.type == "indicator"]
        assert len(indicators) == len(pack.indicators)
        for each in objects:
            assert each.get("created_by_ref", each.id) in ids
            if each.type == "relationship":
                assert each.source_ref in ids and each.target_ref in ids
        for each, told in zip(pack.indicators, indicators, strict=True):
            assert told.external_references[0].external_id == each.id
            create_pattern_object(told.pattern, version="2.1")


def one(pack: Pack, value: str) -> Indicator:
    return next(each for each in pack.indicators if each.value == value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("log.acme.example", "[domain-name:value = 'log.acme.example']"),
        ("other.example", r"[domain-name:value MATCHES '(^|\\.)other\\.example$']"),
        ("198.51.100.0/24", "[ipv4-addr:value ISSUBSET '198.51.100.0/24']"),
        ("2001:db8:1::/48", "[ipv6-addr:value ISSUBSET '2001:db8:1::/48']"),
        (r"^it's-\d{2}\.acme\.example$", r"[domain-name:value MATCHES '^it\'s-\\d{2}\\.acme\\.example$']"),
        (r"^acme\.img$", r"[file:name MATCHES '^acme\\.img$']"),
        (r"^/fw/\d+/", r"[url:value MATCHES '^https?://(?:[^/]+\\.)?(?:acme\\.example)(?::\\d+)?(?:/fw/\\d+/)']"),
    ],
)
def test_a_pattern_says_what_the_fact_says(make_pack: Callable[..., Pack], value: str, text: str) -> None:
    assert pattern(one(make_pack(), value)) == text


def test_a_zone_says_its_exceptions(make_pack: Callable[..., Pack]) -> None:
    assert r"AND domain-name:value NOT MATCHES '(^|\\.)bad\\.acme\\.example$'" in pattern(
        one(make_pack(), "acme.example")
    )


def test_a_later_version_keeps_its_first_day(make_pack: Callable[..., Pack]) -> None:
    import datetime

    now, later = (read(make_pack()._replace(day=datetime.date(2026, 11, day))) for day in (25, 26))
    for before, after in zip(now, later, strict=True):
        assert before.id == after.id and before.created == after.created and before.modified < after.modified
