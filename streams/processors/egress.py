"""Where a device may call: its policy against the flows out of our networks. Pure.

A policy is of some devices: a kind, a site, a group, a list of addresses. What a flow says of whom it goes to is the
name that the device said, or looked up, for that address, the address itself, and the country of it.
"""

import ipaddress
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal

import msgspec

from collector.observation import CAMERA_KINDS, FLOW_DATASET, EgressBreach, Observation
from streams.processors.declared import Register, Row

NONE, LISTED, OWN_COUNTRY = "none", "listed names only", "own country"
Allows = Literal["none", "listed names only", "own country"]
Kind = Literal["camera", "recorder", "doorbell", "intercom", "access_control", "encoder", "other", "unknown"]
AnyNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network
MAX_ANSWERS: Final = 50_000


class Policy(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`[egress.NAME]`: what some devices may call. An empty list of which: any."""

    egress: Allows
    """What they may call: "none", "listed names only" or "own country"."""
    kinds: tuple[Kind, ...] = ()
    """Of which kinds they are; empty: cameras and their kin, where neither `devices` nor `groups` are named."""
    sites: tuple[str, ...] = ()
    """At which sites."""
    devices: tuple[str, ...] = ()
    """Which: addresses, networks, MACs."""
    groups: tuple[str, ...] = ()
    """Of which groups of the inventory."""
    listed: tuple[str, ...] = ()
    """For "listed names only": names with all below them, addresses, networks."""
    country: str | None = None
    """For "own country": its code (ISO 3166-1 alpha-2)."""

    def __post_init__(self) -> None:
        if bool(self.listed) != (self.egress == LISTED):
            raise ValueError('egress = "listed names only" and a list `listed` go together; give both or neither')
        if (self.country is not None) != (self.egress == OWN_COUNTRY):
            raise ValueError('egress = "own country" and a `country` go together; give both or neither')
        if self.country is not None and not (len(self.country) == 2 and self.country.isalpha()):
            raise ValueError(f"country is {self.country!r}, which is no code of two letters (ISO 3166-1)")
        for text in self.devices:
            if network_of(text) is None and not is_hardware(text):
                raise ValueError(f"devices has {text!r}, which is no address, network or MAC")


HOME: Final = Policy(egress="none")
"""The policy `none`, which is there without settings, for the rows of an inventory."""


class Policies:
    """All policies. A row's own comes first, then the first in the settings' order that the device is under.

    `counts` says how often a country was not known where it mattered: that is no breach, and is told.
    """

    def __init__(self, policies: Mapping[str, Policy], register: Register | None = None) -> None:
        self._register = register
        # Asked for every batch of observations, and an inventory may be long.
        self._is_any = bool(policies) or any(row.declared.egress is not None for row in self._rows)
        self._policies = {NONE: HOME} | dict(policies)
        self._scopes = [(name, policy, Places(policy.devices)) for name, policy in policies.items()]
        self._listed = {name: Places(policy.listed) for name, policy in policies.items()}
        self._answers: dict[tuple[str, ...], tuple[str, Policy] | None] = {}
        self.counts: Counter[str] = Counter()

    @property
    def _rows(self) -> Sequence[Row]:
        return self._register.rows if self._register is not None else ()

    def __bool__(self) -> bool:
        return self._is_any

    def unknown(self) -> list[str]:
        """The policies that the inventory names and nobody has set."""
        return sorted({row.declared.egress for row in self._rows if row.declared.egress} - self._policies.keys())

    def members(self) -> list[str]:
        """The addresses, networks and MACs that are under a policy whatever is there."""
        rows = [row.declared for row in self._rows]
        groups = {group for _, policy, _ in self._scopes for group in policy.groups}
        under = [row for row in rows if row.egress is not None or row.group in groups]
        named = [text for _, policy, _ in self._scopes for text in policy.devices]
        places = filter(None, (*named, *(each for row in under for each in (row.address, row.network, row.mac))))
        return [plain(text) if is_hardware(text) else str(network_of(text)) for text in places]

    def judge(self, observation: Observation) -> Observation:
        """The observation, with `lenswatch.egress` where it is a call that its device's policy forbids."""
        more, device = observation.lenswatch, observation.device
        if observation.event.dataset != FLOW_DATASET or observation.network.direction != "outbound":
            return observation
        if more is None or device is None or more.device is None:
            return observation
        found = self._policy_of(device.id, observation.source.ip, more.site, more.device.type)
        if found is None or self._allows(*found, observation):
            return observation
        breach = EgressBreach(policy=found[0], allows=found[1].egress)
        return msgspec.structs.replace(observation, lenswatch=msgspec.structs.replace(more, egress=breach))

    def _policy_of(self, device: str, address: str, site: str | None, kind: str) -> tuple[str, Policy] | None:
        key = (device, address, site or "", kind)
        if key not in self._answers:
            if len(self._answers) >= MAX_ANSWERS:
                self._answers.clear()
            self._answers[key] = self._find(device, address, site, kind)
        return self._answers[key]

    def _find(self, device: str, address: str, site: str | None, kind: str) -> tuple[str, Policy] | None:
        # The id of a device ends with its MAC where that is known, else with an address.
        end = device.rpartition("/")[2]
        row = self._register.find((address, end), (end,), site) if self._register is not None else None
        declared = row.declared if row is not None else None
        if declared is not None and declared.egress is not None:
            policy = self._policies.get(declared.egress)
            return None if policy is None else (declared.egress, policy)
        for name, policy, places in self._scopes:
            if policy.sites and site not in policy.sites:
                continue
            named = policy.devices or policy.groups
            kinds = policy.kinds or (() if named else CAMERA_KINDS)
            if kinds and kind not in kinds:
                continue
            in_group = declared is not None and declared.group is not None and declared.group in policy.groups
            if not named or in_group or places.hold(address) or places.hold(end):
                return name, policy
        return None

    def _allows(self, name: str, policy: Policy, observation: Observation) -> bool:
        theirs = observation.destination
        if policy.egress == LISTED:
            listed = self._listed[name]
            return listed.hold(theirs.ip) or (theirs.domain is not None and listed.cover(theirs.domain))
        if policy.egress == OWN_COUNTRY:
            if theirs.geo is None:
                self.counts["calls_whose_country_is_not_known"] += 1
                return True
            return theirs.geo.country_iso_code.upper() == (policy.country or "").upper()
        return False


class Places:
    """Names, addresses, networks and MACs, as a person lists them."""

    def __init__(self, listed: Iterable[str]) -> None:
        self._networks: list[AnyNetwork] = []
        self._words: set[str] = set()
        for text in listed:
            network = network_of(text)
            if network is not None:
                self._networks.append(network)
            else:
                self._words.add(plain(text) if is_hardware(text) else fold(text))

    def hold(self, text: str) -> bool:
        """Whether an address or a MAC is listed."""
        if text in self._words:
            return True
        address = network_of(text)
        return address is not None and any(
            address.version == each.version and address.network_address in each for each in self._networks
        )

    def cover(self, name: str) -> bool:
        """Whether a name, or one that it is below of, is listed: on label boundaries."""
        rest = fold(name)
        while rest:
            if rest in self._words:
                return True
            rest = rest.partition(".")[2]
        return False


def plain(hardware: str) -> str:
    """A MAC as we write them."""
    return hardware.casefold().replace("-", ":")


def fold(name: str) -> str:
    """A name without case, last dot, or the asterisk that people write before it."""
    return name.strip().casefold().rstrip(".").removeprefix("*.")


def network_of(text: str) -> AnyNetwork | None:
    """A network, or an address as one; None for what is neither."""
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def is_hardware(text: str) -> bool:
    """Whether this is a MAC, with colons or dashes."""
    return re.fullmatch(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}", plain(text)) is not None
