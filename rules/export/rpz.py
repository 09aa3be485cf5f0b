"""A DNS response policy zone: BIND, Knot Resolver, PowerDNS Recursor, Unbound.

Format: draft-vixie-dnsop-dns-rpz-00 sections 3 (actions) and 4 (triggers); a master file after RFC 1035 section 5.
Every rule lets the answer pass (`rpz-passthru.`, which the resolver logs), or with `block` answers NXDOMAIN (`.`).
A name with a rule of its own overrides a wildcard above it, so exceptions are rules that let pass.
"""

import ipaddress

from rules.export.export import Export, Written, heading, remark, split
from rules.indicator import Indicator, Pack

PASS, NXDOMAIN = "rpz-passthru.", "."
TTL_SECONDS = 300


def write(pack: Pack) -> Written:
    """The zone, with the pack's day as its serial number (RFC 1912 section 2.2)."""
    kept, left = split(pack, ("name", "zone", "network"), "a response policy zone knows no regular expressions")
    action = NXDOMAIN if pack.block else PASS
    serial = f"{pack.day:%Y%m%d}00"
    lines = [
        *heading(pack, ";"),
        f"$TTL {TTL_SECONDS}",
        f"@ IN SOA localhost. root.localhost. ( {serial} 3600 600 86400 {TTL_SECONDS} )",
        "@ IN NS localhost.",
    ]
    rules: dict[str, tuple[str, str]] = {}
    for each in kept:
        for owner in _owners(each):
            rules.setdefault(owner, (action, remark(each)))
    for each in kept:
        for hole in each.excluded:
            for owner in (hole.name, *([f"*.{hole.name}"] if hole.below else [])):
                rules.setdefault(owner, (PASS, f"not what {each.id} is about"))
    lines += [f"{owner} IN CNAME {target} ; {words}" for owner, (target, words) in rules.items()]
    notes = () if pack.block else ("every rule lets pass and is logged by the resolver; --block answers NXDOMAIN",)
    return Written("\n".join(lines) + "\n", len(kept), left, notes)


def _owners(each: Indicator) -> tuple[str, ...]:
    if each.kind == "network":
        return (_address_owner(each.value),)
    return (each.value, f"*.{each.value}") if each.kind == "zone" else (each.value,)


def _address_owner(text: str) -> str:
    """Section 4.3: prefix length, then the octets or groups from the last to the first, `zz` for a run of zeroes."""
    network = ipaddress.ip_network(text)
    if network.version == 4:
        parts = str(network.network_address).split(".")
        return ".".join([str(network.prefixlen), *reversed(parts), "rpz-ip"])
    written = str(network.network_address)
    head, gap, tail = written.partition("::")
    groups = [part for part in tail.split(":") if part][::-1] + (["zz"] if gap else [])
    groups += [part for part in head.split(":") if part][::-1]
    return ".".join([str(network.prefixlen), *groups, "rpz-ip"])


EXPORT = Export("rpz", "resolvers with response policy zones (BIND, Knot, PowerDNS, Unbound)", write, acts=True)
