"""The one way out to a web server: the host that the settings name, no redirect, and no address of ours by accident.

The guard sees each address just before it is connected to, so that neither a literal address nor a name that changes
its mind (DNS rebinding) gets past it.
"""

import asyncio
import errno
import io
import ipaddress
import socket
import ssl
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import aiohttp
from yarl import URL

from collector.errors import SettingsError
from streams.dispatch.schedule import read_retry_after
from streams.sinks.sink import Gone, Refused, Throttled, Undelivered, Unreachable

MAX_ANSWER_BYTES: Final = 4096
MAX_AT_ONCE_BYTES: Final = 1 << 18
MAX_WORDS: Final = 200
CONNECT_SECONDS: Final = 5.0
PROBE_SECONDS: Final = 5.0
AGENT: Final = "lenswatch"
GATEWAY: Final = (502, 503, 504)
UNREADABLE: Final = (400, 413, 414, 415, 422)
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
# What Python may take for global: RFC 6890 (protocol assignments), RFC 4291 (IPv4-compatible), RFC 2765 (translated),
# RFC 8215 (local NAT64), RFC 3879 (site-local).
RESERVED: Final = tuple(
    map(ipaddress.ip_network, ("192.0.0.0/24", "::/96", "::ffff:0:0:0/96", "64:ff9b:1::/48", "fec0::/10"))
)
# Where clouds (Alibaba, Azure, Oracle, AWS, Google) keep a machine's credentials; link-local ones are looked at apart.
METADATA: Final = frozenset(
    map(ipaddress.ip_address, ("100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254", "fd20:ce::254"))
)


class Forbidden(OSError):
    """An address that may not be connected to."""


class Guard:
    """Which addresses may be connected to. `allow` holds networks (CIDR), and host names whose addresses may be
    private or loopback; link-local and metadata addresses need a network that names them. Raises SettingsError."""

    def __init__(self, host: str, allow: tuple[str, ...]) -> None:
        self.networks: list[Network] = []
        names = set()
        for entry in allow:
            try:
                self.networks.append(ipaddress.ip_network(entry))
            except ValueError as error:
                if "/" in entry:
                    raise SettingsError(f"allow: {entry!r} is no network, and no host's name: {error}") from error
                names.add(entry.lower().rstrip("."))
        self.named = host.lower().rstrip(".") in names

    def reason_against(self, text: str) -> str | None:
        """Why an address may not be connected to; None when it may."""
        address = unwrapped(ipaddress.ip_address(text.partition("%")[0]))
        if any(address in network for network in self.networks):
            return None
        if address.is_link_local or address in METADATA:
            return "link-local or metadata"
        if address.is_multicast or address.is_unspecified:
            return "no single host"
        if self.named or (address.is_global and not any(address in network for network in RESERVED)):
            return None
        return "private or loopback"

    def check(self, address: str) -> None:
        """Raises Forbidden for an address that may not be connected to."""
        reason = self.reason_against(address)
        if reason is not None:
            raise Forbidden(errno.EACCES, f"{address} is {reason}; name the host or its network at allow")

    @property
    def may_be_plain(self) -> bool:
        """Whether the settings name this host, or networks, as places that may be spoken to in the clear."""
        return self.named or bool(self.networks)

    def __call__(self, info: Any) -> socket.socket:
        """A socket for one (family, type, proto, _, address). Raises Forbidden."""
        family, kind, protocol, _, place = info
        self.check(place[0])
        made = socket.socket(family, kind, protocol)
        made.setblocking(False)
        return made


def unwrapped(address: Address) -> Address:
    """The IPv4 address within an IPv6 one, where there is one."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if inner is None and address in NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        return inner or address
    return address


def is_loopback(host: str) -> bool:
    """Whether what is sent there stays on this machine, by the name or address alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


class Reply(NamedTuple):
    """What a server answered: the status, the beginning of the text, fit to be shown, and as much of the body as was
    asked for."""

    status: int
    reason: str
    text: str
    retry_after: float | None
    body: bytes = b""

    @property
    def words(self) -> str:
        """The status in a word or two."""
        return f"{self.status} {self.reason}".strip()


class WebServer:
    """One server that is posted to. `shown` is its address without path, query and credentials, which may be secret.
    With `plain` it may be http:// wherever it is; with `has_secret`, what we send would let whoever reads it in."""

    def __init__(
        self,
        url: str,
        allow: tuple[str, ...],
        cafile: Path | None,
        seconds: float,
        plain: bool,
        has_secret: bool = False,
    ) -> None:
        try:
            parsed = URL(url)
        except ValueError as error:
            raise SettingsError(f"url is no address: {error}") from error
        if parsed.scheme not in ("http", "https") or not parsed.host:
            raise SettingsError("url is no http:// or https:// address")
        if parsed.user is not None or parsed.password is not None:
            raise SettingsError("url holds credentials, which would reach logs: leave them out")
        self.guard = Guard(parsed.host, allow)
        if parsed.scheme == "http" and not plain and not self.guard.may_be_plain:
            raise SettingsError("url is http://, which anybody on the way can read: use https://, or name it at allow")
        if parsed.scheme == "http" and has_secret and not is_loopback(parsed.host):
            raise SettingsError("url is http://, which would send the credentials readable: use https://")
        self.url, self.shown = parsed, f"{parsed.scheme}://{parsed.host}:{parsed.port}"
        self._seconds = seconds
        try:
            self._tls = ssl.create_default_context(cafile=None if cafile is None else str(cafile))
        except (OSError, ssl.SSLError) as error:
            raise SettingsError(f"cafile {cafile} cannot be read: {error.strerror or error}") from error
        self._session: aiohttp.ClientSession | None = None

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(ssl=self._tls, socket_factory=self.guard, limit=32)
            timeout = aiohttp.ClientTimeout(total=self._seconds, sock_connect=CONNECT_SECONDS)
            self._session = aiohttp.ClientSession(
                connector=connector, timeout=timeout, trust_env=False, headers={"User-Agent": AGENT},
                cookie_jar=aiohttp.DummyCookieJar(),
            )  # fmt: skip
        return self._session

    async def ask(
        self,
        method: str,
        url: URL,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        most: int = MAX_ANSWER_BYTES,
    ) -> Reply:
        """One request; `most` bytes of the answer are read. Raises Unreachable when there is no connection, Undelivered
        when there is no answer."""
        # As a file, for long bodies: aiohttp would write them in one go, while nothing else of the loop could run.
        data = io.BytesIO(body) if body is not None and len(body) > MAX_AT_ONCE_BYTES else body
        try:
            async with self._opened().request(method, url, data=data, headers=headers, allow_redirects=False) as answer:
                answered = await read_most(answer.content, most)
                text = answered[:MAX_ANSWER_BYTES].decode("utf-8", "replace")
                wait = read_retry_after(answer.headers.get("Retry-After"), time.time())
                return Reply(answer.status, one_line(answer.reason or ""), one_line(text), wait, answered)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise Unreachable(f"{self.shown}: {reason_of(error)}") from error
        except (aiohttp.ClientError, OSError, TimeoutError, asyncio.IncompleteReadError) as error:
            raise Undelivered(f"{self.shown}: {reason_of(error)}") from error

    async def post(self, body: bytes, headers: Mapping[str, str], url: URL | None = None) -> str:
        """Post a body; what was answered. Raises Undelivered."""
        return judged(await self.ask("POST", url or self.url, body, headers), self.shown)

    async def probe(self, method: str, url: URL) -> None:
        """Whether the server answers. Raises Undelivered."""
        try:
            reply = await asyncio.wait_for(self.ask(method, url), PROBE_SECONDS)
        except TimeoutError as error:
            raise Unreachable(f"{self.shown}: no answer within {PROBE_SECONDS:.0f} s") from error
        if reply.status in GATEWAY:
            raise Unreachable(f"{self.shown}: {reply.words}")

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None


async def read_most(content: aiohttp.StreamReader, most: int) -> bytes:
    """Up to so many bytes of a body."""
    read = bytearray()
    while len(read) < most and (more := await content.read(most - len(read))):
        read += more
    return bytes(read)


def judged(reply: Reply, shown: str) -> str:
    """The answer's words when it is a yes; else raises the kind of no. Standard Webhooks: only 2xx is a yes."""
    words = f"{shown}: answered {reply.words}"
    if 200 <= reply.status < 300:
        return reply.words
    if reply.status == 410:
        raise Gone(f"{words}: it wants no more")
    if reply.status == 429 or (reply.status in GATEWAY and reply.retry_after is not None):
        raise Throttled(words, reply.retry_after)
    if reply.status in GATEWAY:
        raise Unreachable(words)
    if 300 <= reply.status < 400:
        raise Undelivered(f"{words}: redirects are not followed; set url to the address that it leads to")
    text = f": {reply.text}" if reply.text else ""
    if reply.status in UNREADABLE:
        raise Refused(f"{words}{text}")
    raise Undelivered(f"{words}{text}")


def one_line(text: str) -> str:
    """What a server says, on one line of a screen or log, which it can neither steer nor break."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in " ".join(text.split())[:MAX_WORDS])


def reason_of(error: BaseException) -> str:
    """Why there is no answer, without the address asked, whose path may be secret."""
    if isinstance(error, aiohttp.ClientConnectorError):
        inner = error.os_error
        return str(inner.strerror or inner)[:MAX_WORDS]
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError):
        return str(error.strerror or error)[:MAX_WORDS]
    return type(error).__name__
