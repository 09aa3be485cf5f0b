"""The published grammar of Zeek's intelligence files: a `#fields` line, then as many fields in each line."""

import ipaddress
from collections.abc import Callable

from rules.export.zeek import EXPORT
from rules.factcheck import is_host_name
from rules.indicator import Pack


def rows(pack: Pack) -> list[dict[str, str]]:
    """As the ASCII reader of Zeek's input framework takes a file: other lines that begin with # are passed over."""
    lines = EXPORT.write(pack).text.splitlines()
    head, *names = lines[0].split("\t")
    assert head == "#fields" and names[:3] == ["indicator", "indicator_type", "meta.source"]
    data = [line.split("\t") for line in lines[1:] if not line.startswith("#")]
    assert all(len(fields) == len(names) and all(fields) for fields in data)
    return [dict(zip(names, fields, strict=True)) for fields in data]


def test_each_indicator_is_what_its_type_says(make_pack: Callable[..., Pack], shipped_pack: Pack) -> None:
    for pack in (make_pack(), shipped_pack):
        for row in rows(pack):
            match row["indicator_type"]:
                case "Intel::DOMAIN":
                    assert is_host_name(row["indicator"])
                case "Intel::ADDR":
                    ipaddress.ip_address(row["indicator"])
                case kind:
                    assert kind == "Intel::SUBNET" and "/" in row["indicator"]
                    ipaddress.ip_network(row["indicator"])
            assert row["meta.desc"].startswith("lenswatch-")


def test_what_zeek_cannot_say_is_said(make_pack: Callable[..., Pack]) -> None:
    written = EXPORT.write(make_pack())
    assert sum(written.left_out.values()) == 5
    assert written.notes == ("3 domains stand for themselves only: Zeek does not look for the hosts below",)
