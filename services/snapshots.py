"""Snapshot files of a directory: written whole or not at all, and read only where the outcomes vouch for them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ledger.journal.outcomes import OutcomeLog
from ledger.snapshot import MAGIC, SnapshotBroken, load
from ledger.state import State
from risk.tables import I32Array
from schemas.outcomes import OUTCOMES, SnapshotTaken
from schemas.wire import OutcomeHeader, decode

SNAPSHOTS: Final = "snapshots"
_SUFFIX: Final = ".snapshot"
_UNFINISHED: Final = ".part"


def snapshot_path(directory: Path, shard: int, n: int) -> Path:
    """Where a shard's snapshot after entry n lies."""
    return directory / SNAPSHOTS / snapshot_name(shard, n)


def snapshot_name(shard: int, n: int) -> str:
    """The name of a shard's snapshot after entry n."""
    return f"{shard:03d}-{n:012d}{_SUFFIX}"


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that at any time, after a power cut too, it is as it was before or whole."""
    unfinished = path.with_name(path.name + _UNFINISHED)
    with unfinished.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def keep(path: Path, data: bytes) -> None:
    """Write a snapshot unless it is there; one that is damaged is replaced."""
    if not path.exists() or path.read_bytes() != data:
        write_whole(path, data)


def present(directory: Path) -> Iterator[tuple[int, int, Path]]:
    """(shard, n, path) of every snapshot there, each shard's last first; -1, -1 for a file with no such name."""
    for path in sorted((directory / SNAPSHOTS).iterdir(), reverse=True):
        if path.name.endswith(_UNFINISHED):
            continue
        shard, _, n = path.name.removesuffix(_SUFFIX).partition("-")
        named = (int(shard), int(n)) if shard.isdecimal() and n.isdecimal() else (-1, -1)
        yield *(named if snapshot_path(directory, *named) == path else (-1, -1)), path


def latest(
    directory: Path, log: OutcomeLog, shard: int, to: int | None, shard_of: I32Array, *, fall_back: bool
) -> State | None:
    """A shard's state from its last snapshot not after entry `to` (None: its last); None where there is none.

    Raises SnapshotBroken where that one is damaged or no outcome of its entry tells its digest; with `fall_back` the
    one before it is taken instead.
    """
    for of, n, path in present(directory):
        if of == shard and (to is None or n <= to):
            try:
                return _vouched(path, log, shard, n, shard_of)
            except SnapshotBroken:
                if not fall_back:
                    raise
    return None


def _vouched(path: Path, log: OutcomeLog, shard: int, n: int, shard_of: I32Array) -> State:
    data = path.read_bytes()
    outcomes = log.get(n, shard)
    told = [
        row["digest"].tobytes()
        for run in (decode(outcomes, OutcomeHeader, OUTCOMES).runs if outcomes is not None else ())
        if run.message.cls is SnapshotTaken
        for row in run.rows
    ]
    try:
        state = load(data, shard_of)
    except SnapshotBroken as error:
        raise SnapshotBroken(f"{path.name}: {error.what}") from error
    if data[len(MAGIC) : len(MAGIC) + 32] not in told:
        raise SnapshotBroken(f"{path.name}: no outcome of entry {n} tells its digest")
    return state
