"""Suricata rules as two parsers of the rule language read them, and what their options match.

A Suricata that is installed loads them too; where there is none (Debian 12 has none), the parsers stand for it.
"""

import json
import logging
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import suricataparser
from scapy.layers.dns import DNS, DNSQR
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Packet
from scapy.utils import wrpcap

from rules.export.suricata import EXPORT, FIRST_SID, SIDS, file_pattern
from rules.indicator import Pack

KNOWN = {"msg", "content", "dotprefix", "endswith", "startswith", "bsize", "nocase", "pcre", "reference", "classtype"}
KNOWN |= {"sid", "rev", "metadata", "dns.query", "tls.sni", "http.host", "http.uri", "http.user_agent"}


def lines(pack: Pack) -> list[str]:
    return [line for line in EXPORT.write(pack).text.splitlines() if not line.startswith("#")]


def test_a_parser_reads_every_rule_and_no_two_share_a_number(
    make_pack: Callable[..., Pack], shipped_pack: Pack
) -> None:
    for pack in (make_pack(), shipped_pack):
        rules = [suricataparser.parse_rule(line) for line in lines(pack)]
        assert all(rule is not None for rule in rules)
        assert {option.name for rule in rules for option in rule.options} <= KNOWN
        sids = [rule.sid for rule in rules]
        assert len(set(sids)) == len(sids) and all(FIRST_SID <= sid < FIRST_SID + SIDS for sid in sids)
        told = {each.id for each in pack.indicators}
        assert {re.search(r"lenswatch_id (\S+?)[,;]", line)[1] for line in lines(pack)} == told  # type: ignore[index]


def test_a_rule_linter_finds_no_fault(make_pack: Callable[..., Pack]) -> None:
    import suricata_check

    logging.disable(logging.CRITICAL)
    try:
        pack = make_pack()
        some = {each.kind: each for each in pack.indicators}
        checkers = suricata_check.get_checkers(issue_severity=logging.WARNING)
        for line in lines(pack._replace(indicators=tuple(some.values())))[::3]:
            rule = suricata_check.utils.rule.parse(line)
            assert rule is not None
            report = suricata_check.analyze_rule(rule, checkers=checkers)
            assert [(issue.code, issue.message) for issue in report.issues] == []
    finally:
        logging.disable(logging.NOTSET)


def test_an_installed_suricata_loads_every_rule(tmp_path: Path, shipped_pack: Pack) -> None:
    rules = tmp_path / "lenswatch.rules"
    rules.write_text(EXPORT.write(shipped_pack).text, encoding="utf-8")
    assert rules.stat().st_size > 100_000
    if suricata := shutil.which("suricata"):
        ran = subprocess.run(
            [suricata, "-T", "-l", str(tmp_path), "-S", str(rules)], capture_output=True, text=True, timeout=120
        )
        assert ran.returncode == 0, ran.stderr


def lookups(*names: str) -> list[Packet]:
    """A look-up of each name, from a port of its own."""
    return [
        Ether()
        / IP(src="10.0.0.11", dst="10.0.0.1")
        / UDP(sport=40000 + at, dport=53)
        / DNS(id=at, qd=DNSQR(qname=name))
        for at, name in enumerate(names)
    ]


def test_an_installed_suricata_alerts_on_what_the_facts_name_and_on_nothing_else(
    tmp_path: Path, make_pack: Callable[..., Pack]
) -> None:
    rules, capture = tmp_path / "lenswatch.rules", tmp_path / "office.pcap"
    pack = make_pack()
    rules.write_text(EXPORT.write(pack).text, encoding="utf-8")
    silent = ("notacme.example", "bad.acme.example", "x.bad.acme.example", "c.zone.acme.example")
    wrpcap(str(capture), lookups("x.ACME.example", "log.acme.example", "api-eu.acme.example", *silent))
    if suricata := shutil.which("suricata"):
        command = [suricata, "-r", str(capture), "-l", str(tmp_path), "-S", str(rules), "-k", "none"]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert ran.returncode == 0, ran.stderr
        events = map(json.loads, (tmp_path / "eve.json").read_text("utf-8").splitlines())
        found = {
            (each["dns"]["query"][0]["rrname"].lower(), each["alert"]["metadata"]["role"][0])
            for each in events
            if each["event_type"] == "alert"
        }
        assert found == {
            ("x.acme.example", "cloud"),
            ("log.acme.example", "cloud"),
            ("log.acme.example", "telemetry"),
            ("api-eu.acme.example", "cloud"),
            ("api-eu.acme.example", "p2p"),
        }


def test_a_name_is_matched_whole_and_a_zone_on_a_label_boundary(make_pack: Callable[..., Pack]) -> None:
    found = lines(make_pack())
    [name] = [line for line in found if 'content:"log.acme.example"' in line and line.startswith("alert dns")]
    assert 'dns.query; content:"log.acme.example"; bsize:16; nocase;' in name
    [zone] = [
        line for line in found if 'content:".acme.example"' in line and "http.host" in line and "pcre" not in line
    ]
    assert 'http.host; dotprefix; content:".acme.example"; endswith; content:!".bad.acme.example"; endswith;' in zone
    assert "nocase" not in zone, "the buffer is lower case, and the option is refused there"


def test_blocking_drops(make_pack: Callable[..., Pack]) -> None:
    assert all(line.startswith("drop ") for line in lines(make_pack(block=True)))


def test_what_would_end_an_option_is_quoted(make_pack: Callable[..., Pack]) -> None:
    for line in lines(make_pack()):
        assert line.count('"') % 2 == 0
        message = re.search(r'msg:"([^"]*)"', line)
        assert message and not set(message[1]) & set(";:\\")


@pytest.mark.parametrize(
    ("pattern", "uri", "hit"),
    [
        (r"^digicap\.dav$", "/a/digicap.dav", True),
        (r"^digicap\.dav$", "/a/digicap.dav?x", True),
        (r"^digicap\.dav$", "/a/digicap.dav/b", False),
        (r"^digicap\.dav$", "/a/notdigicap.dav", False),
        (r"\bQ-B\d", "/a/x.Q-B1.bin?y", True),
        (r"\bQ-B\d", "/Q-B1/other", False),
        (r"^a$|^b$", "/x/b", False),
    ],
)
def test_a_file_pattern_looks_at_the_last_segment(pattern: str, uri: str, hit: bool) -> None:
    assert (re.search(file_pattern(pattern), uri) is not None) is hit
