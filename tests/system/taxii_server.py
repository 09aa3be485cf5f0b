"""OASIS's own TAXII 2.1 server (medallion) on the loopback address, as a test starts it; its memory lies in a file."""

import base64
import json
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

from tests.system.broker import LOOPBACK, free_ports

START_SECONDS = 30.0
USER, PASSWORD = "lenswatch", "a word for a test"
COLLECTION = "91a7b528-80eb-42ed-a74d-c6fbd5a26116"
MEDIA_TYPE = "application/taxii+json;version=2.1"
# Medallion's memory is gone with its process, so what it is given is kept before it answers.
SERVER = """
import json, sys
from pathlib import Path
import medallion
from medallion.backends.memory_backend import MemoryBackend
path, port = Path(sys.argv[1]), int(sys.argv[2])
class Kept(MemoryBackend):
    def add_objects(self, *arguments):
        status = super().add_objects(*arguments)
        new = path.with_suffix(".new")
        self.save_data_to_file(str(new))
        new.replace(path)
        return status
application = medallion.application_instance
medallion.set_config(application, "users", {"users": json.loads(sys.argv[3])})
medallion.set_config(application, "taxii", {"taxii": {"max_page_size": 100}})
application.medallion_backend = Kept(filename=str(path))
medallion.register_blueprints(application)
application.run(host="127.0.0.1", port=port)
"""


class TaxiiServer:
    """One that keeps its port and its file over `kill` and `start`."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_ports(1)[0]
        folder.mkdir(parents=True, exist_ok=True)
        self.url = f"http://{LOOPBACK}:{self.port}/cti/collections/{COLLECTION}/"
        self._process: subprocess.Popen[bytes] | None = None
        versions = {"title": "cti", "versions": [MEDIA_TYPE], "max_content_length": 100 << 20}
        collection = {
            "id": COLLECTION, "title": "sightings", "can_read": True, "can_write": True, "media_types": [MEDIA_TYPE],
            "objects": [], "manifest": [],
        }  # fmt: skip
        root = {"information": versions, "status": [], "collections": [collection]}
        discovery = {"title": "a test", "api_roots": ["/cti/"], "default": "/cti/"}
        (folder / "data.json").write_text(json.dumps({"/discovery": discovery, "cti": root}), "utf-8")

    def start(self) -> "TaxiiServer":
        """Start, and wait until it answers."""
        users = json.dumps({USER: PASSWORD})
        command = [sys.executable, "-c", SERVER, str(self.folder / "data.json"), str(self.port), users]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        end = time.monotonic() + START_SECONDS
        while True:
            try:
                self.ask("")
            except OSError as error:
                said = (self.folder / "log").read_text("utf-8", "replace")[-2_000:]
                assert self._process.poll() is None and time.monotonic() < end, f"{error}: {said}"
                time.sleep(0.1)
            else:
                return self

    def kill(self) -> None:
        """Kill, as a power cut does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(20)
        self._process = None

    def ask(self, path: str, **query: str) -> Any:
        """A resource below the collection. Raises OSError."""
        pair = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        headers = {"Accept": MEDIA_TYPE, "Authorization": f"Basic {pair}"}
        asked = f"{self.url}{path}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(urllib.request.Request(asked, headers=headers), timeout=10) as answer:
            return json.loads(answer.read())

    def objects(self) -> list[dict[str, Any]]:
        """All that is in the collection, every version, as the server hands it out page by page."""
        found, query = [], {"match[version]": "all", "limit": "100"}
        while True:
            page = self.ask("objects/", **query)
            found += page.get("objects", [])
            if not page.get("more"):
                return found
            query = query | {"next": page["next"]}

    def kept(self) -> list[dict[str, Any]]:
        """All that is in the collection, from its file; the server is slow with many objects."""
        data = json.loads((self.folder / "data.json").read_text("utf-8"))
        found: list[dict[str, Any]] = data["cti"]["collections"][0]["objects"]
        return found

    def __enter__(self) -> "TaxiiServer":
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.kill()
