"""A priced market as journal rows, and the hash that closes it."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from risk.market_digest import market_digest
from risk.market_facts import FactOutOfRangeError, ProfileArrays, market_facts
from risk.pricing import PERP, Asset, Curve, price
from schemas.events import (
    EVENTS,
    AssetMark,
    InstrumentListed,
    InstrumentMark,
    MarketClosed,
    RiskArray,
    UnderlyingMark,
)
from schemas.kinds import Kind, Payoff, Right, Settling, Style
from schemas.limits import MAX_ENTRY_BYTES
from schemas.wire import EntryHeader, Run, decode, encode_entry, messages_of


def perp(number):
    return InstrumentListed(
        kind=Kind.PERP,
        payoff=Payoff.LINEAR,
        style=Style.FUTURES,
        settling=Settling.COLLATERALISED,
        right=Right.NONE,
        underlying=0,
        settlement_asset=0,
        base_asset=0,
        instrument=number,
        time=0,
        effective=0,
        expiry=0,
        strike=0,
        price_scale=100,
        tick_value=10,
        contract_value=0,
        lot_size=100_000,
        symbol=f"P-{number}",
    )


def priced(*numbers):
    return price([perp(number) for number in numbers], {0: Curve({PERP: 50_000.0})}, {0: Asset(1.0, 6)}, 0)


LOSSES = np.arange(36, dtype=np.int64).reshape(2, 18) - 5
FACTS = market_facts(
    77, {2: 50_000.1234565, 0: 1.0}, {0: 50_000.0}, priced(4, 9), [ProfileArrays(3, np.array([4, 9]), LOSSES)]
)


def test_a_market_is_its_rows_in_order():
    *facts, closed = messages_of(FACTS)
    pad = (0,) * 14
    fifty = 50 * 1_024_000_000
    assert facts == [
        AssetMark(asset=0, market=77, price=1_000_000),
        AssetMark(asset=2, market=77, price=50_000_123_456),
        UnderlyingMark(underlying=0, market=77, price=50_000_000_000),
        InstrumentMark(instrument=4, market=77, mark=5_000_000, delta=fifty),
        InstrumentMark(instrument=9, market=77, mark=5_000_000, delta=fifty),
        RiskArray(profile=3, first=0, instrument=4, market=77, losses=tuple(range(-5, 11))),
        RiskArray(profile=3, first=16, instrument=4, market=77, losses=(11, 12, *pad)),
        RiskArray(profile=3, first=0, instrument=9, market=77, losses=tuple(range(13, 29))),
        RiskArray(profile=3, first=16, instrument=9, market=77, losses=(29, 30, *pad)),
    ]
    assert closed == MarketClosed(market=77, rows=9, digest=market_digest(FACTS[:-1]))


def test_the_digest_is_over_the_rows_bytes_alone():
    rows = b"".join(run.rows.tobytes() for run in FACTS[:-1])
    assert market_digest(FACTS[:-1]) == hashlib.sha256(rows).digest()


def test_the_digest_survives_the_wire_and_other_cuts():
    batch = decode(encode_entry(1, 1, FACTS), EntryHeader, EVENTS)
    assert market_digest(batch.runs[:-1]) == messages_of(batch.runs)[-1].digest
    single = [Run(run.message, run.rows[i : i + 1]) for run in FACTS[:-1] for i in range(len(run.rows))]
    assert market_digest(single) == market_digest(FACTS[:-1])


def test_any_changed_or_exchanged_row_changes_the_digest():
    told = market_digest(FACTS[:-1])
    for at, run in enumerate(FACTS[:-1]):
        rows = run.rows.copy()
        rows.view(np.uint8).reshape(len(rows), -1)[0, -1] ^= 1
        assert market_digest([*FACTS[:at], Run(run.message, rows), *FACTS[at + 1 : -1]]) != told
    *others, arrays = FACTS[:-1]
    assert market_digest([*others, Run(arrays.message, arrays.rows[::-1])]) != told


def test_every_run_of_a_large_market_fits_an_entry():
    numbers = range(1, 2_001)
    facts = market_facts(
        1, {0: 1.0}, {0: 5.0}, priced(*numbers), [ProfileArrays(1, np.array(numbers), np.ones((2_000, 256), np.int64))]
    )
    assert sum(len(run.rows) for run in facts) == 1 + 1 + 2_000 + 2_000 * 16 + 1
    assert all(len(encode_entry(1, 1, [run])) <= MAX_ENTRY_BYTES for run in facts)


@pytest.mark.parametrize("bad", [0.0, -1.0, 4e-7, 1e9, float("nan")])
def test_prices_that_no_fact_can_carry_are_named(bad):
    with pytest.raises(FactOutOfRangeError, match="price of asset 5 = "):
        market_facts(1, {5: bad}, {}, priced(1), [])
    with pytest.raises(FactOutOfRangeError, match="price of underlying 5 = "):
        market_facts(1, {}, {5: bad}, priced(1), [])


def test_arrays_without_scenarios_are_named():
    with pytest.raises(FactOutOfRangeError, match="scenarios of profile 3 = 0"):
        market_facts(1, {}, {}, priced(1), [ProfileArrays(3, np.array([1]), np.zeros((1, 0), np.int64))])
