"""The rules in other tools' formats: one pack of indicators, one file a format.

To add one: a file here with an `export.Export`, a line here, and `tests/rules/export/test_<name>.py`, which hands what
is written to the tool that reads it. Each line is the dotted name of the `Export`; its file's name is what is typed.
"""

EXPORTS: tuple[str, ...] = (
    "rules.export.csv.EXPORT",
    "rules.export.dnsmasq.EXPORT",
    "rules.export.misp.EXPORT",
    "rules.export.nftables.EXPORT",
    "rules.export.rpz.EXPORT",
    "rules.export.sigma.EXPORT",
    "rules.export.stix.EXPORT",
    "rules.export.suricata.EXPORT",
    "rules.export.zeek.EXPORT",
)
