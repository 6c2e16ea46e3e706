"""Curves: bonds reprice to par, forwards meet futures and parity, on hand-worked cases and on the real data."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path

import numpy as np
import pytest

from risk.surface.curves import (
    TREASURY,
    BadCurve,
    Pair,
    by_parity,
    discount,
    discounts,
    forward,
    forwards,
    par_price,
    rate,
)

DATA = Path(__file__).parents[2].parent / "shared" / "data"


def test_a_flat_par_curve_is_a_flat_zero_curve():
    curve = discounts({0.5: 0.05, 1.0: 0.05, 2.0: 0.05, 10.0: 0.05, 30.0: 0.05}, 7)
    assert curve.time == 7
    assert rate(curve, [0.5, 1.0, 7.3, 30.0, 45.0]) == pytest.approx(2 * np.log(1.025) * np.ones(5), abs=1e-12)


def test_two_bonds_by_hand():
    # six months at 4 %: 1 / 1.02. One year at 6 %: 0.03 / 1.02 + 1.03 D = 1
    curve = discounts({0.5: 0.04, 1.0: 0.06}, 0)
    assert float(discount(curve, 0.5)) == pytest.approx(1 / 1.02, rel=1e-14)
    assert float(discount(curve, 1.0)) == pytest.approx((1 - 0.03 / 1.02) / 1.03, rel=1e-13)
    assert float(discount(curve, 0.25)) == pytest.approx((1 / 1.02) ** 0.5, rel=1e-14)
    assert float(discount(curve, 0.0)) == 1.0


@pytest.mark.parametrize(
    ("par", "words"),
    [({}, "no yields"), ({1.0: np.nan}, "finite"), ({0.0: 0.04}, "above zero"), ({0.75: 0.04}, "half a year")],
)
def test_a_bad_curve_is_named(par, words):
    with pytest.raises(BadCurve, match=words):
        discounts(par, 0)


@pytest.mark.data
@pytest.mark.skipif(not DATA.exists(), reason=f"the shared data is not in {DATA}")
def test_every_treasury_bond_of_every_50th_day_is_worth_par():
    with gzip.open(DATA / "treasury_par_yields.csv.gz", "rt") as file:
        rows = list(csv.DictReader(file))[::50]
    assert len(rows) > 20
    for row in rows:
        par = {years: float(row[name]) / 100 for name, years in TREASURY.items() if row[name]}
        curve = discounts(par, 0)
        for years, coupon in par.items():
            if years >= 0.5:
                assert par_price(curve, years, coupon) == pytest.approx(1.0, abs=1e-12), (row["date"], years)
        assert np.all(np.diff(discount(curve, np.linspace(0, 30, 361))) < 1e-3)


def test_forwards_pass_through_the_futures_and_between_them():
    curve = forwards(100.0, {0.25: 101.0, 1.0: 105.0}, 3)
    assert forward(curve, [0.0, 0.25, 1.0]) == pytest.approx([100.0, 101.0, 105.0])
    assert float(forward(curve, 0.625)) == pytest.approx((101.0 * 105.0) ** 0.5)
    assert float(forward(curve, 1.75)) == pytest.approx(105.0 * 105.0 / 101.0)
    assert forward(forwards(100.0, {}, 0), [0.0, 2.0]) == pytest.approx([100.0, 100.0])
    for spot, futures in ((0.0, {}), (100.0, {0.5: -1.0}), (100.0, {0.0: 100.0})):
        with pytest.raises(BadCurve, match="positive"):
            forwards(spot, futures, 0)
    with pytest.raises(BadCurve, match="finite times"):
        forward(curve, -0.1)


def test_parity_gives_the_forward_back_and_one_wild_pair_moves_nothing():
    def pair(strike, told, open_by):
        middle = 1.0 - strike / told
        return Pair(strike, 0.5 + middle - open_by, 0.5 + middle + open_by, 0.5 - open_by, 0.5 + open_by)

    fair = [pair(strike, 100.0, 0.001) for strike in (80.0, 90.0, 95.0, 100.0, 105.0)]
    assert by_parity(fair) == pytest.approx(100.0, rel=1e-4)
    assert by_parity([*fair, pair(110.0, 140.0, 0.001)]) == pytest.approx(100.0, rel=1e-4)
    assert by_parity([*fair[:2], Pair(100.0, 0.0, 0.1, 0.1, 0.2)]) is None


@pytest.mark.data
@pytest.mark.skipif(not DATA.exists(), reason=f"the shared data is not in {DATA}")
def test_parity_meets_the_exchange_s_forwards():
    with gzip.open(DATA / "chains" / "deribit_chain_20260109T153326.csv.gz", "rt") as file:
        rows = list(csv.DictReader(file))
    sides = {}
    for row in rows:
        key = (row["ccy"], row["expiry"])
        sides.setdefault(key, {}).setdefault(row["strike"], {})[row["cp"]] = row
    gaps = []
    for by_strike in sides.values():
        pairs, told = [], []
        for strike, both in by_strike.items():
            if len(both) == 2:
                quoted = [float(both[side][name] or 0) for side in "CP" for name in ("bid_price", "ask_price")]
                pairs.append(Pair(float(strike), *quoted))
                told.append(float(both["C"]["fwd_price"]))
        found = by_parity(pairs)
        if found is not None:
            gaps.append(abs(found / float(np.median(told)) - 1))
    assert len(gaps) > 12
    # quotes of one expiry were read over some seconds
    assert np.median(gaps) < 6e-4 and max(gaps) < 4e-3
