"""What arrives of a shard's parts, brought into order: repeats are dropped, a part before its predecessor waits."""

from __future__ import annotations

from typing import Final

from ledger.sequence import MissingPredecessor, ShardEntry, ShardIntake, taken
from ledger.shardwire import decode_shard
from schemas.wire import WireError

MOST_HELD: Final = 256
"""parts that may wait for their predecessor; more of them, and the shard stops by name"""


class Intake:
    """A partition's reader: the last n taken, and what waits. `unreadable` counts records that hold no part of this
    shard; they are dropped, and if one should have been the next part, the parts after it wait and say which is
    missing."""

    def __init__(self, shard: int, last: int, offset: int) -> None:
        self.unreadable = 0
        self._intake = ShardIntake(shard, last)
        self._next = offset
        self._held: dict[int, tuple[int, ShardEntry]] = {}

    @property
    def last(self) -> int:
        """The last n given out."""
        return self._intake.last

    @property
    def place(self) -> int:
        """The offset to read from again: everything before it has been given out or dropped."""
        return min((offset for offset, _ in self._held.values()), default=self._next)

    @property
    def missing(self) -> tuple[int, int] | None:
        """(the last n here, the n that the first waiting part follows); None where nothing waits."""
        return (self.last, min(self._held)) if self._held else None

    def arrived(self, offset: int, value: bytes) -> list[tuple[int, ShardEntry]]:
        """The parts that can be folded now, in order, each with the offset it came at. Raises MissingPredecessor where
        too many wait."""
        self._next = max(self._next, offset + 1)
        try:
            entry = decode_shard(value)
        except WireError:
            self.unreadable += 1
            return []
        if entry.shard != self._intake.shard:
            self.unreadable += 1
            return []
        ready: list[tuple[int, ShardEntry]] = []
        try:
            if taken(self._intake, entry):
                ready.append((offset, entry))
        except MissingPredecessor:
            self._held.setdefault(entry.previous, (offset, entry))
            if len(self._held) > MOST_HELD:
                raise
        while self.last in self._held:
            waited, entry = self._held.pop(self.last)
            taken(self._intake, entry)
            ready.append((waited, entry))
        return ready
