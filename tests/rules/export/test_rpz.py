"""The response policy zone, checked by BIND's own checker, and read back as a resolver would ask it."""

import subprocess
from collections.abc import Callable

import pytest

from rules.export.rpz import EXPORT
from rules.indicator import Pack

Consumer = Callable[..., subprocess.CompletedProcess[str]]


@pytest.mark.parametrize("block", [False, True])
def test_bind_loads_the_zone(
    block: bool, consumer: Consumer, make_pack: Callable[..., Pack], shipped_pack: Pack
) -> None:
    for pack in (make_pack(), shipped_pack):
        ran = consumer(EXPORT.write(pack._replace(block=block)).text, "named-checkzone", "rpz.lenswatch", "{}")
        assert ran.returncode == 0, ran.stdout + ran.stderr
        assert "loaded serial 2026112500" in ran.stdout and ran.stdout.endswith("OK\n")


def test_bind_refuses_a_zone_with_a_bad_owner(consumer: Consumer, make_pack: Callable[..., Pack]) -> None:
    text = EXPORT.write(make_pack()).text.replace("*.acme.example", "a..example")
    assert consumer(text, "named-checkzone", "rpz.lenswatch", "{}").returncode != 0


def answers(pack: Pack) -> dict[str, str]:
    lines = [line.split(" ; ")[0].split() for line in EXPORT.write(pack).text.splitlines() if " IN CNAME " in line]
    found = {owner: target for owner, _, _, target in lines}
    assert len(found) == len(lines), "an owner stands once"
    return found


def ask(zone: dict[str, str], name: str) -> str | None:
    """RFC 1034 section 4.3.3: the name itself, else the wildcard of the closest encloser that exists."""
    if name in zone:
        return zone[name]
    above = name.partition(".")[2]
    while above:
        if f"*.{above}" in zone:
            return zone[f"*.{above}"]
        if above in zone:
            return None
        above = above.partition(".")[2]
    return None


def test_blocking_ends_at_the_exceptions(make_pack: Callable[..., Pack]) -> None:
    zone = answers(make_pack(block=True))
    assert ask(zone, "acme.example") == ask(zone, "a.b.acme.example") == ask(zone, "log.acme.example") == "."
    assert ask(zone, "bad.acme.example") == ask(zone, "x.bad.acme.example") == "rpz-passthru."
    assert ask(zone, "customer.zone.acme.example") == "rpz-passthru." and ask(zone, "zone.acme.example") == "."
    assert ask(zone, "notacme.example") is None
    assert "." not in answers(make_pack()).values()


def test_networks_are_written_from_the_last_octet_to_the_first(make_pack: Callable[..., Pack]) -> None:
    zone = answers(make_pack())
    for owner in (
        "24.0.100.51.198.rpz-ip", "32.5.113.0.203.rpz-ip", "48.zz.1.db8.2001.rpz-ip", "128.1.zz.db8.2001.rpz-ip",
    ):  # fmt: skip
        assert owner in zone
