"""The market and margins as the liquidation desk sees them: a shard's tables behind `liquidation.view.MarketView`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from insurance.waterfall import bearable
from ledger.state import State
from ledger.waterfall import in_policy, prices
from liquidation.auction import Offering, Terms
from liquidation.greedy import Case, Required, Weights
from liquidation.plan import Method, Rules
from liquidation.program import Scan
from risk.profile import Netting
from risk.requirement import margin_accounts, scratch
from risk.tables import HOLDER, POSITION, holdings_in, margins, rows
from risk.valuation import asset_value, contract_value
from schemas.kinds import Kind, Parameter, Payoff, WaterfallLayer
from schemas.limits import ARRAY_EXPONENT, BASIS_POINTS


class StateView:
    """A MarketView over a shard's facts, which every shard has alike. It reads, and never writes."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._memory = scratch(len(state.life), 1)

    def terms(self) -> Terms:
        """See MarketView."""
        read = self._state.parameter
        return Terms(read(Parameter.AUCTION_START), read(Parameter.AUCTION_STEP), read(Parameter.AUCTION_FLOOR))

    def offering(self) -> Offering:
        """See MarketView."""
        read = self._state.parameter
        return Offering(
            fraction=read(Parameter.AUCTION_FRACTION),
            marks=read(Parameter.PORTFOLIO_AUCTION_MARKS),
            reserve=read(Parameter.PORTFOLIO_RESERVE),
            backstop=read(Parameter.BACKSTOP_DISCOUNT),
            impact=read(Parameter.PLAN_IMPACT) if read(Parameter.AUCTION_IMPACT) else 0,
            unmet=bool(read(Parameter.UNMET_CALLS_SOLD)),
            clearing=read(Parameter.AUCTION_CLEARING),
        )

    def pacing(self) -> Mapping[int, int]:
        """See MarketView."""
        read = self._state.parameter
        limits = {number: read(Parameter.PACING, number) for number in sorted(self._state.facts.underlyings)}
        return {number: limit for number, limit in limits.items() if limit}

    def underlying(self, instrument: int) -> int:
        """See MarketView."""
        return int(self._state.market.underlying[instrument])

    def mark(self, instrument: int) -> int:
        """See MarketView."""
        return int(self._state.market.mark[instrument])

    def payoff(self, instrument: int) -> Payoff:
        """See MarketView."""
        return self._state.facts.instruments[instrument].payoff

    def settlement(self, instrument: int) -> int:
        """See MarketView."""
        return self._state.facts.instruments[instrument].settlement_asset

    def value(self, instrument: int, quantity: int) -> int:
        """See MarketView."""
        m = self._state.market
        units = contract_value(
            int(m.payoff[instrument]),
            abs(quantity),
            int(m.mark[instrument]),
            int(m.tick_value[instrument]),
            int(m.contract_value[instrument]),
        )
        return self.amount_value(self.settlement(instrument), abs(units))

    def spot(self, asset: int) -> int | None:
        """See MarketView."""
        number = int(self._state.market.asset_spot[asset])
        return number if number >= 0 else None

    def lot(self, spot: int) -> int:
        """See MarketView."""
        return self._state.facts.instruments[spot].lot_size

    def haircut(self, asset: int) -> int:
        """See MarketView."""
        return int(self._state.market.haircut[asset])

    def amount_value(self, asset: int, amount: int) -> int:
        """See MarketView."""
        m = self._state.market
        return int(asset_value(amount, int(m.asset_price[asset]), int(m.asset_scale[asset])))

    def bearable(self, held: Mapping[tuple[int, int], int]) -> Mapping[int, int]:
        """See MarketView."""
        known = self._state.facts
        return bearable(known.policy, held, known.drawn, prices(self._state))

    def tears_up(self) -> bool:
        """See MarketView."""
        return in_policy(self._state, WaterfallLayer.TEAR_UP)

    def rules(self) -> Rules:
        """See MarketView."""
        read = self._state.parameter
        weights = (Parameter.PLAN_RISK_WEIGHT, Parameter.PLAN_LIQUIDITY_WEIGHT, Parameter.PLAN_CAPITAL_WEIGHT)
        method = Method(read(Parameter.PLAN_METHOD))
        return Rules(
            weights=Weights(*map(read, weights)),
            impact=read(Parameter.PLAN_IMPACT),
            method=method,
            fee=read(Parameter.LIQUIDATION_FEE),
            target=read(Parameter.PLAN_TARGET),
        )

    def depth(self, instrument: int) -> int:
        """See MarketView."""
        return self._state.parameter(Parameter.PLAN_DEPTH, self.underlying(instrument))

    def scans(self, cases: Sequence[Case]) -> list[Scan]:
        """See MarketView."""
        return [_scan(case, self._state) for case in cases]

    def required(self, cases: Sequence[Case]) -> Required:
        """See MarketView. One call of the kernel of `risk.requirement` over a book in which each row is an account."""
        state = self._state
        table = _columns(cases, state)

        def required(whose: npt.NDArray[np.int64], lots: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
            count, width = lots.shape
            balance = table.owned[whose]
            for at in np.flatnonzero(table.coin[:, :width].any(axis=0)).tolist():
                row = np.flatnonzero(table.coin[whose, at])
                case = whose[row]
                balance[row, table.asset[case, at]] = lots[row, at] * table.lot[case, at] + table.rest[case, at]
            numbers = table.instrument[whose, :width].ravel()
            holders, held = rows(HOLDER, count), rows(POSITION, count * width)
            holders["start"][:count] = np.arange(count) * width
            holders["count"][:count] = width
            holders["profile"][:count] = table.profile[whose]
            held["instrument"][: count * width] = numbers
            held["quantity"][: count * width] = np.where(table.coin[whose, :width], 0, lots).ravel()
            held["funding"][: count * width] = state.market.funding[numbers]
            book = holdings_in(holders, held, balance)
            out = margins(count)
            margin_accounts(np.arange(count), book, state.market, state.profiles, self._memory, out)
            return out.initial[:count]

        return required


class _Columns(NamedTuple):
    """Cases as columns: [cases, holdings], zeros past a case's own."""

    profile: npt.NDArray[np.int64]
    """[cases]"""
    owned: npt.NDArray[np.int64]
    """[cases, assets] balances"""
    instrument: npt.NDArray[np.int64]
    coin: npt.NDArray[np.bool_]
    """a balance, not a position"""
    asset: npt.NDArray[np.int64]
    lot: npt.NDArray[np.int64]
    """its smallest units a lot"""
    rest: npt.NDArray[np.int64]
    """what of it is less than a lot, signed as the balance"""


def _columns(cases: Sequence[Case], state: State) -> _Columns:
    shape = len(cases), max((len(case.holdings) for case in cases), default=0)
    told = _Columns(
        np.zeros(len(cases), np.int64),
        np.zeros((len(cases), state.balance.shape[1]), np.int64),
        np.zeros(shape, np.int64),
        np.zeros(shape, np.bool_),
        *(np.zeros(shape, np.int64) for _ in range(3)),
    )
    for row, case in enumerate(cases):
        told.profile[row] = state.accounts.profile[case.account]
        for asset, amount in case.balances.items():
            told.owned[row, asset] = amount
        for at, one in enumerate(case.holdings):
            told.instrument[row, at] = one.instrument
            listed = state.facts.instruments[one.instrument]
            if listed.kind == Kind.SPOT:
                told.coin[row, at], told.asset[row, at] = True, listed.base_asset
                told.lot[row, at] = listed.lot_size
                told.rest[row, at] = math.fmod(case.balances.get(listed.base_asset, 0), listed.lot_size)
    return told


def _scan(case: Case, state: State) -> Scan:
    """The scan of an account, as `risk.requirement` reckons it, in floats: they only propose."""
    m, p, profile = state.market, state.profiles, int(state.accounts.profile[case.account])
    width, first = int(p.width[profile]), int(p.offset[profile])
    netted = p.netting[profile] == Netting.UNDERLYING
    instruments = [one.instrument for one in case.holdings]
    keys = [int(m.underlying[i]) if netted else i for i in instruments]
    numbers = {key: group for group, key in enumerate(sorted(set(keys)))}
    losses = np.zeros((len(instruments), width))
    fixed = np.zeros((len(numbers), width))

    def row(instrument: int) -> npt.NDArray[np.float64]:
        return np.ldexp(p.losses[first + instrument * width : first + (instrument + 1) * width], -ARRAY_EXPONENT)

    for at, one in enumerate(case.holdings):
        counted = 1.0
        if one.collateral:
            haircut = int(m.haircut[state.facts.instruments[one.instrument].base_asset])
            # a coin is no leg of a margin position by position; a debt in one counts in full
            counted = (1.0 - haircut / BASIS_POINTS * (one.quantity > 0)) * netted
        losses[at] = row(one.instrument) * counted
    for asset, amount in case.balances.items() if netted else ():
        spot = int(m.asset_spot[asset])
        if spot >= 0 and spot not in instruments and (group := numbers.get(int(m.underlying[spot]))) is not None:
            kept = amount * (BASIS_POINTS - int(m.haircut[asset])) // BASIS_POINTS if amount > 0 else amount
            fixed[group] += row(spot) * (kept // int(m.lot_size[spot]))
    initial = max(int(p.initial[profile]), BASIS_POINTS + int(p.buffer[profile])) / BASIS_POINTS
    return Scan(np.array([numbers[key] for key in keys], np.int64), losses, fixed, initial)
