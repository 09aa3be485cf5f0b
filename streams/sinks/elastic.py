"""Alerts to Elasticsearch or OpenSearch, by the bulk API that both have: a document a revision.

Each has the `_id` that its news has, and is made, never changed: what is there already (409) has arrived before.
Sources: the reference of either, "Bulk API", "Create or update index template", "Data streams".

Neither's own client serves both (Elastic's refuses what is no Elasticsearch), and one request of lines is all that is
needed; so it goes the one way out, `connect`, where the guard is.
"""

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Self

import msgspec

from rules.alert import Alert
from streams.dispatch.blame import Blame
from streams.dispatch.connect import MAX_WORDS, Reply, WebServer, judged
from streams.dispatch.secret import Secret, basic_password, read_word
from streams.dispatch.tables import check_timeout, read_table
from streams.ecs_mapping import MAPPING_VERSION, mapping_of_alerts
from streams.sinks.sink import Partly, Refused, Sink, Throttled, Undelivered

MAX_BATCH: Final = 200
MAX_BULK_ANSWER_BYTES: Final = 1 << 20
MAX_TEMPLATE_ANSWER_BYTES: Final = 1 << 16
BUSY_SECONDS: Final = 5.0
UNREADABLE: Final = 400
# Above the templates that Elastic ships (100, 200), which match many names.
PRIORITY: Final = 500
BULK: Final = {"filter_path": "errors,items.*.status,items.*.error.type,items.*.error.reason"}
VERSION: Final = {"filter_path": "index_templates.index_template.version"}


class ElasticTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`[sinks.NAME]` of kind elastic: Elasticsearch's and OpenSearch's bulk API. Who we are: an API key, or a user."""

    url: str
    """The address of a node, or of what stands before them."""
    index: str = "lenswatch-alerts"
    """An index, or with `data_stream` a data stream."""
    data_stream: bool = False
    """Whether `index` is a data stream."""
    template: bool = True
    """Whether the index template is put, and a newer one in its place."""
    api_key_file: Path | None = None
    """A file that holds an API key as Elastic shows it: encoded, or id:key. Others must not be able to read it."""
    api_key_env: str | None = None
    """The name of an environment variable that holds it."""
    username: str | None = None
    """A user, with `password_file` or `password_env`."""
    password_file: Path | None = None
    """A file that holds the user's password; others must not be able to read it."""
    password_env: str | None = None
    """The name of an environment variable that holds it."""
    allow: tuple[str, ...] = ()
    """Host names and networks that may be reached though they are private."""
    cafile: Path | None = None
    """Whose certificates are trusted (PEM); without it, the system's authorities."""
    timeout_seconds: float = 30.0
    """How long an answer is waited for, 60 at most."""

    def __post_init__(self) -> None:
        check_timeout(self.timeout_seconds)
        if not self.index or self.index != self.index.lower() or set(self.index) & set('\\/*?"<>| ,#:'):
            raise ValueError(
                f'index {self.index!r} is no name of an index: small letters, none of \\ / * ? " < > | , # :'
            )
        has_key = self.api_key_file is not None or self.api_key_env is not None
        has_password = self.password_file is not None or self.password_env is not None
        if has_key and (has_password or self.username is not None):
            raise ValueError("api_key and username: name one of them")
        if has_password != (self.username is not None):
            raise ValueError("username and password_file (or password_env) go together")


class Failure(msgspec.Struct, frozen=True):
    """Why a document was not taken."""

    type: str = ""
    reason: str | None = None


class Item(msgspec.Struct):
    """What became of one document."""

    status: int
    error: Failure = Failure()


class Bulk(msgspec.Struct):
    """The answer to many documents, in their order."""

    errors: bool
    items: list[dict[str, Item]]


class Template(msgspec.Struct):
    """An index template, as far as it matters."""

    version: int = 0


class Named(msgspec.Struct):
    """A template with its name left out."""

    index_template: Template


class Templates(msgspec.Struct):
    """The answer to a question for one template."""

    index_templates: list[Named] = []


class Elastic(Sink):
    """Posts up to two hundred documents a request."""

    kind, table = "elastic", ElasticTable
    max_batch, lanes = MAX_BATCH, 1

    def __init__(self, name: str, table: ElasticTable) -> None:
        self.name, self._table = name, table
        self._authorization = authorization_of(table)
        has_secret = self._authorization is not None
        self._server = WebServer(
            table.url, table.allow, table.cafile, table.timeout_seconds, plain=False, has_secret=has_secret
        )
        self.address = f"{self._server.shown}, index {table.index}"
        self._bulk = (self._server.url / "_bulk").with_query(BULK)
        self._template = self._server.url / "_index_template" / table.index
        self._has_template = not table.template
        self._blame = Blame()

    @classmethod
    def build(cls, name: str, table: Mapping[str, Any]) -> Self:
        """See `Sink.build`."""
        return cls(name, read_table(ElasticTable, table))

    async def deliver(self, alerts: Sequence[Alert]) -> str:
        """See `Taker.deliver`. That a document is refused is its own fault only where the index takes others."""
        if not self._has_template:
            await self._put_template()
        ids = [alert.news_id for alert in alerts]
        body = write_bulk(ids, alerts, self._table.index)
        reply = await self._ask("POST", self._bulk, body, "application/x-ndjson", MAX_BULK_ANSWER_BYTES)
        items = read_bulk(reply, self._server.shown, len(alerts))
        outcomes = list(zip(ids, items, strict=True))
        taken = [identifier for identifier, item in outcomes if is_there(item)]
        self._blame.learn(taken, [identifier for identifier, item in outcomes if item.status == UNREADABLE])
        failures = {
            place: failure
            for place, (identifier, item) in enumerate(outcomes)
            if (failure := failure_of(item, self.address, self._blame.is_own(identifier))) is not None
        }
        if not failures:
            return f"{reply.words}, {len(alerts)} in {self._table.index}"
        first = next(iter(failures.values()))
        if len(alerts) == 1:
            raise first
        raise Partly(f"{len(failures)} of {len(alerts)} are not taken; the first: {first}", failures)

    async def _put_template(self) -> None:
        """Put the template where there is none, or an older one. Raises Undelivered."""
        url, shown, kind = self._template, self._server.shown, "application/json"
        mend = "; give it the right, or put the template yourself and set template = false"
        reply = await self._ask("GET", url.with_query(VERSION), None, kind, MAX_TEMPLATE_ANSWER_BYTES)
        if reply.status != 404:
            accepted(reply, shown, "the index template cannot be read", mend)
        if reply.status == 404 or read_version(reply.body) < MAPPING_VERSION:
            body = msgspec.json.encode(index_template(self._table.index, self._table.data_stream))
            reply = await self._ask("PUT", url, body, kind, MAX_TEMPLATE_ANSWER_BYTES)
            accepted(reply, shown, "the index template is not taken", mend)
        self._has_template = True

    async def _ask(self, method: str, url: Any, body: bytes | None, kind: str, most: int) -> Reply:
        headers = {"Content-Type": kind}
        if self._authorization is not None:
            headers["Authorization"] = self._authorization.current()
        return await self._server.ask(method, url, body, headers, most)

    async def probe(self) -> None:
        """See `Sink.probe`: whether it answers, whoever asks."""
        await self._server.probe("HEAD", self._server.url)

    async def close(self) -> None:
        """See `Taker.close`."""
        await self._server.close()


def authorization_of(table: ElasticTable) -> Secret[str] | None:
    """The header that says who we are; None where the settings name nobody. Raises SettingsError."""
    if table.api_key_file is not None or table.api_key_env is not None:
        return Secret("api_key", table.api_key_file, table.api_key_env, read_api_key)
    if table.username is None:
        return None
    return basic_password(table.username, table.password_file, table.password_env)


def read_api_key(text: str, place: str) -> str:
    """The header of an API key, encoded or as id:key. Raises SettingsError."""
    key = read_word(text, place)
    return "ApiKey " + (base64.b64encode(key.encode()).decode() if ":" in key else key)


def index_template(index: str, data_stream: bool) -> dict[str, Any]:
    """The index template: ECS fields as ECS types them. What it does not know of is kept and not searched, so that no
    document is refused for a field that is new."""
    template: dict[str, Any] = {
        "index_patterns": [index, f"{index}-*"],
        "priority": PRIORITY,
        "version": MAPPING_VERSION,
        "_meta": {"description": "Alerts of lenswatch, in ECS names"},
        "template": {"mappings": mapping_of_alerts()},
    }
    return template | {"data_stream": {}} if data_stream else template


def write_bulk(ids: Sequence[str], alerts: Sequence[Alert], index: str) -> bytes:
    """The body of a bulk request: an action and a document for each."""
    lines = []
    for identifier, alert in zip(ids, alerts, strict=True):
        lines += [{"create": {"_index": index, "_id": identifier}}, alert]
    return msgspec.json.Encoder().encode_lines(lines)


def read_bulk(reply: Reply, shown: str, count: int) -> list[Item]:
    """What became of each document. Raises Undelivered when that is not said; only 413 is about the documents."""
    try:
        judged(reply, shown)
        items = [item for each in msgspec.json.decode(reply.body, type=Bulk).items for item in each.values()]
    except Refused as error:
        raise error if reply.status == 413 else Undelivered(str(error)) from error
    except msgspec.DecodeError as error:
        raise Undelivered(f"{shown}: answered {reply.words}, but not as the bulk API does") from error
    if len(items) != count:
        raise Undelivered(f"{shown}: answered for {len(items)} documents of {count}")
    return items


def is_there(item: Item) -> bool:
    """Whether the document is in the index, now or from before."""
    return 200 <= item.status < 300 or item.status == 409


def failure_of(item: Item, shown: str, is_own_fault: bool) -> Undelivered | None:
    """Why a document is not there; None when it is."""
    if is_there(item):
        return None
    reason = " ".join((item.error.reason or "").split())
    words = f"{shown}: {item.status} {item.error.type}: {reason}"[: 2 * MAX_WORDS]
    if item.status == 429:
        return Throttled(words, BUSY_SECONDS)
    return Refused(words) if is_own_fault else Undelivered(words)


def accepted(reply: Reply, shown: str, words: str, mend: str) -> None:
    """Raises Undelivered when the answer is no yes; a no is about the settings, never about an alert."""
    try:
        judged(reply, shown)
    except Refused as error:
        raise Undelivered(f"{words}: {error}") from error
    except Undelivered as error:
        if reply.status in (401, 403):
            raise Undelivered(f"{words}: {error}{mend}") from error
        raise


def read_version(body: bytes) -> int:
    """The version of the template that is there; 0 when it says none."""
    try:
        found = msgspec.json.decode(body, type=Templates).index_templates
    except msgspec.DecodeError:
        return 0
    return max((each.index_template.version for each in found), default=0)
