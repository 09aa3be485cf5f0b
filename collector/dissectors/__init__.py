"""Every protocol that we read. The order is the order in which a new flow is asked.

To add one: copy `dns.py`, add its field sets to `collector/observation.py`, add a line here, add
`tests/collector/dissectors/test_<name>.py`, a sample to `messages.py` beside it, and a capture. Each line is the
dotted name of a `Dissector`.
"""

DISSECTORS: tuple[str, ...] = (
    "collector.dissectors.tls.DISSECTOR",
    "collector.dissectors.http.DISSECTOR",
    "collector.dissectors.dns.DISSECTOR",
    "collector.dissectors.dns.OVER_TCP",
    "collector.dissectors.dns.MDNS",
    "collector.dissectors.dns.LLMNR",
)
