"""A small web server in a thread, for metrics and health: what it answers is its maker's."""

import socketserver
import threading
import time
from collections.abc import Callable, Iterable
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server
from wsgiref.types import StartResponse, WSGIEnvironment

IDLE_POLL_SECONDS = 0.2
MAX_SILENT_SECONDS = 600.0
Answer = Callable[[WSGIEnvironment, StartResponse], Iterable[bytes]]


class Reading:
    """Whether packets are being read: their count has grown within `MAX_SILENT_SECONDS`, as far as it was asked for."""

    def __init__(self, count: Callable[[], int], clock: Callable[[], float] = time.monotonic) -> None:
        self._count, self._clock = count, clock
        self._last, self._grew_at = 0, clock()

    def why_not(self) -> str:
        """Why they are not, or ""."""
        count, now = self._count(), self._clock()
        if count != self._last:
            self._last, self._grew_at = count, now
        if not count:
            return "no packet has been read yet"
        silent = now - self._grew_at
        return "" if silent <= MAX_SILENT_SECONDS else f"no packet has been read for {silent:.0f} s"


class Server(socketserver.ThreadingMixIn, WSGIServer):
    """One thread a question, so that a slow reader holds up nobody."""

    daemon_threads = True


class Silent(WSGIRequestHandler):
    """Questions are not told on standard error."""

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


class Page:
    """Answers at a host and port (0: a free one) until it is closed. Raises OSError when the address cannot be had."""

    def __init__(self, host: str, port: int, answer: Answer) -> None:
        self._server = make_server(host, port, answer, Server, Silent)
        self.port = self._server.server_port
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(IDLE_POLL_SECONDS,), name="metrics", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
