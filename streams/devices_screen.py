"""Devices as a person reads them: one line each in a table, or one device's story on a page."""

import dataclasses
import datetime
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from collector.observation import CAMERA_KINDS
from rules.alert import LISTED_STATUSES, Alert
from rules.match import Lookup, RuleSet
from streams.processors.declared import newest
from streams.processors.firmware import INSIDE, Clock, UpdateState
from streams.processors.stories import Called, Story
from streams.screen import Column, console, fill, fit, in_order, name_width, plain, printable, screen_width, time_words

MAX_TABLE_ROWS = 200
MAX_SHOWN_CALLS = 40
MAX_SHOWN_ALERTS = 20
Rows = Iterator[tuple[str, str]]


@dataclasses.dataclass(slots=True)
class Profile:
    """A story and what the facts say of its companies: the maker's, the one behind the brand, and those it calls."""

    story: Story
    made_by: list[Lookup]
    called: dict[str, Lookup]
    names: Mapping[str, str]
    clock: Clock
    today: datetime.date

    @property
    def programmes(self) -> list[str]:
        """The programmes that list a company that made it, or that it calls."""
        return list(dict.fromkeys(name for each in (*self.made_by, *self.called.values()) for name in listed_on(each)))

    @property
    def companies(self) -> list[str]:
        """The companies it calls."""
        return list(dict.fromkeys(each.entity.name for each in self.called.values() if each.entity is not None))


def listed_on(found: Lookup) -> list[str]:
    """The programmes on which a company is."""
    return list(dict.fromkeys(each.programme for each in found.listings if each.status in LISTED_STATUSES))


def profile_of(
    story: Story, rules: RuleSet, on: datetime.date, names: Mapping[str, str], update: UpdateState | None = None
) -> Profile:
    """A story with what the facts say of its companies on a day; `names` are makers' by their ids."""
    makers = dict.fromkeys(each for each in (story.maker, story.identity.oem) if each)
    called = {name: rules.lookup(name, on) for name in story.called}
    clock = update.clock if update is not None else Clock()
    return Profile(story, [rules.company(maker, on) for maker in makers], called, names, clock, on)


def kind_words(story: Story) -> str:
    """What it is."""
    kind = story.identity.type
    return plain(kind) if kind in CAMERA_KINDS else f"device ({kind})"


def maker_words(profile: Profile) -> str:
    """Maker, the brand it is sold under, and who is likely behind the brand."""
    story, identity = profile.story, profile.story.identity
    names = {
        each.asked: each.entity.name if each.entity is not None else profile.names.get(each.asked, each.asked)
        for each in profile.made_by
    }
    maker = names.get(story.maker or "", "")
    if identity.brand:
        return f"{identity.brand}, likely made by {names.get(identity.oem or '', maker)}"
    if identity.oem:
        return f"{maker}, likely made by {names.get(identity.oem, identity.oem)}"
    return maker


def address_words(story: Story) -> str:
    """The address that it has now: of IPv4, where it has one."""
    return next(iter(newest(story.addresses)), "")


def model_words(story: Story) -> str:
    """The model."""
    return story.device.model.name if story.device.model is not None else ""


def days_since(at: datetime.datetime | None, today: datetime.date) -> int | None:
    """Whole days from a time (UTC) to a day; None for no time."""
    return None if at is None else max((today - at.astimezone(datetime.UTC).date()).days, 0)


def ago_words(at: datetime.datetime, today: datetime.date) -> str:
    """How long ago, in days."""
    days = days_since(at, today) or 0
    return "today" if not days else f"{days} day{'' if days == 1 else 's'} ago"


def update_words(profile: Profile) -> str:
    """When it was updated last, or only asked; nothing where neither was seen."""
    clock = profile.clock
    if clock.updated_at is not None:
        return f"updated {ago_words(clock.updated_at, profile.today)}"
    return f"asked for updates {ago_words(clock.checked_at, profile.today)}" if clock.checked_at is not None else ""


def _update_rows(profile: Profile) -> Rows:
    """The update clock."""
    clock, today = profile.clock, profile.today
    if clock.checked_at is None:
        yield "asked", "for updates: never, as far as was seen"
    else:
        of = f", of {clock.checked_with}" if clock.checked_with else ""
        yield "asked", f"for updates last {time_words(clock.checked_at)} UTC{of}; {ago_words(clock.checked_at, today)}"
    if clock.updated_at is None:
        yield "updated", "never, as far as was seen"
    else:
        by = clock.updated_by or "nobody that was seen"
        given = f"from inside, by {by}" if clock.origin == INSIDE else f"by {by}"
        yield "updated", f"last {time_words(clock.updated_at)} UTC, {given}; {ago_words(clock.updated_at, today)}"


def sure_words(story: Story) -> str:
    """How sure the kind is."""
    return f"{story.identity.confidence:.0%}"


SORTS: dict[str, Callable[[Profile], Any]] = {
    "last-seen": lambda profile: -profile.story.last_seen.timestamp(),
    "first-seen": lambda profile: profile.story.first_seen.timestamp(),
    "maker": lambda profile: (profile.story.maker or "~").casefold(),
    "kind": lambda profile: profile.story.identity.type,
    "model": lambda profile: model_words(profile.story).casefold(),
    "site": lambda profile: profile.story.site or "",
    "confidence": lambda profile: -profile.story.identity.confidence,
    "updated": lambda profile: profile.clock.updated_at.timestamp() if profile.clock.updated_at else 0.0,
    "calls": lambda profile: -len(profile.story.called),
    "id": lambda profile: profile.story.id,
}


def columns_of(profiles: Sequence[Profile]) -> list[Column]:
    """The columns of the table of devices; times go where there is no room."""
    stories = [each.story for each in profiles]
    devices = ["\n".join(filter(None, (kind_words(each), address_words(each), each.identity.name))) for each in stories]
    models = [
        "\n".join(filter(None, (model_words(each.story), each.story.identity.firmware, update_words(each))))
        for each in profiles
    ]
    calls = [calls_words(each) for each in profiles]
    listed = [", ".join(each.programmes) for each in profiles]
    return [
        Column("Device", devices, name_width(line for cell in devices for line in cell.split("\n"))),
        Column("Maker", [maker_words(each) for each in profiles]),
        Column("Model, firmware", models),
        Column("Calls", calls),
        Column("Listed on", listed),
        Column("Seen last, UTC", [time_words(each.last_seen) for each in stories], 19),
        Column("Sure", [sure_words(each) for each in stories], 5, "right"),
        Column("ID", [each.id for each in stories], min(max([10, *(len(each.id) for each in stories)]), 40)),
    ]


def calls_words(profile: Profile) -> str:
    """How many it calls, and which companies are among them."""
    count = len(profile.story.called) + profile.story.let_go
    if not count:
        return ""
    return f"{count}: {', '.join(profile.companies)}" if profile.companies else f"{count}"


def print_devices(profiles: Sequence[Profile]) -> None:
    """The devices on standard output: a table where there is room for one, else a few lines each."""
    from rich.box import HORIZONTALS
    from rich.markup import escape
    from rich.table import Table

    shown, width, out = profiles[:MAX_TABLE_ROWS], screen_width(), console()
    columns = fit(columns_of(shown), width)
    if columns is None:
        for each in shown:
            out.print(escape(device_lines(each, width)), end="\n\n", soft_wrap=True)
    else:
        table = Table(show_lines=True, box=HORIZONTALS, show_edge=False, padding=(0, 1, 0, 0), pad_edge=False)
        for column in columns:
            table.add_column(column.heading, width=column.width, overflow="fold", justify=column.justify)
        for cells in zip(*(column.cells for column in columns), strict=True):
            table.add_row(*("\n".join(escape(printable(line)) for line in cell.split("\n")) for cell in cells))
        out.print(table)
    if len(profiles) > len(shown):
        out.print(f"{len(profiles) - len(shown)} more: see `lenswatch devices --json`, or ask for fewer with --maker")


def device_lines(profile: Profile, width: int) -> str:
    """One device as a few lines: for where a table has no room."""
    story = profile.story
    what = " ".join(filter(None, (maker_words(profile), model_words(story), story.identity.firmware)))
    what = ", ".join(filter(None, (what, update_words(profile))))
    lines = [
        f"{kind_words(story)} {address_words(story)}, {sure_words(story)} sure",
        what,
        f"calls {calls_words(profile)}" if story.called else "",
        f"listed on {', '.join(profile.programmes)}" if profile.programmes else "",
        f"seen last {time_words(story.last_seen)} UTC, id {story.id}",
    ]
    return "\n".join(line for each in lines if each for line in fill(each, width))


def story_rows(profile: Profile, alerts: Iterable[Alert]) -> Rows:
    """One device's story: label and text; a row ("", text) goes on with what is above it, ("", "") is an empty line."""
    yield from _identity_rows(profile)
    yield "", ""
    yield from _call_rows(profile)
    yield "", ""
    told = in_order(alerts)
    yield "alerts", "none is kept" if not told else f"{len(told)}, the gravest first"
    for alert in told[:MAX_SHOWN_ALERTS]:
        yield "", f"{alert.event.id[:8]} {alert.lenswatch.level}: {alert.message}"
    if len(told) > MAX_SHOWN_ALERTS:
        yield "", f"{len(told) - MAX_SHOWN_ALERTS} more: `lenswatch alerts --device {profile.story.id}`"


def _identity_rows(profile: Profile) -> Rows:
    story, identity = profile.story, profile.story.identity
    yield "device", story.id
    yield "is", f"{kind_words(story)}, {sure_words(story)} sure"
    maker = maker_words(profile)
    if maker:
        sure = f", {identity.maker_confidence:.0%} sure" if identity.maker_confidence else ""
        yield "maker", maker + sure
    for each in profile.made_by:
        if listed_on(each) and each.entity is not None:
            yield "", f"{each.entity.name} is listed on {', '.join(listed_on(each))}"
    for label, text in (("model", model_words(story)), ("serial", story.device.serial_number), ("name", identity.name)):
        if text:
            yield label, text
    for number, version in enumerate(reversed(story.firmware)):
        yield "firmware" if not number else "", f"{version.firmware} since {time_words(version.since)} UTC"
    yield from _update_rows(profile)
    yield "seen", f"first {time_words(story.first_seen)}, last {time_words(story.last_seen)} UTC"
    if story.site:
        yield "site", story.site
    if story.addresses:
        yield "addresses", ", ".join(reversed(story.addresses))
    if story.hardware:
        yield "MAC", ", ".join(story.hardware)
    for label, texts in (("evidence", identity.evidence), ("against", identity.against),
                         ("doubts", identity.contradictions)):  # fmt: skip
        for number, text in enumerate(texts or ()):
            yield label if not number else "", text


def _call_rows(profile: Profile) -> Rows:
    story = profile.story
    if not story.called:
        yield "calls", "nobody outside, as far as was seen"
        return
    yield "calls", f"{len(story.called) + story.let_go} outside, by bytes; of flows that have ended"
    by_bytes = sorted(story.called.items(), key=lambda item: (-item[1].bytes_out - item[1].bytes_in, item[0]))
    for name, called in by_bytes[:MAX_SHOWN_CALLS]:
        yield "", call_words(name, called, profile.called[name])
    rest = len(by_bytes) - MAX_SHOWN_CALLS
    if rest > 0 or story.let_go:
        yield "", f"{max(rest, 0) + story.let_go} more"


def call_words(name: str, called: Called, found: Lookup) -> str:
    """Whom it called: name, company and role, where, how much each way, when."""
    company = f", {found.entity.name}" if found.entity is not None else ""
    role = f" ({plain(found.match.role)})" if found.match is not None else ""
    where = " ".join(
        filter(None, (called.country, f"AS{called.as_number}" if called.as_number else "", called.as_name))
    )
    at = f" at {called.ip}" if called.ip != name else ""
    tried = f", {called.attempts} unanswered" if called.attempts else ""
    flows = f"{called.flows:,} flow{'' if called.flows == 1 else 's'}{tried}"
    return (
        f"{name}{at}{company}{role}{f', {where}' if where else ''}: sent {bytes_words(called.bytes_out)}, "
        f"got {bytes_words(called.bytes_in)} in {flows}, last {time_words(called.last_seen)} UTC"
    )


def bytes_words(count: int) -> str:
    """A number of bytes in at most four digits."""
    size, unit = float(count), "B"
    for unit in ("B", "kB", "MB", "GB", "TB"):  # noqa: B007
        if size < 1000 or unit == "TB":
            break
        size /= 1000
    return f"{size:.0f} {unit}" if unit == "B" or size >= 100 else f"{size:.1f} {unit}"
