"""How much each sort of evidence says, and how pieces of evidence add up.

Each piece says "this is a camera" with a probability; pieces add up as independent ones do (noisy or). Evidence
against, such as a desktop browser, speaks for `other` in the same way, and takes from the first. A type is said from
MIN_CONFIDENCE on.
"""

import re

PREFIX_WEIGHTS = {"high": 0.8, "medium": 0.45, "low": 0.05}
CALL_WEIGHTS = {"high": 0.7, "medium": 0.4, "low": 0.1}
BANNER_WEIGHTS = {"high": 0.7, "medium": 0.4, "low": 0.1}
ASKED_SHARE = 0.8
"""Of a call's weight, when the name was only asked of DNS."""
PORT_WEIGHT = 0.5
BROWSER_WEIGHT = 0.8
MIN_CONFIDENCE = 0.5
BROWSER = re.compile(r"Mozilla/5\.0 \((?:Windows NT|Macintosh|X11|iPhone|iPad|Linux; Android)")


def combine(weights: list[float]) -> float:
    """The probability that at least one of independent pieces of evidence is right, 0 to 1."""
    missed = 1.0
    for weight in weights:
        missed *= 1.0 - weight
    return 1.0 - missed
