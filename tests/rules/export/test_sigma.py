"""Sigma as pySigma reads, validates and converts it; and what the rules match, on events of a DNS log."""

import re
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from sigma.backends.test import TextQueryTestBackend
from sigma.collection import SigmaCollection
from sigma.validation import SigmaValidator
from sigma.validators.core import validators

from rules.export.sigma import EXPORT
from rules.indicator import Pack


def test_pysigma_reads_validates_and_converts_every_rule(make_pack: Callable[..., Pack], shipped_pack: Pack) -> None:
    for pack in (make_pack(), shipped_pack):
        rules = SigmaCollection.from_yaml(EXPORT.write(pack).text)
        assert not rules.errors and len(rules.rules) == len({rule.id for rule in rules.rules}) > 3
        checks = [each for name, each in validators.items() if name not in TASTE]
        issues = SigmaValidator(checks).validate_rules(rules)
        assert [issue for issue in issues if issue.severity.name == "HIGH"] == []
        queries = TextQueryTestBackend().convert(rules)
        assert len(queries) == len(rules.rules) and all(queries)


# What downloads a taxonomy to compare tags with; the rules have no tags.
TASTE = {"attacktag", "d3fendtag"}


def selects(selection: dict[str, Any], event: dict[str, str]) -> bool:
    """The few modifiers that are written."""
    for key, wanted in selection.items():
        field, _, modifier = key.partition("|")
        value, many = event.get(field, ""), wanted if isinstance(wanted, list) else [wanted]
        match modifier:
            case "":
                hit = value in many
            case "endswith":
                hit = any(value.endswith(each) for each in many)
            case "re":
                hit = any(re.search(each, value) for each in many)
            case _:
                raise AssertionError(modifier)
        if not hit:
            return False
    return True


def fires(rule: dict[str, Any], event: dict[str, str]) -> bool:
    found = rule["detection"]
    hit = any(selects(part, event) for name, part in found.items() if name.startswith("selection_"))
    other = any(selects(part, event) for name, part in found.items() if name.startswith("other_"))
    return hit and not (other and "not 1 of other_*" in found["condition"])


@pytest.mark.parametrize(
    ("name", "roles"),
    [
        ("acme.example", {"cloud"}),
        ("x.acme.example", {"cloud"}),
        ("notacme.example", set()),
        ("bad.acme.example", set()),
        ("x.bad.acme.example", set()),
        ("customer.zone.acme.example", set()),
        ("zone.acme.example", {"ddns"}),
        ("api-eu.acme.example", {"cloud", "p2p"}),
    ],
)
def test_a_looked_up_name_fires_where_its_fact_says(make_pack: Callable[..., Pack], name: str, roles: set[str]) -> None:
    rules = [
        each for each in yaml.safe_load_all(EXPORT.write(make_pack()).text) if each["lenswatch"]["entity"] == "acme"
    ]
    dns = [each for each in rules if each["logsource"]["category"] == "dns"]
    assert {each["lenswatch"]["role"] for each in dns if fires(each, {"query": name})} == roles


@pytest.mark.parametrize(
    ("host", "uri", "hit"),
    [
        ("dl.acme.example", "/fw/12/x.bin", True),
        ("dl.other.example", "/fw/12/x.bin", False),
        ("cdn.anywhere.example", "/a/b/acme.img?x=1", True),
        ("cdn.anywhere.example", "/a/b/acme.img.txt", False),
        ("cdn.anywhere.example", "/a/b/notacme.img", False),
    ],
)
def test_a_firmware_request_fires_by_path_at_its_host_and_by_file_anywhere(
    make_pack: Callable[..., Pack], host: str, uri: str, hit: bool
) -> None:
    rules = list(yaml.safe_load_all(EXPORT.write(make_pack()).text))
    proxy = [each for each in rules if each["logsource"]["category"] == "proxy"]
    assert any(fires(each, {"cs-host": host, "c-uri": uri}) for each in proxy) is hit
