"""Records that wait to be folded: a queue with a bound in bytes and records, taken from in batches."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

from services.processors.records import Record

MOST_BYTES: Final = 8 << 20
MOST_RECORDS: Final = 1024
BATCH_BYTES: Final = 1 << 20
"""a batch ends with the record that reaches this: what came of it is written before the next one is folded"""
BATCH_RECORDS: Final = 128


class Intray:
    """To be used from one event loop."""

    def __init__(self) -> None:
        self._records: deque[Record] = deque()
        self._bytes = 0
        self._open = True
        self._changed = asyncio.Condition()

    @property
    def empty(self) -> bool:
        """Whether nothing waits here."""
        return not self._records

    async def put(self, record: Record) -> None:
        """Add a record; waits while the tray is full. A closed tray takes none and lets nobody wait."""
        async with self._changed:
            while self._open and self._full(len(record.value)):
                await self._changed.wait()
            if not self._open:
                return
            self._records.append(record)
            self._bytes += len(record.value)
            self._changed.notify_all()

    async def take(self) -> list[Record]:
        """The next batch; waits while there is nothing."""
        async with self._changed:
            while not self._records:
                await self._changed.wait()
            batch: list[Record] = []
            size = 0
            while self._records and size < BATCH_BYTES and len(batch) < BATCH_RECORDS:
                batch.append(self._records.popleft())
                size += len(batch[-1].value)
            self._bytes -= size
            self._changed.notify_all()
            return batch

    async def close(self) -> None:
        """Drop what is there."""
        async with self._changed:
            self._open = False
            self._records.clear()
            self._changed.notify_all()

    def _full(self, size: int) -> bool:
        return bool(self._records) and (self._bytes + size > MOST_BYTES or len(self._records) >= MOST_RECORDS)
