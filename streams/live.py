"""What watching without end needs beside `local.py`: alerts as they come, and what a source has to say."""

import os
import stat
import sys
import time
from collections.abc import Callable, Sequence

from collector.capture.source import Source, is_endless
from collector.ledger import Ledger, Losses
from collector.packets import Block
from rules.alert import Alert
from streams.local import Output
from streams.screen import alert_lines, console, screen_width

IMPORTED_LATER = (
    "aiohttp",
    "collector.evidence.meters",
    "collector.pipeline",
    "email.parser",
    "maxminddb",
    "rich._emoji_codes",
    "rich.console",
    "rich.progress",
    "rich.table",
    "rich.text",
    "sqlite3",
    "streams.delivery",
    "streams.doctor",
    "streams.watch_metrics",
)


def is_pipe() -> bool:
    """Whether standard input is no file."""
    return not stat.S_ISREG(os.fstat(0).st_mode)


def with_notices(
    progress: Callable[[Block], None] | None, say: Callable[[object], None], ledger: Ledger
) -> Callable[[Block], None]:
    """What is done after each block: the words of its notice, and of what was lost, and the bar."""
    losses = Losses(ledger, say)

    def told(block: Block) -> None:
        losses.look(time.monotonic())
        if block.notice is not None:
            say(f"{block.interface}: {block.notice}" if block.interface else block.notice)
        if progress is not None:
            progress(block)

    return told


class Ticker:
    """Shows alerts as they come; see `Output`."""

    def __init__(self) -> None:
        self._out = console()

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
        width = screen_width()
        shown = [alert_lines(each, width, several_sensors=False) for each in documents if isinstance(each, Alert)]
        if shown:
            self._out.print("\n\n".join(shown), end="\n\n", soft_wrap=True)
            sys.stdout.flush()
