"""`lenswatch alerts show ID --packets`: the packets of an alert on the screen, and in a folder."""

import datetime
from collections.abc import Iterator
from pathlib import Path

import msgspec
import typer

from rules.alert import Alert
from streams.evidence.fetch import Fetched, fetch
from streams.evidence.fields import Field, Shown, dissect
from streams.evidence.folder import write_folder
from streams.screen import peer_words, say, story_text
from streams.settings import Settings

NS = 10**9


def show_packets(alert: Alert, settings: Settings, by_kafka: bool, to: Path | None, as_json: bool) -> None:
    """Fetch the packets; write them, where a folder is named, and then show them. Raises LenswatchError."""
    fetched = fetch(alert, settings, by_kafka)
    tell_gaps(fetched)
    if to is not None:
        for path in write_folder(to, alert, fetched.exhibit):
            typer.echo(str(path), err=as_json)
    shown = dissect(fetched.exhibit, names_of(alert))
    if as_json:
        for packet in shown:
            typer.echo(msgspec.json.encode(packet._asdict() | {"fields": [each._asdict() for each in packet.fields]}))
    else:
        typer.echo(story_text(packet_rows(shown)))


def tell_gaps(fetched: Fetched) -> None:
    """Say what is not there."""
    if fetched.missing:
        some = " ".join(each[:8] for each in fetched.missing[:8])
        say(f"the packets of {len(fetched.missing)} of its observations have expired: {some}")
    if fetched.left:
        say(f"{fetched.left} packets had no room in the answer")


def names_of(alert: Alert) -> set[str]:
    """What the alert names, in small letters: hosts, and paths of its steps."""
    names = {peer_words(alert), *(alert.related.hosts or ()), alert.destination.domain or ""}
    names |= {step.host for step in alert.lenswatch.steps or () if step.host is not None}
    return {name.casefold() for name in names if name}


def time_of(at_ns: int) -> str:
    """A packet's time to the microsecond, in UTC."""
    seconds, rest = divmod(at_ns, NS)
    at = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    return f"{at:%Y-%m-%d %H:%M:%S}.{rest // 1000:06d}"


def packet_rows(shown: list[Shown]) -> Iterator[tuple[str, str]]:
    """Label and text, for `story_text`."""
    for packet in shown:
        if packet.number > 1:
            yield "", ""
        yield f"packet {packet.number}", f"{time_of(packet.at_ns)} UTC, {packet.wire:,} bytes, {packet.ends}"
        yield "", f"observation {' '.join(packet.observations) or 'unknown'}"
        yield from (("", field_words(field)) for field in packet.fields)


def field_words(field: Field) -> str:
    """One field in a line."""
    place = "put together of several packets" if field.offset is None else f"byte {field.offset}"
    named = "  ← named in the alert" if field.named else ""
    return f"{field.layer}  {field.field} = {field.value}  ({place}, {field.size} bytes){named}"
