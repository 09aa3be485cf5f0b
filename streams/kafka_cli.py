"""The commands that speak to Kafka: `lenswatch worker` and `lenswatch topics create|check`."""

import asyncio
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from collector.errors import LenswatchError, SettingsError
from collector.kafka_settings import KafkaSettings
from rules.alert import Alert
from streams.options import Config
from streams.settings import Settings, load_settings

topics_app = typer.Typer(rich_markup_mode=None, help="The Kafka topics: make them, check them.")

Servers = Annotated[
    str | None, typer.Option("--kafka", metavar="HOST:PORT,…", help="The Kafka brokers; default: [kafka] servers.")
]


def kafka_settings(config: Path | None, servers: str | None) -> Settings:
    """The settings with the brokers of the command line in them. Raises SettingsError."""
    settings = load_settings(config)
    if servers is None:
        return settings
    try:
        kafka = msgspec.structs.replace(settings.kafka, servers=servers)
        return msgspec.structs.replace(settings, kafka=msgspec.convert(msgspec.to_builtins(kafka), KafkaSettings))
    except (ValueError, msgspec.ValidationError) as error:
        raise SettingsError(f"--kafka: {error}") from error


def worker(
    kafka: Servers = None,
    alerts: Annotated[
        str | None,
        typer.Option(
            "--alerts", metavar="PATH", help="Add every alert revision as a line of JSON; - is standard output."
        ),
    ] = None,
    config: Config = None,
    folders: Annotated[
        list[Path],
        typer.Option("--rules", metavar="DIR", help="A folder of your own facts/ and detections/; may be repeated."),
    ] = [],  # noqa: B006
    replay: Annotated[
        str | None,
        typer.Option(
            metavar="FROM",
            help="Run what Kafka keeps since then through today's rules, into the replay topic, and end: "
            "2026-11-02T08:00:00Z, 7d or earliest.",
        ),
    ] = None,
    until: Annotated[
        str | None, typer.Option(metavar="TIME", help="With --replay: only what Kafka took in before then.")
    ] = None,
) -> None:
    """Match the observations that Kafka holds against the rules, with as many workers as you start.

    SIGTERM finishes what was begun. SIGHUP, or a file of the rules that changed, has them read again.
    """
    from streams.rule_files import files_of
    from streams.worker import alert_sink, rules_loader, run_worker

    settings = kafka_settings(config, kafka)
    if replay is not None:
        from streams.replay import run_replay

        typer.echo(run_replay(settings, rules_loader(settings, folders)(), replay, until, alert_sink(alerts)), err=True)
        return
    if until is not None:
        raise typer.BadParameter("goes with --replay only", param_hint="--until")
    # Looked at before they are read, so that no change in between is missed.
    files = files_of(settings.rules, folders)
    run_worker(settings, rules_loader(settings, folders), alert_sink(alerts), files)


@topics_app.command("create")
def create(
    kafka: Servers = None,
    config: Config = None,
    replicas: Annotated[
        int | None, typer.Option(min=1, help="How many brokers keep each partition; default: three, if there are.")
    ] = None,
) -> None:
    """Make the topics that are missing, with the right partitions and cleanup policies."""
    from streams.topics import create_topics, faults, find_topics, wanted_topics

    settings = kafka_settings(config, kafka)
    wanted = wanted_topics(settings.kafka, settings.worker)

    async def make() -> list[str]:
        for name in await create_topics(settings.kafka, wanted, replicas):
            typer.echo(f"made {name}")
        return faults(wanted, await find_topics(settings.kafka, wanted))

    end(asyncio.run(make()), len(wanted))


@topics_app.command("check")
def check(kafka: Servers = None, config: Config = None) -> None:
    """Say whether the topics are as they should be."""
    from streams.topics import faults, find_topics, wanted_topics

    settings = kafka_settings(config, kafka)
    wanted = wanted_topics(settings.kafka, settings.worker)
    end(faults(wanted, asyncio.run(find_topics(settings.kafka, wanted))), len(wanted))


def read_kept_alerts(settings: Settings, prefix: str = "") -> list[Alert]:
    """The alerts that the workers told, as the alerts topic has them. Raises LenswatchError."""
    from streams.alert_topic import read_alert_topic

    return asyncio.run(read_alert_topic(settings.kafka, settings.worker.alerts_topic, prefix))


def end(wrong: list[str], count: int) -> None:
    """Raises LenswatchError with what is wrong, a line each; says so when nothing is."""
    if wrong:
        raise LenswatchError("\n".join(wrong))
    typer.echo(f"{count} topics are as they should be")
