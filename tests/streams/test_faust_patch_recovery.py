"""The faults of faust-streaming 0.15.3 when it reads its tables: there without the patch, gone with it."""

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
from faust.tables.recovery import Recovery
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread
from faust.types import TP

from streams.faust_patch import RECOVERED_SECONDS, apply_patch
from tests.streams.test_faust_patch import PLACE, restore


@pytest.fixture(autouse=True)
def unpatched() -> Iterator[None]:
    """Each test begins with Faust as it comes, and leaves it so."""
    yield from restore()


class Changelogs(Recovery):
    """A recovery of one partition, of which `offset` was read; Faust's own but for what it would ask a broker."""

    def __init__(self, offset: int, end: int) -> None:
        self.active_offsets, self.active_highwaters = {PLACE: offset}, {PLACE: end}  # type: ignore[assignment]
        self.flushed = 0

    def flush_buffers(self) -> None:
        self.flushed += 1

    def read_all(self) -> None:
        """As `_slurp_changelogs` ends: the sign is given, and taken back for the next round."""
        self.active_offsets.update(self.active_highwaters)
        self.signal_recovery_end.set()
        self.signal_recovery_end.clear()


def wait_for_tables(changelogs: Changelogs, late: bool) -> bool:
    """Whether who waits learns that the tables are read, be it before he begins (`late`) or while he waits."""

    async def wait() -> bool:
        end = changelogs.signal_recovery_end.wait()
        if late:
            changelogs.read_all()
        task = asyncio.create_task(end)
        await asyncio.sleep(0)
        if not late:
            assert not task.done()
            changelogs.read_all()
        done, _ = await asyncio.wait({task}, timeout=0.2)
        task.cancel()
        return bool(done)

    return asyncio.run(wait())


def test_without_the_patch_who_begins_to_wait_late_waits_for_ever() -> None:
    assert wait_for_tables(Changelogs(3, 7), late=False)
    assert not wait_for_tables(Changelogs(3, 7), late=True)


@pytest.mark.parametrize("late", [False, True])
def test_the_end_of_a_recovery_is_learned_before_and_while_it_is_waited_for(late: bool) -> None:
    apply_patch()
    changelogs = Changelogs(3, 7)
    assert wait_for_tables(changelogs, late)
    assert changelogs.flushed == 1


def test_a_table_that_is_read_without_a_sign_is_read_and_half_a_one_is_not() -> None:
    apply_patch()

    async def wait() -> None:
        changelogs = Changelogs(3, 7)
        task = asyncio.create_task(changelogs.signal_recovery_end.wait())
        changelogs.signal_recovery_end.set()
        await asyncio.sleep(3 * RECOVERED_SECONDS)
        assert not task.done()
        assert not changelogs.flushed
        changelogs.active_offsets[PLACE] = 7
        changelogs.signal_recovery_end.clear()
        await asyncio.wait_for(task, 5)

    asyncio.run(wait())


class Asked:
    """A consumer, and its thread, in which somebody asks for records until they come."""

    flow_active, asking = True, 0

    def __init__(self) -> None:
        self._thread: Any = self
        self.consumer = self._consumer = self._fetcher = self._subscriptions = self
        self._closed, self.come, self.sought = False, asyncio.Event(), []  # type: ignore[var-annotated]

    def fetch_context(self) -> Any:
        return contextlib.nullcontext()

    async def fetched_records(self, *_: Any, **__: Any) -> dict[Any, Any]:
        await self.come.wait()
        return {}

    async def seek_wait(self, offsets: dict[TP, int]) -> None:
        self.sought.append(offsets)


async def seek_while_asking(ends: bool) -> tuple[bool, list[dict[TP, int]]]:
    """Whether a changelog was sought while somebody asked, and what was sought in the end."""
    asked = Asked()
    asking = asyncio.create_task(AIOKafkaConsumerThread._fetch_records(asked, asked, {PLACE}))  # type: ignore[arg-type]
    await asyncio.sleep(0)
    seeking = asyncio.create_task(Recovery._seek_offsets(None, asked, {PLACE}, {PLACE: 3}, "active"))  # type: ignore[arg-type]
    await asyncio.sleep(RECOVERED_SECONDS / 2)
    early = bool(asked.sought)
    if ends:
        asked.come.set()
    await asyncio.wait_for(seeking, 5)
    asking.cancel()
    return early, asked.sought


def test_without_the_patch_a_changelog_is_sought_while_another_still_asks() -> None:
    assert asyncio.run(seek_while_asking(ends=True)) == (True, [{PLACE: 3}])


@pytest.mark.parametrize("ends", [True, False])
def test_a_changelog_is_sought_when_nobody_asks_any_more_or_after_a_while(
    ends: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.faust_patch.ASKING_LOOKS", 3)
    apply_patch()
    assert asyncio.run(seek_while_asking(ends)) == (False, [{PLACE: 3}])
