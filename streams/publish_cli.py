"""`lenswatch rules publish`: facts and detections to every worker."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from collector.errors import LenswatchError
from rules.load import collect_files, load_rules
from rules.pack import pack
from streams.kafka_cli import Config, Servers, kafka_settings


def publish(
    kafka: Servers = None,
    config: Config = None,
    folders: Annotated[
        list[Path],
        typer.Option("--rules", metavar="DIR", help="A folder of your own facts/ and detections/; may be repeated."),
    ] = [],  # noqa: B006
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Write the pack (a zip file) there, and send nothing.")
    ] = None,
) -> None:
    """Send the facts and detections, those that are shipped and your own, to every worker; each takes them whole or
    not at all."""
    from streams.rules_topic import publish as send

    settings = kafka_settings(config, kafka)
    every = (*settings.rules.folders, *folders)
    # Here wrong files are named by where they lie; of the pack it would be by where they lie in it.
    digest = load_rules(every).digest
    packed = pack(collect_files(every))
    if out is not None:
        try:
            out.write_bytes(packed)
        except OSError as error:
            raise LenswatchError(f"{out}: cannot be written: {error.strerror}") from error
        typer.echo(f"{out}: {len(packed):,} bytes, rules {digest}")
        return
    sent = asyncio.run(send(settings.kafka, settings.worker.rules_topic, packed))
    typer.echo(f"published rules {sent.ruleset}\n{sent.size_bytes:,} bytes, files {sent.digest}, offset {sent.offset}")
