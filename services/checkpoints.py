"""Checkpoints of a directory's engine: where its journal was folded to, every shard's state there, and what the
deciding services knew. A file tells it all, each state lies in a snapshot file; all are derived and checked by hash."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from ledger.sequence import SequenceState, SplitState
from ledger.snapshot import MAGIC, SnapshotBroken, dump, load
from ledger.state import State
from risk.tables import I32Array
from services.heads import Head
from services.snapshots import snapshot_path, write_whole

CHECKPOINTS: Final = "checkpoints"
KEPT: Final = 2
"""checkpoints that stay; the one before the last serves where the last is damaged"""
_MAGIC: Final = b"novate checkpoint 1\n"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """All that an engine needs to go on after an entry."""

    sequence: SequenceState
    splitting: SplitState
    states: Sequence[State]
    head: Head
    peaks: tuple[bytes, ...]
    """of the Merkle log's frontier"""
    answers: dict[str, Any]
    """services.answers.Answers.exported"""


def write(directory: Path, point: Checkpoint) -> None:
    """Keep a checkpoint; whole, or not at all. Older ones past KEPT are removed. Raises OSError."""
    folder = directory / CHECKPOINTS
    folder.mkdir(exist_ok=True)
    n = point.sequence.n
    files = []
    for state in point.states:
        path = snapshot_path(directory, state.shard, state.n)  # where the fold took one after the same entry
        if not path.exists():
            path = folder / f"{n:012d}-{state.shard:03d}.snapshot"
            write_whole(path, dump(state))
        files.append([str(path.relative_to(directory)), _digest(path).hex()])
    told = {
        "position": [n, point.sequence.offset],
        "sources": sorted(point.sequence.last.items()),
        "sent": point.splitting.sent,
        "facts": point.splitting.facts,
        "states": files,
        "head": asdict(point.head),
        "peaks": [peak.hex() for peak in point.peaks],
        "answers": point.answers,
    }
    body = json.dumps(told).encode()
    write_whole(folder / f"{n:012d}.checkpoint", _MAGIC + hashlib.sha256(body).digest() + body)
    for old in sorted(folder.glob("*.checkpoint"))[:-KEPT]:
        old.unlink()
        for left in folder.glob(f"{old.stem}-*.snapshot"):
            left.unlink()


def newest(directory: Path, shard_of: I32Array, entries: int) -> tuple[Checkpoint | None, list[str]]:
    """The last checkpoint that is whole and not past the journal's `entries`, and why later ones are not taken."""
    passed: list[str] = []
    folder = directory / CHECKPOINTS
    for path in sorted(folder.glob("*.checkpoint"), reverse=True) if folder.exists() else ():
        try:
            point = _read(directory, path, shard_of)
        except (SnapshotBroken, FileNotFoundError) as error:
            passed.append(f"{path.name}: {error}")
            continue
        if point.sequence.offset <= entries:
            return point, passed
        passed.append(f"{path.name}: the journal ends before it")
    return None, passed


def _read(directory: Path, path: Path, shard_of: I32Array) -> Checkpoint:
    data = path.read_bytes()
    body = data[len(_MAGIC) + 32 :]
    if data[: len(_MAGIC)] != _MAGIC or hashlib.sha256(body).digest() != data[len(_MAGIC) : len(_MAGIC) + 32]:
        raise SnapshotBroken(f"{path.name} is not as it was written")
    told = json.loads(body)
    n, offset = told["position"]
    states = []
    for name, digest in told["states"]:
        state = load((directory / name).read_bytes(), shard_of)
        if _digest(directory / name).hex() != digest:
            raise SnapshotBroken(f"{name} is another snapshot than {path.name} tells")
        states.append(state)
    return Checkpoint(
        sequence=SequenceState(n, offset, dict(told["sources"])),
        splitting=SplitState(told["sent"], told["facts"]),
        states=states,
        head=Head(**(told["head"] | {"outcomes": tuple(told["head"]["outcomes"])})),
        peaks=tuple(bytes.fromhex(peak) for peak in told["peaks"]),
        answers=told["answers"],
    )


def _digest(path: Path) -> bytes:
    """The hash that a snapshot file begins with; `load` has checked, or `dump` made, what follows it."""
    with path.open("rb") as file:
        return file.read(len(MAGIC) + 32)[len(MAGIC) :]
