"""A real web server that takes webhooks, as a test wants it: it may refuse, be slow, die and come back."""

import asyncio
import dataclasses
import ssl
import threading
from collections.abc import Callable
from typing import Any

from aiohttp import web

SECONDS = 10.0


@dataclasses.dataclass(frozen=True)
class Got:
    """One POST: when it came is its place in the list."""

    headers: dict[str, str]
    body: bytes
    path: str
    method: str = "POST"
    query: str = ""

    @property
    def id(self) -> str:
        """The webhook's id."""
        return self.headers["webhook-id"]


class Receiver:
    """Listens on a port of the loopback address that stays the same over `stop` and `start`. `answer` gives the status
    and headers for a POST, and the text where it matters; probes (what is not among `methods`) are answered with
    `probe_status`."""

    methods: tuple[str, ...] = ("POST",)

    def __init__(self, answer: Callable[[Got], tuple[Any, ...]] | None = None, delay: float = 0.0) -> None:
        self.got: list[Got] = []
        self.probes = 0
        self.probe_status = 405
        self.port = 0
        self.answer = answer or (lambda got: (204, {}))
        self.delay = delay
        self.tls: ssl.SSLContext | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> "Receiver":
        """Listen."""
        listening = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, args=(self._loop, listening), daemon=True)
        self._thread.start()
        assert listening.wait(SECONDS)
        return self

    def _run(self, loop: asyncio.AbstractEventLoop, listening: threading.Event) -> None:
        asyncio.set_event_loop(loop)

        async def listen() -> web.AppRunner:
            app = web.Application(client_max_size=64 << 20)
            app.router.add_route("*", "/{path:.*}", self._take)
            runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", self.port, reuse_address=True, ssl_context=self.tls)
            await site.start()
            self.port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
            return runner

        runner = loop.run_until_complete(listen())
        listening.set()
        loop.run_forever()
        loop.run_until_complete(runner.cleanup())
        if self.tls is not None:
            # A connection that was broken off in its handshake is closed a moment later.
            loop.run_until_complete(asyncio.sleep(0.1))
        loop.close()

    async def _take(self, request: web.Request) -> web.Response:
        if request.method not in self.methods:
            self.probes += 1
            return web.Response(status=self.probe_status)
        headers = {key.lower(): value for key, value in request.headers.items()}
        got = Got(headers, await request.read(), request.path, request.method, request.query_string)
        self.got.append(got)
        if self.delay:
            await asyncio.sleep(self.delay)
        status, headers, *text = self.answer(got)
        return web.Response(status=status, headers=headers, text=text[0] if text else "" if status == 204 else "words")

    def stop(self) -> None:
        """Listen no more."""
        if self._loop is not None and self._thread is not None:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(SECONDS)
        self._loop = self._thread = None

    @property
    def url(self) -> str:
        """Where to post."""
        return f"http://127.0.0.1:{self.port}/hook"

    def ids(self) -> list[str]:
        """The webhook ids, as they came."""
        return [got.id for got in self.got]

    def __enter__(self) -> "Receiver":
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
