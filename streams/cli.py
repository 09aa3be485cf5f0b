"""The `lenswatch` command: the front door, with every subcommand mounted. Exit 0 done, 1 failed, 2 usage or settings,
3 an alert of the level that --fail-on names."""

import contextlib
import datetime
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import msgspec
import typer

from collector.capture.source import Source
from collector.cli import collect
from collector.errors import LenswatchError, SettingsError
from collector.evidence.ring import keeping
from collector.opening import (
    CaptureFilter,
    Deep,
    Engine,
    Follow,
    User,
    Workers,
    crew_of,
    open_sources,
    with_deep,
    with_options,
)
from collector.packets import Block
from collector.publish.jsonl import JsonLines
from collector.running import Interrupts, leave, rare_collection
from collector.settings import ALL, CollectorSettings
from rules.alert import LEVELS, Alert
from rules.cli import app as rules_app
from rules.cli import read_day
from rules.facts_cli import app as facts_app
from streams.alerts_cli import alerts_app, explain
from streams.declared_file import DeclaredList, read_declared
from streams.device_store import open_devices
from streams.devices_cli import devices_app
from streams.edge import known_endpoints
from streams.geo_cli import app as geo_app
from streams.kafka_cli import topics_app, worker
from streams.live import IMPORTED_LATER, Ticker, with_notices
from streams.local import LocalWatch, Output, Run
from streams.options import Config, Folders
from streams.pack_cli import mount as mount_pack_commands
from streams.processors.canary import is_canary
from streams.processors.declared import Register
from streams.publish_cli import publish
from streams.renewal import renewal_for, renewing
from streams.ruleset import rules_for
from streams.screen import fill, in_order, print_alerts, say, screen_width, summary_lines
from streams.settings import Settings, load_settings, state_folder
from streams.settings_cli import settings_app
from streams.sinks_cli import sinks_app
from streams.store import AlertStore, open_alerts
from streams.storybook import Storybook, restore
from streams.verdict import KnownAt, verdict
from streams.waivers import list_waivers, warnings
from streams.whatif import whatif

if TYPE_CHECKING:
    from rules.match import RuleSet
    from streams.watch_metrics import WatchMeters

app = typer.Typer(
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"max_content_width": 100},
    help="Which of our cameras call whom, and under which law does that matter?",
)
app.command()(collect)
app.add_typer(rules_app, name="rules")
app.add_typer(facts_app, name="facts")
app.add_typer(alerts_app, name="alerts")
app.add_typer(devices_app, name="devices")
app.add_typer(geo_app, name="geo")
rules_app.command()(publish)
rules_app.command()(explain)
mount_pack_commands(rules_app)
app.add_typer(topics_app, name="topics")
app.add_typer(sinks_app, name="sinks")
app.add_typer(settings_app, name="settings")
app.command()(worker)

DEMO = Path(__file__).parent / "demo" / "office.pcap"
FAILED, USAGE, ALERTED = 1, 2, 3

AlertsTo = Annotated[
    str | None,
    typer.Option(
        "--alerts", metavar="PATH", help="Write every alert revision as a line of JSON; - is standard output."
    ),
]
SeenTo = Annotated[
    str | None,
    typer.Option(
        "--observations", metavar="PATH", help="Write every observation as a line of JSON; - is standard output."
    ),
]
FailOn = Annotated[
    str | None, typer.Option(metavar="LEVEL", help=f"Exit 3 at an alert of this level or above: {', '.join(LEVELS)}.")
]
Sources = Annotated[
    list[str],
    typer.Argument(
        metavar="SOURCE", help="Interfaces; captures (pcap, pcapng, gzipped too), folders of them; - is standard input."
    ),
]
AsOf = Annotated[
    str | None,
    typer.Option(metavar="DAY", help="The day whose listings count, YYYY-MM-DD; default: each packet's day."),
]


@app.callback(invoke_without_command=True)
def front_door(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Say the version, and stop.")] = False,
) -> None:
    """Which of our cameras call whom, and under which law does that matter?

    `lenswatch demo` shows it on a small recorded office; `lenswatch watch SOURCE…` reads your own captures.
    """
    if version:
        import importlib.metadata

        typer.echo(f"lenswatch {importlib.metadata.version('lenswatch')}")
        raise typer.Exit
    context.obj = known_endpoints
    if context.invoked_subcommand is None:
        typer.echo(context.get_help(), err=True)
        raise typer.Exit(USAGE)


@app.command()
def watch(
    sources: Sources,
    alerts: AlertsTo = None,
    observations: SeenTo = None,
    config: Config = None,
    as_of: AsOf = None,
    folders: Folders = [],  # noqa: B006
    fail_on: FailOn = None,
    known_at: KnownAt = None,
    capture_filter: CaptureFilter = None,
    workers: Workers = None,
    user: User = None,
    follow: Follow = None,
    inventory: DeclaredList = None,
    engine: Engine = None,
    deep: Deep = None,
) -> None:
    """Read captures, or listen to an interface; find the cameras' calls and say what they mean.

    The alerts are shown, and kept for `lenswatch alerts`; what was read is summed up on standard error. SIGHUP, or a
    file of the rules that changed, has the rules read again where the watching does not end by itself.
    """
    if fail_on is not None and fail_on not in LEVELS:
        raise typer.BadParameter(f"{fail_on!r} is no level; one of {', '.join(LEVELS)}", param_hint="--fail-on")
    if alerts == "-" and observations == "-":
        raise typer.BadParameter("only one of --alerts and --observations can go to standard output")
    on = None if as_of is None else read_day(as_of)
    known = None if known_at is None else read_day(known_at, "--known-at")
    settings = load_settings(config)
    capture = with_options(settings.capture, capture_filter, workers, user, follow, engine)
    settings = msgspec.structs.replace(settings, capture=capture, deep=with_deep(settings.deep, deep))
    register = None if inventory is None else Register(read_declared(inventory))
    run = run_watch(settings, sources, alerts, observations, on, folders, known, register)
    finish(run, fail_on)


@app.command()
def demo(
    folder: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where the JSON goes; default: lenswatch's state folder.")
    ] = None,
    config: Config = None,
) -> None:
    """Watch the small office that is shipped, and show what is found.

    The alerts are kept beside your own, with the sensor "demo".
    """
    ours = load_settings(config)
    collector = CollectorSettings(sensor="demo", site="demo", traffic=ALL)
    settings = Settings(collector=collector, store=ours.store, evidence=ours.evidence)
    place = folder or state_folder(ours.store) / "demo"
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LenswatchError(f"{place}: cannot be written: {error.strerror}; name a folder with --folder") from error
    alerts, observations = str(place / "alerts.jsonl"), str(place / "observations.jsonl")
    run = run_watch(settings, [str(DEMO)], alerts, observations, None, ())
    typer.echo(f"\nthe alerts as JSON  {alerts}\nall that was seen   {observations}", err=True)
    if run.alerts:
        gravest = in_order(run.alerts.values())[0].event.id[:8]
        typer.echo(f"one alert whole     {typed()} alerts show {gravest}", err=True)
        typer.echo(f"and its sources     {typed()} rules explain {gravest}", err=True)
        typer.echo(f"and its packets     {typed()} alerts show {gravest} --packets", err=True)
    finish(run, None)


def typed() -> str:
    """What to type for this command here: its name where the shell finds it, else the way to it."""
    here = Path(sys.argv[0])
    found = shutil.which(here.name)
    return here.name if found is not None and Path(found).samefile(here) else os.path.relpath(here)


def run_watch(
    settings: Settings,
    names: Sequence[str],
    alerts_to: str | None,
    observations_to: str | None,
    on: datetime.date | None,
    folders: Sequence[Path],
    known: datetime.date | None = None,
    register: Register | None = None,
) -> Run:
    """Watch the named sources; write, keep and show what was found."""
    from streams.doctor import keep_last_run

    with contextlib.ExitStack() as stack:
        renewal = renewal_for(stack, settings, names, folders, known)
        rules = rules_for(settings, folders, known)
        rules.prepare()
        for line in warnings(rules.court.waivers, on or datetime.datetime.now(datetime.UTC).date()):
            say(line)
        # Last, because it may give up the right to read what was needed until here.
        opened = open_sources(names, settings.capture, IMPORTED_LATER, settings.deep)
        store = stack.enter_context(contextlib.closing(open_alerts(settings.store)))
        outputs: list[list[Output]] = [[], [StoreOutput(store)]]
        for place, name in ((0, observations_to), (1, alerts_to)):
            if name is not None:
                outputs[place].append(stack.enter_context(contextlib.closing(JsonLines(name))))
        quiet = "-" in (alerts_to, observations_to)
        meters = add_outlets(stack, settings, rules, outputs)
        # Last: the sinks need not wait for a screen.
        shown = Ticker.beside(outputs[1], opened, quiet)
        stack.enter_context(rare_collection())
        interrupts = stack.enter_context(Interrupts())
        progress = stack.enter_context(progress_bar(opened))
        devices = open_devices(settings.store)
        book = stack.enter_context(contextlib.closing(Storybook(devices)))
        local = LocalWatch(settings, rules, on, outputs[0], crew_of(opened), book, register, book.updates)
        proofs = settings.evidence.place(os.environ, state_folder(settings.store))
        local.pipeline.keep_with(stack.enter_context(keeping(settings.evidence, proofs, say)))
        restore(local.pipeline.inventory, devices, register)
        if meters is not None:
            meters.watches(local, interrupts.liveness.problem)
        stack.enter_context(renewing(renewal, local, meters, say, interrupts.liveness.notices))
        after = with_notices(progress, say, local.pipeline.ledger)
        run = local.watch([interrupts.between_blocks(source) for source in opened], outputs[1], after)
    keep_last_run(state_folder(settings.store), run, time.time())
    show(run, quiet or shown)
    return run


def add_outlets(
    stack: contextlib.ExitStack, settings: Settings, rules: "RuleSet", outputs: list[list[Output]]
) -> "WatchMeters | None":
    """Metrics and sinks among the outputs, where the settings name any: else nobody would read what they count."""
    if not (settings.watch.metrics or settings.sinks):
        return None
    from streams.delivery import delivering
    from streams.watch_metrics import watch_metrics

    meters = stack.enter_context(watch_metrics(settings, rules))
    if settings.watch.metrics:
        outputs[0].append(meters)
    outputs[1].append(meters)
    dispatch = stack.enter_context(delivering(settings, meters.sinks))
    if dispatch is not None:
        outputs[1].append(dispatch)
    return meters


class StoreOutput:
    """The alert store as an output."""

    def __init__(self, store: AlertStore) -> None:
        self._store = store

    def write(self, documents: Sequence[object]) -> None:
        """Keep the alerts, but no canaries: those come for ever, and are for nobody to look at."""
        self._store.put([each for each in documents if isinstance(each, Alert) and not is_canary(each)])


@contextlib.contextmanager
def progress_bar(sources: Sequence[Source]) -> Iterator[Callable[[Block], None] | None]:
    """A bar of bytes read, on a terminal only."""
    sizes = [source.size_bytes for source in sources]
    if not sys.stderr.isatty() or not all(sizes):
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("reading"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("reading", total=sum(size or 0 for size in sizes))
        before = last = 0

        def advance(block: Block) -> None:
            nonlocal before, last
            if block.position < last:
                before += last
            last = block.position
            progress.update(task, completed=before + last)

        yield advance


def show(run: Run, quiet: bool) -> None:
    """The alerts on standard output, unless that is taken; the summary on standard error."""
    if not quiet and run.alerts:
        print_alerts(run.alerts.values())
        if run.gone:
            say(f"{run.gone.total():,} earlier findings are not shown; they are in the store and on every output")
    elif not quiet:
        typer.echo("no alerts")
    sys.stdout.flush()
    for line in summary_lines(run):
        typer.echo(line, err=True)


def finish(run: Run, fail_on: str | None) -> None:
    """The problems, a line each, and the exit code."""
    for problem in run.problems:
        say(problem)
    if run.interrupted:
        say("interrupted; what was read by then is told above")
    if run.problems or run.interrupted:
        raise typer.Exit(FAILED)
    if fail_on is not None and any(LEVELS.index(level) >= LEVELS.index(fail_on) for level in run.by_level()):
        raise typer.Exit(ALERTED)


@app.command()
def doctor(config: Config = None) -> None:
    """Check what watching needs, and say how to mend what is not there."""
    from streams.doctor import BAD, examine

    width = min(screen_width(), 120)
    bad = False
    for answer in examine(load_settings(config)):
        bad = bad or answer.state == BAD
        text = f"{answer.text}\n→ {answer.mend}" if answer.mend else answer.text
        label = f"{answer.state:<5} {answer.check:<11} "
        for line in (part for each in text.split("\n") for part in fill(each, width - len(label))):
            typer.echo(label + line)
            label = " " * len(label)
    if bad:
        raise typer.Exit(FAILED)


app.command()(verdict)
app.command()(whatif)
app.command("waivers")(list_waivers)


def main() -> NoReturn:
    """Run the command as a process of its own."""
    leave(run_command())


def run_command() -> int:
    """Run the command; an error for people is one line and an exit code, which is given."""
    try:
        code = app(prog_name="lenswatch", standalone_mode=False)
    except typer.TyperException as error:
        context = getattr(error, "ctx", None)
        say(f"{error.format_message()}{f' ({context.command_path} --help says more)' if context else ''}")
        code = error.exit_code
    except SettingsError as error:
        say(error)
        code = USAGE
    except LenswatchError as error:
        say(error)
        code = FAILED
    return code if isinstance(code, int) else 0
