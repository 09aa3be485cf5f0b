"""Each service is asked at its own host, over TLS that is verified, and by nobody else's rules; a no has its reason."""

import json
import logging
import socket
import ssl
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trustme

from collector.errors import SettingsError
from rules.alert import Alert
from streams.dispatch.target import SERVICES, Target, target_reader
from streams.dispatch.wording import message_of
from streams.processors.fold import revise
from streams.sinks.sink import Gone, Throttled, Undelivered, Unreachable
from tests.streams.receiver import Receiver

TOKEN = "abcdefghijklmnopqrstuvwxyz"
KEY = "0123456789abcdef0123456789abcdef"
URLS = {
    "slack": ("slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7cD/", "hooks.slack.com"),
    "slack, a bot": ("slack://xoxb-1234-1234-4ddbc191d40ee098cbaae6f3523ada2d/%23soc", "slack.com"),
    "workflows": (
        "workflows://prod-1.westus.logic.azure.com:443/643e69f83c8944438d68119179a10a64/5dQ8Ot3Ix9hRmDcHn2yNpA/",
        "prod-1.westus.logic.azure.com",
    ),
    "mmosts": (f"mmosts://chat.example.org/{TOKEN}", "chat.example.org"),
    "pagerduty": (f"pagerduty://{KEY}@{KEY}/", "events.pagerduty.com"),
    "pagerduty, in Europe": (f"pagerduty://{KEY}@{KEY}/?region=eu", "events.eu.pagerduty.com"),
    "opsgenie": (f"opsgenie://{KEY[:8]}-0123-4567-89ab-cdef01234567/", "api.opsgenie.com"),
    "mailtos": ("mailtos://kim:word@mail.example.org/?to=soc@example.org", "mail.example.org"),
}


def read(url: str, *allow: str, cafile: Path | None = None) -> Target:
    return target_reader(allow, cafile, 5.0)(url, "url_file x")


@pytest.mark.parametrize("service", URLS)
def test_a_service_is_asked_at_its_own_host_and_shows_nothing_else(service: str) -> None:
    url, host = URLS[service]
    target = read(url)
    assert target.shown.partition("://")[2].rpartition(":")[0] == host
    secrets = [part for part in url.replace("/", " ").replace("@", " ").replace(":", " ").split() if len(part) > 14]
    assert not [part for part in secrets if part in target.shown and part != host]


def test_every_service_is_tried_here() -> None:
    assert {url.partition("://")[0] for url, _ in URLS.values()} >= set(SERVICES) - {"mmost", "mailto"}


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ssl.SSLContext]:
    """An authority's certificate, and what a server of these hosts shows."""
    authority, folder = trustme.CA(), tmp_path_factory.mktemp("tls")
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(*sorted({host for _, host in URLS.values()})).configure_cert(context)
    return folder / "ca.pem", context


@pytest.fixture
def world(certificates: tuple[Path, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    """A real TLS server that has the services' names: looked up, each is a port of the loopback address."""
    receiver = Receiver(lambda got: (202, {}, json.dumps({"ok": True, "requestId": "r"})))
    receiver.tls = certificates[1]
    receiver.start()
    real = socket.getaddrinfo

    def look_up(host: str, port: int, *rest: Any, **more: Any) -> list[Any]:
        sys.audit("socket.getaddrinfo", host, port, 0, 0, 0)
        if host in {name for _, name in URLS.values()}:
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", receiver.port))]
        return real(host, port, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    yield receiver
    receiver.stop()


def posted(
    service: str, world: Receiver, cafile: Path, *alerts: Alert, link: str | None = None
) -> list[dict[str, Any]]:
    """The bodies that a service gets of the alerts, one message each."""
    target = read(URLS[service][0], "127.0.0.0/8", cafile=cafile)
    for alert in alerts:
        target.tell(message_of([alert], link))
    return [json.loads(got.body) for got in world.got]


Certificates = tuple[Path, ssl.SSLContext]


def test_slack_gets_text_that_calls_nobody(world: Receiver, certificates: Certificates, alert: Alert) -> None:
    world.answer = lambda got: (200, {}, "ok")
    hostile = msgspec.structs.replace(alert, message="a camera named <!channel> & <@U1> calls @here")
    (body,) = posted("slack", world, certificates[0], hostile)
    assert world.got[0].path == "/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7cD"
    text = json.dumps(body)
    assert "&lt;!channel&gt;" in text and "<!channel>" not in text and "@here" not in text


def test_teams_gets_a_card(world: Receiver, certificates: Certificates, alert: Alert) -> None:
    (body,) = posted("workflows", world, certificates[0], alert)
    (card,) = body["attachments"]
    assert body["type"] == "message" and card["contentType"] == "application/vnd.microsoft.card.adaptive"
    # A card is Markdown, in which a backslash makes a sign mean itself.
    assert alert.message in "".join(block.get("text", "") for block in card["content"]["body"]).replace("\\", "")


def test_pagerduty_gets_one_incident_a_finding_and_its_end(
    world: Receiver, certificates: Certificates, alert: Alert
) -> None:
    ended = revise(alert, alert.timestamp, "ended")
    first, again, over = posted(
        "pagerduty", world, certificates[0], alert, revise(alert, alert.timestamp, "step"), ended
    )
    # PagerDuty, Events API v2: what a trigger event must have.
    assert {"routing_key", "event_action", "payload"} <= set(first)
    assert {"summary", "source", "severity"} <= set(first["payload"]) and first["payload"]["severity"] == "critical"
    assert first["dedup_key"] == again["dedup_key"] == over["dedup_key"] == alert.event.id
    assert [each["event_action"] for each in (first, again, over)] == ["trigger", "trigger", "resolve"]
    assert alert.message in first["payload"]["summary"]


def test_opsgenie_gets_one_incident_a_finding(world: Receiver, certificates: Certificates, alert: Alert) -> None:
    (body,) = posted("opsgenie", world, certificates[0], alert)
    assert body["alias"] == alert.event.id and alert.message in body["description"] and body["message"]


def test_tls_is_verified(world: Receiver, certificates: Certificates, alert: Alert) -> None:
    target = read(URLS["mmosts"][0], "127.0.0.0/8")
    with pytest.raises(Undelivered):
        target.tell(message_of([alert], None))
    assert world.got == []
    with pytest.raises(SettingsError, match="url_file x: verify=no leaves the other side unknown"):
        read(f"{URLS['mmosts'][0]}?verify=no")


def test_an_address_of_ours_is_refused_when_it_is_connected_to(world: Receiver, alert: Alert) -> None:
    with pytest.raises(Unreachable, match="private or loopback; name the host or its network at allow"):
        read(URLS["slack"][0]).tell(message_of([alert], None))
    with pytest.raises(Unreachable, match="private or loopback"):
        read(URLS["mailtos"][0]).tell(message_of([alert], None))
    with pytest.raises(Unreachable, match="private or loopback"):
        read(URLS["slack"][0]).probe()
    assert world.got == []


def test_neither_a_redirect_nor_a_proxy_nor_netrc_leads_elsewhere(
    alert: Alert, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login kim password secret\n", "utf-8")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with Receiver() as other, Receiver(lambda got: (302, {"Location": other.url}, "")) as receiver:
        for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{other.port}")
        target = read(f"mmost://127.0.0.1:{receiver.port}/{TOKEN}?redirect=yes", "127.0.0.1")
        with pytest.raises(Undelivered, match="302 Found: redirects are not followed"):
            target.tell(message_of([alert], None))
        assert len(receiver.got) == 1 and other.got == []
        assert "authorization" not in receiver.got[0].headers


@pytest.mark.parametrize(
    ("status", "headers", "kind"),
    [
        (400, {}, Undelivered),
        (401, {}, Undelivered),
        (410, {}, Gone),
        (429, {"Retry-After": "30"}, Throttled),
        (500, {}, Undelivered),
        (503, {}, Unreachable),
    ],
)
def test_a_no_is_the_no_that_it_is_and_never_the_messages_own_fault(
    alert: Alert, status: int, headers: dict[str, str], kind: type[Undelivered]
) -> None:
    with Receiver(lambda got: (status, headers, "why not")) as receiver:
        target = read(f"mmost://127.0.0.1:{receiver.port}/{TOKEN}", "127.0.0.1")
        with pytest.raises(Undelivered, match=f"answered {status}") as failed:
            target.tell(message_of([alert], None))
    assert type(failed.value) is kind and TOKEN not in f"{failed.value!r}"
    if isinstance(failed.value, Throttled):
        assert failed.value.seconds == 30


def test_a_yes_that_says_no_is_a_no(world: Receiver, certificates: Certificates, alert: Alert) -> None:
    world.answer = lambda got: (200, {}, json.dumps({"ok": False, "error": "channel_not_found"}))
    with pytest.raises(Undelivered, match=r"took nothing: .*channel_not_found"):
        posted("slack, a bot", world, certificates[0], alert)


def test_nobody_there_is_unreachable(alert: Alert) -> None:
    receiver = Receiver().start()
    receiver.stop()
    for url in (
        f"mmost://127.0.0.1:{receiver.port}/{TOKEN}",
        f"mailto://127.0.0.1:{receiver.port}/?from=l@example.org&to=a@example.org",
    ):
        with pytest.raises(Unreachable, match="Connection refused"):
            read(url, "127.0.0.1").tell(message_of([alert], None))


def test_an_endless_answer_is_read_to_a_bound(alert: Alert) -> None:
    with Receiver(lambda got: (500, {}, "x" * (4 << 20))) as receiver:
        target = read(f"mmost://127.0.0.1:{receiver.port}/{TOKEN}", "127.0.0.1")
        with pytest.raises(Undelivered) as failed:
            target.tell(message_of([alert], None))
    assert len(str(failed.value)) < 500


def test_no_log_shows_what_is_asked(
    alert: Alert, caplog: pytest.LogCaptureFixture, world: Receiver, certificates: Certificates
) -> None:
    world.answer = lambda got: (200, {}, "ok")
    with caplog.at_level(logging.DEBUG):
        posted("slack", world, certificates[0], alert)
        world.answer = lambda got: (500, {}, "no")
        with pytest.raises(Undelivered):
            posted("slack", world, certificates[0], alert)
    assert "TIiajkdnlazkcOXrIdevi7cD" not in caplog.text


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("https://hooks.slack.com/services/A/B/C", "begins with none of slack://"),
        ("dbus://", "begins with none of"),
        ("slack://T1", "is no URL of the service slack"),
        ("pagerduty://", "is no URL of the service pagerduty"),
        (f"mmost://chat.example.org/{TOKEN}", "anybody on the way can read"),
        ("mailto://mail.example.org/?from=l@example.org&to=a@example.org", "anybody on the way can read"),
        ("two words", "the secret alone"),
    ],
)
def test_a_wrong_url_is_refused_without_being_shown(url: str, word: str) -> None:
    with pytest.raises(SettingsError, match=word) as failed:
        read(url)
    assert TOKEN not in str(failed.value)


def test_no_secret_leaves_the_machine_in_the_clear() -> None:
    mail = "mailto://{}mail.example.org/?from=l@example.org&to=a@example.org&mode=insecure"
    for url in (mail.format("kim:word@"), f"mmost://mail.example.org/{TOKEN}"):
        with pytest.raises(SettingsError, match="anybody on the way can read"):
            read(url, "mail.example.org")
    assert read(mail.format(""), "mail.example.org").shown == "mailto://mail.example.org:25"
    assert read(f"mmost://localhost/{TOKEN}").shown == "mmost://localhost:80"
