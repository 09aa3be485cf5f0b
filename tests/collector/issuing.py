"""An issuer's token endpoint over TLS on the loopback address, as a test has it."""

import contextlib
import ssl
import threading
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType
from typing import NamedTuple

import trustme


class Asked(NamedTuple):
    """What was asked: the path, the header that says by whom, and the form."""

    path: str
    who: str
    form: dict[str, str]


class Reply(NamedTuple):
    """What is answered."""

    code: int
    body: str
    headers: Mapping[str, str] = MappingProxyType({})


@contextlib.contextmanager
def issuing(authority: trustme.CA, answer: Callable[[Asked], Reply]) -> Iterator[tuple[str, list[Asked]]]:
    """The address of an endpoint with a certificate of the authority, and what it has been asked."""
    asked: list[Asked] = []

    class Endpoint(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
            asked.append(Asked(self.path, self.headers.get("Authorization", ""), dict(urllib.parse.parse_qsl(body))))
            reply = answer(asked[-1])
            self.send_response(reply.code)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(reply.body.encode())

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"https://127.0.0.1:{server.server_port}/token", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
