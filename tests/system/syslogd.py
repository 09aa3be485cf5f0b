"""A real rsyslog on the loopback address, as a test starts it: TCP or TLS, a line of JSON a message.

The program is that of `make syslog`, of the folder that LENSWATCH_SYSLOG names, or of the path.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import trustme

from tests.system.broker import LOOPBACK, ROOT, free_ports

START_SECONDS = 20.0
SERVER_NAME = "siem.example"
CLIENT_NAME = "sensor.example"
PROPERTIES = {
    "severity": "syslogseverity", "facility": "syslogfacility-text", "at": "timereported", "host": "hostname",
    "app": "app-name", "news": "msgid", "data": "structured-data", "body": "msg",
}  # fmt: skip
CONFIG = """
global(workDirectory="{folder}" maxMessageSize="64k" net.enableDNS="off"{tls})
main_queue(queue.type="LinkedList" queue.size="100000" queue.dequeueBatchSize="1" queue.dequeueSlowdown="{slow}")
module(load="imtcp"{driver})
input(type="imtcp" address="{host}" port="{port}")
template(name="line" type="list" option.jsonf="on") {{
{properties}
}}
action(type="omfile" file="{folder}/messages.jsonl" template="line")
"""


def find_folder() -> Path | None:
    """The folder that `usr/sbin/rsyslogd` lies in."""
    for folder in (os.environ.get("LENSWATCH_SYSLOG"), ROOT / "out" / "syslog"):
        if folder and (Path(folder) / "usr/sbin/rsyslogd").is_file():
            return Path(folder)
    return Path("/") if shutil.which("rsyslogd", path="/usr/sbin:/sbin") else None


class Certificates:
    """An authority of the test, with a certificate for the server and one for us, each in files."""

    def __init__(self, folder: Path, server_name: str = SERVER_NAME) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        authority = trustme.CA()
        self.cafile, self.folder = folder / "ca.pem", folder
        authority.cert_pem.write_to_path(str(self.cafile))
        for name, host in (("server", server_name), ("client", CLIENT_NAME)):
            leaf = authority.issue_cert(host, common_name=host)
            leaf.cert_chain_pems[0].write_to_path(str(folder / f"{name}.pem"))
            leaf.private_key_pem.write_to_path(str(folder / f"{name}.key"))
            (folder / f"{name}.key").chmod(0o600)

    def table(self) -> dict[str, Any]:
        """What the sink's table says of them."""
        files = {"certfile": self.folder / "client.pem", "keyfile": self.folder / "client.key", "cafile": self.cafile}
        return {key: str(path) for key, path in files.items()} | {"server_name": SERVER_NAME}


class Rsyslog:
    """One that keeps its port and its file over `kill` and `start`. It takes a message at once and writes it when its
    turn comes, one every `slow` microseconds; what waits is in memory, as in any rsyslog without a disk queue."""

    def __init__(self, folder: Path, certificates: Certificates | None = None, slow: int = 0) -> None:
        self.folder, self.port = folder, free_ports(1)[0]
        folder.mkdir(parents=True, exist_ok=True)
        self.file = folder / "messages.jsonl"
        self._process: subprocess.Popen[bytes] | None = None
        tls = driver = ""
        if certificates is not None:
            where = certificates.folder
            tls = (
                f' defaultNetstreamDriver="ossl" defaultNetstreamDriverCAFile="{certificates.cafile}"'
                f' defaultNetstreamDriverCertFile="{where / "server.pem"}"'
                f' defaultNetstreamDriverKeyFile="{where / "server.key"}"'
            )
            driver = (
                ' streamDriver.name="ossl" streamDriver.mode="1" streamDriver.authMode="x509/name"'
                f' permittedPeer=["{CLIENT_NAME}"]'
            )
        properties = "\n".join(
            f'property(outname="{key}" name="{name}" format="jsonf")' for key, name in PROPERTIES.items()
        )
        config = CONFIG.format(
            folder=folder, slow=slow, host=LOOPBACK, port=self.port, tls=tls, driver=driver, properties=properties
        )
        (folder / "rsyslog.conf").write_text(config, "utf-8")

    def start(self) -> "Rsyslog":
        """Start, and wait until it listens."""
        root = find_folder()
        assert root is not None
        (modules,) = root.glob("usr/lib/*/rsyslog")
        command = [root / "usr/sbin/rsyslogd", "-n", "-f", self.folder / "rsyslog.conf", "-i", "NONE", "-M", modules]
        environment = dict(os.environ, LD_LIBRARY_PATH=str(modules.parent))
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen([str(each) for each in command], env=environment, stdout=log, stderr=log)
        end = time.monotonic() + START_SECONDS
        while True:
            with socket.socket() as asked:
                if asked.connect_ex((LOOPBACK, self.port)) == 0:
                    return self
            assert self._process.poll() is None and time.monotonic() < end, f"rsyslog does not start: {self.said()}"
            time.sleep(0.05)

    def said(self) -> str:
        """What it wrote of itself."""
        return (self.folder / "log").read_text("utf-8", "replace")[-2_000:]

    def kill(self) -> None:
        """Kill, as a power cut does."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Have it end in peace."""
        self._end(signal.SIGTERM)

    def _end(self, sort: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(sort)
            self._process.wait(20)
        self._process = None

    def messages(self) -> list[dict[str, Any]]:
        """What it has written; half a line, of a kill, is none."""
        if not self.file.exists():
            return []
        found = []
        for line in self.file.read_bytes().split(b"\n"):
            try:
                found.append(json.loads(line))
            except ValueError:
                continue
        return found

    def __enter__(self) -> "Rsyslog":
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
