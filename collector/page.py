"""A small web server in a thread, for metrics and health: what it answers is its maker's."""

import socketserver
import threading
from collections.abc import Callable, Iterable
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server
from wsgiref.types import StartResponse, WSGIEnvironment

IDLE_POLL_SECONDS = 0.2
Answer = Callable[[WSGIEnvironment, StartResponse], Iterable[bytes]]


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
