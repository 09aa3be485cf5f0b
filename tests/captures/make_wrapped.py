"""Writes `wrapped.pcapng`: one DNS question in each link layer, tunnel and mirror of `tunnels.py`, which scapy builds.

    python -m tests.captures.make_wrapped [FOLDER]

The question names the wrap: `vxlan-over-ipv6.example`. An interface a link type; a flow a question.
"""

import re
import sys
from pathlib import Path

from tests.captures.tunnels import WRAPPED
from tests.collector.dissectors.messages import dns, question
from tests.collector.frames import BEGIN_NS, CAMERA, SERVER, ng_interface, ng_packet, ng_section, udp_frame


def name_of(wrap: str) -> str:
    """The name that is asked for in a wrap."""
    return re.sub("[^a-z0-9]+", "-", wrap.lower()).strip("-") + ".example"


def main(folder: Path) -> None:
    """Write the capture into `folder`."""
    links = sorted({link_type for link_type, _ in WRAPPED.values()})
    parts = [ng_section(), *map(ng_interface, links)]
    for number, (wrap, (link_type, function)) in enumerate(WRAPPED.items()):
        packet = udp_frame(dns([question(name_of(wrap))]), (CAMERA, 20_000 + number, SERVER, 53))[14:]
        parts.append(ng_packet(BEGIN_NS // 1_000 + number, function(packet), links.index(link_type)))
    (folder / "wrapped.pcapng").write_bytes(b"".join(parts))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
