"""Which records were counted already: by sensor, start of the sensor (`boot_id`) and number (`seq`). Plain lists.

A record may come again: its sender did not hear that it was kept, or a worker went down before it said that it was
done. A sensor's numbers rise within a partition, so that the last few are enough to know; a number below all that are
remembered has been seen.
"""

from collections.abc import MutableMapping

MAX_ORIGINS = 8
MAX_NUMBERS = 16

Marks = MutableMapping[str, list[int]]
"""Origin (sensor and boot) → the highest numbers that were counted, rising."""


def origin_of(sensor: str, boot_id: str) -> str:
    """A sensor since one start of it."""
    return f"{boot_id}/{sensor}"


def is_counted(marks: Marks, origin: str, number: int) -> bool:
    """Whether a record was counted before."""
    numbers = marks.get(origin)
    if not numbers:
        return False
    return number in numbers or (len(numbers) >= MAX_NUMBERS and number < numbers[0])


def count(marks: Marks, origin: str, number: int, max_origins: int = MAX_ORIGINS) -> None:
    """Remember a record. Past the bounds the lowest number goes, and the origin that was heard of longest ago."""
    numbers = marks.pop(origin, [])
    if number not in numbers:
        numbers.append(number)
        numbers.sort()
        del numbers[:-MAX_NUMBERS]
    while len(marks) >= max_origins:
        del marks[next(iter(marks))]
    marks[origin] = numbers
