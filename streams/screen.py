"""Alerts and runs as a person reads them: results for standard output, words about the run for standard error.

What devices say stands in alerts, so nothing unprintable is let through to a terminal. rich is imported only where a
table is drawn: a run without alerts does not pay for it.
"""

import dataclasses
import datetime
import os
import shutil
import sys
import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Literal

import typer

from collector.observation import CAMERA_KINDS
from rules.alert import LISTED_STATUSES, Alert, Verdict
from rules.verdict import OUTCOMES
from streams.local import Run

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

COLOURS = {"critical": "bold red", "high": "red", "medium": "yellow", "low": "cyan", "informational": "dim"}
SHORT_LEVELS = {level: level[:4] if level == "informational" else level for level in COLOURS}
PLAIN_WIDTH = 160
TIME_WIDTH = len("2026-11-02 08:00:00")
MIN_COLUMN, MAX_COLUMN = 18, 40
GAP_WIDTH = 2
MAX_READING_WIDTH = 110
MAX_TABLE_ROWS = 40
MAX_UNBROKEN_NAME = 40
ID_DIGITS = 8
LABEL_WIDTH = 10
GENERAL = ": no profile says who we are, so this is the general picture; set [rules] profiles"
RELATIONS = {
    "made": "made the device",
    "operates": "operates the service",
    "hosts": "hosts the peer",
    "carries": "carries the traffic",
}


def screen_width() -> int:
    """Columns of standard output: what COLUMNS or the terminal says; where it is neither, wide."""
    if sys.stdout.isatty() or os.environ.get("COLUMNS", "").isdigit():
        return shutil.get_terminal_size().columns
    return PLAIN_WIDTH


def console(stderr: bool = False) -> "Console":
    """A console on a standard stream, without colour where that is no terminal."""
    from rich.console import Console

    return Console(stderr=stderr, width=None if stderr else screen_width(), highlight=False, soft_wrap=False)


def printable(text: str) -> str:
    """The text with what is no printable character as \\xNN or \\uNNNN, so that it cannot steer a terminal."""
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def time_words(at: datetime.datetime) -> str:
    """A time to the second, in UTC."""
    return f"{at.astimezone(datetime.UTC):%Y-%m-%d %H:%M:%S}"


def own_address(alert: Alert) -> str:
    """The address of the device that the alert is about."""
    return (alert.destination if alert.network.direction == "inbound" else alert.source).ip


def device_words(alert: Alert) -> str:
    """What the device is, and its address."""
    kind = alert.lenswatch.device_type
    return f"{plain(kind) if kind in CAMERA_KINDS else 'device'} {own_address(alert)}"


def maker_words(alert: Alert) -> str:
    """The device's maker and model, as far as they are known."""
    device = alert.device
    known = [] if device is None else [device.manufacturer, device.model.name if device.model else None]
    return " ".join(text for text in known if text)


def peer_words(alert: Alert) -> str:
    """Whom it called: the name, else the address."""
    indicator = alert.threat.indicator if alert.threat is not None else None
    if indicator is None:
        return alert.destination.ip
    return indicator.url.domain if indicator.url is not None else indicator.ip or alert.destination.ip


def listing_words(alert: Alert) -> str:
    """The programmes that list the company on that day; in a second line the first day of the earliest."""
    detail = alert.lenswatch
    if detail.entity is None:
        return ""
    own = [each for each in detail.listings or [] if each.status in LISTED_STATUSES]
    if not own:
        return "no listing known"
    days = [each.since for each in own if each.since is not None]
    return ", ".join(dict.fromkeys(each.programme for each in own)) + (f"\nsince {min(days)}" if days else "")


def outcome_words(alert: Alert) -> str:
    """What it means for us: the strongest outcome, and the programme it is of; nothing where no profile is set."""
    detail = alert.lenswatch
    for verdict in detail.verdicts or ():
        if verdict.outcome == detail.outcome and verdict.profile is not None and verdict.waiver is None:
            return f"for us: {plain(verdict.outcome)} ({verdict.programme})"
    return ""


def plain(word: str) -> str:
    """An id's words."""
    return word.replace("_", " ")


def law_words(alert: Alert) -> str:
    """The listings, and below them what they mean for us."""
    return "\n".join(filter(None, (listing_words(alert), outcome_words(alert))))


def step_words(alert: Alert) -> str:
    """The steps of a firmware transaction."""
    return ", then ".join(step.step for step in alert.lenswatch.steps or ())


def in_order(alerts: Iterable[Alert]) -> list[Alert]:
    """The gravest first, then by time."""
    return sorted(alerts, key=lambda alert: (-alert.event.severity, alert.lenswatch.first_seen, alert.event.id))


def print_alerts(alerts: Iterable[Alert]) -> None:
    """The alerts on standard output: a table where there is room for one, else a few lines each."""
    ordered, width = in_order(alerts), screen_width()
    shown = ordered[:MAX_TABLE_ROWS]
    out = console()
    columns = fit(wide_columns(shown), width) or fit(narrow_columns(shown), width)
    if columns is not None:
        out.print(alert_table(shown, columns))
    else:
        several = len({alert.observer.name for alert in shown}) > 1
        for alert in shown:
            out.print(alert_lines(alert, width, several), end="\n\n", soft_wrap=True)
    if len(ordered) > len(shown):
        out.print(f"{len(ordered) - len(shown)} more: see --alerts PATH, or `lenswatch alerts --json`")


@dataclasses.dataclass(slots=True)
class Column:
    """A heading and a cell for each alert; `width` 0: what the others leave."""

    heading: str
    cells: list[str]
    width: int = 0
    justify: Literal["left", "right"] = "left"


def wide_columns(alerts: list[Alert]) -> list[Column]:
    """Everything that is told in a list, each in a column of its own."""
    called = [printable(peer_words(alert)) for alert in alerts]
    companies = [alert.lenswatch.entity.name if alert.lenswatch.entity else "" for alert in alerts]
    times = [time_words(alert.lenswatch.first_seen) for alert in alerts]
    first, *rest = narrow_columns(alerts)
    for column in rest:
        if column.heading == "Called":
            column.cells, column.width = called, name_width(called)
    place = [column.heading for column in rest].index("Called") + 1
    rest.insert(place, Column("Company", companies))
    return [first, Column("First seen, UTC", times, TIME_WIDTH), *rest]


def narrow_columns(alerts: list[Alert]) -> list[Column]:
    """The company below the name that was called, and no times."""
    sensors = {alert.observer.name for alert in alerts}
    devices, called = [], []
    for alert in alerts:
        sensor = f"at {alert.observer.name}" if len(sensors) > 1 else ""
        devices.append("\n".join(filter(None, (device_words(alert), maker_words(alert), sensor))))
        company = alert.lenswatch.entity.name if alert.lenswatch.entity else ""
        called.append("\n".join(filter(None, (peer_words(alert), company))))
    steps = [step_words(alert) for alert in alerts]
    titles = [alert.rule.name + (f"\n{words}" if words else "") for alert, words in zip(alerts, steps, strict=True)]
    return [
        Column("Level", [short_level(alert) for alert in alerts], max(map(len, SHORT_LEVELS.values()))),
        Column("Device", devices, name_width(line for cell in devices for line in cell.split("\n"))),
        Column("Finding", titles),
        Column("Called", called, max(MIN_COLUMN, name_width(printable(peer_words(alert)) for alert in alerts))),
        Column("Listed on", [law_words(alert) for alert in alerts]),
        Column("Times", [f"{alert.lenswatch.count:,}" for alert in alerts], 6, "right"),
        Column("Alert", [alert.event.id[:ID_DIGITS] for alert in alerts], ID_DIGITS),
    ]


def fit(columns: list[Column], width: int) -> list[Column] | None:
    """The columns with all widths given, or None when there is no room for them."""
    open_ = [column for column in columns if not column.width]
    left = width - sum(column.width for column in columns) - GAP_WIDTH * (len(columns) - 1)
    if left < MIN_COLUMN * len(open_):
        return None
    for number, column in enumerate(open_):
        column.width = min((left + number) // len(open_), MAX_COLUMN)
    return columns


def alert_table(alerts: list[Alert], columns: list[Column]) -> "Table":
    """Alerts as a table."""
    from rich.box import HORIZONTALS
    from rich.markup import escape
    from rich.table import Table

    table = Table(show_lines=True, box=HORIZONTALS, show_edge=False, padding=(0, 1, 0, 0), pad_edge=False)
    for column in columns:
        table.add_column(column.heading, width=column.width, overflow="fold", justify=column.justify)
    for alert, *cells in zip(alerts, *(column.cells for column in columns), strict=True):
        level, *rest = ("\n".join(map(printable, cell.split("\n"))) for cell in cells)
        table.add_row(f"[{COLOURS[alert.lenswatch.level]}]{level}[/]", *map(escape, rest))
    return table


def short_level(alert: Alert) -> str:
    """The level in at most eight letters."""
    return SHORT_LEVELS[alert.lenswatch.level]


def name_width(names: Iterable[str]) -> int:
    """Columns that names take, so that none is broken that is not very long."""
    return max([10, *(length for length in map(len, names) if length <= MAX_UNBROKEN_NAME)])


def alert_lines(alert: Alert, width: int, several_sensors: bool) -> str:
    """One alert as a few lines, in rich's markup: for where a table has no room."""
    from rich.markup import escape

    detail = alert.lenswatch
    maker, company, steps = maker_words(alert), detail.entity, step_words(alert)
    listed = law_words(alert).replace("\n", ", ")
    text = [
        f"{alert.rule.name}{f' ({steps})' if steps else ''}",
        f"{device_words(alert)}{f' ({maker})' if maker else ''} → {peer_words(alert)}",
        *([f"{company.name}: {listed}"] if company else []),
        f"first seen {time_words(detail.first_seen)} UTC, {times_words(detail.count)}, "
        f"alert {alert.event.id[:ID_DIGITS]}{f', at {alert.observer.name}' if several_sensors else ''}",
    ]
    level = short_level(alert)
    lines = [line for each in text for line in fill(each, width - 8)]
    return f"[{COLOURS[detail.level]}]{level:<8}[/]" + "\n        ".join(map(escape, lines))


def times_words(count: int) -> str:
    """How often."""
    return "once" if count == 1 else f"{count:,} times"


def fill(text: str, width: int) -> list[str]:
    """The text in lines of at most `width` columns; names and addresses stay whole."""
    text, width = printable(text).rstrip(), max(width, 20)
    if len(text) <= width:
        return [text]
    return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)


def summary_lines(run: Run) -> list[str]:
    """What a run came to, a line a stage of the packet's life."""
    ledger = run.ledger
    rate = ledger.packets_in / run.seconds if run.seconds else 0.0
    lines = [f"packets       {ledger.packets_in:,} in {run.seconds:.2f} s ({rate:,.0f} a second)"]
    for stage, words in (("capture", "not captured"), ("decode", "not decoded"), ("reading", "not read"),
                         ("flows", "flows let go"), ("networks", "not watched"),
                         ("names", "names let go"), ("devices", "devices let go")):  # fmt: skip
        reasons = ledger.by_reason(stage)
        if reasons:
            told = ", ".join(f"{count:,} {reason.replace('_', ' ')}" for reason, count in reasons.items())
            lines.append(f"{words:<13} {told}")
    lines.append(f"flows         {ledger.flows:,}")
    lines.append(f"devices       {run.devices:,}")
    counts = ledger.seen().most_common()
    told = ", ".join(f"{count:,} {dataset.removeprefix('lenswatch.')}" for dataset, count in counts)
    lines.append(f"observations  {sum(ledger.seen().values()):,}{f' ({told})' if told else ''}")
    for words, counted in (("geo", run.geo), ("not counted", run.uncounted)):
        told = ", ".join(f"{count:,} {reason.replace('_', ' ')}" for reason, count in sorted(counted.items()) if count)
        if told:
            lines.append(f"{words:<13} {told}")
    if run.declared:
        counted = run.declared
        differences = sorted(counted.keys() - {"declared", "seen"})
        others = ", ".join(f"{counted[what]:,} {what}" for what in differences)
        told = f"{counted['declared']:,} declared, {counted['seen']:,} seen"
        lines.append(f"inventory     {told}{f' ({others})' if others else ''}")
    levels = run.by_level()
    told = ", ".join(f"{levels[level]:,} {level}" for level in COLOURS if levels[level])
    lines.append(f"alerts        {len(run.alerts):,}{f' ({told})' if told else ''}")
    if run.waived:
        told = ", ".join(f"{count:,} {id}" for id, count in sorted(run.waived.items()))
        lines.append(f"waived        {run.waived.total():,} ({told})")
    lines += verdict_lines(run)
    lines += [f"the ledger is open: {line}" for line in run.open_sums()]
    return lines


def verdict_lines(run: Run) -> list[str]:
    """The alerts by outcome; without a profile, that this is the general picture."""
    details = [alert.lenswatch for alert in run.alerts.values() if alert.lenswatch.outcome is not None]
    if not details:
        return []
    counts = Counter(detail.outcome for detail in details)
    told = ", ".join(f"{counts[outcome]:,} {plain(outcome)}" for outcome in OUTCOMES if counts[outcome])
    if any(by_profile(verdict) for detail in details for verdict in detail.verdicts or ()):
        return [f"verdicts      {told}"]
    return [f"verdicts      in general {told}; set [rules] profiles to say who you are, for what it means for you"]


Rows = Iterator[tuple[str, str]]


def story(alert: Alert, sources: dict[str, Any] | None = None) -> Rows:
    """The whole chain that explains an alert: packet → name → endpoint fact → company → listings. Label and text; a row
    ("", text) goes on with what is above it, ("", "") is an empty line. With `sources` (by id, each with title and url)
    every fact is followed by where it was read."""
    detail = alert.lenswatch
    yield from _finding_rows(alert)
    yield "", ""
    yield from _packet_rows(alert)
    if detail.endpoint is not None or detail.lookalike is not None or detail.entity is not None:
        yield "", ""
    if detail.lookalike is not None:
        like = detail.lookalike
        yield "lookalike", f"{like.name} resembles {like.resembles} ({like.method.replace('_', ' ')})"
    if detail.endpoint is not None:
        fact = detail.endpoint
        yield "endpoint", f"{fact.pattern} ({fact.match}), role {detail.role}, confidence {fact.confidence}"
        yield from [("", fact.note)] if fact.note else []
        yield from source_rows(fact.sources, sources)
    if detail.entity is not None:
        country = f", {detail.entity.country}" if detail.entity.country else ""
        yield "company", f"{detail.entity.name} ({detail.entity.id}{country})"
        link = detail.entity.military_link
        if link is not None:
            yield "finding", f"“{link.claim}”: {link.citation}"
            yield from source_rows([link.source], sources)
        if not detail.listings:
            yield "listings", "no listing of the company on that day is known here"
    yield from _listing_rows(alert, sources)
    yield from _verdict_rows(alert, sources)
    yield "", ""
    yield "evidence", "observations " + " ".join(detail.evidence)


def _finding_rows(alert: Alert) -> Rows:
    detail = alert.lenswatch
    yield detail.level, alert.message
    yield "", ""
    yield "alert", f"{alert.event.id}, revision {detail.revision} ({detail.state})"
    yield "rule", alert.rule.name
    yield "", f"{alert.rule.id}, version {alert.rule.version}"
    yield from [("", alert.rule.reference)] if alert.rule.reference else []
    yield "", f"among the rules and facts of digest {alert.rule.ruleset[:16]}"
    yield "because", alert.event.reason
    first, last = time_words(detail.first_seen), time_words(detail.last_seen)
    until = "" if first == last else f" to {last[11:] if first[:10] == last[:10] else last}"
    yield "seen", f"{first}{until} UTC, {times_words(detail.count)}"
    for step in detail.steps or ():
        yield "step", f"{step.step} at {time_words(step.at)} UTC: {step.detail}"
        if step.size_bytes is not None:
            kind = ", ".join(filter(None, (step.container, step.mime_type)))
            yield "", f"{step.size_bytes:,} bytes{f' ({kind})' if kind else ''}{', probable' if step.probable else ''}"
        if step.sha256 is not None:
            yield "", f"SHA-256 {step.sha256}"
    if detail.update is not None:
        given = f"from inside, by {detail.update.by}" if detail.update.origin == "inside" else f"of {detail.update.by}"
        missing = ", ".join(detail.update.not_seen)
        yield "update", f"{given}; {f'not seen: {missing}' if missing else 'all of it was seen'}"


def _packet_rows(alert: Alert) -> Rows:
    detail = alert.lenswatch
    site = f", site {detail.site}" if detail.site else ""
    yield "sensor", f"{alert.observer.name}{site}"
    name = alert.device.id if alert.device else own_address(alert)
    kind, evidence = detail.device_type or "unknown", "; ".join(detail.device_evidence or ["no evidence"])
    yield "device", f"{name}, taken for {kind}: {evidence}"
    direction = f", {alert.network.direction}" if alert.network.direction else ""
    yield "flow", f"{alert.network.transport} {end_words(alert.source)} → {end_words(alert.destination)}{direction}"
    yield "", f"community id {alert.network.community_id}"
    system, geo = alert.destination.as_, alert.destination.geo
    if system is not None or geo is not None:
        organization = system.organization.name if system and system.organization else ""
        number = f"AS{system.number} {organization}".strip() if system else ""
        yield "announced", ", ".join(filter(None, (number, geo.country_iso_code if geo else "")))
    if detail.domain_source:
        yield "name", f"{peer_words(alert)}, from {detail.domain_source.replace('_', ' ')}"


def _listing_rows(alert: Alert, sources: dict[str, Any] | None) -> Rows:
    for listing in alert.lenswatch.listings or ():
        since = f" since {listing.since}" if listing.since else ""
        yield "", ""
        yield "listing", f"{listing.programme}: {listing.programme_name}"
        yield "", f"{listing.status.replace('_', ' ')}{since}, confidence {listing.confidence}"
        yield "", listing.citation
        yield from [("", listing.note)] if listing.note else []
        yield from source_rows(listing.sources, sources)


def _verdict_rows(alert: Alert, sources: dict[str, Any] | None) -> Rows:
    detail = alert.lenswatch
    if detail.outcome is not None:
        yield "", ""
        yield "outcome", f"{plain(detail.outcome)}{'' if any(map(by_profile, detail.verdicts or ())) else GENERAL}"
        yield from (("duty", duty) for duty in detail.duties or ())
    for verdict in detail.verdicts or ():
        yield "", ""
        yield "verdict", verdict_heading(verdict)
        yield from verdict_rows(verdict, sources)


def by_profile(verdict: Verdict) -> bool:
    """Whether a verdict is for somebody in particular."""
    return verdict.profile is not None


def verdict_heading(verdict: Verdict) -> str:
    """Programme, outcome and for whom."""
    whose = f" for {verdict.profile}" if verdict.profile else ""
    since = f" since {verdict.since}" if verdict.since else ""
    waived = f" (waived by {verdict.waiver})" if verdict.waiver else ""
    return f"{verdict.programme}: {plain(verdict.outcome)}{whose}{since}{waived}"


def verdict_rows(verdict: Verdict, sources: dict[str, Any] | None) -> Rows:
    """What a verdict rests on: the sentence, the way from company to listing, the citations, the sources."""
    yield "", verdict.says
    yield from (("duty", duty) for duty in verdict.duties or ())
    yield (
        "rests on",
        f"{verdict.entity} {RELATIONS[verdict.relation]}, {plain(verdict.activity)}: {plain(verdict.basis)}",
    )
    for link in verdict.ownership or ():
        share = "an unknown share" if link.percent is None else f"{link.percent:g} %"
        dated = f" as of {link.as_of}" if link.as_of else ""
        yield "owner", f"{link.holder} has {share} of {link.company}{dated}, confidence {link.confidence}"
        yield from source_rows(link.sources, sources)
    yield "citation", verdict.citation
    yield from [("", f"listing: {verdict.listing}")] if verdict.listing else []
    yield from source_rows(verdict.sources, sources)


def source_rows(ids: Iterable[str], sources: dict[str, Any] | None) -> Rows:
    """Where a fact was read: the ids in one row or, where the sources are given, each with its title and URL."""
    if sources is None:
        yield "sources", ", ".join(ids)
        return
    for each in ids:
        source = sources.get(each)
        yield "source", f"{each}: {source.title}" if source else f"{each} (no longer among the facts)"
        if source and source.url:
            yield "", source.url


def end_words(end: Any) -> str:
    """Address and port of one end of a flow."""
    return end.ip if end.port is None else f"[{end.ip}]:{end.port}" if ":" in end.ip else f"{end.ip}:{end.port}"


def story_text(rows: Iterable[tuple[str, str]]) -> str:
    """A story as two columns. URLs and names are never broken."""
    rows = list(rows)
    margin = max([LABEL_WIDTH, *(len(label) + 2 for label, _ in rows)])
    width = min(screen_width(), MAX_READING_WIDTH) - margin
    lines = []
    for label, text in rows:
        for number, line in enumerate(fill(text, width)):
            lines.append(f"{label if number == 0 else '':<{margin}}{line}".rstrip())
    return "\n".join(lines)


def say(words: object) -> None:
    """Words for the person on standard error, each line with the command's name before it."""
    for line in str(words).splitlines():
        typer.echo(f"lenswatch: {printable(line)}", err=True)
