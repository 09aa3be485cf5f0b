"""The `lenswatch` command: the front door, with every subcommand mounted. Exit 0 done, 1 failed, 2 usage or settings,
3 an alert of the level that --fail-on names."""

import contextlib
import gc
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from collector.capture.source import Source
from collector.errors import LenswatchError, SettingsError
from collector.packets import Block
from collector.publish.jsonl import JsonLines
from rules.alert import LEVELS, Alert
from rules.cli import app as rules_app
from rules.cli import read_day
from rules.load import load_rules
from streams.doctor import BAD, examine, keep_last_run
from streams.local import LocalWatch, Output, Run, open_source
from streams.settings import Settings, load_settings, state_folder
from streams.store import AlertStore

app = typer.Typer(no_args_is_help=True, add_completion=True, pretty_exceptions_enable=False,
                  help="Which of our cameras call whom, and under which law does that matter?")  # fmt: skip
alerts_app = typer.Typer(help="The alerts that were told.", invoke_without_command=True)
app.add_typer(rules_app, name="rules")
app.add_typer(alerts_app, name="alerts")

DEMO = Path(__file__).parent / "demo" / "office.pcap"
GC_THRESHOLDS = (100_000, 50, 100)
FAILED, USAGE, ALERTED = 1, 2, 3

Config = Annotated[Path | None, typer.Option("--config", help="The settings file (TOML).")]
Folders = Annotated[
    list[Path], typer.Option("--rules", help="A folder of your own facts/ and detections/; may be repeated.")
]
AlertsTo = Annotated[
    str | None, typer.Option("--alerts", help="Write every alert revision as a line of JSON; - is stdout.")
]
SeenTo = Annotated[
    str | None, typer.Option("--observations", help="Write every observation as a line of JSON; - is stdout.")
]
FailOn = Annotated[str | None, typer.Option(help=f"Exit 3 at an alert of this level or above: {', '.join(LEVELS)}.")]
Sources = Annotated[
    list[str], typer.Argument(metavar="SOURCE…", help="Capture files (pcap, pcapng, gzipped too); - is stdin.")
]
AsOf = Annotated[str | None, typer.Option(help="The day whose listings count, YYYY-MM-DD; default: the packet's day.")]


@app.command()
def watch(
    sources: Sources,
    alerts: AlertsTo = None,
    observations: SeenTo = None,
    config: Config = None,
    as_of: AsOf = None,
    folders: Folders = [],  # noqa: B006
    fail_on: FailOn = None,
) -> None:
    """Read captures; find the cameras' calls and say what they mean."""
    if fail_on is not None and fail_on not in LEVELS:
        raise typer.BadParameter(f"{fail_on!r} is no level; one of {', '.join(LEVELS)}", param_hint="--fail-on")
    if alerts == "-" and observations == "-":
        raise typer.BadParameter("only one of --alerts and --observations can go to standard output")
    settings = load_settings(config)
    run = run_watch(settings, sources, alerts, observations, as_of, folders)
    finish(run, fail_on)


@app.command()
def demo(
    folder: Annotated[Path | None, typer.Option(help="Where the JSON goes; default: lenswatch's state folder.")] = None,
) -> None:
    """Watch the small recorded office that lenswatch ships, and show the alerts."""
    settings = load_settings(None)
    settings = msgspec.structs.replace(
        settings, collector=msgspec.structs.replace(settings.collector, sensor="demo", site="demo")
    )
    place = folder or state_folder(settings.store) / "demo"
    place.mkdir(parents=True, exist_ok=True)
    alerts, observations = str(place / "alerts.jsonl"), str(place / "observations.jsonl")
    run = run_watch(settings, [str(DEMO)], alerts, observations, None, ())
    typer.echo(f"the alerts as JSON: {alerts}\nwhat was seen:      {observations}")
    typer.echo("one alert whole:    lenswatch alerts show ID    (the id's first digits are enough)")
    finish(run, None)


def run_watch(
    settings: Settings,
    names: Sequence[str],
    alerts_to: str | None,
    observations_to: str | None,
    as_of: str | None,
    folders: Sequence[Path],
) -> Run:
    """Watch the named sources; write, keep and show what was found."""
    opened = [open_source(name) for name in names]
    rules = load_rules((*settings.rules.folders, *folders))
    local = LocalWatch(settings, rules, None if as_of is None else read_day(as_of))
    folder = state_folder(settings.store)
    store = AlertStore(folder, settings.store.max_alerts)
    # What was loaded stays for good; the collector of cycles need not look at it again and again.
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with contextlib.ExitStack() as stack:
        stack.callback(store.close)
        outputs: list[list[Output]] = [[], [StoreOutput(store)]]
        for place, name in ((0, observations_to), (1, alerts_to)):
            if name is not None:
                lines = JsonLines(name)
                stack.callback(lines.close)
                outputs[place].append(lines)
        progress = stack.enter_context(progress_bar(opened))
        run = local.watch(opened, outputs[0], outputs[1], progress)
    keep_last_run(folder, run, time.time())
    show(run, quiet="-" in (alerts_to, observations_to))
    return run


class StoreOutput:
    """The alert store as an output."""

    def __init__(self, store: AlertStore) -> None:
        self._store = store

    def write(self, documents: Sequence[object]) -> None:
        """Keep the alerts."""
        self._store.put([each for each in documents if isinstance(each, Alert)])


@contextlib.contextmanager
def progress_bar(sources: Sequence[Source]) -> Iterator[Callable[[Block], None] | None]:
    """A bar of bytes read, on a terminal only."""
    sizes = [source.size_bytes for source in sources]
    if not sys.stderr.isatty() or not all(sizes):
        yield None
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    from streams.screen import console

    columns = (TextColumn("reading"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console(stderr=True), transient=True) as progress:
        task = progress.add_task("reading", total=sum(size or 0 for size in sizes))
        state = {"before": 0, "last": 0}

        def advance(block: Block) -> None:
            if block.position < state["last"]:
                state["before"] += state["last"]
            state["last"] = block.position
            progress.update(task, completed=state["before"] + block.position)

        yield advance


def show(run: Run, quiet: bool) -> None:
    """The alerts on standard output, unless that is taken; the summary and every problem on standard error."""
    from streams.screen import alert_table, console, summary_lines

    if not quiet:
        out = console()
        if run.alerts:
            out.print(alert_table(run.alerts.values()))
        else:
            out.print("no alerts")
    for line in summary_lines(run):
        typer.echo(line, err=True)


def finish(run: Run, fail_on: str | None) -> None:
    """The problems, a line each, and the exit code."""
    for problem in run.problems:
        typer.echo(f"lenswatch: {problem}", err=True)
    if run.interrupted:
        typer.echo("lenswatch: interrupted; what was read by then is told above", err=True)
    if run.problems or run.interrupted:
        raise typer.Exit(FAILED)
    if fail_on is not None and any(
        LEVELS.index(alert.lenswatch.level) >= LEVELS.index(fail_on) for alert in run.alerts.values()
    ):
        raise typer.Exit(ALERTED)


@alerts_app.callback()
def list_alerts(
    context: typer.Context,
    config: Config = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON lines instead of a table.")] = False,
) -> None:
    """The alerts that were kept, the gravest first."""
    if context.invoked_subcommand is not None:
        context.obj = config
        return
    with contextlib.closing(open_store(config)) as store:
        alerts = store.all()
    if as_json:
        for alert in alerts:
            typer.echo(msgspec.json.encode(alert))
    elif not alerts:
        typer.echo("no alerts are kept yet")
    else:
        from streams.screen import alert_table, console

        console().print(alert_table(alerts))


@alerts_app.command("show")
def show_alert(
    context: typer.Context,
    alert_id: Annotated[str, typer.Argument(metavar="ID", help="An alert's id, or its first digits.")],
    as_json: Annotated[bool, typer.Option("--json", help="The document as JSON.")] = False,
) -> None:
    """One alert, whole."""
    tell(find_alert(context.obj, alert_id), as_json)


@rules_app.command()
def explain(
    alert_id: Annotated[str, typer.Argument(metavar="ALERT-ID", help="An alert's id, or its first digits.")],
    config: Config = None,
    folders: Folders = [],  # noqa: B006
) -> None:
    """The whole chain behind an alert: packet, name, endpoint fact, company, listings, each with its source."""
    from streams.screen import console, story, story_table

    alert = find_alert(config, alert_id)
    sources = load_rules((*load_settings(config).rules.folders, *folders)).facts.sources
    rows = []
    for label, text in story(alert):
        source = sources.get(text) if label == "source" else None
        rows.append((label, f"{text}: {source.title}{f' <{source.url}>' if source.url else ''}" if source else text))
    console().print(story_table(rows))


def tell(alert: Alert, as_json: bool) -> None:
    """An alert as JSON or as its story."""
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(alert), indent=2))
        return
    from streams.screen import console, story, story_table

    console().print(story_table(story(alert)))


def open_store(config: Path | None) -> AlertStore:
    """The store that the settings name."""
    settings = load_settings(config)
    return AlertStore(state_folder(settings.store), settings.store.max_alerts)


def find_alert(config: Path | None, prefix: str) -> Alert:
    """The one alert whose id begins so. Raises LenswatchError."""
    with contextlib.closing(open_store(config)) as store:
        found = store.get(prefix)
    if not found:
        raise LenswatchError(f"{prefix}: no alert with this id is kept; `lenswatch alerts` lists them")
    if len(found) > 1:
        raise LenswatchError(f"{prefix}: {len(found)} alerts begin so; give more of the id")
    return found[0]


@app.command()
def doctor(config: Config = None) -> None:
    """Check what watching needs, and say how to mend what is not there."""
    answers = list(examine(load_settings(config)))
    for answer in answers:
        typer.echo(
            f"{answer.state:<5} {answer.check:<11} {answer.text}" + (f"\n{'':18}→ {answer.mend}" if answer.mend else "")
        )
    if any(answer.state == BAD for answer in answers):
        raise typer.Exit(FAILED)


def main() -> None:
    """Run the command; an error for people is one line and an exit code."""
    try:
        app()
    except SettingsError as error:
        typer.echo(f"lenswatch: {error}", err=True)
        sys.exit(USAGE)
    except LenswatchError as error:
        typer.echo(f"lenswatch: {error}", err=True)
        sys.exit(FAILED)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(FAILED)
