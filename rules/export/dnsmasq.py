"""dnsmasq: with `block`, names answered with NXDOMAIN; else addresses learned into the sets of the nftables export.

Format: dnsmasq(8), options `--address`, `--server` and `--nftset`. A name always stands for all below it too, and the
longest name decides, so exceptions are names of their own.
"""

from rules.export.export import Export, Written, heading, remark, split
from rules.export.nftables import TABLE, UNMATCHED, set_name
from rules.indicator import Indicator, Pack


def write(pack: Pack) -> Written:
    """A line for each name."""
    kept, left = split(pack, ("name", "zone"), "dnsmasq knows names only")
    lines = heading(pack)
    own = {each.value for each in kept}
    done: set[str] = set()
    for each in kept:
        lines.append(f"{_line(pack, each)}  # {remark(each)}")
        for hole in each.excluded:
            if hole.name not in own and hole.name not in done:
                done.add(hole.name)
                lines.append(f"{_pass(pack, hole.name)}  # not what {each.id} is about")
    exact = sum(each.kind == "name" for each in kept)
    notes = [f"{exact} hosts stand for the names below them too: dnsmasq knows no name alone"] if exact else []
    if not pack.block:
        notes.append("addresses are learned into the sets of `rules export nftables`; --block answers NXDOMAIN")
    return Written("\n".join(lines) + "\n", len(kept), left, tuple(notes))


def _line(pack: Pack, each: Indicator) -> str:
    return f"address=/{each.value}/" if pack.block else _learn(each.value, set_name(each))


def _pass(pack: Pack, name: str) -> str:
    return f"server=/{name}/#" if pack.block else _learn(name, UNMATCHED)


def _learn(name: str, into: str) -> str:
    return f"nftset=/{name}/4#inet#{TABLE}#{into}_v4,6#inet#{TABLE}#{into}_v6"


EXPORT = Export("dnsmasq", "dnsmasq", write, acts=True)
