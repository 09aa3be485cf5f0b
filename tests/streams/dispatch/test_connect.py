"""Only where the settings say, and never by accident to an address of ours."""

import asyncio
import datetime
import ssl
from pathlib import Path

import pytest
import trustme
from aiohttp import web

from collector.errors import SettingsError
from streams.dispatch.connect import Guard, Reply, WebServer, judged, one_line
from streams.sinks.sink import Gone, Refused, Throttled, Undelivered, Unreachable
from tests.streams.receiver import Receiver

REFUSED = [
    "127.0.0.1", "::1", "::ffff:127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "100.64.0.1", "169.254.169.254",
    "fe80::1%eth0", "fd00:ec2::254", "fd12::1", "::ffff:169.254.169.254", "64:ff9b::7f00:1", "2002:7f00:1::", "0.0.0.0",
    "::", "224.0.0.1", "255.255.255.255", "100.100.100.200", "192.0.2.1", "168.63.129.16", "192.0.0.192",
    "192.0.0.8", "fd20:ce::254", "::127.0.0.1", "::ffff:0:127.0.0.1", "64:ff9b:1::7f00:1", "fec0::1", "240.0.0.1",
]  # fmt: skip


@pytest.mark.parametrize("address", REFUSED)
def test_an_address_of_ours_is_refused(address: str) -> None:
    assert Guard("hooks.example.org", ()).reason_against(address) is not None


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700:4700::1111", "::ffff:8.8.8.8"])
def test_an_address_of_the_world_is_let_pass(address: str) -> None:
    assert Guard("hooks.example.org", ()).reason_against(address) is None


def test_a_host_that_is_named_may_be_private_and_never_link_local() -> None:
    guard = Guard("SIEM.corp.example.", ("siem.corp.example",))
    assert guard.reason_against("10.1.2.3") is None and guard.reason_against("127.0.0.1") is None
    assert guard.reason_against("169.254.169.254") == "link-local or metadata"
    assert guard.reason_against("fd00:ec2::254") == "link-local or metadata"
    assert guard.reason_against("168.63.129.16") == "link-local or metadata"
    assert Guard("other.corp.example", ("siem.corp.example",)).reason_against("10.1.2.3") == "private or loopback"


def test_a_network_that_is_named_may_be_reached_and_no_more() -> None:
    guard = Guard("x", ("10.1.0.0/16", "169.254.7.7"))
    assert guard.reason_against("10.1.2.3") is None and guard.reason_against("169.254.7.7") is None
    assert guard.reason_against("10.2.2.3") is not None


def ask(url: str, allow: tuple[str, ...] = (), cafile: Path | None = None, seconds: float = 5.0) -> str:
    async def run() -> str:
        server = WebServer(url, allow, cafile, seconds, plain=True)
        try:
            return await server.post(b"{}", {})
        finally:
            await server.close()

    return asyncio.run(run())


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]"])
def test_nothing_reaches_the_loopback_address_that_is_not_allowed(host: str) -> None:
    with Receiver() as receiver:
        with pytest.raises(Unreachable, match="private or loopback; name the host or its network at allow"):
            ask(f"http://{host}:{receiver.port}/secret-path")
        assert receiver.got == []
        assert ask(receiver.url, ("127.0.0.1",)) == "204 No Content"


def test_a_name_is_looked_at_by_its_address() -> None:
    """As when a name changes its mind between a check and the connection: what counts is the address connected to."""
    with Receiver() as receiver, pytest.raises(Unreachable, match="private or loopback"):
        ask(f"http://localhost:{receiver.port}/")


def test_a_redirect_is_not_followed() -> None:
    with Receiver() as inner, Receiver(lambda got: (302, {"Location": inner.url})) as outer:
        with pytest.raises(Undelivered, match="302 Found: redirects are not followed"):
            ask(outer.url, ("127.0.0.1",))
        assert len(outer.got) == 1 and inner.got == []


def test_a_proxy_of_the_environment_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    with Receiver() as proxy, Receiver() as receiver:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
        assert ask(receiver.url, ("127.0.0.1",)) == "204 No Content"
        assert proxy.got == []


def test_words_never_show_path_or_query() -> None:
    receiver = Receiver(lambda got: (500, {}))
    with receiver, pytest.raises(Undelivered) as failed:
        ask(f"{receiver.url}/T0KEN?key=T0KEN", ("127.0.0.1",))
    assert "T0KEN" not in str(failed.value) and f"127.0.0.1:{receiver.port}" in str(failed.value)
    with pytest.raises(Unreachable) as dead:
        ask(f"http://127.0.0.1:{receiver.port}/T0KEN", ("127.0.0.1",))
    assert "T0KEN" not in str(dead.value)


def test_what_a_server_says_is_one_line_that_steers_no_terminal() -> None:
    assert one_line("No\x1b[31m\r\nlenswatch: \u202eall is well\n") == r"No\x1b[31m lenswatch: \u202eall is well"
    assert one_line(" \n") == "" and len(one_line("x" * 10_000)) == 200


@pytest.mark.parametrize("size", [0, 10, 3 << 20])
def test_a_body_arrives_whole_however_long_it_is(size: int) -> None:
    async def run() -> None:
        server = WebServer(receiver.url, ("127.0.0.1",), None, 20.0, plain=True)
        await server.post(b"x" * size, {"Content-Type": "application/x-ndjson"})
        await server.close()

    with Receiver() as receiver:
        asyncio.run(run())
    (got,) = receiver.got
    assert len(got.body) == size and got.headers["content-length"] == str(size)
    assert got.headers["content-type"] == "application/x-ndjson"


def test_so_much_of_an_answer_is_read_as_was_asked_for() -> None:
    async def run(most: int) -> Reply:
        server = WebServer(receiver.url, ("127.0.0.1",), None, 20.0, plain=True)
        reply = await server.ask("POST", server.url, b"{}", {}, most)
        await server.close()
        return reply

    with Receiver(lambda got: (200, {}, "y" * (1 << 20))) as receiver:
        for most in (10, 1 << 20, 2 << 20):
            assert len(asyncio.run(run(most)).body) == min(most, 1 << 20)


def test_a_receiver_that_is_too_slow_is_given_up() -> None:
    with Receiver(delay=1.5) as slow, pytest.raises(Undelivered, match="no answer in time"):
        ask(slow.url, ("127.0.0.1",), seconds=0.3)


def tls_answer(certificate: trustme.LeafCert, cafile: Path | None) -> str:
    """POST to a server with this certificate."""

    async def run() -> str:
        async def take(request: web.Request) -> web.Response:
            return web.Response(status=200)

        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        certificate.configure_cert(context)
        app = web.Application()
        app.router.add_post("/", take)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
        await site.start()
        port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
        server = WebServer(f"https://localhost:{port}/", ("localhost",), cafile, 5.0, plain=False)
        try:
            return await server.post(b"{}", {})
        finally:
            await server.close()
            await runner.cleanup()

    return asyncio.run(run())


def test_tls_is_verified(tmp_path: Path) -> None:
    authority, stranger = trustme.CA(), trustme.CA()
    cafile = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(cafile))
    assert tls_answer(authority.issue_cert("localhost"), cafile) == "200 OK"
    past = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)
    wrong = [
        stranger.issue_cert("localhost"),
        authority.issue_cert("other.example"),
        authority.issue_cert("localhost", not_after=past),
    ]
    for certificate in wrong:
        with pytest.raises(Unreachable):
            tls_answer(certificate, cafile)
    with pytest.raises(Unreachable):
        tls_answer(authority.issue_cert("localhost"), None)


@pytest.mark.parametrize(
    ("status", "wait", "kind"),
    [
        (204, None, None),
        (299, None, None),
        (301, None, Undelivered),
        (400, None, Refused),
        (401, None, Undelivered),
        (404, None, Undelivered),
        (410, None, Gone),
        (413, None, Refused),
        (429, 7.0, Throttled),
        (429, None, Throttled),
        (500, None, Undelivered),
        (502, None, Unreachable),
        (503, 9.0, Throttled),
        (504, None, Unreachable),
    ],
)
def test_only_a_2xx_is_a_yes(status: int, wait: float | None, kind: type[Undelivered] | None) -> None:
    reply = Reply(status, "Word", "text", wait)
    if kind is None:
        assert judged(reply, "x") == f"{status} Word"
    else:
        with pytest.raises(Undelivered) as failed:
            judged(reply, "x")
        assert type(failed.value) is kind


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("ftp://example.org/", "no http:// or https://"),
        ("example.org", "no http:// or https://"),
        ("https://user:word@example.org/", "credentials"),
        ("http://example.org/", "anybody on the way can read"),
        ("https://[::1", "url is no address: Invalid IPv6"),
        ("https://example.org:99999/", "url is no address: Port out of range"),
    ],
)
def test_a_wrong_address_is_refused_at_the_start(url: str, word: str) -> None:
    with pytest.raises(SettingsError, match=word):
        WebServer(url, (), None, 5.0, plain=False)


@pytest.mark.parametrize("entry", ["10.0.0.1/8", "https://soc.example.org", "soc.example.org/hooks"])
def test_what_is_allowed_is_a_network_or_a_host(entry: str) -> None:
    with pytest.raises(SettingsError, match="is no network, and no host's name"):
        WebServer("https://example.org/", (entry,), None, 5.0, plain=False)


@pytest.mark.parametrize(
    ("host", "is_refused"),
    [("splunk.corp.example", True), ("10.1.2.3", True), ("127.0.0.1", False), ("localhost", False), ("[::1]", False)],
)
def test_credentials_never_leave_the_machine_in_the_clear(host: str, is_refused: bool) -> None:
    allow = (host.strip("[]"),)
    WebServer(f"http://{host}/", allow, None, 5.0, plain=False)
    if is_refused:
        with pytest.raises(SettingsError, match="would send the credentials readable: use https://"):
            WebServer(f"http://{host}/", allow, None, 5.0, plain=False, has_secret=True)
    else:
        WebServer(f"http://{host}/", allow, None, 5.0, plain=False, has_secret=True)


def test_a_cafile_that_is_not_there_is_named() -> None:
    with pytest.raises(SettingsError, match="cafile /nowhere"):
        WebServer("https://example.org/", (), Path("/nowhere"), 5.0, plain=False)
