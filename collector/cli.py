"""`lenswatch collect`: settings → source → pipeline → publisher."""

import contextlib
import functools
import os
import shutil
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from collector.canary import DATASET, Canaries
from collector.capture.source import Source
from collector.errors import CaptureError, LenswatchError
from collector.evidence.ring import EvidenceSettings, keeping
from collector.kafka_settings import KafkaSettings
from collector.ledger import Losses
from collector.opening import (
    CaptureFilter,
    Deep,
    Engine,
    Follow,
    User,
    Workers,
    crew_of,
    open_sources,
    pipeline_for,
    with_deep,
    with_options,
)
from collector.running import Interrupts, rare_collection
from collector.settings import (
    ALL,
    CAMERAS,
    TOUCHED,
    CaptureSettings,
    CollectorSettings,
    DeepSettings,
    default_state_folder,
    read_settings,
)
from collector.spool import SpoolSettings, count_waiting
from collector.watched import nothing, watched_by

if TYPE_CHECKING:
    from collector.page import Reading
    from collector.pipeline import Pipeline
    from collector.publish.kafka import KafkaPublisher
    from collector.reporting import Concerns
    from collector.workers import Crew

FAILED = 1
READY_SECONDS = 60
SPOOL_FOLDER = "spool"
IMPORTED_LATER = (
    "collector.pipeline", "collector.identify.fingerprint", "collector.kafka_link", "collector.metrics",
    "collector.publish.kafka", "collector.publish.jsonl", "collector.evidence.answering", "collector.evidence.meters",
)  # fmt: skip


class EdgeSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The sections of the settings file that concern a collector; the others are the centre's."""

    collector: CollectorSettings = CollectorSettings()
    capture: CaptureSettings = CaptureSettings()
    deep: DeepSettings = DeepSettings()
    kafka: KafkaSettings = KafkaSettings()
    spool: SpoolSettings = SpoolSettings()
    evidence: EvidenceSettings = EvidenceSettings()

    def spool_folder(self, environment: Mapping[str, str]) -> Path:
        """Where the spool is: the setting, else `spool` in the user's state folder."""
        return self.spool.folder or default_state_folder(environment) / SPOOL_FOLDER


def collect(
    context: typer.Context,
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE",
            help="Interfaces; captures (pcap, pcapng, gzipped too), folders of them; - is standard input.",
        ),
    ],
    kafka: Annotated[
        str | None, typer.Option(metavar="HOST:PORT,…", help="Kafka's addresses; more at [kafka] in the settings.")
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Say what would be done, and whether broker and topics answer; do nothing.")
    ] = False,
    dump: Annotated[
        bool, typer.Option("--dump", help="Write the observations as lines of JSON on standard output, not to Kafka.")
    ] = False,
    config: Annotated[Path | None, typer.Option("--config", metavar="FILE", help="The settings file (TOML).")] = None,
    capture_filter: CaptureFilter = None,
    workers: Workers = None,
    user: User = None,
    follow: Follow = None,
    engine: Engine = None,
    deep: Deep = None,
) -> None:
    """Read packets and publish what they say to Kafka, for `lenswatch worker` elsewhere.

    What was read waits on disk until Kafka has it: a broker that is away stops nothing. SIGTERM sends what is left.
    """
    settings = read_settings(EdgeSettings, config, os.environ)
    if kafka is not None:
        try:
            settings = msgspec.structs.replace(settings, kafka=msgspec.structs.replace(settings.kafka, servers=kafka))
        except ValueError as error:
            raise typer.BadParameter(str(error), param_hint="--kafka") from error
    if not dump and not settings.kafka.addresses:
        raise typer.BadParameter(
            "where is Kafka? name --kafka HOST:PORT, or [kafka] servers; --dump does without", param_hint="--kafka"
        )
    capture = with_options(settings.capture, capture_filter, workers, user, follow, engine)
    settings = msgspec.structs.replace(settings, capture=capture, deep=with_deep(settings.deep, deep))
    # What knows the rules hands in what loads them: (config) → what touches a known endpoint.
    load: Callable[[Path | None], Concerns] | None = context.obj
    touches = watched_by(settings.collector, lambda: nothing if load is None else load(config))
    opened = open_sources(sources, capture, IMPORTED_LATER, settings.deep)
    if check:
        run_check(settings, opened, dump)
    elif dump:
        run_dump(settings, opened, touches)
    else:
        run_collect(settings, opened, touches)


def say(words: str) -> None:
    """A line for the person, on standard error; control characters of others' words are taken out."""
    text = "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in words)
    typer.echo(f"lenswatch: {text}", err=True)


def new_pipeline(
    settings: EdgeSettings, sources: Sequence[Source], touches: "Concerns | None" = None
) -> "Pipeline | Crew":
    """The pipeline, which is slow to load; with several workers, theirs."""
    from collector.identify.fingerprint import read_fingerprints

    return pipeline_for(
        settings.capture, settings.collector, read_fingerprints(), None, crew_of(sources), settings.deep, touches
    )


def read_all(
    pipeline: "Pipeline | Crew",
    sources: Sequence[Source],
    interrupts: Interrupts,
    publisher: "KafkaPublisher",
    canaries: Canaries,
) -> list[str]:
    """Every source to its end, or to a signal; what could not be read, a line each."""
    problems, losses = [], Losses(pipeline.ledger, say)
    with contextlib.suppress(KeyboardInterrupt):
        for source in sources:
            try:
                for block in interrupts.between_blocks(source).blocks():
                    losses.look(time.monotonic())
                    if block.notice is not None:
                        say(f"{source.name}: {block.notice}")
                    # Only now: what a block holds is not handed over while it is still being read.
                    publisher.publish_up_to(
                        int(block.time_ns[-1]) if len(block.time_ns) else 0, pipeline.process(block)
                    )
                    sung = canaries.due(time.time())
                    if sung:
                        pipeline.ledger.observations[DATASET] += len(sung)
                        publisher.publish(sung)
            except CaptureError as error:
                problems.append(str(error))
    publisher.publish(pipeline.finish())
    return problems


def run_collect(settings: EdgeSettings, sources: Sequence[Source], touches: "Concerns | None" = None) -> None:
    """Collect until the sources end or a signal comes; then send what is left."""
    from collector.evidence.answering import Answering
    from collector.evidence.meters import evidence_metrics
    from collector.kafka_link import check_build, security_options
    from collector.metrics import CollectorMetrics, MetricsPage
    from collector.page import Reading
    from collector.publish.kafka import KafkaPublisher

    check_build()
    security_options(settings.kafka)
    pipeline = new_pipeline(settings, sources, touches)
    folder, proofs = settings.spool_folder(os.environ), settings.evidence.place(os.environ)
    with contextlib.ExitStack() as stack:
        interrupts = stack.enter_context(Interrupts())
        stack.enter_context(rare_collection())
        witness = stack.enter_context(keeping(settings.evidence, proofs, say))
        pipeline.keep_with(witness)
        publisher = KafkaPublisher(settings.kafka, settings.spool, folder, settings.collector, say, pipeline.ledger)
        with contextlib.closing(publisher):
            answering = None
            if witness is not None:
                answering = Answering(settings.kafka, settings.collector.sensor, proofs, settings.evidence, say)
                stack.enter_context(contextlib.closing(answering))
            if settings.collector.metrics:
                more = [functools.partial(evidence_metrics, witness, answering)]
                metrics = CollectorMetrics(pipeline.ledger, publisher, more)
                reading = Reading(lambda: pipeline.ledger.packets_in)
                page = MetricsPage(
                    settings.collector.metrics, metrics, lambda: why_not_ready(reading, publisher),
                    interrupts.liveness.problem,
                )  # fmt: skip
                stack.enter_context(contextlib.closing(page))
            of = settings.collector
            canaries = Canaries(of.sensor, of.site, of.canary_seconds, time.time())
            problems = read_all(pipeline, sources, interrupts, publisher, canaries)
    for line in [*problems, *pipeline.ledger.open_sums(), *publisher.open_sums()]:
        say(line)
    left = tell_outcome(publisher)
    if problems or (left and not interrupts.asked):
        raise typer.Exit(FAILED)


def why_not_ready(reading: "Reading", publisher: "KafkaPublisher") -> str:
    """Why this collector does not watch, or "" when it does: what it reads now must be safe."""
    return reading.why_not() or ("" if publisher.spool.is_writable else "the spool cannot be written")


def tell_outcome(publisher: "KafkaPublisher") -> int:
    """Say what became of the observations; how many are left in the spool."""
    spool, dropped = publisher.spool, publisher.dropped()
    say(f"{publisher.taken} observations made, {publisher.sender.sent.observations} published")
    if dropped:
        say("let go: " + ", ".join(f"{count} {reason}" for reason, count in sorted(dropped.items())))
    if spool.observations:
        why = f" ({publisher.sender.problem})" if publisher.sender.problem else ""
        say(f"{spool.path}: {spool.observations} observations wait for the next start{why}")
    return spool.observations


def run_dump(settings: EdgeSettings, sources: Sequence[Source], touches: "Concerns | None" = None) -> None:
    """The observations on standard output."""
    from collector.publish.jsonl import JsonLines

    pipeline, lines, problems = new_pipeline(settings, sources, touches), JsonLines("-"), []
    with Interrupts() as interrupts, rare_collection(), contextlib.suppress(KeyboardInterrupt, BrokenPipeError):
        for source in sources:
            try:
                for block in interrupts.between_blocks(source).blocks():
                    lines.publish(pipeline.process(block))
            except CaptureError as error:
                problems.append(str(error))
    with contextlib.suppress(BrokenPipeError):
        lines.publish(pipeline.finish())
    for line in [*problems, *pipeline.ledger.open_sums()]:
        say(line)
    if problems:
        raise typer.Exit(FAILED)


def run_check(settings: EdgeSettings, sources: Sequence[Source], dump: bool) -> None:
    """What `collect` would do, a line each, and whether the other end answers."""
    ours = settings.collector
    typer.echo(f"sensor     {ours.sensor}, site {ours.site}, networks {', '.join(ours.networks)}")
    words = {CAMERAS: "cameras alone", TOUCHED: "cameras, and what touches a known endpoint", ALL: "all that is seen"}
    typer.echo(f"watched    {words[ours.traffic]}")
    for source in sources:
        size = "" if source.size_bytes is None else f", {source.size_bytes:,} bytes"
        typer.echo(f"source     {source.name}{size}")
    if dump:
        typer.echo("to         standard output, as lines of JSON")
        return
    kept, days = settings.evidence, settings.evidence.max_age_seconds / 86_400
    bound = f"{kept.place(os.environ)}, at most {kept.max_bytes >> 20:,} MiB and {days:,.1f} days"
    typer.echo(f"evidence   {bound if kept.keep else 'none is kept'}")
    typer.echo(f"metrics    {f'http://{ours.metrics}/metrics' if ours.metrics else 'nowhere'}")
    problems = [*check_spool(settings), *check_kafka(settings.kafka)]
    for problem in problems:
        say(problem)
    if problems:
        raise typer.Exit(FAILED)


def check_spool(settings: EdgeSettings) -> list[str]:
    """Say what the spool holds, which may be in use; the problems."""
    folder = settings.spool_folder(os.environ)
    bound = f"at most {settings.spool.max_bytes >> 20:,} MiB and {settings.spool.max_age_seconds / 3600:,.0f} hours"
    there = next(each for each in (folder, *folder.absolute().parents) if each.exists())
    if not (there.is_dir() and os.access(there, os.W_OK)):
        return [f"{there}: cannot be written; name another folder at [spool] folder"]
    try:
        waiting = count_waiting(folder)
    except LenswatchError as error:
        return [str(error)]
    typer.echo(f"spool      {folder}, {waiting:,} observations wait; {bound}")
    free = shutil.disk_usage(there).free
    if free < settings.spool.max_bytes:
        return [f"{folder}: {free >> 20:,} MiB free, less than spool.max_bytes: make room, or lower it"]
    return []


def check_kafka(settings: KafkaSettings) -> list[str]:
    """Say whether broker and topics answer; the problems."""
    from collector.kafka_link import connect, count_partitions, discard

    how = settings.security_protocol + (f", {settings.sasl_mechanism}" if settings.sasl_mechanism else "")
    typer.echo(f"kafka      {settings.servers} ({how})")
    began = time.monotonic()
    try:
        producer = connect(settings, "lenswatch-check")
    except LenswatchError as error:
        return [str(error)]
    try:
        typer.echo(f"topic      {settings.observations_topic}, {settings.partitions} partitions")
        count = count_partitions(producer, settings.heartbeats_topic)
        typer.echo(f"topic      {settings.heartbeats_topic}, {count} partitions")
    except LenswatchError as error:
        return [f"{error}; without it no heartbeats are sent"]
    finally:
        discard(producer)
        sys.stdout.flush()
    typer.echo(f"answered   in {time.monotonic() - began:.2f} s")
    return []
