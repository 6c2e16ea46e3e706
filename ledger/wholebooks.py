"""The books of the whole clearinghouse in one canonical form: the same however accounts are dealt to shards.

Customers' books come from the shard that keeps them, the house's are summed over the shards, the facts, which every
shard knows alike, are taken once.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from ledger.snapshot import facts_told
from ledger.state import UNOPENED, State, live_rows
from risk.tables import I64Array
from schemas.chart import FIRST_ACCOUNT

_ACCOUNT: Final = ("status", "segregation", "liquidator", "profile", "member", "owner", "rung", "called", "fees_due")
_POSITION: Final = ("quantity", "cost", "funding", "realised")

Rows = list[list[Any]]
"""what an account, a position, an order ... is, its names first; in order"""


class FactsDiffer(RuntimeError):  # noqa: N818 - named for what is found
    """A shard knows other facts than shard 0: they were not folded from one journal up to one entry."""

    def __init__(self, shard: int) -> None:
        super().__init__(f"shard {shard} knows other facts than shard 0")
        self.shard = shard


class KeptTwice(RuntimeError):  # noqa: N818
    """Two shards keep the same thing of the same account."""

    def __init__(self, section: str, names: Sequence[Any]) -> None:
        super().__init__(f"two shards keep {section} {list(names)}")


class WholeBooks(NamedTuple):
    """The sections of the books, each by its name; `facts` is a digest."""

    facts: str
    tables: dict[str, I64Array]
    """large sections: rows of whole numbers"""
    lists: dict[str, Rows]
    """the others"""

    def digest(self) -> str:
        """SHA-256 over all of it, hex."""
        whole = hashlib.sha256(self.facts.encode())
        for name, table in sorted(self.tables.items()):
            whole.update(f"{name} {table.shape}".encode())
            whole.update(np.ascontiguousarray(table, "<i8").tobytes())
        whole.update(json.dumps(self.lists, sort_keys=True, separators=(",", ":")).encode())
        return whole.hexdigest()


def whole_books(states: Sequence[State]) -> WholeBooks:
    """The books over all shards after one entry. Raises FactsDiffer, KeptTwice."""
    first, *others = (_facts(state) for state in states)
    for shard, other in enumerate(others, 1):
        if other != first:
            raise FactsDiffer(shard)
    tables = {
        "accounts": _joined("account", [_accounts(state) for state in states], 1),
        "balances": _joined("balance", [_balances(state) for state in states], 2),
        "positions": _joined("position", [_positions(state) for state in states], 2),
        "house balances": _summed([_nonzero(state.balance[:FIRST_ACCOUNT]) for state in states], 2),
        "house positions": _summed([_house_positions(state) for state in states], 2),
        "net positions": _summed([_nonzero(state.net[:, None])[:, [0, 2]] for state in states], 1),
    }
    lists = {
        "names": _listed("name", (row for state in states for row in _names(state)), 1),
        "orders": _listed("order", (
            [a, n, o.instrument, o.quantity, o.price]
            for s in states for a, book in s.orders.items() for n, o in book.items()
        ), 2),
        "reservations": _listed("reservation", (
            [a, *key.told(), o.instrument, o.quantity, o.price]
            for s in states for a, book in s.reservations.items() for key, o in book.items()
        ), 4),
        "auctions": _listed("auction", (
            [n, *a.told()]
            for s in states for n, a in s.auctions.items()
        ), 1),
        "requested": _listed("withdrawal", (
            [*key, w.asset, w.amount] for s in states for key, w in s.requested.items()
        ), 2),
        "approved": _listed("withdrawal", (
            [*key, w.asset, w.amount] for s in states for key, w in s.approved.items()
        ), 2),
    }  # fmt: skip
    if any(state.paid_for for state in states):
        lists["paid for"] = _listed("account", ([a] for s in states for a in s.paid_for), 1)
    return WholeBooks(first, tables, lists)


def first_difference(one: WholeBooks, other: WholeBooks) -> str | None:
    """Where two books differ first, in words; None where they are equal."""
    sections: dict[str, Rows] = {name: [] for name in other.lists}
    sections |= {**{name: table.tolist() for name, table in one.tables.items()}, **one.lists}
    for name, rows in sections.items():
        others = other.lists.get(name) or other.tables.get(name, np.zeros((0, 0), np.int64)).tolist()
        for a, b in zip(rows, others, strict=False):
            if a != b:
                return f"{name}: {a} and {b}"
        if len(rows) != len(others):
            longer, at = (rows, len(others)) if len(rows) > len(others) else (others, len(rows))
            return f"{name}: {len(rows)} and {len(others)} rows, {longer[at]} is in one of them alone"
    return None if one.facts == other.facts else "facts"


def _facts(state: State) -> str:
    told = {
        "facts": facts_told(state.facts),
        "clock": [state.time, state.mark, state.answered, state.market_number],
        "called_down": sorted(state.called_down.items()),
        "arrays": [[name, array.dtype.str, list(array.shape)] for name, array in _arrays(state)],
    }
    whole = hashlib.sha256(json.dumps(told, sort_keys=True, separators=(",", ":")).encode())
    for _, array in _arrays(state):
        whole.update(np.ascontiguousarray(array).tobytes())
    return whole.hexdigest()


def _arrays(state: State) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    yield from state.market._asdict().items()
    yield from state.profiles._asdict().items()
    yield "life", state.life


def _mine(state: State) -> I64Array:
    """The customers that this shard keeps the books of."""
    opened = (state.accounts.status != UNOPENED) & (state.accounts.owned == 1)
    opened[:FIRST_ACCOUNT] = False
    return np.flatnonzero(opened).astype(np.int64)


def _accounts(state: State) -> I64Array:
    mine = _mine(state)
    return np.column_stack([mine, *(getattr(state.accounts, name)[mine].astype(np.int64) for name in _ACCOUNT)])


def _names(state: State) -> Iterator[list[Any]]:
    for account in _mine(state).tolist():
        if state.accounts.name[account]:
            yield [account, state.accounts.name[account].decode("latin-1")]


def _nonzero(table: I64Array) -> I64Array:
    """(row, column, value) of what is not zero."""
    rows, columns = np.nonzero(table)
    return np.column_stack([rows, columns, table[rows, columns]]).astype(np.int64)


def _balances(state: State) -> I64Array:
    mine = _mine(state)
    found = _nonzero(state.balance[mine])
    found[:, 0] = mine[found[:, 0]]
    return found


def _held(state: State) -> tuple[I64Array, I64Array]:
    """The pool's rows that hold positions, and whose each is."""
    pool = state.pool
    return live_rows(pool), np.repeat(np.arange(len(pool.count)), pool.count)


def _positions(state: State) -> I64Array:
    rows, accounts = _held(state)
    mine = accounts >= FIRST_ACCOUNT
    rows, accounts = rows[mine], accounts[mine]
    columns = [getattr(state.pool, name)[rows] for name in _POSITION]
    return np.column_stack([accounts, state.pool.instrument[rows], *columns]).astype(np.int64)


def _house_positions(state: State) -> I64Array:
    """What SUSPENSE holds: lots and cost. How far funding was settled is each shard's own."""
    rows, accounts = _held(state)
    house = accounts < FIRST_ACCOUNT
    rows, accounts = rows[house], accounts[house]
    pool = state.pool
    table = np.column_stack(
        [accounts, pool.instrument[rows], pool.quantity[rows], pool.cost[rows], pool.realised[rows]]
    )
    return table.astype(np.int64)


def _ordered(parts: list[I64Array], names: int) -> I64Array:
    whole = np.concatenate(parts)
    return whole[np.lexsort([whole[:, column] for column in reversed(range(names))])]


def _joined(what: str, parts: list[I64Array], names: int) -> I64Array:
    whole = _ordered(parts, names)
    twice = np.flatnonzero((whole[1:, :names] == whole[:-1, :names]).all(axis=1))
    if len(twice):
        raise KeptTwice(what, whole[twice[0], :names].tolist())
    return whole


def _summed(parts: list[I64Array], names: int) -> I64Array:
    """Rows with the same names added up; those that come to nothing left out."""
    whole = _ordered(parts, names)
    if not len(whole):
        return whole
    new = np.concatenate([[True], (whole[1:, :names] != whole[:-1, :names]).any(axis=1)])
    starts = np.flatnonzero(new)
    added: I64Array = np.column_stack([whole[starts, :names], np.add.reduceat(whole[:, names:], starts)])
    kept: I64Array = added[(added[:, names:] != 0).any(axis=1)]
    return kept


def _listed(what: str, rows: Iterator[list[Any]], names: int) -> Rows:
    found = sorted(rows)
    for a, b in pairwise(found):
        if a[:names] == b[:names]:
            raise KeptTwice(what, a[:names])
    return found
