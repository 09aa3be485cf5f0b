"""A producer whose broker answers when it is told to."""

import asyncio
from typing import Any


class Batch:
    """Records gathered by a producer; `room` is how many it holds."""

    def __init__(self, room: int) -> None:
        self.room, self.records, self.is_closed = room, [], False  # type: ignore[var-annotated]

    def append(self, *, timestamp: Any, key: Any, value: Any, headers: Any) -> object | None:
        """As aiokafka's: None when there is no room."""
        if self.is_closed or len(self.records) >= self.room:
            return None
        self.records.append((key, value, headers))
        return self.records

    def close(self) -> None:
        """Take no more."""
        self.is_closed = True

    def record_count(self) -> int:
        """How many there are."""
        return len(self.records)


class Answers:
    """See above. `sent` has the topic, the partition and the records of each batch."""

    def __init__(self, room: int = 100) -> None:
        self.room = room
        self.sent: list[tuple[str, int, list[Any]]] = []
        self._waiting: list[asyncio.Future[None]] = []

    def create_batch(self) -> Batch:
        """An empty batch."""
        return Batch(self.room)

    async def send_batch(self, batch: Batch, topic: str, *, partition: int) -> "asyncio.Future[None]":
        """As aiokafka's."""
        assert batch.is_closed
        self.sent.append((topic, partition, batch.records))
        self._waiting.append(asyncio.get_running_loop().create_future())
        return self._waiting[-1]

    def topics(self) -> list[str]:
        """The topic of each record, in the order in which they were sent."""
        return [topic for topic, _, records in self.sent for _ in records]

    def answer(self, error: Exception | None = None) -> None:
        """The broker has all that was sent, or refuses it."""
        for future in self._waiting:
            if not future.done():
                future.set_exception(error) if error is not None else future.set_result(None)
