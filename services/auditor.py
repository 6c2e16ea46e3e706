"""The audit: everything folded again from the journal alone, and every byte that was published compared."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ledger.conservation import ConservationBroken
from ledger.fold import took_snapshot
from ledger.journal import JournalBroken
from ledger.journal.outcomes import OutcomeLog, OutcomesBroken
from ledger.journal.sqlite import SqliteReader
from ledger.snapshot import dump
from ledger.trades import InvariantBroken
from services.lockstep import HEADS, JOURNAL, OUTCOME_LOG, Clearing, Head, Settings, snapshot_path


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an audit found. `difference` is empty where everything agrees; else it names the first place that does not."""

    agrees: bool
    entries: int
    n: int
    outcomes: int
    snapshots: int
    heads: int
    difference: str
    where: dict[str, int | str]

    def line(self) -> str:
        """The verdict in one line."""
        if self.agrees:
            return (
                f"agrees: {self.entries:,} entries, {self.outcomes:,} outcome records, {self.snapshots:,} snapshots and"
                f" {self.heads:,} heads are equal to the byte"
            )
        return f"DIFFERS: {self.difference}"


class _Difference(Exception):  # noqa: N818 - caught here, never seen outside
    def __init__(self, what: str, **where: int | str) -> None:
        super().__init__(what)
        self.where = where


@dataclass(slots=True)
class _Counts:
    entries: int = 0
    outcomes: int = 0
    snapshots: int = 0
    heads: int = 0


def audit(directory: Path, heads: Path | None = None, tell: Callable[[int, int], None] | None = None) -> Verdict:
    """Fold a directory's journal from its first entry and compare outcomes, snapshots and heads.

    `heads` is a copy of the published heads held elsewhere; without it the directory's own are taken. `tell` hears
    (entries done, entries in all). Raises FileNotFoundError where the directory holds no run.
    """
    settings = Settings.read(directory)
    clearing = Clearing(settings)
    counts = _Counts()
    try:
        _compare(directory, heads or directory / HEADS, settings, clearing, counts, tell)
    except _Difference as found:
        return _verdict(clearing, counts, str(found), found.where)
    except JournalBroken as found:
        return _verdict(clearing, counts, str(found), {"part": "journal", "offset": found.offset})
    except OutcomesBroken as found:
        return _verdict(clearing, counts, str(found), {"part": "outcomes", "n": found.n, "shard": found.shard})
    except ConservationBroken as found:
        return _verdict(clearing, counts, f"the books do not balance: {found}", {"part": "books", "n": found.n})
    except InvariantBroken as found:
        return _verdict(clearing, counts, str(found), {"part": "books", "n": clearing.sequence.n})
    return _verdict(clearing, counts, "", {})


def _verdict(clearing: Clearing, counts: _Counts, difference: str, where: dict[str, int | str]) -> Verdict:
    return Verdict(
        agrees=not difference,
        entries=counts.entries,
        n=clearing.sequence.n,
        outcomes=counts.outcomes,
        snapshots=counts.snapshots,
        heads=counts.heads,
        difference=difference,
        where=where,
    )


def _compare(
    directory: Path,
    heads: Path,
    settings: Settings,
    clearing: Clearing,
    counts: _Counts,
    tell: Callable[[int, int], None] | None,
) -> None:
    published = read_heads(heads)
    reader = SqliteReader(directory / JOURNAL)
    log = OutcomeLog(directory / OUTCOME_LOG)
    try:
        stored = [log.scan(shard) for shard in range(settings.shards)]
        end = reader.end()
        for offset, data in reader.read(0, end):
            before = [state.n for state in clearing.states]
            for part, outcomes in clearing.take(offset, data):
                _same_outcomes(stored[part.shard], part.n, part.shard, outcomes)
                counts.outcomes += 1
                if took_snapshot(before[part.shard], part.n, settings.snapshot_every):
                    state = clearing.states[part.shard]
                    _same_snapshot(snapshot_path(directory, part.shard, part.n), dump(state), part.n, part.shard)
                    counts.snapshots += 1
            counts.entries += 1
            if head := published.get(counts.entries):
                _same_head(head, clearing.head())
                counts.heads += 1
            if tell:
                tell(counts.entries, end)
        for shard, rest in enumerate(stored):
            if (extra := next(rest, None)) is not None:
                raise _Difference(
                    f"outcomes of n {extra[0]} in shard {shard} follow from no entry",
                    part="outcomes",
                    n=extra[0],
                    shard=shard,
                )
    finally:
        reader.close()
        log.close()
    missing = [entries for entries in published if entries > counts.entries]
    if missing:
        raise _Difference(
            f"a published head covers {min(missing)} entries, the journal has {counts.entries}",
            part="journal",
            offset=counts.entries,
        )


def read_heads(path: Path) -> dict[int, Head]:
    """Published heads by the number of entries they cover. The last line may be torn by a crash; it is passed over."""
    heads: dict[int, Head] = {}
    lines = path.read_text().splitlines() if path.exists() else []
    for number, line in enumerate(lines, 1):
        try:
            told: dict[str, Any] = json.loads(line)
            head = Head(**(told | {"outcomes": tuple(told["outcomes"])}))
            heads[head.entries] = head
        except (ValueError, TypeError, KeyError):
            if number < len(lines):
                raise _Difference(f"{path.name}, line {number}: no head", part="heads", line=number) from None
    return heads


def _same_outcomes(stored: Iterator[tuple[int, bytes]], n: int, shard: int, outcomes: bytes) -> None:
    row = next(stored, None)
    if row is None:
        raise _Difference(f"outcomes of n {n} in shard {shard} are missing", part="outcomes", n=n, shard=shard)
    if row[0] != n:
        raise _Difference(
            f"outcomes of n {row[0]} in shard {shard} stand where n {n} is due", part="outcomes", n=n, shard=shard
        )
    if row[1] != outcomes:
        byte = first_difference(row[1], outcomes)
        raise _Difference(
            f"outcomes of n {n} in shard {shard} differ at byte {byte}", part="outcomes", n=n, shard=shard, byte=byte
        )


def _same_snapshot(path: Path, expected: bytes, n: int, shard: int) -> None:
    if not path.exists():
        raise _Difference(f"snapshot {path.name} is missing", part="snapshot", n=n, shard=shard)
    found = path.read_bytes()
    if found != expected:
        byte = first_difference(found, expected)
        raise _Difference(f"snapshot {path.name} differs at byte {byte}", part="snapshot", n=n, shard=shard, byte=byte)


def _same_head(published: Head, found: Head) -> None:
    for name in ("n", "journal", "merkle", "outcomes"):
        if getattr(published, name) != getattr(found, name):
            raise _Difference(
                f"the head published after {published.entries} entries has another {name} hash: what lies between the"
                " head before it and this one was changed",
                part="head",
                entries=published.entries,
                field=name,
            )


def first_difference(a: bytes, b: bytes) -> int:
    """The first byte at which two byte strings differ; the shorter one's length where one begins the other."""
    size = min(len(a), len(b))
    low, high = 0, size
    while low < high:
        middle = (low + high) // 2
        if a[: middle + 1] == b[: middle + 1]:
            low = middle + 1
        else:
            high = middle
    return low
