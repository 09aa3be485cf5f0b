"""Zeek intelligence files: tab-separated, a `#fields` line first.

Format: Zeek documentation, "Intelligence Framework", and `base/frameworks/intel/input.zeek`; types
Intel::DOMAIN, Intel::ADDR and Intel::SUBNET of `Intel::Type`. A domain is matched whole.
"""

import ipaddress

from rules.export.export import Export, Written, heading, plain, remark, split
from rules.indicator import Indicator, Pack

FIELDS = ("indicator", "indicator_type", "meta.source", "meta.desc", "meta.url")


def write(pack: Pack) -> Written:
    """A line for each name and network."""
    kept, left = split(pack, ("name", "zone", "network"), "Zeek's intelligence framework knows no regular expressions")
    lines = ["\t".join(("#fields", *FIELDS)), *heading(pack)]
    zones = 0
    for each in kept:
        zones += each.kind == "zone"
        indicator, kind = _typed(each)
        url = plain(each.reference) if "://" in each.reference else "-"
        lines.append("\t".join((indicator, kind, "lenswatch", remark(each), url)))
    notes = (f"{zones} domains stand for themselves only: Zeek does not look for the hosts below",) if zones else ()
    return Written("\n".join(lines) + "\n", len(kept), left, notes)


def _typed(each: Indicator) -> tuple[str, str]:
    if each.kind != "network":
        return each.value, "Intel::DOMAIN"
    network = ipaddress.ip_network(each.value)
    if network.num_addresses == 1:
        return str(network.network_address), "Intel::ADDR"
    return str(network), "Intel::SUBNET"


EXPORT = Export("zeek", "Zeek's intelligence framework", write)
