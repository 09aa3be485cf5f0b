"""The collector's errors, one tree.

ValueError
└── Malformed            bytes from the network that break their protocol; never leaves the pipeline
    └── Truncated        the bytes end early; a stream may wait for more, a datagram is broken
LenswatchError           words for a person: one line that names file, place and mend
├── CaptureError         a capture that cannot be read on; carries the byte offset
│   ├── InterfaceError   an interface that cannot be listened to
│   └── EngineError      another engine that reads no more
└── SettingsError        a settings file or variable that is wrong
"""


class Malformed(ValueError):
    """Bytes that break their protocol's rules."""


class Truncated(Malformed):
    """The bytes end before the structure does."""


class LenswatchError(Exception):
    """An error whose text is one line for the person who runs lenswatch."""


class CaptureError(LenswatchError):
    """A capture that cannot be read past `offset` (a byte offset in the uncompressed file)."""

    def __init__(self, name: str, offset: int, reason: str) -> None:
        super().__init__(f"{name}: byte {offset}: {reason}")
        self.name, self.offset, self.reason = name, offset, reason


class InterfaceError(CaptureError):
    """An interface that cannot be listened to, or not any more."""

    def __init__(self, name: str, reason: str) -> None:
        LenswatchError.__init__(self, f"{name}: {reason}")
        self.name, self.offset, self.reason = name, 0, reason


class EngineError(CaptureError):
    """An engine that was asked for in place of our own, and cannot go on."""

    def __init__(self, name: str, reason: str) -> None:
        LenswatchError.__init__(self, f"--engine {name}: {reason}")
        self.name, self.offset, self.reason = name, 0, reason


class SettingsError(LenswatchError):
    """A settings file or environment variable that is wrong."""
