"""Alerts as STIX sightings to a collection of a TAXII 2.1 server (OASIS TAXII Version 2.1, section 5.5, Add Objects).

A server answers with a status resource (4.3.1), which is asked for again until it is complete. An object that failed
has not arrived, unless the collection's manifest (5.3) says that it is there: servers count what they have already as a
failure, and a repeat is what they have already.

OASIS's own client speaks through requests, past the guard and blocking; three requests need none.
"""

import asyncio
import datetime
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal, Self, TypeVar
from urllib.parse import quote

import msgspec
from yarl import URL

from rules.alert import Alert
from streams.dispatch.connect import Reply, WebServer, judged
from streams.dispatch.secret import Secret, basic_password, read_word
from streams.dispatch.tables import read_table
from streams.dispatch.turns import in_turns
from streams.formats.stix import Object, each_once, sighting_objects
from streams.processors.canary import is_canary, is_test
from streams.sinks.sink import Refused, Sink, Undelivered

MEDIA_TYPE: Final = "application/taxii+json;version=2.1"
MAX_BATCH: Final = 20
MAX_ANSWER_BYTES: Final = 4 << 20
MAX_IDS: Final = 40
PAGE, MAX_PAGES = 100, 50
POLL_SECONDS: Final = 0.5
# What is made anew with each revision; the rest is shared by many alerts and never changes.
NEWS: Final = ("observed-data", "sighting")


class TaxiiTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`[sinks.NAME]` of kind taxii: a TAXII 2.1 collection. Who we are: a user, a bearer token, or nobody."""

    url: str
    """The collection's address: https://…/collections/ID/."""
    username: str | None = None
    """A user, with `password_file` or `password_env`."""
    password_file: Path | None = None
    """A file that holds the user's password; others must not be able to read it."""
    password_env: str | None = None
    """The name of an environment variable that holds it."""
    token_file: Path | None = None
    """A file that holds a bearer token; others must not be able to read it."""
    token_env: str | None = None
    """The name of an environment variable that holds it."""
    allow: tuple[str, ...] = ()
    """Host names and networks that may be reached though they are private."""
    cafile: Path | None = None
    """Whose certificates are trusted (PEM); without it, the system's authorities."""
    timeout_seconds: float = 30.0
    """How long an answer is waited for, 60 at most."""
    status_seconds: float = 60.0
    """For how long the status of what was added is asked for, 600 at most."""

    def __post_init__(self) -> None:
        if not 0 < self.timeout_seconds <= 60 or not 0 < self.status_seconds <= 600:
            raise ValueError("timeout_seconds is not above 0 and up to 60, or status_seconds not above 0 and up to 600")
        root, word, collection = self.url.rstrip("/").rpartition("/collections/")
        if not word or "/" in collection or not collection or not root:
            raise ValueError("url is no collection's: it ends in /collections/ID/")
        has_password = self.password_file is not None or self.password_env is not None
        if has_password != (self.username is not None):
            raise ValueError("username and password_file (or password_env) go together")
        if has_password and (self.token_file is not None or self.token_env is not None):
            raise ValueError("username and token: name one of them")


Resource = TypeVar("Resource")


class Detail(msgspec.Struct):
    """What became of one object."""

    id: str
    message: str = ""


class Status(msgspec.Struct):
    """A status resource (4.3.1), as far as it matters."""

    id: str
    status: Literal["complete", "pending"]
    failure_count: int
    failures: list[Detail] = []


class Entry(msgspec.Struct):
    """A line of a manifest."""

    id: str
    version: str


class Manifest(msgspec.Struct):
    """A manifest resource (5.3.1); an empty one says nothing at all."""

    objects: list[Entry] = []
    more: bool = False
    next: str | None = None


class Taxii(Sink):
    """Adds the sightings of some alerts at a time."""

    kind, table = "taxii", TaxiiTable
    max_batch, lanes = MAX_BATCH, 1

    def __init__(self, name: str, table: TaxiiTable) -> None:
        self.name, self._table = name, table
        self._authorization = authorization_of(table)
        has_secret = self._authorization is not None
        self._server = WebServer(
            table.url, table.allow, table.cafile, table.timeout_seconds, plain=False, has_secret=has_secret
        )
        self.address = self._server.shown
        text = table.url.rstrip("/")
        self._collection, self._root = URL(f"{text}/"), URL(text.rpartition("/collections/")[0] + "/")

    @classmethod
    def build(cls, name: str, table: Mapping[str, Any]) -> Self:
        """See `Sink.build`."""
        return cls(name, read_table(TaxiiTable, table))

    def _headers(self) -> dict[str, str]:
        headers = {"Accept": MEDIA_TYPE, "Content-Type": MEDIA_TYPE}
        if self._authorization is not None:
            headers["Authorization"] = self._authorization.current()
        return headers

    async def deliver(self, alerts: Sequence[Alert]) -> str:
        """See `Taker.deliver`. A canary is no sighting, and is a probe; one that a person asked for is added."""
        told = [alert for alert in alerts if is_test(alert) or not is_canary(alert)]
        if not told:
            await self.probe()
            return "it answers, and a canary is no sighting"
        objects = each_once(await in_turns(sighting_objects, told))
        status = await self._add(objects)
        if status.failure_count:
            failed = {each.id: each.message for each in status.failures}
            # A server may count failures and not name them.
            doubtful = [each for each in objects if each["id"] in failed] if failed else objects
            missing = await self._missing(doubtful)
            if missing:
                words = failed.get(missing[0]["id"]) or "it does not say why"
                raise Refused(
                    f"{self._server.shown}: {len(missing)} of {len(objects)} objects were not taken: "
                    f"{missing[0]['id']}: {words[:200]}"
                )
        return f"{len(objects)} objects are there"

    async def _add(self, objects: Sequence[Object]) -> Status:
        """Add objects; the complete status. Raises Undelivered."""
        body = msgspec.json.encode({"objects": objects})
        reply = await self._ask("POST", self._collection / "objects/", body)
        judged(reply, self._server.shown)
        status, end = self._read(reply, Status), time.monotonic() + self._table.status_seconds
        while status.status == "pending":
            if time.monotonic() > end:
                raise Undelivered(f"{self._server.shown}: the status of what was added is still pending")
            await asyncio.sleep(POLL_SECONDS)
            reply = await self._ask("GET", self._root / f"status/{quote(status.id, safe='')}/")
            judged(reply, self._server.shown)
            status = self._read(reply, Status)
        return status

    async def _missing(self, objects: Sequence[Object]) -> list[Object]:
        """Those of these objects that are not in the collection. Where its manifest may not be read, what is shared and
        was there before is taken to be there."""
        known: dict[str, set[datetime.datetime | None]] = {}
        for start in range(0, len(objects), MAX_IDS):
            ids = ",".join(each["id"] for each in objects[start : start + MAX_IDS])
            query = {"match[id]": ids, "match[version]": "all", "limit": str(PAGE)}
            for _ in range(MAX_PAGES):
                reply = await self._ask("GET", (self._collection / "manifest/").with_query(query))
                if reply.status in (403, 404):
                    return [each for each in objects if each["type"] in NEWS]
                judged(reply, self._server.shown)
                page = self._read(reply, Manifest)
                for entry in page.objects:
                    known.setdefault(entry.id, set()).add(read_time(entry.version))
                if not page.more or page.next is None:
                    break
                query = query | {"next": page.next}
        return [each for each in objects if not is_there(each, known)]

    async def _ask(self, method: str, url: URL, body: bytes | None = None) -> Reply:
        return await self._server.ask(method, url, body, self._headers(), MAX_ANSWER_BYTES)

    def _read(self, reply: Reply, kind: type[Resource]) -> Resource:
        """A resource of an answer. Raises Undelivered."""
        try:
            return msgspec.json.decode(reply.body, type=kind)
        except msgspec.MsgspecError as error:
            raise Undelivered(f"{self._server.shown}: answers what is no {kind.__name__.lower()}: {error}") from error

    async def probe(self) -> None:
        """See `Sink.probe`."""
        await self._server.probe("GET", self._collection)

    async def close(self) -> None:
        """See `Taker.close`."""
        await self._server.close()


def authorization_of(table: TaxiiTable) -> Secret[str] | None:
    """The header that says who we are; None where the settings name nobody. Raises SettingsError."""
    if table.username is not None:
        return basic_password(table.username, table.password_file, table.password_env)
    if table.token_file is None and table.token_env is None:
        return None
    return Secret("token", table.token_file, table.token_env, lambda text, place: f"Bearer {read_word(text, place)}")


def is_there(each: Object, known: Mapping[str, set[datetime.datetime | None]]) -> bool:
    """Whether an object is among those that are known; one that has versions, in this version."""
    versions = known.get(each["id"])
    return versions is not None and ("modified" not in each or read_time(each["modified"]) in versions)


def read_time(text: str) -> datetime.datetime | None:
    """A time of a resource, of whatever precision; None for none."""
    try:
        return datetime.datetime.fromisoformat(text)
    except ValueError:
        return None
