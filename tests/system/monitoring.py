"""Real Prometheus and Alertmanager on the loopback address, as a test starts them.

The programs are those of `make prometheus`, of the folder that LENSWATCH_PROMETHEUS names, or of the path.
"""

import contextlib
import json
import os
import shutil
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from tests.system.broker import LOOPBACK, ROOT, free_ports

NAMES = ("prometheus", "promtool", "prometheus-alertmanager", "amtool")
START_SECONDS = 40.0


def find_program(name: str) -> Path | None:
    """Where a program is."""
    folders = [os.environ.get("LENSWATCH_PROMETHEUS"), str(ROOT / "out" / "prometheus" / "usr" / "bin")]
    path = os.pathsep.join(each for each in (*folders, os.environ.get("PATH")) if each)
    found = shutil.which(name, path=path)
    return None if found is None else Path(found)


def run_program(name: str, *arguments: object, given: str = "", folder: Path | None = None) -> tuple[int, str]:
    """Run one to its end: the exit code, and all that it wrote."""
    program = find_program(name)
    assert program is not None
    done = subprocess.run(
        [str(program), *map(str, arguments)], input=given, cwd=folder, capture_output=True, text=True, timeout=120,
        check=False,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


class Server:
    """A program that answers over HTTP."""

    def __init__(self, name: str, folder: Path, port: int) -> None:
        self.name, self.folder, self.port = name, folder, port
        self.url = f"http://{LOOPBACK}:{port}"
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)

    def options(self) -> Sequence[str]:
        """What the program is told."""
        raise NotImplementedError

    def start(self) -> None:
        """Start, and wait until it is ready."""
        program = find_program(self.name)
        assert program is not None
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen([str(program), *self.options()], cwd=self.folder, stdout=log, stderr=log)
        end = time.monotonic() + START_SECONDS
        while self.get("/-/ready") is None:
            said = (self.folder / "log").read_text("utf-8", "replace")[-2000:]
            assert self._process.poll() is None and time.monotonic() < end, f"{self.name} does not start: {said}"
            time.sleep(0.1)

    def stop(self) -> None:
        """Stop."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._process = None

    def get(self, path: str) -> str | None:
        """An answer; None when there is none, or not a good one."""
        with contextlib.suppress(OSError), urllib.request.urlopen(self.url + path, timeout=5) as answer:
            return str(answer.read().decode())
        return None

    def ask(self, path: str) -> Any:
        """An answer as JSON."""
        text = self.get(path)
        assert text is not None, f"{self.url}{path} does not answer"
        return json.loads(text)


class PrometheusServer(Server):
    """Scrapes `targets` (job → host:port) every second; the rules are those that we ship."""

    def __init__(self, folder: Path, targets: dict[str, str], rules: Sequence[Path] = ()) -> None:
        super().__init__("prometheus", folder, free_ports(1)[0])
        jobs = [{"job_name": job, "static_configs": [{"targets": [place]}]} for job, place in targets.items()]
        config = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(path) for path in rules],
            "scrape_configs": jobs,
        }
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config), "utf-8")

    def options(self) -> Sequence[str]:
        """See `Server.options`."""
        return (
            "--config.file=prometheus.yml", "--storage.tsdb.path=data",
            f"--web.listen-address={LOOPBACK}:{self.port}", "--log.level=warn",
        )  # fmt: skip

    def query(self, expression: str) -> list[Any]:
        """What an expression gives now."""
        return self._asked(f"/api/v1/query?{urllib.parse.urlencode({'query': expression})}")

    def query_range(self, expression: str, seconds: float = 60.0) -> list[Any]:
        """What it gave, a value a second or so."""
        now = time.time()
        asked = {"query": expression, "start": now - seconds, "end": now, "step": 1}
        return self._asked(f"/api/v1/query_range?{urllib.parse.urlencode(asked)}")

    def _asked(self, path: str) -> list[Any]:
        try:
            with urllib.request.urlopen(self.url + path, timeout=20) as answer:
                found = json.loads(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                raise AssertionError(error.read().decode()) from error
        assert found["status"] == "success"
        result: list[Any] = found["data"]["result"]
        return result


class AlertmanagerServer(Server):
    """Tells everything to one webhook."""

    def __init__(self, folder: Path, webhook: str) -> None:
        super().__init__("prometheus-alertmanager", folder, free_ports(1)[0])
        config = {
            "route": {
                "receiver": "test", "group_by": ["..."], "group_wait": "100ms", "group_interval": "200ms",
                "repeat_interval": "1h",
            },
            "receivers": [{"name": "test", "webhook_configs": [{"url": webhook, "send_resolved": True}]}],
        }  # fmt: skip
        (folder / "alertmanager.yml").write_text(yaml.safe_dump(config), "utf-8")

    def options(self) -> Sequence[str]:
        """See `Server.options`."""
        return (
            "--config.file=alertmanager.yml", "--storage.path=data",
            f"--web.listen-address={LOOPBACK}:{self.port}", "--cluster.listen-address=",
        )  # fmt: skip

    def alerts(self) -> list[Any]:
        """What fires."""
        found: list[Any] = self.ask("/api/v2/alerts?active=true")
        return found
