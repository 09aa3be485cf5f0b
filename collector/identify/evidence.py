"""How much each sign says, and how signs add up.

A sign says "this is a camera, or one of its kin" with a probability (`weight`), and "this maker's" with another
(`sure`). Signs of one sort are one witness: of ten names that were looked up, only the strongest counts. Witnesses add
up as independent ones do (noisy or). What speaks for another kind of device speaks against, and takes from the first.
What is said from MIN_CONFIDENCE on; what contradicts itself is said beside, never averaged.
"""

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from collector.observation import CAMERA_KINDS

OTHER, UNKNOWN = "other", "unknown"
ANY_MAKER = "any"
"""The maker of fingerprints that point to a kind of device and to no maker."""
PREFIX, CALLED, BROWSER_SORT = "MAC prefix", "names", "browser"
PREFIX_WEIGHTS = {"high": 0.8, "medium": 0.45, "low": 0.05}
PREFIX_SURE = 0.85
CALL_WEIGHTS = {"high": 0.7, "medium": 0.4, "low": 0.1}
CALL_SURE = {"high": 0.7, "medium": 0.6, "low": 0.4}
BANNER_WEIGHTS = {"high": 0.7, "medium": 0.4, "low": 0.1}
BANNER_SURE = {"high": 0.75, "medium": 0.6, "low": 0.2}
PROTOCOL_WEIGHTS = {"high": 0.85, "medium": 0.45, "low": 0.1}
PROTOCOL_SURE = 0.85
"""Who answers in a maker's own protocol of what it is, has that maker's software inside."""
PATH_SHARE = 0.5
"""Of a banner's weight, when somebody only asked the device for a path of that maker's and was not answered so."""
ASKED_SHARE = 0.8
"""Of a call's weight, when the name was only asked of DNS."""
PORT_WEIGHT = 0.5
BROWSER_WEIGHT = 0.8
MIN_CONFIDENCE = 0.5
MAX_CONTRADICTIONS = 4
MAX_OPINIONS = 4_096
BROWSER = re.compile(r"Mozilla/5\.0 \((?:Windows NT|Macintosh|X11|iPhone|iPad|Linux; Android)")


class Sign(NamedTuple):
    """One piece of evidence. `sort`: of one sort the strongest counts; `maker` None: no maker in particular; `kind`:
    what kind of device has it, OTHER when it speaks against a camera; `brand`: under which name it is sold; `model`:
    which model it names."""

    text: str
    sort: str
    weight: float = 0.0
    maker: str | None = None
    sure: float = 0.0
    kind: str | None = None
    brand: str | None = None
    model: str | None = None


class Opinion(NamedTuple):
    """What signs come to: the kind with its confidence, the maker with the confidence in it, the brand where it is
    not the maker's own, the likely maker behind the brand; the signs for it in words, those against, and what
    contradicts that. One opinion serves all devices that have the same signs: its lists are never changed."""

    kind: str
    confidence: float
    maker: str | None
    maker_confidence: float
    brand: str | None
    oem: str | None
    evidence: list[str]
    against: list[str]
    contradictions: list[str]


def combine(weights: Iterable[float]) -> float:
    """The probability that at least one of independent pieces of evidence is right, 0 to 1."""
    missed = 1.0
    for weight in weights:
        missed *= 1.0 - weight
    return 1.0 - missed


def witnesses(pairs: Iterable[tuple[str, float]]) -> float:
    """(Sort, weight) pairs, of each sort the strongest, combined."""
    strongest: dict[str, float] = {}
    for sort, weight in pairs:
        if weight > strongest.get(sort, 0.0):
            strongest[sort] = weight
    return combine(strongest.values())


class _Side(NamedTuple):
    """A maker with those whose devices it sells: the signs for it, how likely a camera, how sure the maker."""

    name: str
    signs: list[Sign]
    likely: float
    sure: float
    made: bool


class Opinions:
    """Opinions by the signs that make them, remembered: devices of one make show the same. `oems`: see `weigh`."""

    def __init__(self, oems: Mapping[str, str]) -> None:
        self._oems = oems
        self._known: dict[tuple[Sign, ...], Opinion] = {}

    def of(self, signs: Iterable[Sign]) -> Opinion:
        """What these signs come to."""
        key = tuple(signs)
        known = self._known.get(key)
        if known is None:
            if len(self._known) >= MAX_OPINIONS:
                self._known.clear()
            known = self._known[key] = weigh(key, self._oems)
        return known


def weigh(signs: Iterable[Sign], oems: Mapping[str, str]) -> Opinion:
    """Signs → opinion. `oems`: brand's maker → the maker whose devices it sells; both are one side."""
    for_it = [sign for sign in signs if sign.kind != OTHER]
    against = [sign for sign in signs if sign.kind == OTHER]
    sides = _sides(for_it, oems)
    likely = max((side.likely for side in sides), default=0.0)
    other = witnesses((sign.sort, sign.weight) for sign in against)
    camera = likely * (1.0 - other)
    is_camera = camera >= MIN_CONFIDENCE
    # Who made the radio made the box, whatever brand's service it calls.
    side = max(
        (side for side in sides if side.name != ANY_MAKER),
        key=lambda each: (each.made and each.likely >= MIN_CONFIDENCE, each.likely if is_camera else 0.0, each.sure),
        default=None,
    )
    kinds = _kinds(for_it)
    kind = (kinds[0][0] if kinds else "camera") if is_camera else OTHER if other >= MIN_CONFIDENCE else UNKNOWN
    maker, brand, oem = _names(side, oems)
    return Opinion(
        kind, round(camera if kind != OTHER else other * (1.0 - likely), 3), maker,
        round(side.sure, 3) if side is not None else 0.0, brand, oem,
        [sign.text for sign in for_it], [sign.text for sign in against],
        _contradictions(side, sides, kinds, against, likely, other),
    )  # fmt: skip


def _sides(for_it: list[Sign], oems: Mapping[str, str]) -> list[_Side]:
    by_name: dict[str, list[Sign]] = {}
    for sign in for_it:
        by_name.setdefault(oems.get(sign.maker, sign.maker) if sign.maker else ANY_MAKER, []).append(sign)
    nobodys = by_name.get(ANY_MAKER, [])
    return [
        _Side(
            name, signs,
            witnesses((sign.sort, sign.weight) for sign in (signs if signs is nobodys else signs + nobodys)),
            witnesses((sign.sort, sign.sure) for sign in signs),
            any(sign.sort == PREFIX for sign in signs),
        )
        for name, signs in by_name.items()
    ]  # fmt: skip


def _names(side: _Side | None, oems: Mapping[str, str]) -> tuple[str | None, str | None, str | None]:
    """Maker, brand and the maker behind it, of the side that has it."""
    if side is None or side.sure < MIN_CONFIDENCE:
        return None, None, None
    brand = next((sign.brand for sign in side.signs if sign.brand), None)
    members: dict[str, list[Sign]] = {}
    for sign in side.signs:
        members.setdefault(sign.maker or side.name, []).append(sign)
    # The label is on the box: a brand's own prefix says more than what its maker's software says of itself.
    maker = max(
        members,
        key=lambda name: (
            name in oems and any(sign.sort == PREFIX for sign in members[name]),
            witnesses((sign.sort, sign.sure) for sign in members[name]),
        ),
    )
    return maker, brand, side.name if brand or maker != side.name else None


def _kinds(for_it: list[Sign]) -> list[tuple[str, float]]:
    """The kinds that were told of, the likeliest first."""
    told: dict[str, list[Sign]] = {}
    for sign in for_it:
        if sign.kind is not None:
            told.setdefault(sign.kind, []).append(sign)
    found = [(kind, witnesses((sign.sort, sign.weight) for sign in signs)) for kind, signs in told.items()]
    # What every device of a protocol is, says less than what one of them says of itself.
    return sorted(found, key=lambda pair: (-pair[1], -CAMERA_KINDS.index(pair[0])))


def _contradictions(
    side: _Side | None, sides: list[_Side], kinds: list[tuple[str, float]], against: list[Sign], likely: float,
    other: float,
) -> list[str]:  # fmt: skip
    """What speaks for something else than what was said, in words."""
    found = [
        f"also speaks for {each.name}: {max(each.signs, key=lambda sign: sign.sure).text}"
        for each in sides
        if each is not side and each.name != ANY_MAKER and each.sure >= MIN_CONFIDENCE
    ]
    found += [f"also speaks for a device of kind {kind}" for kind, share in kinds[1:] if share >= MIN_CONFIDENCE]
    if likely >= MIN_CONFIDENCE and other >= MIN_CONFIDENCE:
        found.append(f"also speaks against a camera: {max(against, key=lambda sign: sign.weight).text}")
    return found[:MAX_CONTRADICTIONS]
