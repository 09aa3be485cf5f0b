"""The whole stack as a system test runs it: collector, Kafka, worker; Prometheus, Alertmanager, a webhook, a file."""

import contextlib
import datetime
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path

from rules.keys import make_keys, read_private
from rules.load import read_folder
from rules.signature import sign
from tests.streams.command import PROGRAM, environment
from tests.streams.dispatch.carrying import write_secret
from tests.streams.receiver import Receiver
from tests.system.broker import free_ports
from tests.system.centre import Centre, Worker, centre_at, until
from tests.system.monitoring import AlertmanagerServer, PrometheusServer

RULES = Path(__file__).parents[2] / "deploy" / "prometheus" / "lenswatch.rules.yml"


class Collector:
    """A collector that reads what is written to it, or an interface, and goes on until it is told to stop."""

    def __init__(self, centre: Centre, source: str = "-", canary_seconds: float = 0.05) -> None:
        (self.port,) = free_ports(1)
        variables = {
            "LENSWATCH_COLLECTOR_METRICS": f"127.0.0.1:{self.port}", "LENSWATCH_COLLECTOR_SENSOR": "gate",
            "LENSWATCH_COLLECTOR_SITE": "harbour", "LENSWATCH_COLLECTOR_CANARY_SECONDS": str(canary_seconds),
            "LENSWATCH_COLLECTOR_TRAFFIC": "all",
        }  # fmt: skip
        self.log = centre.folder / "collector.err"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [str(PROGRAM), "collect", source, "--config", str(centre.config)],
                env=environment(centre.folder / "edge", variables), stdin=subprocess.PIPE, stdout=log, stderr=log,
            )  # fmt: skip

    def read(self, capture: bytes) -> None:
        """Give it a capture, or more of one."""
        assert self.process.stdin is not None
        self.process.stdin.write(capture)
        self.process.stdin.flush()

    def get(self, path: str = "/metrics") -> str:
        """What it answers over HTTP."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
            return str(answer.read().decode())

    def stop(self) -> None:
        """Stop it."""
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Stack:
    """All of it, running."""

    def __init__(
        self, centre: Centre, receiver: Receiver, alertmanager: AlertmanagerServer, source: str, canary_seconds: float
    ) -> None:
        self.centre, self.receiver, self.alertmanager = centre, receiver, alertmanager
        centre.worker("first").wait_ready()
        self.collector = Collector(centre, source, canary_seconds)
        targets = {"lenswatch-worker": f"127.0.0.1:{self.worker.port}"}
        targets["lenswatch-collector"] = f"127.0.0.1:{self.collector.port}"
        self.prometheus = PrometheusServer(centre.folder / "prometheus", targets, [RULES])

    @property
    def worker(self) -> Worker:
        """The worker, or who came after it."""
        return self.centre.workers[-1]

    def delivered(self) -> set[str]:
        """The webhook ids that have arrived."""
        return {got.id for got in self.receiver.got if got.path == "/hook"}

    def wanted(self) -> set[str]:
        """The webhook ids of everything on the alerts topic: each finding's last revision."""
        return {f"{key}-{alert.lenswatch.revision}" for key, alert in self.centre.told().items()}

    def wait_delivered(self, seconds: float = 60.0) -> set[str]:
        """Return when what was told has arrived; what that was."""
        until(lambda: self.wanted() and self.wanted() <= self.delivered(), seconds, "every alert has arrived", 0.5)
        return self.wanted()


def sinks_of(folder: Path, receiver: Receiver, alertmanager: AlertmanagerServer) -> str:
    """The settings of three sinks."""
    write_secret(folder / "secret")
    return (
        f'[sinks.soc]\nkind = "webhook"\nurl = "{receiver.url}"\nsecret_file = "{folder / "secret"}"\n'
        f'allow = ["127.0.0.1"]\n[sinks.am]\nkind = "alertmanager"\nurl = "{alertmanager.url}"\nhold_seconds = 600\n'
        f'[sinks.lines]\nkind = "jsonl"\npath = "{folder / "sunk.jsonl"}"\n'
    )


def rules_of(folder: Path) -> str:
    """The settings of who we are, of an exception, and of a pack that is signed."""
    own = folder / "own"
    (own / "facts").mkdir(parents=True)
    (own / "facts" / "sources.toml").write_text('[sources.own]\ntitle = "Own"\nkind = "note"\n', "utf-8")
    private, public, _ = make_keys(folder / "ops")
    now = datetime.datetime.now(datetime.UTC)
    (own / "pack.sig").write_bytes(sign(read_folder(own)[0], 1, now, read_private(private)))
    (folder / "waivers.toml").write_text(
        '[[waiver]]\nid = "phase-out"\nground = "g"\napprover = "a"\nreference = "r"\ndevices = ["192.0.2.200"]\n'
        f"from = {now.date()}\nuntil = {now.date() + datetime.timedelta(days=9)}\n",
        "utf-8",
    )
    return (
        f'[rules]\nfolders = ["{own}"]\ntrusted_keys = ["{public}"]\nrequire_signed = true\n'
        f'profiles = ["us-federal-contractor"]\nwaivers = ["{folder / "waivers.toml"}"]\n'
    )


@contextlib.contextmanager
def stack_at(
    address: str, folder: Path, captures: Sequence[bytes] = (), source: str = "-", canary_seconds: float = 0.05
) -> Iterator[Stack]:
    """A stack for the time of a test, which has read the captures."""
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as open_:
        receiver = open_.enter_context(Receiver())
        alertmanager = AlertmanagerServer(folder / "alertmanager", receiver.url.replace("/hook", "/alertmanager"))
        alertmanager.start()
        open_.callback(alertmanager.stop)
        more = sinks_of(folder, receiver, alertmanager) + rules_of(folder)
        centre = open_.enter_context(centre_at(address, folder / "centre", more=more))
        stack = Stack(centre, receiver, alertmanager, source, canary_seconds)
        open_.callback(stack.collector.stop)
        stack.prometheus.start()
        open_.callback(stack.prometheus.stop)
        time.sleep(3)
        for capture in captures:
            stack.collector.read(capture)
        yield stack
