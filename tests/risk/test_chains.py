"""Real option chains of an exchange, priced from their own forwards and volatilities."""

from __future__ import annotations

import csv
import gzip
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from risk import black76

CHAINS = Path(__file__).parents[2].parent / "shared" / "data" / "chains"
FILES = sorted(CHAINS.glob("deribit_chain_*.csv.gz"))
YEAR = 365 * 86_400
LARGEST = 50.0
"""basis points of the forward: the data's own stated bound on any row"""
TYPICAL = 8.0
"""basis points of the forward at the 99th percentile of a chain, as the data states"""
FAST_DAYS = {
    "deribit_chain_20260123T153525": 21.0,
    "deribit_chain_20260130T154506": 9.0,
    "deribit_chain_20260201T153349": 24.0,
    "deribit_chain_20260313T155304": 16.0,
    "deribit_chain_20260327T155914": 20.0,
}
"""snapshots in which mark and forward, read seconds apart, lie further apart; it shows deep in the money alone"""

pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(not FILES, reason=f"no option chains in {CHAINS}: the shared data is not here"),
]


def seconds(stamp):
    return datetime.fromisoformat(stamp.replace("Z", "+00:00")).timestamp()


class Chain:
    """A chain's columns as arrays; mark prices in basis points of the forward."""

    def __init__(self, path):
        self.name = path.name.removesuffix(".csv.gz")
        with gzip.open(path, "rt") as file:
            rows = list(csv.DictReader(file))
        self.instruments = [row["instrument"] for row in rows]
        self.call = np.array([row["cp"] == "C" for row in rows])
        self.years = np.array([(seconds(row["expiry"]) - seconds(row["ts"])) / YEAR for row in rows])
        self.forward, self.strike, self.volatility, self.mark, self.delta, self.vega = (
            np.array([float(row[name]) for row in rows])
            for name in ("fwd_price", "strike", "mark_iv", "mark_price", "delta", "vega")
        )
        self.out = np.where(self.call, self.strike >= self.forward, self.strike <= self.forward)
        self.market = (self.call, self.forward, self.strike, self.volatility, self.years)


@pytest.fixture(scope="module", params=FILES, ids=lambda path: path.name.removesuffix(".csv.gz"))
def chain(request):
    return Chain(request.param)


def test_every_mark_is_reproduced(chain):
    gap = np.abs(black76.price(*chain.market) / chain.forward - chain.mark) * 10_000
    worst = int(np.argmax(gap))
    assert gap[worst] < LARGEST, f"{chain.instruments[worst]}: {gap[worst]:.1f} bp of the forward"
    assert np.percentile(gap, 99) <= FAST_DAYS.get(chain.name, TYPICAL)
    assert np.median(gap) < 0.6
    # out of the money no intrinsic value carries the forward's few seconds of age
    assert np.percentile(gap[chain.out], 99) < 4.0


def test_the_exchange_s_greeks_are_reproduced(chain):
    # undiscounted forward delta; vega in dollars a point; both were read some seconds before the forward
    ours = black76.greeks(*chain.market)
    assert np.max(np.abs(ours.delta - chain.delta)) < 0.07
    assert np.median(np.abs(ours.delta - chain.delta)) < 0.005
    assert np.max(np.abs(ours.vega / 100 - chain.vega) / chain.forward) < 0.4e-4


def test_the_marks_imply_the_exchange_s_volatilities(chain):
    told = chain.out & (chain.mark > 1e-4)
    implied = black76.implied_volatility(
        chain.call[told], chain.forward[told], chain.strike[told], (chain.mark * chain.forward)[told], chain.years[told]
    )
    assert np.median(np.abs(implied - chain.volatility[told])) < 5e-4
    assert np.percentile(np.abs(implied - chain.volatility[told]), 99) < 0.02


def test_the_snapshots_named_as_fast_exist():
    assert FAST_DAYS.keys() <= {path.name.removesuffix(".csv.gz") for path in FILES}
