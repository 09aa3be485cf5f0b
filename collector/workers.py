"""Several processes share the packets of an interface, or of some, and one tells what they read, as if it had read all.

The kernel deals the packets out by flow (PACKET_FANOUT, packet(7)) with a small program: both directions of a flow, and
all that one mirror sends, go to one worker. A worker takes headers off, keeps its flows, and reads protocols. Who a
device is and which name led to an address depend on more than one flow, so workers do not say: they send what they read
to the parent, which puts it in the order of packet time and makes the observations, with one memory of names and
devices.
"""

import heapq
import multiprocessing
import os
import pickle
import signal
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any

import numpy as np

from collector.capture.ring import DEFAULTS, Ring, Share
from collector.dealing import deal_out
from collector.dissectors.dissector import Fact
from collector.errors import CaptureError, InterfaceError
from collector.evidence.witness import Relay, Witness
from collector.flows import Column, Ended
from collector.identify.fingerprint import Fingerprint
from collector.ingress import Ingresses
from collector.ledger import Ledger
from collector.observation import Broken, Observation
from collector.packets import Block, Ints
from collector.pipeline import Pipeline
from collector.reporting import Concerns, FlowName, Place, Strangers
from collector.settings import CaptureSettings, CollectorSettings
from collector.views import FlowValues, FlowView

FACT, BROKEN, OPENED, ENDED, THERE = range(5)
STOP, WAIT_SECONDS = b"stop", 0.2

Event = tuple[int, int, int, int, tuple[Any, ...]]
"""Packet time, worker, the event's number there, its kind, and what it holds."""


class Recorder:
    """Stands in a worker where the Reporter stands elsewhere, and keeps what the parent's shall be told."""

    def __init__(self, ingresses: Ingresses) -> None:
        self.unasked: Counter[str] = Counter()
        self.news: list[Observation] = []
        self.events: list[tuple[int | None, int, tuple[Any, ...]]] = []
        self._ingresses = ingresses

    def fact(self, view: FlowView, reader: object, fact: Fact, at_ns: int, place: Place) -> None:
        """See Reporter.fact."""
        if fact.finish is not None:
            fact.finish()
            fact.finish = None
        self.events.append((at_ns, FACT, (view.values, self._ingresses.key(view.values[-1]), fact, at_ns, place)))

    def broken(self, view: FlowView, reader: object, broken: Broken, at_ns: int, place: Place) -> None:
        """See Reporter.broken."""
        self.events.append((at_ns, BROKEN, (view.values, self._ingresses.key(view.values[-1]), broken, at_ns, place)))

    def opened(self, columns: dict[str, Column], rows: Ints, found: list[Observation]) -> None:
        """See Reporter.opened."""
        part = {name: column[rows] for name, column in columns.items()}
        self.events.append((None, OPENED, (part, self._keys(part))))

    def ended(self, group: Ended, found: list[Observation]) -> None:
        """See Reporter.ended."""
        self.events.append((None, ENDED, (group.columns, self._keys(group.columns), group.reason)))

    def still_there(self, columns: dict[str, Column], rows: Ints, found: list[Observation]) -> None:
        """See Reporter.still_there."""
        part = {name: column[rows] for name, column in columns.items()}
        self.events.append((None, THERE, (part, self._keys(part))))

    def _keys(self, columns: dict[str, Column]) -> dict[int, Any]:
        return {number: self._ingresses.key(number) for number in np.unique(columns["ingress"]).tolist()}


def work(
    ring: Ring, settings: CollectorSettings, connection: Connection, strangers: Strangers | None = None,
    relay: Relay | None = None,
) -> None:  # fmt: skip
    """A worker's life: what it reads goes to the parent after every block, and at the end what was left."""
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)
    pipeline = Pipeline(settings, ())
    recorder = Recorder(pipeline.flows.ingresses)
    pipeline.report_to(recorder)
    pipeline.strangers = strangers
    pipeline.keep_with(relay)
    problem: str | None = None

    def send(at_ns: int, notice: str | None, done: bool) -> None:
        events, recorder.events = recorder.events, []
        timed = [(at_ns if at is None else at, kind, what) for at, kind, what in events]
        packets = relay.take() if relay is not None else []
        message = (at_ns, timed, packets, pipeline.ledger, notice, done, problem)
        connection.send_bytes(pickle.dumps(message, pickle.HIGHEST_PROTOCOL))

    try:
        at_ns = 0
        try:
            for block in ring.blocks():
                pipeline.process(block)
                at_ns = max(at_ns, block.at_ns or (int(block.time_ns[-1]) if len(block.time_ns) else 0))
                send(at_ns, block.notice, False)
                if connection.poll():
                    connection.recv_bytes()
                    ring.stop()
        except CaptureError as error:
            problem = str(error)
        pipeline.finish()
        send(at_ns, None, True)
    except (BrokenPipeError, ConnectionResetError, EOFError):
        # The parent is gone, and nobody is left to tell.
        pass


class Crew:
    """Workers on one interface, or so many on each of several: a `Source` to read from, and in place of the Pipeline to
    whoever takes what was read.

    Sockets are opened at once; the workers begin with the first block that is asked for. The two directions of a flow
    are one flow only where they come in at one interface.
    """

    size_bytes: int | None = None

    def __init__(self, names: Sequence[str], capture: CaptureSettings = DEFAULTS) -> None:
        self.name, self.count = ", ".join(names), len(names) * capture.workers
        self._rings = []
        for number, name in enumerate(names):
            # A group's sockets are all of one interface.
            share = Share(os.getpid() + number & 0xFFFF, deal_out())
            self._rings += [Ring(name, capture, share) for _ in range(capture.workers)]
        for ring in self._rings:
            ring.start()
        self._first = range(0, self.count, capture.workers)
        self._connections: list[Connection] = []
        self._processes: list[Any] = []
        self._late: list[Event] = []
        self._ready: list[Event] = []
        self._until = [0] * self.count
        self._ledgers = [Ledger() for _ in range(self.count)]
        self._numbers = 0
        self._stopped = False
        self.last_ns = 0
        self.witness: Witness | None = None
        self.strangers: Callable[[], Strangers] | None = None

    def prepare(
        self,
        settings: CollectorSettings,
        fingerprints: tuple[Fingerprint, ...],
        concerns: Concerns | None,
        touches: Concerns | None = None,
    ) -> None:
        """Say what a Pipeline is told when it is made."""
        self.settings = settings
        self._pipeline = Pipeline(settings, fingerprints, concerns, touches)
        self.ledger, self.inventory = self._pipeline.ledger, self._pipeline.inventory
        self._readers: OrderedDict[tuple[Any, ...], FlowName] = OrderedDict()

    def keep_with(self, witness: Witness | None) -> None:
        """See Pipeline.keep_with; before the workers begin."""
        self.witness = self._pipeline.report.witness = witness

    def stop(self) -> None:
        """Let the workers end; what they have read by then is still told."""
        self._stopped = True
        for connection in self._connections:
            try:
                connection.send_bytes(STOP)
            except OSError:
                continue

    def blocks(self) -> Iterator[Block]:
        """A block without packets whenever workers have told something; `process` turns that into observations."""
        self._begin()
        live = {connection: worker for worker, connection in enumerate(self._connections)}
        problems: list[tuple[str, str]] = []
        none, nothing = np.zeros(0, np.int64), np.zeros(0, np.uint8)
        try:
            while live:
                notices: list[tuple[str, str | None]] = []
                for connection in wait(list(live), WAIT_SECONDS):
                    worker = live[connection]  # type: ignore[index]
                    name = self._rings[worker].name
                    try:
                        at_ns, events, packets, ledger, notice, done, problem = pickle.loads(connection.recv_bytes())  # type: ignore[union-attr]
                    except (EOFError, OSError):
                        at_ns, events, packets, ledger, notice, done = 0, [], [], self._ledgers[worker], None, True
                        problem = f"{name}: worker {worker + 1} ended by itself; what it had is lost"
                        self.stop()
                    self._take(worker, at_ns, events, ledger)
                    if self.witness is not None:
                        for values, packet in packets:
                            self.witness.see(values, packet)
                    notices += [(name, notice)] if notice and worker in self._first else []
                    problems += [(name, problem)] if problem else []
                    if done:
                        self._until[worker] = 1 << 62
                        del live[connection]  # type: ignore[arg-type]
                self._release(min(self._until))
                for name, notice in notices or [(self.name, None)]:
                    yield Block(nothing, none, none, none, none, 1, interface=name, notice=notice)
            if problems:
                name, problem = problems[0]
                raise InterfaceError(name, problem.removeprefix(f"{name}: "))
        finally:
            self._end()

    def _begin(self) -> None:
        context = multiprocessing.get_context("fork")
        for ring in self._rings:
            ours, theirs = context.Pipe()
            others = [*self._connections, ours]

            def run(ring: Ring = ring, theirs: Connection = theirs, others: list[Connection] = others) -> None:
                for each in others:
                    each.close()
                for other in self._rings:
                    if other is not ring:
                        other.close()
                strangers = self.strangers() if self.strangers is not None else None
                work(ring, self.settings, theirs, strangers, Relay() if self.witness is not None else None)

            process = context.Process(target=run, daemon=True)
            process.start()
            theirs.close()
            self._connections.append(ours)
            self._processes.append(process)
        # A socket that nobody reads would still be dealt packets.
        for ring in self._rings:
            ring.close()
        if self._stopped:
            self.stop()

    def _end(self) -> None:
        for connection in self._connections:
            connection.close()
        for process in self._processes:
            process.join(10)
            if process.is_alive():
                process.kill()

    def _take(self, worker: int, at_ns: int, events: list[tuple[int, int, tuple[Any, ...]]], ledger: Ledger) -> None:
        self._until[worker] = max(self._until[worker], at_ns)
        self._ledgers[worker] = ledger
        for at, kind, what in events:
            self._numbers += 1
            heapq.heappush(self._late, (at, worker, self._numbers, kind, what))

    def _release(self, until_ns: int) -> None:
        """What is older than anything that a worker may still tell is in order."""
        while self._late and self._late[0][0] <= until_ns:
            self._ready.append(heapq.heappop(self._late))

    def process(self, block: Block) -> list[Observation]:
        """The observations of what the workers told, in the order of packet time."""
        found: list[Observation] = []
        ready, self._ready = self._ready, []
        for at_ns, _, _, kind, what in ready:
            self.last_ns = max(self.last_ns, at_ns)
            self._tell(kind, what, found)
        self._count(found)
        if self.witness is not None:
            self.witness.tick()
        return found

    def finish(self) -> list[Observation]:
        """The rest, and the sums of all workers."""
        self._release(1 << 62)
        found = self.process(Block(*(np.zeros(0, np.int64),) * 5, 1))  # type: ignore[arg-type]
        own = self._pipeline
        for stage, count in (("names", own.names.evicted), ("devices", own.inventory.evicted)):
            self.ledger.drop(stage, "evicted", count)
        return found

    def _tell(self, kind: int, what: tuple[Any, ...], found: list[Observation]) -> None:
        report, numbers = self._pipeline.report, self._pipeline.flows.ingresses
        if kind in (FACT, BROKEN):
            values, key, said, at_ns, place = what
            before, values = len(found), (*values[:-1], numbers.number(key))
            view = FlowView(values, self.inventory)
            if kind == FACT:
                observation = report.fact(view, self._reader(values), said, at_ns, place)
                found += report.news
                report.news = []
            else:
                observation = report.broken(view, self._reader(values), said, at_ns, place)
            if observation is not None:
                found.append(observation)
            if self.witness is not None:
                self.witness.testify(values, found[before:], at_ns)
            return
        columns, keys = what[0], what[1]
        for number, key in keys.items():
            columns["ingress"][columns["ingress"] == number] = numbers.number(key)
        if kind == THERE:
            report.still_there(columns, np.arange(len(columns["key"])), found)
        elif kind == OPENED:
            report.opened(columns, np.arange(len(columns["key"])), found)
        else:
            report.ended(Ended(columns, {}, what[2]), found)

    def _reader(self, values: FlowValues) -> Any:
        """The flow's name; the flows that were silent longest are forgotten first."""
        key = (values[1], *values[5], values[6])
        known = self._readers.get(key)
        if known is None:
            known = self._readers[key] = FlowName()
            if len(self._readers) > self.settings.max_readers:
                self._readers.popitem(last=False)
        else:
            self._readers.move_to_end(key)
        return known

    def _count(self, found: list[Observation]) -> None:
        """The ledger is the sum of the workers', and what was made of it here."""
        mine = self.ledger
        for name in ("packets_in", "bytes_in", "packets_decoded", "flows"):
            setattr(mine, name, sum(getattr(each, name) for each in self._ledgers))
        mine.let_go = sum((each.let_go for each in self._ledgers), Counter())
        mine.unasked = self._pipeline.report.unasked
        for observation in found:
            mine.observations[observation.event.dataset] += 1
