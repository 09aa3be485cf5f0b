"""`lenswatch rules publish`: facts and detections to every worker."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from rules.load import collect_files
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
    from rules.load import load_pack
    from streams.rules_topic import publish as send

    settings = kafka_settings(config, kafka)
    packed = pack(collect_files((*settings.rules.folders, *folders)))
    if out is not None:
        digest = load_pack(packed).digest
        try:
            out.write_bytes(packed)
        except OSError as error:
            from collector.errors import LenswatchError

            raise LenswatchError(f"{out}: cannot be written: {error.strerror}") from error
        typer.echo(f"{out}: {len(packed):,} bytes, rules {digest}")
        return
    sent = asyncio.run(send(settings.kafka, packed))
    typer.echo(f"published rules {sent.ruleset}\n{sent.size_bytes:,} bytes, files {sent.digest}, offset {sent.offset}")
