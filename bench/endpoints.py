"""How fast are names and addresses looked up, and does it stay so at 1.5 million of them?

    python bench/endpoints.py          prints the figures, exits 1 when one is over its limit

Names have 2 to 5 labels; one question in three is about a known name (at or below a listed one), two are not: most of
what devices ask is nobody's. Every question is another one, in random order, so that no cache flatters the figure.
"""

import gc
import random
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from rules.endpoints import EndpointIndex
from rules.fact import BulkList

SMALL, LARGE = 1_500, 1_500_000
QUESTIONS = 100_000
MAX_LOAD_SECONDS = 10.0
MAX_LOOKUP_SECONDS = 2e-6
MAX_RATIO = 2.5
ROUNDS = 7
BULK = BulkList(file="bench", role="cloud", confidence="medium", sources=("bench",))
SYLLABLES = [a + b + c for a in "bcdfghklmnprstvwz" for b in "aeiou" for c in "lnrst"]
SUFFIXES = ("com", "net", "org", "cn", "de", "io", "co.uk", "com.cn", "top", "xyz")


def make_names(count: int, seed: int) -> list[str]:
    """Distinct names of 2 to 5 labels."""
    dice = random.Random(seed)
    names: dict[str, None] = {}
    while len(names) < count:
        labels = ["".join(dice.choices(SYLLABLES, k=dice.randint(1, 2))) for _ in range(dice.choice((0, 0, 1, 2)))]
        names[".".join([*labels, "".join(dice.choices(SYLLABLES, k=3)), dice.choice(SUFFIXES)])] = None
    return list(names)


def make_networks(count: int, seed: int) -> list[str]:
    """Distinct IPv4 (nine in ten) and IPv6 networks, as address lists have them: mostly single addresses and /24."""
    dice = random.Random(seed)
    networks: dict[str, None] = {}
    while len(networks) < count:
        if dice.random() < 0.1:
            networks[f"2001:{dice.randrange(1 << 16):x}:{dice.randrange(1 << 16):x}::/48"] = None
            continue
        length = dice.choice((32, 32, 32, 24, 24, 22, 20, 28))
        number = dice.randrange(1 << 32) >> 32 - length << 32 - length
        networks[f"{number >> 24}.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}/{length}"] = None
    return list(networks)


def ask_names(listed: list[str], seed: int) -> list[str]:
    """A third known names, most with a host in front, the others unknown."""
    dice = random.Random(seed)
    known = [dice.choice(("", "", "www.", "eu.api.")) + dice.choice(listed) for _ in range(QUESTIONS // 3)]
    asked = known + [name.replace(".", "x.", 1) for name in make_names(QUESTIONS * 2 // 3, seed + 1)]
    dice.shuffle(asked)
    return asked


def ask_addresses(listed: list[str], seed: int) -> list[str]:
    """A third addresses of listed networks, the others any."""
    dice = random.Random(seed)
    asked = []
    for _ in range(QUESTIONS // 3):
        network = dice.choice(listed).partition("/")[0]
        asked.append(network + f"{dice.randrange(1, 1 << 16):x}" if ":" in network else network)
        asked += [".".join(str(dice.randrange(256)) for _ in range(4)) for _ in range(2)]
    dice.shuffle(asked)
    return asked


def seconds_per_question(ask: Callable[[str], object], questions: list[str]) -> float:
    """CPU seconds of the quickest of several rounds over all questions, the loop's own cost taken off."""
    rounds = []
    for _ in range(ROUNDS):
        begun = time.process_time()
        for question in questions:
            ask(question)
        asked = time.process_time()
        for _question in questions:
            pass
        rounds.append((asked - begun - (time.process_time() - asked)) / len(questions))
    return min(rounds)


def measure(what: str, lines: list[str], small: list[str], asks: Callable[[list[str], int], list[str]]) -> bool:
    """Prints one line; says whether all figures are within their limits."""
    lookups = []
    load_seconds = 0.0
    for listed in (small, lines):
        gc.collect()
        begun = time.process_time()
        index = EndpointIndex()
        index.add_list("bench", BULK, listed)
        index.seal()
        load_seconds = time.process_time() - begun
        questions = asks(listed, 7)
        lookups.append(seconds_per_question(index.match_name if what == "names" else index.match_address, questions))
    ratio = lookups[1] / lookups[0]
    print(
        f"{what}: {LARGE:,} loaded in {load_seconds:.1f} s; a lookup costs {lookups[0] * 1e6:.2f} µs at {SMALL:,} "
        f"and {lookups[1] * 1e6:.2f} µs at {LARGE:,} (ratio {ratio:.2f})"
    )
    return load_seconds <= MAX_LOAD_SECONDS and max(lookups) <= MAX_LOOKUP_SECONDS and ratio <= MAX_RATIO


def main() -> int:
    """0 when every figure is within its limit, else 1."""
    within = len(sys.argv) > 1 or measure("names", make_names(LARGE, 1), make_names(SMALL, 2), ask_names)
    within &= measure("addresses", make_networks(LARGE, 3), make_networks(SMALL, 4), ask_addresses)
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"memory: {most:.0f} MiB at most, the lists' text and the questions included")
    print("within limits" if within else "OVER A LIMIT")
    return 0 if within else 1


if __name__ == "__main__":
    sys.exit(main())
