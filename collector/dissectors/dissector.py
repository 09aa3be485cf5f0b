"""What every protocol must offer. A dissector never decides that something is bad; it says what is there."""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Protocol, runtime_checkable

from collector.digests import Digests
from collector.observation import Announced, Dns, File, FileFormat, Http, Tls, TlsOffer, Url, UserAgent

FROM_CLIENT = 0
FROM_SERVER = 1


@dataclasses.dataclass(slots=True)
class Fact:
    """What a dissector read: the dataset ("dns") and the ECS field sets that say it.

    `name` is the name that the peer was called by (SNI, Host, question), `named_by` where it stood
    (tls_sni, http_host, dns_question). `backward` is true when the flow's server sent it. `action` is what the message
    does, in the protocol's own word; `announced` what its sender says of itself; `answered` what was asked of it, where
    it answers as one that has that; `certificate` (DER) what a TLS server showed. `finish` fills in what is dear to
    compute (fingerprints), and is called only for a fact that becomes an observation.
    """

    dataset: str
    name: str | None = None
    named_by: str | None = None
    backward: bool = False
    dns: Dns | None = None
    tls: Tls | None = None
    offer: TlsOffer | None = None
    url: Url | None = None
    http: Http | None = None
    user_agent: UserAgent | None = None
    action: str | None = None
    announced: Announced | None = None
    file: File | None = None
    format: FileFormat | None = None
    answered: Url | None = None
    certificate: bytes | None = None
    finish: Callable[[], None] | None = dataclasses.field(default=None, compare=False)


class Dissection(Protocol):
    """One stream being read. `feed` raises Malformed when the bytes break the protocol; nothing else.

    `wants` says, per direction (FROM_CLIENT, FROM_SERVER), whether more bytes are of use; when neither is,
    the flow is not read any more. `skip` says, per direction, how many of the next bytes mean nothing (a body):
    they may be left out of `feed` when their number is taken off `skip`; bytes that are fed are taken off by `feed`.
    """

    wants: list[bool]
    skip: list[int]

    def feed(self, direction: int, data: bytes) -> Iterator[Fact]:
        """The next bytes in order of one direction; yields what they complete. Read it to its end."""
        ...


@runtime_checkable
class Digesting(Protocol):
    """A Dissection that may be taking the digest of a body."""

    def forgo_digest(self, direction: int) -> None:
        """A piece of this direction is lost: what is left of a body only counts in `skip` from now on."""
        ...


class Conversation(Protocol):
    """One UDP flow being read, where what one datagram says depends on those before it, or where only the first few
    say anything. `wants` is as a Dissection's.
    """

    wants: list[bool]

    def read(self, direction: int, payload: bytes) -> list[Fact]:
        """What the next datagram of one direction completes; nothing when it says nothing. Raises Malformed."""
        ...


@dataclasses.dataclass(frozen=True, slots=True)
class Dissector:
    """One protocol over TCP (`begin`) or UDP (`read_datagram`, or `converse` where datagrams depend on each other).

    `recognises(first bytes, server port, direction)` answers True, False, or None for "ask again with more"; it is
    asked only for bytes that begin with one of `starts`, which are all that can begin this protocol (None: any byte).
    `begin()` starts a stream, `converse()` a flow of datagrams. `read_datagram(payload, direction)` reads a datagram
    whole and raises Malformed when it breaks the protocol. `digest`, where there is one, begins a stream that takes
    the digests of bodies on a budget.
    """

    name: str
    recognises: Callable[[bytes, int, int], bool | None]
    begin: Callable[[], Dissection] | None = None
    read_datagram: Callable[[bytes, int], list[Fact]] | None = None
    converse: Callable[[], Conversation] | None = None
    starts: bytes | None = None
    digest: Callable[[Digests], Dissection] | None = None
