"""What watching without end needs beside `local.py`: options, sources that are told to stop, alerts as they come."""

import importlib
import os
import stat
import sys
from collections.abc import Callable, Sequence
from typing import Annotated

import msgspec
import typer

from collector.capture.ring import Ring
from collector.capture.source import Source
from collector.errors import SettingsError
from collector.packets import Block
from collector.privileges import give_up_root
from collector.settings import CaptureSettings
from collector.workers import Crew
from rules.alert import Alert
from streams.local import Output, open_source
from streams.screen import alert_lines, console, screen_width
from streams.settings import Settings

CaptureFilter = Annotated[
    str | None,
    typer.Option("--filter", metavar="F", help="Which packets of an interface, in pcap's filter language."),
]
Workers = Annotated[
    int | None, typer.Option("--workers", metavar="N", help="Processes that share the packets of an interface.")
]
User = Annotated[
    str | None,
    typer.Option("--user", metavar="U", help="Whom to become, instead of root, once the interface is open."),
]
Follow = Annotated[
    bool | None, typer.Option("--follow", help="Wait at a file's end for more, and for the next file of its name.")
]


IMPORTED_LATER = ("rich.console", "rich.progress", "rich.table", "rich.text", "sqlite3", "streams.doctor")


def with_options(
    settings: Settings, capture_filter: str | None, workers: int | None, user: str | None, follow: bool | None
) -> Settings:
    """The settings with what the command line says over them. Raises SettingsError."""
    given = {"filter": capture_filter, "workers": workers, "user": user, "follow": follow}
    said = {name: value for name, value in given.items() if value is not None}
    try:
        capture = msgspec.structs.replace(settings.capture, **said)
        capture.__post_init__()
    except ValueError as error:
        raise SettingsError(f"the command line: {error}") from error
    return msgspec.structs.replace(settings, capture=capture)


def open_sources(names: Sequence[str], settings: CaptureSettings) -> list[Source]:
    """The sources, open; root is given up after that where the settings name somebody. Raises LenswatchError."""
    several = settings.workers > 1
    opened: list[Source] = [
        Crew(each, settings) if several and Ring.opens(each) else open_source(each, settings) for each in names
    ]
    endless = [source.name for source in opened[:-1] if is_endless(source)]
    if endless:
        raise SettingsError(f"{endless[0]} does not end, so nothing behind it would be read: name it last")
    if settings.user:
        # Python, or its virtual environment, may lie where that user cannot read it: in root's home.
        for name in IMPORTED_LATER:
            importlib.import_module(name)
        give_up_root(settings.user)
    return opened


def crew_of(sources: Sequence[Source]) -> Crew | None:
    """The workers, where there are several. Raises SettingsError where they are not alone."""
    crews = [source for source in sources if isinstance(source, Crew)]
    if crews and len(sources) > 1:
        raise SettingsError(f"{crews[0].name}: with several workers an interface is watched by itself")
    return crews[0] if crews else None


def stop_of(source: Source) -> Callable[[], None] | None:
    """How to end a source that does not end by itself; None for one that does."""
    stop: Callable[[], None] | None = getattr(source, "stop", None)
    return stop if is_endless(source) else None


def is_endless(source: Source) -> bool:
    """Whether a source goes on until it is stopped."""
    return hasattr(source, "stop") and getattr(source, "follows", True)


def is_pipe() -> bool:
    """Whether standard input is no file."""
    return not stat.S_ISREG(os.fstat(0).st_mode)


def with_notices(progress: Callable[[Block], None] | None, say: Callable[[object], None]) -> Callable[[Block], None]:
    """What is done after each block: the words of its notice, and the bar."""

    def told(block: Block) -> None:
        if block.notice is not None:
            say(f"{block.interface}: {block.notice}" if block.interface else block.notice)
        if progress is not None:
            progress(block)

    return told


class Ticker:
    """Shows alerts as they come; see `Output`."""

    @classmethod
    def beside(cls, outputs: list[Output], sources: Sequence[Source], quiet: bool) -> bool:
        """Add one to the outputs where alerts would else be shown only at an end that may never come."""
        piped = any(source.name == "standard input" for source in sources) and is_pipe() and sys.stdout.isatty()
        wanted = not quiet and (piped or any(map(is_endless, sources)))
        if wanted:
            outputs.append(cls())
        return wanted

    def write(self, documents: Sequence[object]) -> None:
        """Show the alerts."""
        out, width = console(), screen_width()
        for alert in documents:
            if isinstance(alert, Alert):
                out.print(alert_lines(alert, width), end="\n\n", soft_wrap=True)
        if documents:
            sys.stdout.flush()
