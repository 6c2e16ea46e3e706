"""Rows as arrays against postings as plain entries: two ways from the same outcomes, and they must agree."""

from __future__ import annotations

import struct
from collections import Counter, defaultdict
from typing import Any

import numpy as np
import pytest
from happenings import Happening, founded, happen, happenings
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from storing import Fed, fed
from world import World

from ledger.postings import moves_of, postings_of
from ledger.store import copying
from ledger.store.rows import Listings, outcome_rows, part_of
from ledger.store.tables import FACT_TABLES, OUTCOME_TABLES, POSTINGS, SMALL, TABLES, Column, Table
from schemas.outcomes import OUTCOMES
from schemas.wire import messages_of


def listings_of(world: World) -> Listings:
    listings = Listings()
    for one in world.state.facts.instruments.values():
        listings.add(one.instrument, one.kind, one.settlement_asset, one.base_asset, one.lot_size)
    return listings


def tables_of(stream: Fed, world: World) -> dict[str, dict[str, list[Any]]]:
    """Every outcome table's columns as plain lists."""
    parts = [part_of(data) for data in stream.outcomes]
    found = outcome_rows(parts, listings_of(world))
    return {table.name: {name: column.tolist() for name, column in columns.items()} for table, columns in found}


def rows_of(columns: dict[str, list[Any]] | None, *names: str) -> list[tuple[Any, ...]]:
    return list(zip(*(columns[name] for name in names), strict=True)) if columns else []


@given(st.sampled_from([1, 3]), happenings(20))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_rows_say_what_plain_postings_say(shards: int, course: list[Happening]) -> None:
    world = founded(shards)
    happen(world, course)
    world.mark()
    tables = tables_of(fed(world), world)
    instruments = world.state.facts.instruments
    postings: Counter[tuple[Any, ...]] = Counter()
    moves: Counter[tuple[Any, ...]] = Counter()
    for data in fed(world).outcomes:
        part = part_of(data)
        for line, outcome in enumerate(messages_of(part.runs)):
            postings.update((part.n, part.shard, line, *one) for one in postings_of(outcome, instruments))
            moves.update((part.n, part.shard, line, *one) for one in moves_of(outcome, instruments))
    key = ("n", "shard", "line", "account")
    assert Counter(rows_of(tables.get("postings"), *key, "asset", "amount")) == postings
    assert Counter(rows_of(tables.get("position_moves"), *key, "instrument", "lots")) == moves
    sums: defaultdict[tuple[int, int], int] = defaultdict(int)
    for n, asset, amount in rows_of(tables["postings"], "n", "asset", "amount"):
        sums[(n, asset)] += amount
    assert set(sums.values()) == {0}
    names = rows_of(tables["postings"], "n", "shard", "line", "side")
    assert len(set(names)) == len(names)


def test_every_outcome_has_a_table_and_every_name_is_there_once() -> None:
    assert set(OUTCOME_TABLES) == set(OUTCOMES.by_class)
    assert len({table.name for table in TABLES}) == len(TABLES) == len(FACT_TABLES) + len(OUTCOME_TABLES) + 3


@pytest.mark.parametrize(
    ("number", "digits"),
    [
        (0, [0, 0, 0, 0, 0]),
        (9_999, [0, 0, 0, 0, 9_999]),
        (10_000, [0, 0, 0, 1, 0]),
        (2**63, [922, 3372, 368, 5477, 5808]),
        (2**64 - 1, [1844, 6744, 737, 955, 1615]),
    ],
)
def test_unsigned_numbers_as_numeric(number: int, digits: list[int]) -> None:
    cell = copying._numerics(np.array([number], np.uint64))[0].tobytes()
    assert struct.unpack(">9h", cell) == (5, 4, 0, 0, *digits)


@pytest.mark.parametrize("value", [2**15, -(2**15) - 1])
def test_a_number_past_its_column_is_refused_by_name(value: int) -> None:
    table = Table("small", (Column("x", SMALL, "x"),))
    with pytest.raises(ValueError, match=r"small\.x"):
        copying.encoded(table, {"x": np.array([1, value])})
    assert len(copying.encoded(table, {"x": np.array([1, 2])})) == 2 * (2 + 4 + 2)


def test_a_part_waits_for_the_listing_of_its_instruments() -> None:
    world = founded()
    data = [one for one in fed(world).outcomes if not Listings().knows(part_of(one))]
    assert data
    assert all(listings_of(world).knows(part_of(one)) for one in data)
    assert POSTINGS.fixed
