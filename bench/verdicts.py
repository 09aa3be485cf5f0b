"""What does a verdict cost, asked for the first time and again, and how long do all facts and rules take to load?

    python bench/verdicts.py          prints the figures, exits 1 when one is over its limit

Every company, activity, profile and programme, on days of their own, so that nothing flatters the first answers. A
verdict is one programme for one profile; what a contact asks for, all programmes of a profile, is told beside it.
"""

import datetime
import itertools
import random
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from rules.load import load_rules
from rules.verdict import ACTIVITIES, Judge, Question

MAX_LOAD_SECONDS = 1.0
MAX_FIRST_SECONDS = 20e-6
MAX_AGAIN_SECONDS = 1e-6
QUESTIONS = 20_000
REMEMBERED = 5_000
ROUNDS = 5


def questions(judge: Judge, seed: int) -> list[tuple[Question, str, str]]:
    """Question, programme and profile, in random order, over some years."""
    dice = random.Random(seed)
    pairs = [(programme, id) for id, profile in judge.facts.profiles.items() for programme in profile.programmes]
    first = datetime.date(2019, 1, 1)
    made = []
    for company, activity in itertools.islice(
        itertools.cycle(itertools.product(judge.facts.entities, ACTIVITIES)), QUESTIONS
    ):
        day = first + datetime.timedelta(days=dice.randrange(8 * 365))
        programme, profile = dice.choice(pairs)
        made.append((Question(company, activity, day, (profile,)), programme, profile))
    dice.shuffle(made)
    return made


def first_seconds(judge: Judge) -> float:
    """CPU seconds of a verdict whose company, programme and day were not asked before."""
    best = float("inf")
    for seed in range(ROUNDS):
        asked = questions(judge, seed)
        fresh = Judge(judge.facts)
        begun = time.process_time()
        for question, programme, profile in asked:
            fresh.judge(question, programme, profile)
        best = min(best, (time.process_time() - begun) / len(asked))
    return best


def contact_seconds(judge: Judge, again: bool) -> tuple[float, float]:
    """CPU seconds of all verdicts that a contact asks for, and how many those are on average."""
    asked = [question for question, _, _ in questions(judge, 99)][:REMEMBERED]
    told = sum(len(judge.verdicts(question)) for question in asked)
    best = float("inf")
    for _ in range(ROUNDS):
        judging = judge if again else Judge(judge.facts)
        begun = time.process_time()
        for question in asked:
            judging.verdicts(question)
        best = min(best, (time.process_time() - begun) / len(asked))
    return best, told / len(asked)


def main() -> int:
    """0 when every figure is within its limit, else 1."""
    begun = time.process_time()
    rules = load_rules()
    load = time.process_time() - begun
    judge = rules.court.judge
    first = first_seconds(judge)
    contact, count = contact_seconds(judge, again=False)
    again, _ = contact_seconds(judge, again=True)
    print(f"loading all facts and rules: {load:.2f} s")
    print(f"a verdict, asked for the first time: {first * 1e6:.1f} µs")
    print(f"all verdicts of a contact ({count:.1f} on average): {contact * 1e6:.1f} µs, again {again * 1e6:.2f} µs")
    again /= count
    print(f"a verdict, asked again: {again * 1e6:.2f} µs")
    within = load <= MAX_LOAD_SECONDS and first <= MAX_FIRST_SECONDS and again <= MAX_AGAIN_SECONDS
    print("within limits" if within else "OVER A LIMIT")
    return 0 if within else 1


if __name__ == "__main__":
    sys.exit(main())
