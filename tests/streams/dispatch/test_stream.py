"""A stream says that something came over only when it did, and with whom it speaks is checked."""

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import trustme

from collector.errors import SettingsError
from streams.dispatch.stream import Stream, client_tls
from streams.sinks.sink import Unreachable
from tests.streams.listener import Listener

DATA = b"x" * 100_000


def with_stream(
    port: int, use: Callable[[Stream], Awaitable[None]], tls: ssl.SSLContext | None = None, name: str = "localhost",
    allow: tuple[str, ...] = ("127.0.0.1",),
) -> None:  # fmt: skip
    """Use a stream, and close it."""

    async def run() -> None:
        stream = Stream("127.0.0.1", port, allow, tls, name)
        try:
            await use(stream)
        finally:
            await stream.close()

    asyncio.run(run())


async def send(stream: Stream) -> None:
    """Open it, and send."""
    await stream.open()
    await stream.send(DATA, 5.0, 0.1)


def test_what_was_sent_has_come_over(tmp_path: Path) -> None:
    with Listener() as listener:
        with_stream(listener.port, send)
    assert b"".join(map(bytes, listener.got)) == DATA


def test_nobody_there_is_said() -> None:
    listener = Listener().start()
    listener.stop()
    with pytest.raises(Unreachable, match=rf"127.0.0.1:{listener.port}: Connect"):
        with_stream(listener.port, send)


@pytest.mark.parametrize("size", [300_000, 20_000_000], ids=["in the kernel", "in our buffer"])
def test_a_receiver_that_reads_nothing_has_not_got_it(size: int) -> None:
    """Not even when the kernel has taken all of it from us."""

    async def use(stream: Stream) -> None:
        await stream.open()
        with pytest.raises(Unreachable, match="it takes nothing more"):
            await stream.send(b"x" * size, 0.5, 0.1)
        assert not stream.is_open

    with Listener() as listener:
        listener.reads.clear()
        with_stream(listener.port, use)


def test_a_receiver_that_is_slow_gets_it_all_though_it_takes_longer_than_the_bound() -> None:
    """The bound is on time in which nothing comes over."""

    async def use(stream: Stream) -> None:
        await stream.open()
        began = time.monotonic()
        await stream.send(b"x" * 400_000, 0.5, 0.1)
        assert time.monotonic() - began > 1.0

    with Listener() as listener:
        listener.pause_seconds = 0.02
        with_stream(listener.port, use)
    assert sum(map(len, listener.got)) == 400_000


@pytest.mark.parametrize("after", [0.0, 0.2])
def test_a_connection_that_dies_soon_after_is_told(after: float) -> None:
    async def use(stream: Stream) -> None:
        await stream.open()
        while not listener.got:
            # Only what it has accepted can be dropped.
            await asyncio.sleep(0.01)
        asyncio.get_running_loop().call_later(after, listener.drop)
        with pytest.raises(Unreachable, match=r"closed the connection|reset by peer"):
            await stream.send(DATA, 5.0, 1.0)
        assert not stream.is_open and stream.ended.is_set()

    with Listener() as listener:
        with_stream(listener.port, use)


def test_one_that_died_while_there_was_nothing_to_say_is_opened_anew() -> None:
    async def use(stream: Stream) -> None:
        await send(stream)
        listener.drop()
        await asyncio.wait_for(stream.ended.wait(), 5.0)
        assert not stream.is_open
        await send(stream)

    with Listener() as listener:
        with_stream(listener.port, use)
    assert [len(each) for each in listener.got] == [len(DATA), len(DATA)]


def test_an_address_of_ours_that_is_not_allowed_is_not_connected_to() -> None:
    with Listener() as listener:
        with pytest.raises(Unreachable, match="private or loopback; name the host or its network at allow"):
            with_stream(listener.port, send, allow=())
        assert listener.got == []


class Tls:
    """An authority, a server's certificate for localhost, and one of ours."""

    def __init__(self, folder: Path, wants_ours: bool = False) -> None:
        authority = trustme.CA()
        self.cafile, self.certfile, self.keyfile = folder / "ca.pem", folder / "our.pem", folder / "our.key"
        authority.cert_pem.write_to_path(str(self.cafile))
        ours = authority.issue_cert("sensor.example")
        ours.cert_chain_pems[0].write_to_path(str(self.certfile))
        ours.private_key_pem.write_to_path(str(self.keyfile))
        self.server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert("localhost").configure_cert(self.server)
        if wants_ours:
            authority.configure_trust(self.server)
            self.server.verify_mode = ssl.CERT_REQUIRED


def test_over_tls_all_has_come_over(tmp_path: Path) -> None:
    tls = Tls(tmp_path, wants_ours=True)
    with Listener(tls.server) as listener:
        with_stream(listener.port, send, client_tls(tls.cafile, tls.certfile, tls.keyfile))
    assert b"".join(map(bytes, listener.got)) == DATA


def test_a_receiver_that_reads_nothing_over_tls_has_not_got_it(tmp_path: Path) -> None:
    async def use(stream: Stream) -> None:
        await stream.open()
        with pytest.raises(Unreachable, match="it takes nothing more"):
            await stream.send(b"x" * 20_000_000, 0.5, 0.1)

    tls = Tls(tmp_path)
    with Listener(tls.server) as listener:
        listener.reads.clear()
        with_stream(listener.port, use, client_tls(tls.cafile, None, None))


def test_another_servers_name_and_another_authority_are_refused(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    tls, other = Tls(tmp_path), Tls(tmp_path / "other")
    with Listener(tls.server) as listener:
        with pytest.raises(Unreachable, match="its certificate is not taken"):
            with_stream(listener.port, send, client_tls(tls.cafile, None, None), name="siem.example")
        with pytest.raises(Unreachable, match="its certificate is not taken"):
            with_stream(listener.port, send, client_tls(other.cafile, None, None))
        assert listener.got == []


def test_a_server_that_wants_our_certificate_says_so(tmp_path: Path) -> None:
    """With TLS 1.3 only after the handshake, when the first bytes are already written."""
    tls = Tls(tmp_path, wants_ours=True)
    with Listener(tls.server) as listener, pytest.raises(Unreachable, match=r"certificate required|closed|reset"):
        with_stream(listener.port, send, client_tls(tls.cafile, None, None))


def test_files_that_are_not_there_are_named(tmp_path: Path) -> None:
    tls = Tls(tmp_path)
    for files, word in (
        ((tmp_path / "gone", None, None), "cafile .*gone cannot be read"),
        ((tls.cafile, tls.certfile, None), "go together"),
        ((tls.cafile, tls.certfile, tls.cafile), "keyfile .* cannot be read"),
    ):
        with pytest.raises(SettingsError, match=word):
            client_tls(*files)


def test_closing_takes_no_longer_than_a_second(tmp_path: Path) -> None:
    async def use(stream: Stream) -> None:
        await stream.open()
        stream._transport.write(b"x" * 20_000_000)  # type: ignore[union-attr]
        began = time.monotonic()
        await stream.close()
        assert time.monotonic() - began < 3.0

    with Listener() as listener:
        listener.reads.clear()
        with_stream(listener.port, use)
