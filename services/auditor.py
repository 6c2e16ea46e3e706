"""The audit: everything folded again from the journal alone, and every byte that was published compared."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from ledger.conservation import ConservationBroken
from ledger.fold import took_snapshot
from ledger.journal import JournalBroken
from ledger.journal.outcomes import OutcomeLog, OutcomesBroken
from ledger.journal.sqlite import SqliteReader
from ledger.snapshot import dump
from ledger.trades import InvariantBroken
from services.ahead import ahead
from services.heads import Head, HeadBroken, read_heads
from services.lockstep import HEADS, JOURNAL, OUTCOME_LOG, Clearing, Settings
from services.snapshots import present, snapshot_path


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an audit found. `difference` names the first place that does not agree, and is empty where all does."""

    agrees: bool
    entries: int
    n: int
    outcomes: int
    snapshots: int
    heads: int
    covered: int
    """the entries that published heads cover; what comes later was compared with the journal only"""
    difference: str
    where: dict[str, int | str]

    def line(self) -> str:
        """The verdict in one line."""
        if self.agrees:
            later = self.entries - self.covered
            return (
                f"agrees: {self.entries:,} entries, {self.outcomes:,} outcome records, {self.snapshots:,} snapshots and"
                f" {self.heads:,} heads are equal to the byte"
                + (f"; no head covers the last {later:,} entries" if later else "")
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
    covered: int = 0


def audit(directory: Path, heads: Path | None = None, tell: Callable[[int, int], None] | None = None) -> Verdict:
    """Fold a directory's journal from its first entry and compare outcomes, snapshots and heads; nothing is written.

    `heads` is a copy of the published heads held elsewhere; without it the directory's own are taken. `tell` hears
    (entries done, entries in all). Raises FileNotFoundError where the directory holds no run or `heads` is not there,
    HeadBroken where `heads` holds no heads, SettingsBroken.
    """
    clearing = Clearing(Settings.read(directory))
    counts = _Counts()
    held = read_heads(heads) if heads is not None else None
    try:
        _compare(directory, _own_heads(directory) if held is None else held, clearing, counts, tell)
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
        covered=counts.covered,
        difference=difference,
        where=where,
    )


def _own_heads(directory: Path) -> dict[int, Head]:
    try:
        return read_heads(directory / HEADS)
    except FileNotFoundError:
        raise _Difference(f"the published heads, {HEADS}, are missing", part="heads", line=1) from None
    except HeadBroken as error:
        raise _Difference(str(error), part="heads", line=error.line) from None


def _compare(
    directory: Path,
    published: dict[int, Head],
    clearing: Clearing,
    counts: _Counts,
    tell: Callable[[int, int], None] | None,
) -> None:
    every = clearing.settings.snapshot_every
    try:
        log = OutcomeLog(directory / OUTCOME_LOG, reading=True)
    except FileNotFoundError:
        raise _Difference(f"the outcomes, {OUTCOME_LOG}, are missing", part="outcomes", n=1, shard=0) from None
    with closing(log), closing(SqliteReader(directory / JOURNAL)) as reader:
        stored = [ahead(log.scan(shard)) for shard in range(clearing.settings.shards)]
        due: set[Path] = set()
        end = reader.end()
        for offset, data in ahead(reader.read(0, end)):
            before = [state.n for state in clearing.states]
            for part, outcomes in clearing.take(offset, data):
                _same_outcomes(stored[part.shard], part.n, part.shard, outcomes)
                counts.outcomes += 1
                if took_snapshot(before[part.shard], part.n, every):
                    due.add(path := snapshot_path(directory, part.shard, part.n))
                    _same_snapshot(path, dump(clearing.states[part.shard]), part.n, part.shard)
                    counts.snapshots += 1
            counts.entries += 1
            if head := published.get(counts.entries):
                _same_head(head, clearing.head(), counts.covered)
                counts.heads += 1
                counts.covered = counts.entries
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
    for shard, n, path in present(directory):
        if path not in due:
            raise _Difference(f"snapshot {path.name} follows from no entry", part="snapshot", n=n, shard=shard)
    if max(published, default=0) > counts.entries:
        raise _Difference(
            f"a published head covers {max(published)} entries, the journal has {counts.entries}",
            part="journal",
            offset=counts.entries,
        )


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


def _same_head(published: Head, found: Head, covered: int) -> None:
    for name in ("n", "journal", "merkle", "outcomes"):
        if getattr(published, name) != getattr(found, name):
            raise _Difference(
                f"the head published after {published.entries} entries has another {name}: the head was changed, or an"
                f" entry at offset {covered} to {published.entries - 1} with all that follows from it",
                part="head",
                entries=published.entries,
                first=covered,
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
