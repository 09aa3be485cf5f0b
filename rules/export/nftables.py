"""nftables: a table of its own with two sets for each company and role, and a rule for each set.

Format: nft(8). Names are no matter of a packet filter: their sets are filled by the dnsmasq export. New connections are
logged and counted; with `block` the packets are dropped too. Loading the file again replaces the table.
"""

import ipaddress
import re
from collections.abc import Iterable, Iterator

from rules.export.export import Export, Written, heading, remark, split
from rules.indicator import Indicator, Pack

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
TABLE = "lenswatch"
# The set for what lies below a zone and is not what its fact is about: no rule asks it.
UNMATCHED = "unmatched"
MAX_COMMENT_BYTES = 127


def set_name(each: Indicator) -> str:
    """The set of a company and role, without its `_v4` or `_v6`."""
    return re.sub(r"\W", "_", f"{each.entity}_{each.role}", flags=re.ASCII)


def write(pack: Pack) -> Written:
    """The ruleset."""
    kept, left = split(pack, ("name", "zone", "network"), "a packet filter reads no names, paths or user agents")
    groups: dict[str, list[Indicator]] = {}
    for each in kept:
        groups.setdefault(set_name(each), []).append(each)
    lines = [*heading(pack), f"table inet {TABLE} {{}}", f"delete table inet {TABLE}", f"table inet {TABLE} {{"]
    for name, members in {**groups, UNMATCHED: []}.items():
        for version in (4, 6):
            lines += _set(name, version, members)
    lines += ["  chain forward {", "    type filter hook forward priority filter; policy accept;"]
    for name, members in groups.items():
        lines += _rules(name, members[0], pack.block)
    lines += ["  }", "}"]
    networks = sum(each.kind == "network" for each in kept)
    named = len(kept) - networks
    notes = [f"{named} names have sets only: `rules export dnsmasq` fills them as they are looked up"] if named else []
    if not pack.block:
        notes.append("what matches is logged and counted; --block drops it")
    return Written("\n".join(lines) + "\n", len(kept), left, tuple(notes))


def _set(name: str, version: int, members: Iterable[Indicator]) -> list[str]:
    elements = [
        f'      {network} comment "{remark(each)[:MAX_COMMENT_BYTES]}",'
        for network, each in _disjoint(members, version)
    ]
    lines = [f"  set {name}_v{version} {{", f"    type ipv{version}_addr", "    flags interval"]
    return [*lines, *(["    elements = {", *elements, "    }"] if elements else []), "  }"]


def _disjoint(members: Iterable[Indicator], version: int) -> Iterator[tuple[Network, Indicator]]:
    """The networks of one IP version in order, without those that lie within another: intervals may not overlap."""
    networks = [(ipaddress.ip_network(each.value), each) for each in members if each.kind == "network"]
    last = -1
    for network, each in sorted(
        ((network, each) for network, each in networks if network.version == version),
        key=lambda pair: (int(pair[0].network_address), pair[0].prefixlen),
    ):
        if int(network.broadcast_address) > last:
            last = int(network.broadcast_address)
            yield network, each


def _rules(name: str, first: Indicator, block: bool) -> list[str]:
    words = f"{first.company} ({first.role}) | {', '.join(first.programmes) or 'no listing'} | lenswatch-{name}"
    comment = words.encode("ascii", "replace").decode("ascii").replace('"', "'")[:MAX_COMMENT_BYTES]
    lines = []
    for version, keyword in ((4, "ip"), (6, "ip6")):
        match = f"    {keyword} daddr @{name}_v{version}"
        lines.append(f'{match} ct state new log prefix "lenswatch {name} " comment "{comment}"')
        lines.append(f'{match} counter{" drop" if block else ""} comment "{comment}"')
    return lines


EXPORT = Export("nftables", "nftables", write, acts=True)
