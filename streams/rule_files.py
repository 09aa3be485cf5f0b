"""Whether a file of the rules has changed, asked now and then: by name, size and time, not by content."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from rules.signature import FOLDER_SIGNATURE
from streams.settings import RulesSettings

# How soon is looked again once something was seen to change.
SETTLE_SECONDS: Final = 0.5
Seen = tuple[tuple[str, int, int, int], ...]


class RuleFiles:
    """The files of some folders of rules, and some single files."""

    def __init__(self, folders: Sequence[Path], files: Iterable[Path] = ()) -> None:
        self._folders, self._files = tuple(folders), tuple(files)
        self.forget()

    def forget(self) -> None:
        """Take what is there now for known."""
        self._seen = self._known = self._look()

    @property
    def is_settling(self) -> bool:
        """Whether something has changed of which `changed` has not told yet."""
        return self._seen != self._known

    def changed(self) -> bool:
        """Whether they have changed since it was last said so. What is still being written is waited for: two looks
        have to see the same."""
        seen, before = self._look(), self._seen
        self._seen = seen
        if seen != before or seen == self._known:
            return False
        self._known = seen
        return True

    def _look(self) -> Seen:
        return tuple(self._each())

    def _each(self) -> Iterator[tuple[str, int, int, int]]:
        for folder in self._folders:
            for kind in ("facts", "detections"):
                for path in sorted((folder / kind).rglob("*")):
                    yield _state(path)
            yield _state(folder / FOLDER_SIGNATURE)
        yield from map(_state, self._files)


def _state(path: Path) -> tuple[str, int, int, int]:
    try:
        found = path.stat()
    except OSError:
        return str(path), 0, 0, -1
    return str(path), found.st_ino, found.st_mtime_ns, found.st_size


def files_of(settings: RulesSettings, folders: Sequence[Path]) -> RuleFiles:
    """Those that the settings and the command line name."""
    return RuleFiles((*settings.folders, *folders), (*settings.waivers, *settings.trusted_keys))
