"""What forced sales cost: the square-root law of `liquidation.impact` on what a run sells, whoever sells it and how.

Marks stay the history's; what weighs on a price are this run's own forced sales that have not yet faded.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from ledger.state import State
from liquidation.impact import Impact, Liquidity, average_moves, lasting
from risk.valuation import asset_value, contract_value
from schemas.kinds import LegKind
from schemas.limits import ARRAY_EXPONENT, BASIS_POINTS, MAX_PRICE, MICRO
from schemas.outcomes import LegPosted, MarkDone
from schemas.wire import Run
from services.exchange import HOUR
from services.failing import Failing
from services.markets import Path

FloatArray = npt.NDArray[np.float64]

TURNOVER: Final = 1.0
"""a day's volume of an underlying, over the notional that was traded in it at the opening: assumed"""
CORRELATION: Final = 0.8
"""between any two underlyings: assumed"""
FADING: Final = 6 * HOUR
"""in which the flow of forced sales fades to 1/e, microseconds: assumed"""
DAYS: Final = 365.0


def worth(state: State, instrument: int, quantity: int, price: int) -> int:
    """What so many lots are worth at a price (ticks), signed so that two prices' difference is the profit between them,
    micro-dollars."""
    m = state.market
    units = contract_value(
        int(m.payoff[instrument]), quantity, price, int(m.tick_value[instrument]), int(m.contract_value[instrument])
    )
    asset = int(m.settlement[instrument])
    return int(asset_value(units, int(m.asset_price[asset]), int(m.asset_scale[asset])))


def delta(state: State, instrument: int, quantity: int) -> float:
    """Dollars of the underlying that so many lots move like, signed."""
    return quantity * float(state.market.delta[instrument]) / (MICRO << ARRAY_EXPONENT)


class Pressure:
    """The flow that a run's forced sales have laid on each underlying, mark by mark.

    `hear` takes each entry's outcomes. Volatility is the path's own estimate at the time, volume TURNOVER times what
    was traded at the opening.
    """

    def __init__(self, track: Path, impact: Impact | None = None) -> None:
        count = track.prices.shape[1]
        self._impact = impact or Impact(rounds=FADING / int(track.times[1] - track.times[0]))
        self._variance = {int(time): track.variance[step] for step, time in enumerate(track.times)}
        self._volume = np.ones(count)
        self._correlation = np.full((count, count), CORRELATION)
        np.fill_diagonal(self._correlation, 1.0)
        self._flows: list[FloatArray] = [np.zeros(count)]
        self._faded = np.zeros(count)
        self._failing = Failing()

    def hear(self, runs: Sequence[Run], state: State) -> None:
        """Take in an entry's outcomes, all shards'; `state` knows the facts after it."""
        for run in runs:
            self._failing.hear(run)
            if run.message.cls is LegPosted:
                self._legs(run, state)
        if any(run.message.cls is MarkDone for run in runs):
            self._faded = lasting(self._impact, np.array(self._flows), 1)
            self._flows.append(np.zeros(len(self._volume)))

    def _legs(self, run: Run, state: State) -> None:
        if state.mark == 1:  # the opening
            for row in run.rows[run.rows["kind"] == LegKind.TRADE]:
                notional = abs(int(row["quantity"])) * float(state.market.notional[row["instrument"]]) / MICRO
                # each trade has two legs
                self._volume[state.market.underlying[row["instrument"]]] += TURNOVER * notional / 2
        for row in run.rows[np.isin(run.rows["kind"], (LegKind.LIQUIDATION, LegKind.BACKSTOP))]:
            if int(row["account"]) in self._failing:
                number = int(row["instrument"])
                self._flows[-1][state.market.underlying[number]] += delta(state, number, int(row["quantity"]))

    def whole(self, state: State, legs: Mapping[int, int]) -> int:
        """How much less than their marks a failing account's legs bring together, lots by instrument; basis points of
        their values. Only what their deltas net to moves prices."""
        flow = np.zeros(len(self._volume))
        value = 0
        for instrument, lots in legs.items():
            flow[state.market.underlying[instrument]] += delta(state, instrument, lots)
            value += abs(worth(state, instrument, lots, int(state.market.mark[instrument])))
        before = self._faded + self._flows[-1]
        cost = float(np.maximum(0.0, self._against(state, before, before + flow) * np.sign(flow)) @ np.abs(flow))
        return math.ceil(cost * MICRO * BASIS_POINTS / value) if value else 0

    def _against(self, state: State, before: FloatArray, after: FloatArray) -> FloatArray:
        """Relative price moves [underlyings], the mean on the way from one lasting flow to another."""
        day = np.sqrt(self._variance[state.time] / DAYS)
        # the law writes into the matrix it is given
        liquidity = Liquidity(day, self._volume, self._correlation.copy())
        return np.expm1(average_moves(self._impact, liquidity, before, after))

    def resale(self, state: State, instrument: int, leg: int, ahead: FloatArray | None = None) -> int:
        """The mean price, ticks, that the market pays while it takes a failing account's leg of so many lots (< 0: it
        sells); `ahead` [underlyings] are dollars bought that go before it. Never better than the mark for the account.
        """
        mark = int(state.market.mark[instrument])
        value = abs(worth(state, instrument, leg, mark)) / MICRO
        dollars = delta(state, instrument, leg)
        if value <= 0.0 or dollars == 0.0:
            return mark
        underlying = int(state.market.underlying[instrument])
        before = self._faded + self._flows[-1] + (ahead if ahead is not None else 0.0)
        after = before.copy()
        after[underlying] += dollars
        against = float(self._against(state, before, after)[underlying]) * (1.0 if dollars > 0.0 else -1.0)
        part = max(0.0, against) * abs(dollars) / value
        ticks = math.floor(mark * (1.0 - part)) if leg < 0 else math.ceil(mark * (1.0 + part))
        return max(1, min(ticks, MAX_PRICE))
