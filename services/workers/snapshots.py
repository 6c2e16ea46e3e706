"""Snapshots of the running parts: a directory that every worker reads; files are whole, and their hash is checked."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, TypeVar

from ledger.snapshot import SnapshotBroken
from services.processors.records import Snapshot
from services.snapshots import keep, write_whole

KEPT: Final = 3
"""snapshots of a part that are kept"""

_SUFFIX: Final = ".snapshot"
_MAGIC: Final = b"novate kept 1\n"
_DIGEST: Final = hashlib.sha256().digest_size

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
        digest = hashlib.sha256(snapshot.data).digest()
        path = self._directory / f"{part}-{shard:03d}-{snapshot.n:012d}{_SUFFIX}"
        data = b"".join((_MAGIC, digest, snapshot.data))
        if path.exists():
            keep(path, data)
        else:
            write_whole(path, data)
        for old in list(self._paths(part, shard))[KEPT:]:
            old.unlink(missing_ok=True)

    def restored(self, part: str, shard: int, make: Callable[[bytes | None], Made]) -> tuple[Made, list[str]]:
        """What `make` makes of the last snapshot that is whole, or of None where there is none; and what was wrong with
        the ones passed over. `make` may raise SnapshotBroken."""
        passed: list[str] = []
        for path in self._paths(part, shard):
            try:
                return make(_opened(path.read_bytes())), passed
            except FileNotFoundError:  # another worker has just deleted it
                continue
            except SnapshotBroken as error:
                passed.append(f"{path.name}: {error.what}")
        return make(None), passed

    def _paths(self, part: str, shard: int) -> Iterator[Path]:
        """The last first."""
        yield from sorted(self._directory.glob(f"{part}-{shard:03d}-*{_SUFFIX}"), reverse=True)


def _opened(data: bytes) -> bytes:
    start = len(_MAGIC) + _DIGEST
    body = data[start:]
    if data[: len(_MAGIC)] != _MAGIC or hashlib.sha256(body).digest() != data[len(_MAGIC) : start]:
        raise SnapshotBroken("its bytes are not those that were written")
    return body
