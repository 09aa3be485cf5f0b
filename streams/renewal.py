"""New rules while a watch runs: built in a process of their own, taken over in steps, in force between two blocks.

    the watch  ── ask (SIGHUP), standing ──►  the builder  ── fork ──►  one build
        ▲                                        │                          │
        └──────── "is there" or why not ─────────┘      a file of messages ─┘

The builder is forked before anything is opened, so that it holds no socket, no thread's lock and no old rules, and
gives up root as the watch does. It asks now and then whether a file has changed. Each build is a process of its own,
whose memory goes with it. What it made is only spoken of once it is whole: a build that fails, or is killed, is a line
and nothing more.
"""

import contextlib
import datetime
import gc
import multiprocessing
import os
import signal
import struct
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, NamedTuple, NoReturn

from collector.errors import LenswatchError, SettingsError
from collector.notify import Notices
from collector.opening import may_go_on, step_down
from collector.packets import Block
from rules.errors import first_line
from rules.load import load_trusted
from rules.match import RuleSet
from rules.succession import Standing, refusal, standing_of
from rules.transfer import Assembly, dismantle
from streams.local import LocalWatch
from streams.rule_files import SETTLE_SECONDS, RuleFiles, files_of
from streams.ruleset import rules_for, trust_in
from streams.settings import Settings
from streams.waivers import warnings as warnings_of

if TYPE_CHECKING:
    from streams.watch_metrics import WatchMeters

STEP_SECONDS: Final = 0.03
IDLE_STEP_SECONDS: Final = 0.2
CHILD_POLL_SECONDS: Final = 0.05
END_SECONDS: Final = 5.0
NICE: Final = 5
LENGTH: Final = struct.Struct("<I")
ASK, STANDING = "ask", "standing"
READY, REFUSED = "ready", "refused"
DONE, FAILED, SAID = 0, 1, 3


class Renewal:
    """The watch's end of it: `step` is to be called between two blocks."""

    def __init__(self, plan: "Plan") -> None:
        self._file = open_nameless()
        self._connection, theirs = multiprocessing.Pipe()
        self._process: int | None = fork()
        if self._process == 0:
            self._connection.close()
            run_apart(lambda: Builder(plan, theirs, self._file.fileno()).run())
        theirs.close()
        self._assembly: Assembly | None = None
        self._at = 0
        self._rules: RuleSet | None = None
        self._before: Any = None
        self.notices = Notices({})

    def begin(self, rules: RuleSet) -> None:
        """These rules are in force; from now on SIGHUP asks for them to be read again."""
        self._stands(rules)
        self._before = signal.signal(signal.SIGHUP, lambda *_: self.ask())

    def ask(self) -> None:
        """Have the rules read again, whether a file has changed or not."""
        self.notices.reloading()
        self._send(ASK)

    def step(self, idle: bool, refused: Callable[[str], None]) -> RuleSet | None:
        """Take over some of what was built, for no longer than a moment, or a longer one where nobody waits (`idle`);
        the rules, once they are whole. Why there will be none goes to `refused`."""
        if self._assembly is None:
            self._listen(refused)
        if self._assembly is None:
            return None
        until = time.monotonic() + (IDLE_STEP_SECONDS if idle else STEP_SECONDS)
        while time.monotonic() < until:
            rules = self._assembly.take(self._message())
            if rules is not None:
                self._assembly = None
                self._stands(rules)
                return rules
        return None

    def close(self) -> None:
        """End the builder."""
        if self._before is not None:
            signal.signal(signal.SIGHUP, self._before)
        self._connection.close()
        if self._process is not None:
            if not ends_within(self._process, END_SECONDS):
                os.kill(self._process, signal.SIGKILL)
                os.waitpid(self._process, 0)
            self._process = None
        self._file.close()

    def _stands(self, rules: RuleSet) -> None:
        self._rules = rules
        self._send(STANDING, standing_of(rules))

    def _send(self, *what: Any) -> None:
        # That the builder is gone is noticed, and told, where it is listened to.
        with contextlib.suppress(OSError):
            self._connection.send(what)

    def _listen(self, refused: Callable[[str], None]) -> None:
        try:
            if self._connection.closed or not self._connection.poll():
                return
            kind, what = self._connection.recv()
        except (EOFError, OSError):
            self._connection.close()
            refused("the process that reads them has ended; to have them read again, start anew")
            return
        if kind == REFUSED:
            refused(what)
        elif self._rules is not None:
            self._at = 0
            self._assembly = Assembly(self._rules)

    def _message(self) -> bytes:
        number = self._file.fileno()
        (length,) = LENGTH.unpack(os.pread(number, LENGTH.size, self._at))
        message = os.pread(number, length, self._at + LENGTH.size)
        self._at += LENGTH.size + length
        return message


class Plan(NamedTuple):
    """How rules are read, from which files, how often those are looked at (0: never), whether more than half of the
    indicators may go; and what gives up root."""

    load: Callable[[], RuleSet]
    files: RuleFiles
    poll_seconds: float
    may_shrink: bool = False
    step_down: Callable[[], None] = lambda: None


class Builder:
    """The process beside the watch: waits, and has a child of its own build."""

    def __init__(self, plan: Plan, connection: Connection, number: int) -> None:
        self._plan, self._connection, self._number = plan, connection, number
        self._standing: Standing | None = None
        self._asked = self._waits = False

    def run(self) -> None:
        """Until the watch is gone."""
        for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(each, signal.SIG_IGN)
        with contextlib.suppress(EOFError, OSError, SettingsError):
            user = os.geteuid()
            self._plan.step_down()
            if os.geteuid() != user:
                # What another user may see of the files is no change of theirs.
                self._plan.files.forget()
            while True:
                self._hear(0)
                # What the watch has not taken over yet is not written over.
                if self._standing is not None and not self._waits and (self._asked or self._changed()):
                    self._asked = False
                    self._build()
                else:
                    self._hear(SETTLE_SECONDS if self._plan.files.is_settling else self._plan.poll_seconds or None)

    def _changed(self) -> bool:
        return bool(self._plan.poll_seconds) and self._plan.files.changed()

    def _hear(self, timeout: float | None) -> None:
        while self._connection.poll(timeout):
            kind, *what = self._connection.recv()
            timeout = 0
            if kind == ASK:
                self._asked = True
            else:
                (self._standing,) = what
                self._waits = False
                os.ftruncate(self._number, 0)

    def _build(self) -> None:
        """Have a child build, and tell how it went. Raises EOFError when the watch has ended meanwhile."""
        os.ftruncate(self._number, 0)
        child = fork()
        if child == 0:
            run_apart(self._make)
        try:
            status = self._wait_for(child)
        except (EOFError, OSError):
            os.kill(child, signal.SIGTERM)
            os.waitpid(child, 0)
            raise
        code, size = os.waitstatus_to_exitcode(status), os.fstat(self._number).st_size
        if code == DONE:
            self._waits = True
            self._connection.send((READY, ""))
        elif code == SAID:
            self._connection.send((REFUSED, os.pread(self._number, size, 0).decode("utf-8", "replace")))
        else:
            how = f"signal {-code}" if code < 0 else f"code {code}"
            self._connection.send((REFUSED, f"the process that built them ended before it was done ({how})"))

    def _wait_for(self, child: int) -> int:
        while True:
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                return status
            self._hear(CHILD_POLL_SECONDS)

    def _make(self) -> int:
        """Build and write it down, in the child."""
        signal.signal(signal.SIGTERM, _end)
        os.nice(NICE)
        gc.disable()
        try:
            with open(os.dup(self._number), "wb") as out:  # noqa: PTH123 - it has no name
                return self._write(out)
        except Exception as error:
            os.ftruncate(self._number, 0)
            os.pwrite(self._number, first_line(error).encode("utf-8", "replace"), 0)
            return SAID

    def _write(self, out: IO[bytes]) -> int:
        out.seek(0)
        try:
            rules = self._plan.load()
            assert self._standing is not None
            reason = refusal(self._standing, standing_of(rules), self._plan.may_shrink)
        except LenswatchError as error:
            reason = first_line(error)
        if reason is not None:
            out.write(reason.encode("utf-8", "replace"))
            return SAID
        for message in dismantle(rules):
            out.write(LENGTH.pack(len(message)))
            out.write(message)
        return DONE


def _end(*_: object) -> None:
    raise SystemExit(FAILED)


def open_nameless() -> IO[bytes]:
    """A file that nobody else can open; in memory where that can be, so that no folder need be writable."""
    if hasattr(os, "memfd_create"):
        return open(os.memfd_create("lenswatch-rules"), "w+b", 0)  # noqa: PTH123, SIM115 - it has no name
    return tempfile.TemporaryFile("w+b", 0)  # noqa: SIM115 - for as long as the watch


def fork() -> int:
    """As os.fork. Python 3.12 warns where there are other threads; those of the numerical library know of forks."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def run_apart(work: Callable[[], int | None]) -> NoReturn:
    """Work, and end the process: nothing that the watch has open is flushed, or closed twice."""
    code = FAILED
    try:
        code = work() or DONE
    finally:
        os._exit(code)


def ends_within(process: int, seconds: float) -> bool:
    """Wait for a child to end."""
    until = time.monotonic() + seconds
    while os.waitpid(process, os.WNOHANG)[0] == 0:
        if time.monotonic() > until:
            return False
        time.sleep(CHILD_POLL_SECONDS)
    return True


def renewal_for(
    stack: contextlib.ExitStack,
    settings: Settings,
    names: Sequence[str],
    folders: Sequence[Path],
    known: datetime.date | None,
) -> Renewal | None:
    """The renewal of a watch of these sources, until the stack is unwound; None where all of them end. To be asked
    before the rules are read, and before anything is opened."""
    if not may_go_on(names, settings.capture):
        return None
    ours, capture = settings.rules, settings.capture

    def become_user() -> None:
        if capture.user:
            # What reading rules imports may lie where that user may not read; what is shipped takes all of it.
            with contextlib.suppress(LenswatchError):
                load_trusted((), trust=trust_in(ours)).prepare()
        step_down(capture)

    plan = Plan(
        lambda: rules_for(settings, folders, known), files_of(ours, folders), ours.poll_seconds, ours.may_shrink,
        become_user,
    )  # fmt: skip
    return stack.enter_context(contextlib.closing(Renewal(plan)))


@contextlib.contextmanager
def renewing(
    renewal: Renewal | None, local: LocalWatch, meters: "WatchMeters | None", say: Callable[[object], None],
    notices: Notices | None = None,
) -> Iterator[None]:  # fmt: skip
    """Let a watch go on with new rules; what becomes of them is said, and counted."""
    if renewal is None:
        yield
        return
    renewal.notices = notices or renewal.notices

    def refused(reason: str) -> None:
        renewal.notices.reloaded()
        say(f"the rules stay as they were: {reason}")
        if meters is not None:
            meters.rules.refuse()

    def renew(block: Block) -> RuleSet | None:
        rules = renewal.step(len(block.time_ns) == 0, refused)
        if rules is not None:
            renewal.notices.reloaded()
            say(f"rules {rules.digest[:12]} are in force")
            for line in warnings_of(rules.court.waivers, datetime.datetime.now(datetime.UTC).date()):
                say(line)
            if meters is not None:
                meters.rules.take(rules)
        return rules

    renewal.begin(local.rules)
    local.renew = renew
    yield
    local.renew = None
