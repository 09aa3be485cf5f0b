"""Every protocol that we read. The order is the order in which a new flow is asked.

To add one: copy `dns.py`, add its field sets to `collector/observation.py`, add a line here, add
`tests/collector/dissectors/test_<name>.py`, a sample to `messages.py` beside it, and a capture. Each line is the
dotted name of a `Dissector`.
"""

DISSECTORS: tuple[str, ...] = (
    "collector.dissectors.tls.DISSECTOR",
    "collector.dissectors.http.DISSECTOR",
    "collector.dissectors.rtsp.DISSECTOR",
    "collector.dissectors.quic.DISSECTOR",
    "collector.dissectors.dns.DISSECTOR",
    "collector.dissectors.dns.OVER_TCP",
    "collector.dissectors.mdns.DISSECTOR",
    "collector.dissectors.dns.LLMNR",
    "collector.dissectors.dhcp.DISSECTOR",
    "collector.dissectors.ssdp.DISSECTOR",
    "collector.dissectors.wsd.DISSECTOR",
    "collector.dissectors.sadp.DISSECTOR",
    "collector.dissectors.dhip.DISSECTOR",
    "collector.dissectors.dhip.OVER_TCP",
    "collector.dissectors.dvrip.DISSECTOR",
    "collector.dissectors.dvrip.OVER_TCP",
    "collector.dissectors.dahua_p2p.DISSECTOR",
    "collector.dissectors.ezviz.DISSECTOR",
    "collector.dissectors.ezviz.CAS_OVER_TCP",
    "collector.dissectors.ezviz.REGISTRATION_OVER_TCP",
    "collector.dissectors.tvt.DISSECTOR",
    "collector.dissectors.reolink.DISSECTOR",
    "collector.dissectors.reolink.OVER_TCP",
    "collector.dissectors.tuya.DISSECTOR",
    "collector.dissectors.stun.DISSECTOR",
    "collector.dissectors.stun.OVER_TCP",
    "collector.dissectors.ntp.DISSECTOR",
    "collector.dissectors.tftp.DISSECTOR",
)
