"""`lenswatch alerts`: the alerts so far, one of them whole, and that somebody has looked at it; `rules explain`."""

import contextlib
import datetime
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from collector.errors import LenswatchError
from rules.alert import LEVELS, Alert
from streams.acks import Ack, add_ack, read_acks
from streams.alert_filter import AlertFilter, read_level, read_since
from streams.kafka_cli import Servers, kafka_settings, read_kept_alerts
from streams.options import AsJson, Config, Folders
from streams.ruleset import rules_for
from streams.screen import in_order, print_alerts, printable, say, story, story_text
from streams.settings import load_settings, state_folder
from streams.store import AlertStore, open_alerts

alerts_app = typer.Typer(rich_markup_mode=None, help="The alerts so far: list them, show one.")

AlertId = Annotated[str, typer.Argument(metavar="ID", help="An alert's id, or its first digits.")]
Since = Annotated[
    str | None, typer.Option(metavar="WHEN", help="Seen since then: a day, a time, or so long ago as 12h or 7d.")
]
Severity = Annotated[str | None, typer.Option(metavar="LEVEL", help=f"Of this level or above: {', '.join(LEVELS)}.")]
OfDevice = Annotated[str | None, typer.Option("--device", metavar="TEXT", help="Of a device: part of id or address.")]
OfCompany = Annotated[str | None, typer.Option("--company", metavar="TEXT", help="Of a company: id, or part of name.")]
Unseen = Annotated[bool, typer.Option("--unseen", help="Only those that nobody has acknowledged.")]


@alerts_app.callback(invoke_without_command=True)
def list_alerts(
    context: typer.Context,
    config: Config = None,
    as_json: AsJson = False,
    kafka: Servers = None,
    since: Since = None,
    severity: Severity = None,
    device: OfDevice = None,
    company: OfCompany = None,
    unseen: Unseen = False,
) -> None:
    """The alerts so far, the gravest first. `lenswatch alerts show ID` tells one whole; --kafka reads the workers'."""
    if context.invoked_subcommand is not None:
        context.obj = (config, kafka)
        return
    asked = AlertFilter(
        None if since is None else read_since(since, datetime.datetime.now(datetime.UTC)),
        None if severity is None else read_level(severity), device, company,
    )  # fmt: skip
    alerts = in_order(asked.of(read_alerts(config, kafka=kafka)))
    if unseen:
        acks = read_acks(state_folder(load_settings(config).store))
        alerts = [alert for alert in alerts if alert.event.id not in acks]
    if as_json:
        for alert in alerts:
            typer.echo(msgspec.json.encode(alert))
    elif not alerts:
        typer.echo("no alerts are kept yet" if asked == AlertFilter() and not unseen else "no such alerts")
    else:
        print_alerts(alerts)


@alerts_app.command("ack")
def ack_alert(
    context: typer.Context,
    alert_id: AlertId,
    by: Annotated[str, typer.Option(metavar="WHO", help="Who has looked at it.")],
    note: Annotated[str, typer.Option(metavar="TEXT", help="What they say.")] = "",
    config: Config = None,
    kafka: Servers = None,
) -> None:
    """Note that somebody has looked at an alert. It is kept on this machine, beside the alerts."""
    outer_config, outer_kafka = context.obj
    alert = find_alert(config or outer_config, alert_id, kafka or outer_kafka)
    now, revision = datetime.datetime.now(datetime.UTC), alert.lenswatch.revision
    folder = state_folder(load_settings(config or outer_config).store)
    add_ack(folder, Ack(timestamp=now, id=alert.event.id, revision=revision, by=by, note=note))
    typer.echo(f"{alert.event.id[:8]} acknowledged by {printable(by)}")


@alerts_app.command("show")
def show_alert(
    context: typer.Context,
    alert_id: AlertId,
    config: Config = None,
    as_json: AsJson = False,
    kafka: Servers = None,
    packets: Annotated[
        bool, typer.Option("--packets", help="The packets that it rests on, and where in them the names stand.")
    ] = False,
    to: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="With --packets: a folder for the alert, the packets and their SHA-256."),
    ] = None,
) -> None:
    """One alert with the whole chain behind it."""
    outer_config, outer_kafka = context.obj
    alert = find_alert(config or outer_config, alert_id, kafka or outer_kafka)
    if packets:
        from streams.evidence.show import show_packets

        whole = kafka_settings(config or outer_config, kafka or outer_kafka)
        show_packets(alert, whole, (kafka or outer_kafka) is not None, to, as_json)
    elif to is not None:
        raise typer.BadParameter("goes with --packets only", param_hint="--to")
    elif as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(alert), indent=2))
    else:
        typer.echo(story_text(story(alert)))
        ack = read_acks(state_folder(load_settings(config or outer_config).store)).get(alert.event.id)
        if ack is not None:
            said = f": {printable(ack.note)}" if ack.note else ""
            typer.echo(f"\nacknowledged at {ack.timestamp:%Y-%m-%d %H:%M} UTC by {printable(ack.by)}{said}")


def explain(
    alert_id: AlertId,
    config: Config = None,
    folders: Folders = [],  # noqa: B006
    kafka: Servers = None,
) -> None:
    """The chain behind an alert: packet, name, endpoint fact, company, listings, verdicts; each with its sources."""
    alert = find_alert(config, alert_id, kafka)
    rules = rules_for(load_settings(config), folders)
    typer.echo(story_text(story(alert, rules.facts.sources)))
    if rules.digest != alert.rule.ruleset:
        say("the facts or rules have changed since this alert; it says what they said then")


def read_alerts(config: Path | None, prefix: str = "", kafka: str | None = None) -> list[Alert]:
    """The kept alerts whose id begins so, of this machine, or of the workers where a broker is named. Raises
    LenswatchError."""
    settings = load_settings(config)
    if kafka is not None:
        return read_kept_alerts(kafka_settings(config, kafka), prefix)
    folder = state_folder(settings.store)
    if not AlertStore.is_in(folder):
        return []
    with contextlib.closing(open_alerts(settings.store)) as store:
        return store.get(prefix) if prefix else store.all()


def find_alert(config: Path | None, prefix: str, kafka: str | None = None) -> Alert:
    """The one alert whose id begins so. Raises LenswatchError."""
    found = read_alerts(config, prefix.lower(), kafka)
    if not found:
        raise LenswatchError(f"{prefix}: no alert with this id is kept; `lenswatch alerts` lists them")
    if len(found) > 1:
        some = ", ".join(alert.event.id[: len(prefix) + 4] for alert in found[:5])
        raise LenswatchError(f"{prefix}: {len(found)} alerts begin so ({some}); give more of the id")
    return found[0]
