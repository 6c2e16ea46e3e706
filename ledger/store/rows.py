"""Outcomes and facts as the rows of their tables, column by column: whole runs at a time, no loop over legs.

What money moved is derived here as in `ledger/postings.py`, for arrays; tests hold the two together.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ledger.sequence import IndexedRun, ShardEntry
from ledger.store.tables import FACT_TABLES, MARKS, MOVES, OUTCOME_TABLES, POSTINGS, Table
from schemas.chart import House
from schemas.events import InstrumentListed
from schemas.kinds import Kind, PostingKind
from schemas.limits import MAX_INSTRUMENTS
from schemas.outcomes import OUTCOMES, LegPosted, MarkDone, PositionSettled, Posted, Rejected
from schemas.wire import OutcomeHeader, Rows, Run, decode

Values = npt.NDArray[Any]
Columns = dict[str, Values]
"""A table's columns by name, all of one length."""
Numbers = npt.NDArray[np.int64]

_CASH, _BASE, _FEE, _FUND_SHARE, _FUNDING = range(0, 10, 2)
"""The sides of a leg's postings: the debit's number, the credit's is one more."""


@dataclass(frozen=True, slots=True)
class Part:
    """A shard's outcomes of entry n, decoded."""

    shard: int
    n: int
    shards: int
    runs: tuple[Run, ...]


@dataclass(frozen=True, slots=True)
class Listings:
    """What must be known of instruments to tell what a leg moved, by instrument number. Filled as they are accepted."""

    known: npt.NDArray[np.bool_] = field(default_factory=lambda: np.zeros(MAX_INSTRUMENTS, np.bool_))
    kind: Numbers = field(default_factory=lambda: np.zeros(MAX_INSTRUMENTS, np.int64))
    settlement: Numbers = field(default_factory=lambda: np.zeros(MAX_INSTRUMENTS, np.int64))
    base: Numbers = field(default_factory=lambda: np.zeros(MAX_INSTRUMENTS, np.int64))
    lot_size: Numbers = field(default_factory=lambda: np.zeros(MAX_INSTRUMENTS, np.int64))

    def add(self, instrument: int, kind: int, settlement: int, base: int, lot_size: int) -> None:
        """Know an instrument from now on."""
        self.kind[instrument], self.settlement[instrument] = kind, settlement
        self.base[instrument], self.lot_size[instrument] = base, lot_size
        self.known[instrument] = True

    def knows(self, part: Part) -> bool:
        """Whether every instrument whose legs or settlements this part tells is known."""
        return all(
            bool(self.known[run.rows["instrument"]].all())
            for run in part.runs
            if run.message.cls in (LegPosted, PositionSettled)
        )


def part_of(data: bytes | memoryview) -> Part:
    """The part that these outcome bytes hold. Raises WireError where they hold none."""
    batch = decode(data, OutcomeHeader, OUTCOMES)
    return Part(batch.header["shard"], batch.header["n"], batch.header["shards"], batch.runs)


def refused(part: Part) -> npt.NDArray[np.int64]:
    """The positions in the entry of the events that this part rejects."""
    found = [run.rows["index"].astype(np.int64) for run in part.runs if run.message.cls is Rejected]
    return np.concatenate(found) if found else np.zeros(0, np.int64)


def accepted(entry: ShardEntry, rejected: npt.NDArray[np.int64]) -> list[IndexedRun]:
    """The facts of an entry that have a table, those rejected left out."""
    kept = []
    for run in entry.runs:
        if run.message.cls in FACT_TABLES:
            stays = np.flatnonzero(~np.isin(run.index, rejected))
            if len(stays):
                kept.append(IndexedRun(run.message, run.rows.take(stays), run.index[stays]))
    return kept


def listed(runs: Iterable[IndexedRun], listings: Listings) -> None:
    """Add the instruments listed in accepted facts."""
    for run in runs:
        if run.message.cls is InstrumentListed:
            for row in run.rows:
                numbers = ("instrument", "kind", "settlement_asset", "base_asset", "lot_size")
                listings.add(*(int(row[name]) for name in numbers))


def fact_rows(facts: Sequence[tuple[int, list[IndexedRun]]]) -> Iterator[tuple[Table, Columns]]:
    """Each fact table's rows of accepted facts, given as (n, runs)."""
    gathered: defaultdict[type[Any], list[tuple[int, IndexedRun]]] = defaultdict(list)
    for n, runs in facts:
        for run in runs:
            gathered[run.message.cls].append((n, run))
    for cls, found in gathered.items():
        rows = np.concatenate([run.rows for _, run in found])
        columns: Columns = {
            "n": np.repeat(np.array([n for n, _ in found], np.int64), [len(run.rows) for _, run in found]),
            "index": np.concatenate([run.index for _, run in found]).astype(np.int64),
        }
        yield FACT_TABLES[cls], columns | {column.name: rows[column.field] for column in FACT_TABLES[cls].columns[2:]}


def outcome_rows(parts: Sequence[Part], listings: Listings) -> Iterator[tuple[Table, Columns]]:
    """Each outcome table's rows of these parts, and what they moved; the parts' instruments are all in `listings`."""
    postings: list[Columns] = []
    moves: list[Columns] = []
    for cls, (rows, key) in _gathered(parts).items():
        table = OUTCOME_TABLES[cls]
        named = {name: key[name] for name in ("n", "shard", "line")}
        yield table, named | {column.name: rows[column.field] for column in table.columns[3:]}
        if cls is MarkDone:
            told = {"mark": rows["mark"], "time": rows["time"], "shards": key["shards"]}
            yield MARKS, named | told
        if cls in _MOVED:
            posted, moved = _MOVED[cls](rows, named, listings)
            postings += posted
            moves += moved
    for table, found in ((POSTINGS, postings), (MOVES, moves)):
        if found:
            yield table, _in_order({name: np.concatenate([one[name] for one in found]) for name in found[0]})


def _gathered(parts: Sequence[Part]) -> dict[type[Any], tuple[Rows, Columns]]:
    """Rows by class over all parts, with the n, shard, line and number of shards of each."""
    runs: defaultdict[type[Any], list[Rows]] = defaultdict(list)
    places: defaultdict[type[Any], list[tuple[int, int, int, int, int]]] = defaultdict(list)
    for part in parts:
        line = 0
        for run in part.runs:
            runs[run.message.cls].append(run.rows)
            places[run.message.cls].append((part.n, part.shard, part.shards, line, len(run.rows)))
            line += len(run.rows)
    gathered: dict[type[Any], tuple[Rows, Columns]] = {}
    for cls, found in runs.items():
        n, shard, shards, first, count = np.array(places[cls], np.int64).T
        ends = np.cumsum(count)
        within = np.arange(ends[-1]) - np.repeat(ends - count, count)
        key = {
            "n": np.repeat(n, count),
            "shard": np.repeat(shard, count),
            "shards": np.repeat(shards, count),
            "line": np.repeat(first, count) + within,
        }
        gathered[cls] = (np.concatenate(found), key)
    return gathered


def _of_legs(rows: Rows, named: Columns, listings: Listings) -> tuple[list[Columns], list[Columns]]:
    instrument = rows["instrument"]
    asset, kind = listings.settlement[instrument], listings.kind[instrument]
    account, spot = rows["account"].astype(np.int64), kind == Kind.SPOT
    # A spot leg's quantity x lot was checked by the fold to fit.
    base = np.where(spot, rows["quantity"] * listings.lot_size[instrument], 0)
    told = named | {"index": rows["index"], "leg": rows["leg"]}
    house = {name: np.full(len(rows), int(name)) for name in House}
    postings = [
        _pair(told, _CASH, PostingKind.TRADE, house[House.CLEARINGHOUSE], account, asset, rows["cash"]),
        _pair(told, _BASE, PostingKind.BASE, house[House.CLEARINGHOUSE], account, listings.base[instrument], base),
        _pair(told, _FEE, PostingKind.FEE, account, house[House.FEES], asset, rows["fee"]),
        _pair(told, _FUND_SHARE, PostingKind.FUND_SHARE, house[House.FEES], house[House.FUND], asset,
              rows["fund_share"]),
        _pair(told, _FUNDING, PostingKind.FUNDING, house[House.FUNDING], account, asset, rows["funding"]),
    ]  # fmt: skip
    lots = np.where(spot, 0, rows["quantity"])
    return postings, [_moved(told, house[House.CLEARINGHOUSE], account, instrument, lots)]


def _of_settlements(rows: Rows, named: Columns, listings: Listings) -> tuple[list[Columns], list[Columns]]:
    instrument = rows["instrument"]
    asset, account = listings.settlement[instrument], rows["account"].astype(np.int64)
    ended = np.where(listings.kind[instrument] == Kind.OPTION, PostingKind.EXERCISE, PostingKind.FINAL_SETTLEMENT)
    kind = np.where(rows["closed"] != 0, ended, PostingKind.VARIATION)
    told = named | {"index": rows["index"], "leg": np.zeros(len(rows), np.int64)}
    clearinghouse = np.full(len(rows), int(House.CLEARINGHOUSE))
    funding = np.full(len(rows), int(House.FUNDING))
    postings = [
        _pair(told, _CASH, kind, clearinghouse, account, asset, rows["cash"]),
        _pair(told, _FUNDING, PostingKind.FUNDING, funding, account, asset, rows["funding"]),
    ]
    lots = np.where(rows["closed"] != 0, -rows["quantity"], 0)
    return postings, [_moved(told, clearinghouse, account, instrument, lots)]


def _of_transfers(rows: Rows, named: Columns, _listings: Listings) -> tuple[list[Columns], list[Columns]]:
    told = named | {"index": rows["index"], "leg": np.zeros(len(rows), np.int64)}
    debit, credit = rows["debit"].astype(np.int64), rows["credit"].astype(np.int64)
    return [_pair(told, _CASH, rows["kind"], debit, credit, rows["asset"], rows["amount"])], []


_MOVED: Final[Mapping[type[Any], Any]] = {
    LegPosted: _of_legs,
    PositionSettled: _of_settlements,
    Posted: _of_transfers,
}
"""What the rows of an outcome moved: (postings, moves)."""


def _pair(told: Columns, side: int, kind: Any, debit: Values, credit: Values, asset: Values, amount: Values) -> Columns:
    """The two postings of each row that moves an amount; rows of nothing are left out."""
    moves = np.flatnonzero(amount)
    chosen = {name: _twice(column[moves]) for name, column in told.items()}
    kinds = np.broadcast_to(np.asarray(kind, np.int64), amount.shape)
    return chosen | {
        "side": np.tile(np.array([side, side + 1]), len(moves)),
        "account": _both(debit[moves], credit[moves]),
        "asset": _twice(asset[moves].astype(np.int64)),
        "kind": _twice(kinds[moves]),
        "amount": _both(-amount[moves], amount[moves]),
    }


def _moved(told: Columns, debit: Values, credit: Values, instrument: Values, lots: Values) -> Columns:
    moves = np.flatnonzero(lots)
    chosen = {name: _twice(column[moves]) for name, column in told.items()}
    return chosen | {
        "side": np.tile(np.array([0, 1]), len(moves)),
        "account": _both(debit[moves], credit[moves]),
        "instrument": _twice(instrument[moves].astype(np.int64)),
        "lots": _both(-lots[moves], lots[moves]),
    }


def _in_order(columns: Columns) -> Columns:
    """By the primary key: PostgreSQL then adds to the end of its index, which is much faster than in its midst."""
    order = np.lexsort([columns[name] for name in ("side", "line", "shard", "n")])
    return {name: column[order] for name, column in columns.items()}


def _twice(column: Values) -> Values:
    return np.repeat(column, 2)


def _both(first: Values, second: Values) -> Values:
    """Two columns of one length as one, in turn."""
    return np.stack([first, second], axis=1).reshape(-1)
