"""`lenswatch rules publish`: facts and detections to every worker."""

import asyncio
import datetime
from pathlib import Path
from typing import Annotated

import typer

from collector.errors import SettingsError
from rules.keys import read_private
from rules.load import collect_files, load_rules
from rules.pack import pack
from rules.signature import default_version, read_signature, sign
from streams.kafka_cli import Servers, kafka_settings
from streams.options import Config
from streams.pack_cli import SigningKey, Version, signature_of, write


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
    key: SigningKey = None,
    version: Version = None,
    may_shrink: Annotated[
        bool, typer.Option("--may-shrink", help="Workers take it though more than half of the indicators went.")
    ] = False,
) -> None:
    """Send the facts and detections, those that are shipped and your own, to every worker; each takes them whole or
    not at all."""
    from streams.rules_topic import publish as send

    if version is not None and key is None:
        raise SettingsError("--version is a signed pack's: give --key too")
    secret = None if key is None else read_private(key)
    settings = kafka_settings(config, kafka)
    every = (*settings.rules.folders, *folders)
    # Here wrong files are named by where they lie; of the pack it would be by where they lie in it.
    digest = load_rules(every).digest
    files = collect_files(every)
    packed, signature = pack(files), None
    if secret is not None:
        now = datetime.datetime.now(datetime.UTC)
        signature = sign(files, version or default_version(now), now, secret)
    if out is not None:
        write(out, packed)
        if signature is not None:
            write(signature_of(out), signature)
        typer.echo(f"{out}: {len(packed):,} bytes, rules {digest}")
        return
    sent = asyncio.run(send(settings.kafka, settings.worker.rules_topic, packed, signature, may_shrink))
    typer.echo(f"published rules {sent.ruleset}\n{sent.size_bytes:,} bytes, files {sent.digest}, offset {sent.offset}")
    if signature is not None:
        typer.echo(read_signature(settings.worker.rules_topic, signature)[0].words())
