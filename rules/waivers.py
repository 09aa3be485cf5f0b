"""Exceptions with ground, approver, scope and end: `[[waiver]]` tables of TOML files.

A waiver covers what all of its scope fits, on the days from `from` to `until`, both included. One that names
programmes covers those verdicts alone, and silences an alert only where no other verdict says more than context. What
is covered is counted by the waiver's id and not sent; the day after the end, alerts begin anew.
"""

import datetime
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final

import msgspec
import tomli

from rules.errors import RuleError, RuleErrors
from rules.fact import ROLES, FactFields
from rules.factbook import Facts

WARNING_DAYS: Final = 30
MAX_WAIVERS: Final = 10_000
SCOPES: Final = ("programmes", "companies", "roles", "devices", "sites")


class Waiver(FactFields, frozen=True, rename={"begins": "from"}):
    """`[[waiver]]`. `ground`: why it may be; `approver`: who said so; `reference`: where that is written down.

    The scope are `programmes`, `companies` and `roles` by id, `devices` by id or address, `sites` by name; what is left
    out is any.
    """

    id: str
    ground: str
    approver: str
    reference: str
    begins: datetime.date
    until: datetime.date
    programmes: tuple[str, ...] = ()
    companies: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    sites: tuple[str, ...] = ()

    def in_force(self, day: datetime.date) -> bool:
        """Whether it covers anything on a day."""
        return self.begins <= day <= self.until

    def days_left(self, day: datetime.date) -> int:
        """Days until its last one, that day not counted; negative when it has ended."""
        return (self.until - day).days

    def scope(self) -> str:
        """The scope in words."""
        return "; ".join(f"{key}: {', '.join(getattr(self, key))}" for key in SCOPES if getattr(self, key))


class Waivers:
    """All waivers. False when there are none."""

    def __init__(self, waivers: Sequence[Waiver] = ()) -> None:
        self.all = tuple(waivers)

    def __bool__(self) -> bool:
        return bool(self.all)

    def covering(
        self, day: datetime.date, company: str | None, role: str | None, devices: Collection[str], site: str | None
    ) -> list[Waiver]:
        """The waivers in force whose scope fits, programmes not yet asked."""
        return [
            waiver
            for waiver in self.all
            if waiver.in_force(day)
            and (not waiver.companies or company in waiver.companies)
            and (not waiver.roles or role in waiver.roles)
            and (not waiver.sites or site in waiver.sites)
            and (not waiver.devices or any(device in waiver.devices for device in devices))
        ]

    def ending(self, day: datetime.date) -> list[Waiver]:
        """Those in force that end within 30 days, the nearest first."""
        soon = [each for each in self.all if each.in_force(day) and each.days_left(day) <= WARNING_DAYS]
        return sorted(soon, key=lambda waiver: (waiver.until, waiver.id))

    def ended(self, ids: Collection[str], day: datetime.date) -> "Waivers":
        """The waivers, of which these end the day before; "*" is every one."""
        eve = day - datetime.timedelta(days=1)
        return Waivers([
            msgspec.structs.replace(each, until=min(each.until, eve)) if "*" in ids or each.id in ids else each
            for each in self.all
        ])  # fmt: skip


NO_WAIVERS: Final = Waivers()


def read_waivers(paths: Sequence[Path], facts: Facts) -> Waivers:
    """The waivers of some files. Raises RuleErrors with all that is wrong, each with file and key."""
    errors: list[RuleError] = []
    found: dict[str, Waiver] = {}
    for path in paths:
        for place, waiver in _read(path, errors):
            for key, reason in faults(waiver, facts):
                errors.append(RuleError(path, f"{place}.{key}", reason))
            if waiver.id in found:
                errors.append(RuleError(path, f"{place}.id", f"{waiver.id!r} stands twice; give each its own"))
            found[waiver.id] = waiver
    if len(found) > MAX_WAIVERS:
        errors.append(RuleError(paths[-1], "", f"with it there are {len(found)} waivers; at most {MAX_WAIVERS}"))
    if errors:
        raise RuleErrors(errors)
    return Waivers(sorted(found.values(), key=lambda waiver: waiver.id))


def _read(path: Path, errors: list[RuleError]) -> list[tuple[str, Waiver]]:
    try:
        document = tomli.loads(path.read_bytes().decode("utf-8"))
    except (OSError, UnicodeDecodeError, tomli.TOMLDecodeError) as error:
        errors.append(RuleError(path, "", f"cannot be read: {getattr(error, 'strerror', None) or error}"))
        return []
    tables = document.pop("waiver", [])
    if document or not isinstance(tables, list) or not tables:
        errors.append(RuleError(path, "", "holds [[waiver]] tables and nothing else; write one or more"))
        return []
    found = []
    for index, table in enumerate(tables):
        place = f"waiver[{index}]"
        try:
            found.append((place, msgspec.convert(table, Waiver)))
        except msgspec.ValidationError as error:
            reason, _, inner = str(error).partition(" - at `")
            errors.append(RuleError(path, f"{place}{inner.rstrip('`').removeprefix('$')}", reason))
    return found


def faults(waiver: Waiver, facts: Facts) -> list[tuple[str, str]]:
    """What is wrong with a waiver: key, reason and mend."""
    found = [
        (key, "is empty; an exception says why, by whom, and where that is written")
        for key in ("id", "ground", "approver", "reference")
        if not getattr(waiver, key).strip()
    ]
    if waiver.until < waiver.begins:
        found.append(("until", f"{waiver.until} is before from ({waiver.begins})"))
    # All that there are of a sort, and those of them of which an alert can come to be.
    telling = {id for profile in facts.profiles.values() for id in profile.programmes}
    known: dict[str, tuple[Collection[str], Collection[str]]] = {
        "programmes": (facts.programmes, telling or facts.programmes),
        "companies": (facts.entities, facts.endpoints or facts.entities),
        "roles": (ROLES, ROLES),
    }
    for key, (ids, seen) in known.items():
        given = getattr(waiver, key)
        found += [(key, f"nothing has the id {each!r}; mend it") for each in given if each not in ids]
        if given and set(given) >= set(seen):
            found.append((key, "names all there are, and would swallow every alert; name the few that are meant"))
    if not (waiver.programmes or waiver.companies or waiver.roles or waiver.devices):
        reason = "would swallow every alert" + (" of a site" if waiver.sites else "")
        found.append(("", f"{reason}; name programmes, companies, roles or devices"))
    if any("*" in each for key in SCOPES for each in getattr(waiver, key)):
        found.append(("", "has a * in its scope, which stands for nothing here; name what is meant"))
    return found
