"""What is known of the devices' updates, in memory and beside their stories: a mapping that notes what has changed."""

from streams.device_store import DeviceStore
from streams.processors.firmware import UpdateState


class UpdateBook(dict[str, UpdateState]):
    """States by device id. A state that has changed is assigned anew (`processors.firmware.Updates`); `keep` writes
    those."""

    def __init__(self, store: DeviceStore) -> None:
        super().__init__(store.updates())
        self._store = store
        self._changed: set[str] = set()

    @property
    def has_changed(self) -> bool:
        """Whether there is something to write."""
        return bool(self._changed)

    def __setitem__(self, device: str, state: UpdateState) -> None:
        super().__setitem__(device, state)
        self._changed.add(device)

    def __delitem__(self, device: str) -> None:
        super().__delitem__(device)
        self._changed.add(device)

    def keep(self) -> None:
        """Write what changed."""
        changed, self._changed = self._changed, set()
        self._store.put_updates({device: self.get(device) for device in changed})
