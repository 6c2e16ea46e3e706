"""The audit: everything folded again from the journal alone, and every byte that was published compared."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from ledger.conservation import ConservationBroken
from ledger.fold import took_snapshot
from ledger.journal import JournalBroken
from ledger.journal.outcomes import OutcomesBroken
from ledger.snapshot import dump
from ledger.trades import InvariantBroken
from ledger.wholebooks import whole_books
from services.heads import Head, read_heads
from services.lockstep import Clearing
from services.resharding import Proof, ProofBroken
from services.snapshots import snapshot_name
from services.sources import Difference, Source, opened


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


@dataclass(slots=True)
class _Counts:
    entries: int = 0
    outcomes: int = 0
    snapshots: int = 0
    heads: int = 0
    covered: int = 0


def audit(
    source: Path | Callable[[], Source], heads: Path | None = None, tell: Callable[[int, int], None] | None = None
) -> Verdict:
    """Fold a journal from its first entry and compare outcomes, snapshots and heads; nothing is written.

    `source` is an embedded directory or an archive, or opens another source (`lambda: ClusterSource("host:port")`).
    `heads` is a copy of the published heads held elsewhere; without it the source's own are taken. `tell` hears
    (entries done, entries in all). Raises FileNotFoundError where the source holds no run or `heads` is not there,
    HeadBroken where `heads` holds no heads, SettingsBroken, JournalUnreachable.
    """
    held = read_heads(heads) if heads is not None else None
    counts = _Counts()
    audited: list[Clearing] = []
    try:
        with closing(opened(source) if isinstance(source, Path) else source()) as one:
            audited.append(Clearing(one.settings))
            _compare(one, one.heads() if held is None else held, audited[0], counts, tell)
    except Difference as found:
        return _verdict(audited, counts, str(found), found.where)
    except JournalBroken as found:
        return _verdict(audited, counts, str(found), {"part": "journal", "offset": found.offset})
    except OutcomesBroken as found:
        return _verdict(audited, counts, str(found), {"part": "outcomes", "n": found.n, "shard": found.shard})
    except ConservationBroken as found:
        return _verdict(audited, counts, f"the books do not balance: {found}", {"part": "books", "n": found.n})
    except InvariantBroken as found:
        return _verdict(audited, counts, str(found), {"part": "books", "n": _n(audited)})
    return _verdict(audited, counts, "", {})


def _n(audited: list[Clearing]) -> int:
    return audited[0].sequence.n if audited else 0


def _verdict(audited: list[Clearing], counts: _Counts, difference: str, where: dict[str, int | str]) -> Verdict:
    return Verdict(
        agrees=not difference,
        entries=counts.entries,
        n=_n(audited),
        outcomes=counts.outcomes,
        snapshots=counts.snapshots,
        heads=counts.heads,
        covered=counts.covered,
        difference=difference,
        where=where,
    )


def _compare(
    source: Source,
    published: dict[int, Head],
    clearing: Clearing,
    counts: _Counts,
    tell: Callable[[int, int], None] | None,
) -> None:
    every = clearing.settings.snapshot_every if source.keeps_snapshots else 0
    stored = [source.outcomes(shard) for shard in range(clearing.settings.shards)]
    due: set[tuple[int, int]] = set()
    proof = _proof(source)
    end = source.end()
    for offset, data in source.entries():
        before = [state.n for state in clearing.states]
        for part, outcomes in clearing.take(offset, data):
            _same_outcomes(stored[part.shard], part.n, part.shard, outcomes)
            counts.outcomes += 1
            if took_snapshot(before[part.shard], part.n, every):
                due.add((part.shard, part.n))
                kept = source.snapshot(part.shard, part.n)
                _same_snapshot(kept, dump(clearing.states[part.shard]), part.n, part.shard)
                counts.snapshots += 1
        if proof is not None and clearing.sequence.n in (proof.mark, proof.end):
            _same_books(proof, clearing)
        counts.entries += 1
        if head := published.get(counts.entries):
            _same_head(head, clearing.head(), counts.covered)
            counts.heads += 1
            counts.covered = counts.entries
        if tell:
            tell(counts.entries, end)
    source.finished()
    for shard, rest in enumerate(stored):
        if (extra := next(rest, None)) is not None:
            raise Difference(
                f"outcomes of n {extra[0]} in shard {shard} follow from no entry",
                part="outcomes",
                n=extra[0],
                shard=shard,
            )
    for shard, n, name in source.snapshots():
        if (shard, n) not in due:
            raise Difference(f"snapshot {name} follows from no entry", part="snapshot", n=n, shard=shard)
    if max(published, default=0) > counts.entries:
        raise Difference(
            f"a published head covers {max(published)} entries, the journal has {counts.entries}",
            part="journal",
            offset=counts.entries,
        )


def _proof(source: Source) -> Proof | None:
    try:
        return Proof.read(source.folder) if source.folder is not None else None
    except ProofBroken as error:
        raise Difference(str(error), part="resharding", n=0) from None


def _same_books(proof: Proof, clearing: Clearing) -> None:
    n = clearing.sequence.n
    digest = whole_books(clearing.states).digest()
    if digest != (proof.books_at_end if n == proof.end else proof.books_at_mark):
        raise Difference(
            f"after entry {n} the books are not those that were proved when the shards were changed",
            part="resharding",
            n=n,
        )


def _same_outcomes(stored: Iterator[tuple[int, bytes]], n: int, shard: int, outcomes: bytes) -> None:
    row = next(stored, None)
    if row is None:
        raise Difference(f"outcomes of n {n} in shard {shard} are missing", part="outcomes", n=n, shard=shard)
    if row[0] != n:
        raise Difference(
            f"outcomes of n {row[0]} in shard {shard} stand where n {n} is due", part="outcomes", n=n, shard=shard
        )
    if row[1] != outcomes:
        byte = first_difference(row[1], outcomes)
        raise Difference(
            f"outcomes of n {n} in shard {shard} differ at byte {byte}", part="outcomes", n=n, shard=shard, byte=byte
        )


def _same_snapshot(found: bytes | None, expected: bytes, n: int, shard: int) -> None:
    name = snapshot_name(shard, n)
    if found is None:
        raise Difference(f"snapshot {name} is missing", part="snapshot", n=n, shard=shard)
    if found != expected:
        byte = first_difference(found, expected)
        raise Difference(f"snapshot {name} differs at byte {byte}", part="snapshot", n=n, shard=shard, byte=byte)


def _same_head(published: Head, found: Head, covered: int) -> None:
    for name in ("n", "journal", "merkle", "outcomes"):
        if getattr(published, name) != getattr(found, name):
            raise Difference(
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
