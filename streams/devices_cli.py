"""`lenswatch devices`: the inventory as a table; `show ID` tells one device's story, `forget ID` removes it."""

import asyncio
import contextlib
import datetime
import os
from typing import Annotated, Any

import msgspec
import typer

from collector.errors import LenswatchError
from collector.evidence.segments import forget_device as forget_packets
from collector.identify.fingerprint import read_fingerprints
from rules.alert import Alert
from streams.delivery import outbox_folder
from streams.device_store import DeviceStore, open_devices
from streams.devices_screen import SORTS, Profile, days_since, print_devices, profile_of, story_rows
from streams.dispatch.outbox import Outbox
from streams.kafka_cli import kafka_settings
from streams.options import AsJson, Config
from streams.processors.declared import newest
from streams.processors.firmware import UpdateState
from streams.processors.stories import Story
from streams.ruleset import rules_for
from streams.screen import printable, story_text
from streams.settings import Settings, load_settings, state_folder
from streams.store import AlertStore, open_alerts

devices_app = typer.Typer(rich_markup_mode=None, help="The devices so far: list them, tell one's story, forget one.")

DeviceId = Annotated[str, typer.Argument(metavar="ID", help="A device's id, its address or MAC, or a part of them.")]
Maker = Annotated[str | None, typer.Option(metavar="TEXT", help="Of this maker or brand: part of the name.")]
Programme = Annotated[
    str | None, typer.Option(metavar="ID", help="Made by, or calling, a company that this programme lists.")
]
Site = Annotated[str | None, typer.Option(metavar="SITE", help="Of this site.")]
Kind = Annotated[str | None, typer.Option(metavar="KIND", help="Of this kind: camera, recorder, doorbell, ….")]
Sort = Annotated[str, typer.Option(metavar="KEY", help=f"By {', '.join(SORTS)}.")]


def open_stories(settings: Settings) -> list[Story]:
    """Every story that is kept. Raises LenswatchError."""
    folder = state_folder(settings.store)
    if not DeviceStore.is_in(folder):
        return []
    with contextlib.closing(open_devices(settings.store)) as store:
        return store.all()


def open_updates(settings: Settings) -> dict[str, UpdateState]:
    """What is known of every device's updates. Raises LenswatchError."""
    folder = state_folder(settings.store)
    if not DeviceStore.is_in(folder):
        return {}
    with contextlib.closing(open_devices(settings.store)) as store:
        return store.updates()


def find_story(settings: Settings, text: str) -> Story:
    """The one story whose id, address or MAC this is, or is a part of. Raises LenswatchError."""
    stories, asked = open_stories(settings), text.casefold()
    exact = [each for each in stories if asked in (each.id.casefold(), *newest(each.addresses), *each.hardware)]
    found = exact or [
        each for each in stories if any(asked in word.casefold() for word in (each.id, *each.addresses, *each.hardware))
    ]
    if not found:
        raise LenswatchError(f"{printable(text)}: no device of this id is kept; `lenswatch devices` lists them")
    if len(found) > 1:
        some = ", ".join(each.id for each in found[:5])
        raise LenswatchError(f"{printable(text)}: {len(found)} devices fit ({printable(some)}); give more of the id")
    return found[0]


def maker_names() -> dict[str, str]:
    """The makers' names by their ids, of those that no company's facts name too."""
    return {fingerprint.maker: fingerprint.name for fingerprint in read_fingerprints()}


def fits(profile: Profile, maker: str | None, programme: str | None, site: str | None, kind: str | None) -> bool:
    """Whether a device is one that is asked for."""
    story = profile.story
    if maker is not None:
        names = [story.maker, story.identity.brand, story.identity.oem]
        names += [each.entity.name for each in profile.made_by if each.entity is not None]
        names.append(profile.names.get(story.maker or ""))
        if not any(name and maker.casefold() in name.casefold() for name in names):
            return False
    if programme is not None and programme.casefold() not in (each.casefold() for each in profile.programmes):
        return False
    if site is not None and story.site != site:
        return False
    return kind is None or story.identity.type == kind


@devices_app.callback(invoke_without_command=True)
def list_devices(
    context: typer.Context,
    config: Config = None,
    as_json: AsJson = False,
    maker: Maker = None,
    programme: Programme = None,
    site: Site = None,
    kind: Kind = None,
    sort: Sort = "last-seen",
) -> None:
    """The cameras and their kin so far. `lenswatch devices show ID` tells one's story."""
    if context.invoked_subcommand is not None:
        context.obj = config
        return
    if sort not in SORTS:
        raise typer.BadParameter(f"{sort!r} is no key; one of {', '.join(SORTS)}", param_hint="--sort")
    settings = load_settings(config)
    rules, today = rules_for(settings), datetime.datetime.now(datetime.UTC).date()
    names, updates = maker_names(), open_updates(settings)
    profiles = [profile_of(story, rules, today, names, updates.get(story.id)) for story in open_stories(settings)]
    asked = [each for each in profiles if fits(each, maker, programme, site, kind)]
    asked.sort(key=lambda each: each.story.id)
    asked.sort(key=SORTS[sort])
    if as_json:
        for each in asked:
            typer.echo(msgspec.json.encode(as_document(each)))
    elif not asked:
        typer.echo("no such devices" if profiles else "no devices are kept yet; `lenswatch watch SOURCE…` finds them")
    else:
        print_devices(asked)


def as_document(profile: Profile) -> dict[str, Any]:
    """A story as JSON, with the programmes and companies of it."""
    document: dict[str, Any] = msgspec.to_builtins(profile.story)
    clock: dict[str, Any] = msgspec.to_builtins(profile.clock)
    for name, at in (("checked", profile.clock.checked_at), ("updated", profile.clock.updated_at)):
        clock[f"days_since_{name}"] = days_since(at, profile.today)
    return document | {"programmes": profile.programmes, "companies": profile.companies, "update_clock": clock}


@devices_app.command("show")
def show_device(context: typer.Context, device_id: DeviceId, config: Config = None, as_json: AsJson = False) -> None:
    """One device's story on a page: what it is and why, whom it calls, its firmware, its alerts."""
    settings = load_settings(config or context.obj)
    story = find_story(settings, device_id)
    today, update = datetime.datetime.now(datetime.UTC).date(), open_updates(settings).get(story.id)
    profile = profile_of(story, rules_for(settings), today, maker_names(), update)
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(as_document(profile)), indent=2))
    else:
        typer.echo(story_text(story_rows(profile, alerts_of(settings, story.id))))


def alerts_of(settings: Settings, device: str) -> list[Alert]:
    """The kept alerts of a device."""
    folder = state_folder(settings.store)
    if not AlertStore.is_in(folder):
        return []
    with contextlib.closing(open_alerts(settings.store)) as store:
        return [alert for alert in store.all() if alert.device is not None and alert.device.id == device]


@devices_app.command("forget")
def forget_device(
    context: typer.Context,
    device_id: DeviceId,
    config: Config = None,
    alerts: Annotated[
        bool,
        typer.Option("--alerts", help="Its alerts too: those that are kept, what waits for a sink, packets."),
    ] = False,
    kafka: Annotated[
        str | None,
        typer.Option(
            "--kafka", metavar="HOST:PORT,…", help="At the workers and in Kafka, not here; ID is its whole id."
        ),
    ] = None,
) -> None:
    """Remove a device's story, with its updates. Its alerts are evidence, and stay unless --alerts is said."""
    if kafka is not None:
        forget_by_workers(kafka_settings(config or context.obj, kafka), device_id, alerts)
        return
    settings = load_settings(config or context.obj)
    identifier = find_device(settings, device_id, alerts)
    folder, waiting = state_folder(settings.store), outbox_folder(settings)
    if DeviceStore.is_in(folder):
        with contextlib.closing(open_devices(settings.store)) as store:
            store.forget(identifier)
    gone = ""
    if alerts:
        kept = left = 0
        proofs = forget_packets(settings.evidence.place(os.environ, folder), identifier)
        if AlertStore.is_in(folder):
            with contextlib.closing(open_alerts(settings.store)) as told:
                kept = told.forget(identifier)
        if Outbox.is_in(waiting):
            with contextlib.closing(Outbox(waiting, settings.store.max_waiting)) as outbox:
                left = outbox.forget(identifier)
        gone = f", with {kept} alerts, {left} that waited for a sink, and {proofs} records of packets"
    typer.echo(f"{printable(identifier)} is forgotten{gone}; where it is still watched, it is told of anew")


def forget_by_workers(settings: Settings, identifier: str, alerts: bool) -> None:
    """Have the workers forget a device. Raises LenswatchError."""
    if "/" not in identifier:
        raise LenswatchError(
            f"{printable(identifier)}: is no whole id; an alert has it at device.id: site/MAC or address"
        )
    from streams.forgetting import forget_in_kafka

    gone = asyncio.run(forget_in_kafka(settings, identifier, alerts))
    words = f" is forgotten by the workers, with {gone} alerts" if alerts else " is forgotten when the workers read it"
    typer.echo(f"{printable(identifier)}{words}; where it is still watched, it is told of anew")


def find_device(settings: Settings, text: str, alerts: bool) -> str:
    """The id of the one device that a story is kept of; with `alerts`, also of one that only alerts tell of, by its
    whole id. Raises LenswatchError."""
    if alerts and not any(each.id == text for each in open_stories(settings)) and alerts_of(settings, text):
        return text
    return find_story(settings, text).id
