"""Snapshots of the running parts: a directory that every worker reads, of whole files that their parts have sealed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, TypeVar

from ledger.snapshot import SnapshotBroken
from services.processors.records import Snapshot
from services.snapshots import keep

KEPT: Final = 3
"""snapshots of a part that are kept"""

_SUFFIX: Final = ".snapshot"

Made = TypeVar("Made")


class SnapshotStore:
    """Snapshots of one deployment in `directory`, which is made where it is not there.

    A name is the part's, with its shard, and n: several workers that hold a part for a moment write equal bytes under
    one name, so none of them needs a lock.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True)

    def keep(self, part: str, shard: int, snapshot: Snapshot) -> None:
        """Write a snapshot and delete those before the last KEPT. Raises OSError; what was there stays then."""
        keep(self._directory / f"{part}-{shard:03d}-{snapshot.n:012d}{_SUFFIX}", snapshot.data)
        for old in list(self._paths(part, shard))[KEPT:]:
            old.unlink(missing_ok=True)

    def restored(self, part: str, shard: int, make: Callable[[bytes | None], Made]) -> tuple[Made, list[str]]:
        """What `make` makes of the last snapshot that is whole, or of None where there is none; and what was wrong with
        the ones passed over. `make` raises SnapshotBroken on bytes that are not what its part gave: the seal is the
        part's, so that its hash is made and checked once."""
        passed: list[str] = []
        for path in self._paths(part, shard):
            try:
                return make(path.read_bytes()), passed
            except FileNotFoundError:  # another worker has just deleted it
                continue
            except SnapshotBroken as error:
                passed.append(f"{path.name}: {error.what}")
        return make(None), passed

    def _paths(self, part: str, shard: int) -> Iterator[Path]:
        """The last first."""
        yield from sorted(self._directory.glob(f"{part}-{shard:03d}-*{_SUFFIX}"), reverse=True)
