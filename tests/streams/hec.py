"""An HTTP Event Collector over a real web server, written from Splunk's own pages: what it refuses, how it
acknowledges, and what a restart makes it forget."""

import gzip
import json
import threading
import time
import uuid
from typing import Any

from tests.streams.receiver import Got, Receiver

TOKEN = "5d3cbd1d-cd84-4d1b-8e1e-2a1c4a4c4bd6"
KEYS = {"time", "host", "source", "sourcetype", "index", "fields", "event"}
# Splunk Enterprise, "Troubleshoot HTTP Event Collector", possible error codes: the text and the HTTP status.
CODES = {
    0: (200, "Success"),
    1: (403, "Token disabled"),
    2: (401, "Token is required"),
    3: (401, "Invalid authorization"),
    4: (403, "Invalid token"),
    5: (400, "No data"),
    6: (400, "Invalid data format"),
    7: (400, "Incorrect index"),
    8: (500, "Internal server error"),
    9: (503, "Server is busy"),
    10: (400, "Data channel is missing"),
    11: (400, "Invalid data channel"),
    12: (400, "Event field is required"),
    13: (400, "Event field cannot be blank"),
    14: (400, "ACK is disabled"),
    15: (400, "Error in handling indexed fields"),
    16: (400, "Query string authorization is not enabled"),
    17: (200, "HEC is healthy"),
    18: (503, "HEC is unhealthy, queues are full"),
    19: (503, "HEC is unhealthy, ack service unavailable"),
    20: (503, "HEC is unhealthy, queues are full, ack service unavailable"),
    21: (400, "Invalid token"),
    22: (400, "Token disabled"),
    23: (503, "Server is shutting down"),
    24: (200, "HEC queue is approaching its capacity limit"),
    25: (200, "HEC ACK is approaching its capacity limit"),
    26: (429, "HEC queue is at capacity and cannot process any more requests"),
    27: (429, "HEC ACK channel is at capacity and cannot process any more requests"),
}

Answer = tuple[int, dict[str, str], str]


def said(code: int, **more: Any) -> Answer:
    """The answer with a code of the table."""
    status, text = CODES[code]
    return status, {"Content-Type": "application/json"}, json.dumps({"text": text, "code": code, **more})


class Hec(Receiver):
    """Takes events at once and indexes them `index_seconds` later; only then are they in `indexed`, and acknowledged.
    `stop` forgets what was not indexed yet, and where each channel's numbers stood, as a restart of Splunk does."""

    methods = ("POST", "GET")

    def __init__(self, index_seconds: float = 0.05, acknowledges: bool = True) -> None:
        super().__init__(self._handle)
        self.index_seconds, self.acknowledges = index_seconds, acknowledges
        self.indexed: list[dict[str, Any]] = []
        self.code: int | None = None
        self.health = 17
        self.channels: set[str] = set()
        self._lock = threading.Lock()
        self._pending: dict[str, list[tuple[float, list[dict[str, Any]]]]] = {}

    def stop(self) -> None:
        """Killed."""
        super().stop()
        with self._lock:
            self._settle()
            self._pending.clear()

    @property
    def url(self) -> str:
        """Its address, as the settings name it."""
        return f"http://127.0.0.1:{self.port}"

    def ids(self) -> list[str]:
        """The ids that were indexed, as they came."""
        with self._lock:
            self._settle()
            return [event["fields"]["lenswatch_id"] for event in self.indexed]

    def _settle(self) -> None:
        """Index what is due."""
        for batches in self._pending.values():
            for place, (due, events) in enumerate(batches):
                if events and due <= time.monotonic():
                    self.indexed += events
                    batches[place] = (due, [])

    def _handle(self, got: Got) -> Answer:
        with self._lock:
            self._settle()
            if got.path == "/services/collector/health":
                return said(self.health)
            if got.path not in ("/services/collector/event", "/services/collector/ack"):
                return 404, {}, "no such place"
            return self._refusal(got) or (self._acks(got) if got.path.endswith("ack") else self._events(got))

    def _refusal(self, got: Got) -> Answer | None:
        """Why a request is not even looked at."""
        scheme, _, token = got.headers.get("authorization", "").partition(" ")
        if not scheme:
            return said(2)
        if scheme != "Splunk":
            return said(3)
        if token != TOKEN:
            return said(4)
        if self.code is not None and (got.path.endswith("event")):
            return said(self.code)
        channel = got.headers.get("x-splunk-request-channel")
        if self.acknowledges and channel is None:
            return said(10)
        try:
            uuid.UUID(channel or "")
        except ValueError:
            return said(11)
        return None

    def _acks(self, got: Got) -> Answer:
        if not self.acknowledges:
            return said(14)
        batches = self._pending.get(got.headers["x-splunk-request-channel"], [])
        asked = json.loads(got.body)["acks"]
        acks = {str(number): number < len(batches) and not batches[number][1] for number in asked}
        return 200, {"Content-Type": "application/json"}, json.dumps({"acks": acks})

    def _events(self, got: Got) -> Answer:
        # The web server may have unpacked it already.
        body = gzip.decompress(got.body) if got.body.startswith(b"\x1f\x8b") else got.body
        try:
            events = read_objects(body.decode())
        except ValueError:
            return said(6, **{"invalid-event-number": 0})
        if not events:
            return said(5)
        for number, event in enumerate(events):
            code = fault_of(event)
            if code is not None:
                return said(code, **{"invalid-event-number": number})
        channel = got.headers["x-splunk-request-channel"]
        self.channels.add(channel)
        batches = self._pending.setdefault(channel, [])
        batches.append((time.monotonic() + self.index_seconds, events))
        return said(0, ackId=len(batches) - 1) if self.acknowledges else said(0)


def read_objects(text: str) -> list[dict[str, Any]]:
    """JSON objects, one after the other. Raises ValueError."""
    decoder, found, place = json.JSONDecoder(), [], 0
    while place < len(text):
        value, place = decoder.raw_decode(text, place)
        found.append(value)
        while place < len(text) and text[place].isspace():
            place += 1
    return found


def fault_of(event: dict[str, Any]) -> int | None:
    """The code for an event that is not as Splunk wants it; None when it is."""
    if not isinstance(event, dict) or set(event) - KEYS or not isinstance(event.get("time"), int | float):
        return 6
    if "event" not in event:
        return 12
    if not event["event"]:
        return 13
    if any(not isinstance(value, str | list) for value in event.get("fields", {}).values()):
        return 15
    return None
