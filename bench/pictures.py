"""Draws the dashboards into docs/pictures/, from what their own queries return: python bench/pictures.py

No Grafana is run: a real Prometheus scrapes a real collector and a real worker, which read the shipped office and
questions for names at a changing pace. Every panel's queries are asked of that Prometheus, and their answers are drawn
where Grafana would have the panel.
"""

import json
import math
import struct
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.streams.command import OFFICE, ROOT
from tests.system.broker import Broker, find_libs
from tests.system.edge import packet
from tests.system.monitoring import PrometheusServer
from tests.system.stack import Stack, stack_at
from tests.system.test_stack import DASHBOARDS, MACROS

PICTURES = ROOT / "docs" / "pictures"
SECONDS, WINDOW_SECONDS = 60, 75.0
COLUMN, ROW, GAP, TOP = 42, 26, 6, 24
COLOURS = ("#5794f2", "#73bf69", "#f2cc0c", "#ff9830", "#f2495c", "#b877d9", "#8ab8ff", "#96d98d")
NAMED = {"green": "#73bf69", "orange": "#ff9830", "red": "#f2495c"}
GROUND, CARD, INK, PALE = "#111217", "#181b1f", "#d8d9da", "#8e8e99"
LEGENDS, LONGEST = 3, 22
Box = tuple[float, float, float, float]


def text(x: float, y: float, words: str, size: int = 11, colour: str = INK, anchor: str = "start") -> str:
    """Words at a place."""
    look = f'font-size="{size}" fill="{colour}" text-anchor="{anchor}"'
    return f'<text x="{x:.0f}" y="{y:.0f}" {look}>{escape(words)}</text>'


def amount(value: float, unit: str) -> str:
    """A value as a person reads it."""
    if unit == "s" and value < 1:
        return f"{value * 1000:.0f} ms"
    ending = {"s": " s", "bytes": " B", "Bps": " B/s", "pps": " p/s"}.get(unit, "")
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if value >= size:
            return f"{value / (1e3 if letter == 'k' else size):.1f} {letter}{ending.strip()}"
    return f"{value:.3g}{ending}"


def legend(row: dict[str, Any], pattern: str) -> str:
    """What a row is called: its pattern's label."""
    for name, value in row["metric"].items():
        pattern = pattern.replace("{{" + name + "}}", value)
    return pattern if "{{" not in pattern else ""


def draw_stat(panel: dict[str, Any], rows: Sequence[Any], box: Box) -> Iterator[str]:
    """One large number."""
    x, y, wide, tall = box
    value = float(rows[0]["value"][1])
    steps = panel["fieldConfig"]["defaults"].get("thresholds", {}).get("steps", [])
    colours = [NAMED.get(step["color"], INK) for step in steps if step["value"] is None or value >= step["value"]]
    yield text(x + wide / 2, y + tall / 2 + 22, amount(value, ""), 34, colours[-1] if colours else INK, "middle")


def draw_bars(panel: dict[str, Any], rows: Sequence[Any], box: Box) -> Iterator[str]:
    """A bar a row, the longest first."""
    x, y, wide, tall = box
    found = sorted(((float(row["value"][1]), row["name"] or "(none)") for row in rows), reverse=True)
    room = int((tall - TOP - 8) // 20)
    for number, (value, name) in enumerate(found[:room]):
        at, long = y + TOP + 10 + 20 * number, (wide * 0.45) * value / max(found[0][0], 1e-9)
        yield text(x + 8, at + 11, name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…", 11)
        yield f'<rect x="{x + wide * 0.45:.0f}" y="{at}" width="{long:.0f}" height="13" fill="{COLOURS[1]}"/>'
        yield text(x + wide - 8, at + 11, amount(value, ""), 11, INK, "end")
    if len(found) > room:
        yield text(x + wide - 8, y + TOP, f"and {len(found) - room} more", 9, PALE, "end")


def draw_table(panel: dict[str, Any], rows: Sequence[Any], box: Box) -> Iterator[str]:
    """A line a row: its labels, and its value."""
    x, y, wide, _ = box
    for number, row in enumerate(rows[:7]):
        at = y + TOP + 24 + 20 * number
        yield text(x + 8, at, ", ".join(f"{name}: {value[:40]}" for name, value in row["metric"].items()))
        yield text(x + wide - 8, at, amount(float(row["value"][1]), ""), 11, INK, "end")


def draw_lines(panel: dict[str, Any], rows: Sequence[Any], box: Box) -> Iterator[str]:
    """A line a row, over the time that was asked of."""
    x, y, wide, tall = box
    unit = panel["fieldConfig"]["defaults"]["unit"]
    points = [[(at, float(value)) for at, value in row["values"] if value != "NaN"] for row in rows]
    times = [at for row in points for at, _ in row]
    first, last = min(times), max(times)
    top = max((value for row in points for _, value in row), default=0.0) or 1.0
    left, low, high = x + 62, y + tall - 40, y + TOP + 12
    for share in (0.0, 0.5, 1.0):
        at = low - share * (low - high)
        yield f'<path d="M{left:.0f} {at:.0f}H{x + wide - 10:.0f}" stroke="#2c3235"/>'
        yield text(left - 5, at + 4, amount(share * top, unit), 9, PALE, "end")
    for number, row in enumerate(points):
        place = [
            f"{left + (x + wide - 10 - left) * (at - first) / max(1, last - first):.0f} "
            f"{low - (low - high) * value / top:.0f}"
            for at, value in row[:: max(1, math.ceil(len(row) / 40))]
        ]
        yield f'<path d="M{"L".join(place)}" fill="none" stroke="{COLOURS[number % len(COLOURS)]}" stroke-width="1.5"/>'
    yield text(left, low + 13, f"{last - first:.0f} s ago", 9, PALE)
    yield text(x + wide - 10, low + 13, "now", 9, PALE, "end")
    names = [row["name"][:20] for row in rows if row["name"]]
    for number, name in enumerate(names[:LEGENDS]):
        yield text(x + 8 + number * (wide - 16) / LEGENDS, y + tall - 8, name, 10, COLOURS[number % len(COLOURS)])


DRAW = {"stat": draw_stat, "bargauge": draw_bars, "table": draw_table, "timeseries": draw_lines}


def answers(prometheus: PrometheusServer, panel: dict[str, Any]) -> list[Any]:
    """What a panel's queries return: every row with its `name`."""
    found = []
    for target in panel["targets"]:
        expression = target["expr"]
        for macro, value in MACROS.items():
            expression = expression.replace(macro, value)
        instant = target["instant"]
        rows = prometheus.query(expression) if instant else prometheus.query_range(expression, WINDOW_SECONDS)
        assert rows, f"{panel['title']}: nothing"
        found += [row | {"name": legend(row, target["legendFormat"])} for row in rows]
    return found


def draw(prometheus: PrometheusServer, board: dict[str, Any]) -> str:
    """A dashboard as SVG 1.1."""
    parts = []
    tall = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in board["panels"]) * ROW + 40
    for panel in board["panels"]:
        place = panel["gridPos"]
        box = (place["x"] * COLUMN + GAP, place["y"] * ROW + 40, place["w"] * COLUMN - GAP, place["h"] * ROW - GAP)
        parts.append(f'<rect x="{box[0]}" y="{box[1]}" width="{box[2]}" height="{box[3]}" rx="3" fill="{CARD}"/>')
        parts.append(text(box[0] + 8, box[1] + 17, panel["title"], 12))
        parts += DRAW[panel["type"]](panel, answers(prometheus, panel), box)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {24 * COLUMN + GAP} {tall}" font-family="sans-serif">'
    title = text(GAP + 4, 25, f"{board['title']} (drawn from the answers to the panels' queries, not by Grafana)", 14)
    return "\n".join([head, f'<rect width="100%" height="100%" fill="{GROUND}"/>', title, *parts, "</svg>\n"])


def slices(capture: bytes, count: int) -> Iterator[tuple[float, bytes]]:
    """The records of a capture in so many parts, each with the time of its first packet."""
    places = [24]
    while places[-1] < len(capture):
        places.append(places[-1] + 16 + struct.unpack_from("<I", capture, places[-1] + 8)[0])
    for number in range(count):
        first, last = (places[(len(places) - 1) * each // count] for each in (number, number + 1))
        yield struct.unpack_from("<I", capture, first)[0], capture[first:last]


def play(stack: Stack) -> None:
    """The office bit by bit, and questions of other cameras at a pace that rises and falls."""
    asked = 0
    for second, (at, records) in enumerate(slices(OFFICE.read_bytes(), SECONDS)):
        count = 40 + int(30 * math.sin(second / 8))
        stack.collector.read(records + b"".join(packet(number, at) for number in range(asked, asked + count)))
        asked += count
        time.sleep(1)


def main() -> None:
    """Run the stack for a while, and draw."""
    libs = find_libs()
    if libs is None:
        sys.exit("no Kafka here: type 'make kafka prometheus' first")
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        broker = Broker(Path(name) / "kafka", libs).start()
        try:
            with stack_at(broker.address, Path(name) / "stack", [OFFICE.read_bytes()[:24]], canary_seconds=5) as stack:
                play(stack)
                for path in DASHBOARDS:
                    board = json.loads(path.read_text("utf-8"))
                    picture = PICTURES / f"{path.stem}.svg"
                    picture.write_text(draw(stack.prometheus, board), "utf-8")
                    print(f"{picture.relative_to(ROOT)}: {picture.stat().st_size:,} bytes")
        finally:
            broker.stop()


if __name__ == "__main__":
    main()
