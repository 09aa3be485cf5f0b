"""A chat, a mailbox or a ticket queue that Apprise knows, each of its calls inside a fence. Imported only where a sink
needs it: Apprise and requests take a while.

Apprise answers yes or no. So that a no has its reason, and TLS, redirects and proxies are ours to say, its services see
our `requests` and `smtplib`, which are the libraries' own with what was answered noted.
"""

import contextlib
import importlib
import logging
import smtplib
import socket
import ssl
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

import requests
from apprise import AppriseAsset, NotifyBase, NotifyFormat, NotifyType, PersistentStoreMode
from apprise.exception import AppriseException
from yarl import URL

from collector.errors import SettingsError
from streams.dispatch.connect import AGENT, MAX_WORDS, Guard, Reply, is_loopback, judged
from streams.dispatch.fence import CURRENT, Fence
from streams.dispatch.schedule import read_retry_after
from streams.dispatch.secret import read_word
from streams.dispatch.wording import Message
from streams.sinks.sink import Refused, Undelivered, Unreachable

MAX_ANSWER_BYTES: Final = 1 << 16
PROBE_SECONDS: Final = 5.0
HTTPS_PORT, HTTP_PORT = 443, 80
NOTIFY_TYPES: Final = {
    "critical": NotifyType.FAILURE, "high": NotifyType.FAILURE, "medium": NotifyType.WARNING, "low": NotifyType.INFO,
    "informational": NotifyType.INFO,
}  # fmt: skip


class Service(NamedTuple):
    """A service: the class of Apprise's that knows it, and who is asked. A `key` is the attribute that names the
    incident, so that news of one finding is one incident; `ends`: it can be told that it is over."""

    plugin: str
    host: Callable[[Any], str]
    key: str | None = None
    ends: bool = False


def own_host(plugin: Any) -> str:
    """The host of the URL."""
    return str(plugin.host)


def host_of(table: str) -> Callable[[Any], str]:
    """The host of a service with regions, from its own table."""

    def find(plugin: Any) -> str:
        regions: dict[str, str] = getattr(sys.modules[type(plugin).__module__], table)
        return URL(regions[plugin.region_name]).host or ""

    return find


def slack_host(plugin: Any) -> str:
    """A bot speaks to Slack's API, a webhook to where it hangs."""
    if plugin.mode == "bot":
        return "slack.com"
    return URL(plugin.webhook_gov_url if plugin.mode == "gov-hook" else plugin.webhook_url).host or ""


SERVICES: Final = {
    "slack": Service("slack.NotifySlack", slack_host),
    "workflows": Service("workflows.NotifyWorkflows", own_host),
    "mmost": Service("mattermost.NotifyMattermost", own_host),
    "mmosts": Service("mattermost.NotifyMattermost", own_host),
    "pagerduty": Service("pagerduty.NotifyPagerDuty", host_of("PAGERDUTY_API_LOOKUP"), key="dedup", ends=True),
    "opsgenie": Service("opsgenie.NotifyOpsgenie", host_of("OPSGENIE_API_LOOKUP"), key="alias"),
    "mailto": Service("email.NotifyEmail", lambda plugin: str(plugin.smtp_host)),
    "mailtos": Service("email.NotifyEmail", lambda plugin: str(plugin.smtp_host)),
}


class Call(Fence):
    """One call, and what was answered to it."""

    def __init__(self, host: str, guard: Guard, cafile: Path | None) -> None:
        super().__init__((host,), guard)
        self.cafile = None if cafile is None else str(cafile)
        self.reply: Reply | None = None
        self.words = ""
        self.opened: set[smtplib.SMTP] = set()

    def close(self) -> None:
        """Close what a failure has left open."""
        for mail in self.opened:
            mail.close()


class Requests:
    """`requests`, as a service of Apprise sees it."""

    def __getattr__(self, name: str) -> Any:
        return getattr(requests, name)

    def request(self, method: str, url: str, **options: Any) -> requests.Response:
        """As `requests.request`, for a call of ours: TLS is verified, nobody is followed, no proxy is asked."""
        call = CURRENT.get()
        assert isinstance(call, Call)
        options |= {"allow_redirects": False, "verify": call.cafile or True, "stream": True}
        with requests.Session() as session:
            session.trust_env = False
            answer = session.request(method, url, **options)
            # Read here, and so much only: else `requests` would read whatever comes.
            answer._content = answer.raw.read(MAX_ANSWER_BYTES, decode_content=True)
            answer.close()
            answer._content_consumed = True
        wait = read_retry_after(answer.headers.get("Retry-After"), time.time())
        call.reply = Reply(answer.status_code, str(answer.reason or "")[:MAX_WORDS], answer.text[:MAX_WORDS], wait)
        return answer

    def get(self, url: str, **options: Any) -> requests.Response:
        """As `requests.get`."""
        return self.request("get", url, **options)

    def post(self, url: str, **options: Any) -> requests.Response:
        """As `requests.post`."""
        return self.request("post", url, **options)


class Noted:
    """Keeps the last refusal of a mail server, which Apprise does not hand on."""

    def getreply(self) -> tuple[int, bytes]:
        """As `smtplib.SMTP.getreply`."""
        code, text = super().getreply()  # type: ignore[misc]
        call = CURRENT.get()
        if isinstance(call, Call) and isinstance(self, smtplib.SMTP):
            call.opened.add(self)
        if isinstance(call, Call) and code >= 400 and not call.words:
            words = " ".join(text.decode("utf-8", "replace").split())
            call.words = f"answered {code} {words}"[:MAX_WORDS]
        return code, text


class Smtp(Noted, smtplib.SMTP):
    """`smtplib.SMTP`, noted."""


class SmtpSsl(Noted, smtplib.SMTP_SSL):
    """`smtplib.SMTP_SSL`, noted."""


class Mail:
    """`smtplib`, as Apprise sees it."""

    SMTP, SMTP_SSL = Smtp, SmtpSsl

    def __getattr__(self, name: str) -> Any:
        return getattr(smtplib, name)


class Tls:
    """`ssl`, as Apprise's mail sees it: the certificates of the settings count there too."""

    def __getattr__(self, name: str) -> Any:
        return getattr(ssl, name)

    def create_default_context(self) -> ssl.SSLContext:
        """As `ssl.create_default_context`."""
        call = CURRENT.get()
        return ssl.create_default_context(cafile=call.cafile if isinstance(call, Call) else None)


class Target:
    """Where the messages of a sink go. `shown` is what may be shown of it."""

    def __init__(self, scheme: str, plugin: Any, allow: tuple[str, ...], cafile: Path | None) -> None:
        self.service, self._plugin, self._cafile = SERVICES[scheme], plugin, cafile
        self._host = self.service.host(plugin)
        self._guard = Guard(self._host, allow)
        self._is_mail = hasattr(plugin, "smtp_host")
        self._is_plain = plugin.secure_mode == "insecure" if self._is_mail else scheme == "mmost"
        own = plugin.port if self._is_mail or self.service.host is own_host else None
        self._port = int(own or (HTTP_PORT if self._is_plain else HTTPS_PORT))
        self.shown = f"{scheme}://{self._host}:{self._port}"

    def check(self) -> None:
        """Raises SettingsError for what anybody on the way could read or change."""
        if not self._plugin.verify_certificate:
            raise SettingsError(
                "verify=no leaves the other side unknown: leave it out, and name its certificate at cafile"
            )
        has_secret = not self._is_mail or bool(self._plugin.password)
        if self._is_plain and not is_loopback(self._host) and (has_secret or not self._guard.may_be_plain):
            raise SettingsError(
                "it goes over a connection that anybody on the way can read: use mmosts:// or mailtos://; only mail "
                "without a password may go so, to a host that allow names"
            )

    def tell(self, message: Message) -> str:
        """Send a message; the answer in a word. It waits for the network. Raises Undelivered."""
        call = Call(self._host, self._guard, self._cafile)
        with contextlib.closing(call):
            is_taken = call.run(lambda: self._notify(message))
        if is_taken:
            return call.reply.words if call.reply is not None else "taken"
        if call.blocked is not None:
            raise Unreachable(f"{self.shown}: {call.blocked}")
        if call.reply is not None:
            try:
                judged(call.reply, self.shown)
            except Refused as error:
                # What we say is short and well-formed: a service that refuses it means the token or the channel.
                raise Undelivered(str(error)) from error
            raise Undelivered(f"{self.shown}: answered {call.reply.words}, and took nothing: {call.reply.text.strip()}")
        if not call.words:
            self.probe()
        raise Undelivered(f"{self.shown}: {call.words or 'answers, and took nothing'}")

    def _notify(self, message: Message) -> bool:
        kind = NOTIFY_TYPES[message.level]
        if self.service.key is not None:
            setattr(self._plugin, self.service.key, message.key)
        if self.service.ends:
            self._plugin.action = "resolve" if message.is_end else "trigger"
        told: bool = self._plugin.notify(
            body=message.body, title=message.title, notify_type=kind, body_format=NotifyFormat.TEXT
        )
        return told

    def probe(self) -> None:
        """Whether anybody listens there. Raises Unreachable."""
        call = Call(self._host, self._guard, None)
        try:
            call.run(lambda: socket.create_connection((self._host, self._port), PROBE_SECONDS)).close()
        except OSError as error:
            raise Unreachable(f"{self.shown}: {error.strerror or error}") from error


def target_reader(allow: tuple[str, ...], cafile: Path | None, seconds: float) -> Callable[[str, str], Target]:
    """What makes a target of the text of a secret."""

    def read(text: str, place: str) -> Target:
        url = read_word(text, place)
        scheme = url.partition("://")[0].lower()
        if scheme not in SERVICES:
            raise SettingsError(f"{place}: begins with none of {', '.join(f'{each}://' for each in SERVICES)}")
        try:
            target = Target(scheme, make_plugin(scheme, url, seconds), allow, cafile)
            target.check()
        except SettingsError as error:
            raise SettingsError(f"{place}: {error}") from error
        return target

    return read


def make_plugin(scheme: str, url: str, seconds: float) -> NotifyBase:
    """Apprise's plug-in for a URL. Raises SettingsError, which shows nothing of it."""
    quieten()
    module_name, _, name = SERVICES[scheme].plugin.partition(".")
    # By its name, for Apprise itself would load every service that it knows.
    module: Any = importlib.import_module(f"apprise.plugins.{module_name}")
    kind = getattr(module, name)
    if hasattr(module, "requests"):
        module.requests = Requests()
    else:
        mail: Any = importlib.import_module("apprise.plugins.email.smtp")
        mail.smtplib, mail.ssl = Mail(), Tls()
    try:
        parsed = kind.parse_url(url)
        plugin: NotifyBase | None = None if not parsed else kind(asset=asset(), **parsed)
    except (TypeError, AppriseException):
        plugin = None
    if plugin is None:
        raise SettingsError(f"is no URL of the service {scheme} as Apprise writes them")
    plugin.socket_connect_timeout = plugin.socket_read_timeout = seconds
    # How often we speak is the sink's to say.
    plugin.request_rate_per_sec = 0.0
    return plugin


def asset() -> AppriseAsset:
    """What Apprise is to say of us, and not to do: no pictures from elsewhere, no files."""
    made = AppriseAsset(storage_mode=PersistentStoreMode.MEMORY, allow_templates=False, http_redirects=False)
    made.app_id, made.app_desc, made.app_url = AGENT, AGENT, ""
    made.image_url_mask = made.image_url_logo = ""
    made.pgp_autogen = made.pem_autogen = False
    return made


def quieten() -> None:
    """Both libraries log the addresses that they ask, and those are secret."""
    logging.getLogger("apprise").disabled = True
    logging.getLogger("urllib3.connectionpool").setLevel(logging.WARNING)
