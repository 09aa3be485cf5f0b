"""Alerts and runs as a person reads them on a terminal. Results go to standard output, everything else to standard error."""

import sys
from collections.abc import Iterable

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from rules.alert import Alert
from streams.local import Run

COLOURS = {"critical": "bold red", "high": "red", "medium": "yellow", "low": "cyan", "informational": "dim"}
PLAIN_WIDTH = 160
MAX_TABLE_ROWS = 200
ID_DIGITS = 8


def console(stderr: bool = False) -> Console:
    """A console on a standard stream; where that is no terminal, without colour and wide."""
    terminal = (sys.stderr if stderr else sys.stdout).isatty()
    return Console(stderr=stderr, width=None if terminal else PLAIN_WIDTH, highlight=False, soft_wrap=False)


def device_words(alert: Alert) -> str:
    """The device: what it is, its address and its maker."""
    detail, own = alert.lenswatch, alert.destination if alert.network.direction == "inbound" else alert.source
    kind = detail.device_type if detail.device_type in ("camera", "recorder") else "device"
    maker = alert.device.manufacturer if alert.device is not None else None
    return f"{kind} {own.ip}" + (f"\n{maker}" if maker else "")


def peer_words(alert: Alert) -> str:
    """Whom it called."""
    threat = alert.threat
    if threat is None:
        return alert.destination.ip
    indicator = threat.indicator
    return indicator.url.domain if indicator.url is not None else indicator.ip or alert.destination.ip


def listing_words(alert: Alert) -> str:
    """The programmes that list the company on that day, and the first day of the earliest."""
    if alert.lenswatch.entity is None:
        return ""
    listings = alert.lenswatch.listings or []
    days = [each.since for each in listings if each.since is not None]
    programmes = ", ".join(dict.fromkeys(each.programme for each in listings))
    return f"{programmes}{f' (first {min(days)})' if days else ''}" if listings else "no list"


def what_words(alert: Alert) -> str:
    """What the finding is: the rule's title, and the steps of a firmware transaction."""
    steps = alert.lenswatch.steps
    return alert.rule.name + (f"\nsteps: {', '.join(step.step for step in steps)}" if steps else "")


def alert_table(alerts: Iterable[Alert]) -> Table:
    """The gravest first, then by time."""
    ordered = sorted(alerts, key=lambda alert: (-alert.event.severity, alert.lenswatch.first_seen, alert.event.id))
    table = Table(show_lines=True)
    for heading in ("Severity", "Device", "Finding", "Called", "Company", "Listed on", "Times", "Alert"):
        table.add_column(heading, overflow="fold", justify="right" if heading == "Times" else "left")
    for alert in ordered[:MAX_TABLE_ROWS]:
        detail = alert.lenswatch
        cells = (
            device_words(alert), what_words(alert), peer_words(alert), detail.entity.name if detail.entity else "",
            listing_words(alert), str(detail.count), alert.event.id[:ID_DIGITS],
        )  # fmt: skip
        table.add_row(f"[{COLOURS[detail.level]}]{detail.level}[/]", *(escape(cell) for cell in cells))
    if len(ordered) > MAX_TABLE_ROWS:
        table.caption = f"{len(ordered) - MAX_TABLE_ROWS} more: see --alerts PATH, or `lenswatch alerts --json`"
    return table


def summary_lines(run: Run) -> list[str]:
    """What a run came to, a line a stage of the packet's life."""
    ledger = run.ledger
    rate = ledger.packets_in / run.seconds if run.seconds else 0.0
    lines = [f"packets       {ledger.packets_in:,} in {run.seconds:.2f} s ({rate:,.0f} a second)"]
    for stage, words in (("decode", "not decoded"), ("reading", "not read"), ("flows", "flows let go"),
                         ("names", "names let go"), ("devices", "devices let go")):  # fmt: skip
        reasons = ledger.by_reason(stage)
        if reasons:
            told = ", ".join(f"{count:,} {reason.replace('_', ' ')}" for reason, count in reasons.items())
            lines.append(f"{words:<13} {told}")
    lines.append(f"flows         {ledger.flows:,}")
    lines.append(f"devices       {run.devices:,}")
    counts = ledger.observations.most_common()
    told = ", ".join(f"{count:,} {dataset.removeprefix('lenswatch.')}" for dataset, count in counts)
    lines.append(f"observations  {run.observations:,}{f' ({told})' if told else ''}")
    levels = run.by_level()
    told = ", ".join(f"{levels[level]:,} {level}" for level in COLOURS if levels[level])
    lines.append(f"alerts        {len(run.alerts):,}{f' ({told})' if told else ''}")
    lines += [f"the ledger is open: {line}" for line in run.open_sums()]
    return lines


def story(alert: Alert) -> list[tuple[str, str]]:
    """The whole chain that explains an alert: packet → name → endpoint fact → company → listings. Label and text."""
    detail = alert.lenswatch
    rows = [
        ("alert", f"{alert.event.id}, revision {detail.revision}, {detail.level}"),
        ("what", alert.message),
        ("rule", f"{alert.rule.name} ({alert.rule.id}, version {alert.rule.version[:12]})"),
        ("facts", f"rules and facts {alert.rule.ruleset[:12]}"),
        ("seen", f"{detail.first_seen.isoformat()} to {detail.last_seen.isoformat()}, {detail.count} times"),
        ("sensor", f"{alert.observer.name}, site {detail.site or 'default'}"),
        ("device", f"{alert.device.id if alert.device else 'unknown'}, taken for {detail.device_type or 'unknown'}: "
                   f"{'; '.join(detail.device_evidence or ['no evidence'])}"),
        ("flow", f"{alert.network.transport} {end_words(alert.source)} → {end_words(alert.destination)}, "
                 f"{alert.network.direction or 'direction unknown'}, {alert.network.community_id}"),
    ]  # fmt: skip
    if detail.domain_source:
        rows.append(("name", f"{peer_words(alert)}, from {detail.domain_source.replace('_', ' ')}"))
    if detail.endpoint is not None:
        fact = detail.endpoint
        rows.append(("endpoint", f"{fact.pattern} ({fact.match}, confidence {fact.confidence}), role {detail.role}"))
        rows += [("source", source) for source in fact.sources]
    if detail.lookalike is not None:
        like = detail.lookalike
        rows.append(("lookalike", f"{like.name} resembles {like.resembles} ({like.method.replace('_', ' ')})"))
    if detail.entity is not None:
        country = f", {detail.entity.country}" if detail.entity.country else ""
        rows.append(("company", f"{detail.entity.name} ({detail.entity.id}{country})"))
    for listing in detail.listings or []:
        since = f" since {listing.since}" if listing.since else ""
        rows.append(("listing", f"{listing.programme} {listing.programme_name}: {listing.status}{since}, "
                                f"{listing.citation} (confidence {listing.confidence})"))  # fmt: skip
        rows += [("note", listing.note)] if listing.note else []
        rows += [("source", source) for source in listing.sources]
    rows += [("step", f"{step.step} at {step.at.isoformat()}: {step.detail}") for step in detail.steps or []]
    rows += [("evidence", f"observation {each}") for each in detail.evidence]
    return rows


def end_words(end: object) -> str:
    """Address and port of one end of a flow."""
    address, port = getattr(end, "ip", "?"), getattr(end, "port", None)
    return address if port is None else f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def story_table(rows: list[tuple[str, str]]) -> Table:
    """A story as two columns without lines."""
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for label, text in rows:
        table.add_row(label, escape(text))
    return table
