"""nft's own check, in a network namespace of its own, so that no packet filter of the machine is touched."""

import os
import subprocess
from collections.abc import Callable

import pytest

from rules.export.nftables import EXPORT, UNMATCHED, set_name
from rules.indicator import Pack

Consumer = Callable[..., subprocess.CompletedProcess[str]]
APART = ("unshare", "--net") if os.geteuid() == 0 else ("unshare", "--net", "--map-root-user")


def nft(consumer: Consumer, text: str, script: str) -> subprocess.CompletedProcess[str]:
    """Runs a shell line with the file as $1 in a namespace of its own."""
    return consumer(text, *APART, "sh", "-c", f"PATH=$PATH:/usr/sbin; {script}", "sh", "{}")


@pytest.mark.parametrize("block", [False, True])
def test_nft_takes_the_ruleset(
    block: bool, consumer: Consumer, make_pack: Callable[..., Pack], shipped_pack: Pack
) -> None:
    for pack in (make_pack(), shipped_pack):
        ran = nft(consumer, EXPORT.write(pack._replace(block=block)).text, 'nft -c -f "$1"')
        assert ran.returncode == 0, ran.stderr


def test_nft_refuses_a_ruleset_with_a_bad_rule(consumer: Consumer, make_pack: Callable[..., Pack]) -> None:
    text = EXPORT.write(make_pack()).text.replace("daddr", "dadr", 1)
    assert nft(consumer, text, 'nft -c -f "$1"').returncode != 0


def test_loading_twice_leaves_one_table_with_the_networks_in_it(
    consumer: Consumer, make_pack: Callable[..., Pack]
) -> None:
    text = EXPORT.write(make_pack(block=True)).text
    ran = nft(consumer, text, 'nft -f "$1" && nft -f "$1" && nft list ruleset')
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.count("table inet lenswatch") == 1
    assert "198.51.100.0/24 comment" in ran.stdout and "2001:db8:1::/48 comment" in ran.stdout
    assert "198.51.100.7" not in ran.stdout, "it lies within another network"
    assert ran.stdout.count(" drop ") == text.count(" drop ") > 0


def test_telling_drops_nothing_and_the_exceptions_set_has_no_rule(make_pack: Callable[..., Pack]) -> None:
    text = EXPORT.write(make_pack()).text
    assert " drop" not in text and "log prefix" in text
    assert f"set {UNMATCHED}_v4" in text and f"@{UNMATCHED}" not in text


def test_dnsmasq_fills_only_sets_that_are_there(make_pack: Callable[..., Pack]) -> None:
    from rules.export.dnsmasq import EXPORT as DNSMASQ

    pack = make_pack()
    ruleset = EXPORT.write(pack).text
    filled = {
        word.rpartition("#")[2]
        for line in DNSMASQ.write(pack).text.splitlines()
        if line.startswith("nftset=")
        for word in line.split()[0].split(",")
    }
    assert {f"{set_name(each)}_v4" for each in pack.indicators if each.kind == "zone"} <= filled
    assert all(f"set {name} {{" in ruleset for name in filled)
