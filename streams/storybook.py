"""The stories of the devices that are being watched: told from observations, kept in the device store."""

import itertools
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from collector.observation import Observation
from streams.device_store import DeviceStore
from streams.processors import stories
from streams.processors.baseline import Habits
from streams.processors.declared import Register, newest
from streams.processors.stories import Story
from streams.update_book import UpdateBook

MAX_OPEN: Final = 10_000
KEEP_SECONDS: Final = 5.0


class Restorable(Protocol):
    """An inventory, as far as stories concern it."""

    def restore(self, identifier: str, hardware: Sequence[str], addresses: Sequence[str]) -> None:
        """A device that was known before: its id, MACs and addresses."""
        ...


class Storybook:
    """An output for observations. What changed is written every few seconds, and at the end; so are `updates`, which
    whoever judges the observations changes."""

    def __init__(self, store: DeviceStore, now: Callable[[], float] = time.monotonic) -> None:
        self._store, self._now = store, now
        self.updates = UpdateBook(store)
        self._open: OrderedDict[str, Story] = OrderedDict()
        self._changed: dict[str, Story] = {}
        self._kept_at = now()

    def write(self, documents: Sequence[object]) -> None:
        """Tell what these observations tell."""
        for each in documents:
            if isinstance(each, Observation) and stories.concerns_story(each) and each.device is not None:
                identifier = each.device.id
                story = stories.add(self._known(identifier), each)
                self._open[identifier] = self._changed[identifier] = story
        if (self._changed or self.updates.has_changed) and self._now() >= self._kept_at + KEEP_SECONDS:
            self.keep()

    def _known(self, identifier: str) -> Story | None:
        story = self._open.get(identifier)
        if story is not None:
            self._open.move_to_end(identifier)
            return story
        if len(self._open) >= MAX_OPEN:
            oldest = next(iter(self._open))
            if oldest in self._changed:
                self.keep()
            self._open.pop(oldest, None)
        return self._store.get(identifier)

    def habits_of(self, identifier: str) -> Habits | None:
        """What is usual for a device, to be changed in place; None where no story is told of it."""
        story = self._known(identifier)
        if story is None:
            return None
        story.habits = story.habits or Habits()
        self._open[identifier] = self._changed[identifier] = story
        return story.habits

    def keep(self) -> None:
        """Write what changed; a device that somebody forgot meanwhile begins anew, with what is seen from now on."""
        for identifier in self._store.forgotten(itertools.chain(self._open, self.updates)):
            self._open.pop(identifier, None)
            self._changed.pop(identifier, None)
            self.updates.pop(identifier, None)
        changed, self._changed = self._changed, {}
        self._kept_at = self._now()
        self._store.put(changed.values())
        self.updates.keep()

    def close(self) -> None:
        """Write the rest, and close the store."""
        try:
            self.keep()
        finally:
            self._store.close()


def restore(inventory: Restorable, store: DeviceStore, register: Register | None = None) -> None:
    """Let an inventory know whom the stories tell of, so that a device keeps its id over a restart, and a register when
    they were seen; those that were seen longest ago first."""
    for story in store.all()[-MAX_OPEN:]:
        inventory.restore(story.id, story.hardware, story.addresses)
        if register is not None:
            register.remember(newest(story.addresses), story.hardware, story.site, story.last_seen)
