"""The market and margins as the liquidation desk sees them: a shard's tables behind `liquidation.view.MarketView`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from ledger.state import State
from liquidation.auction import Terms
from liquidation.plan import Requirement
from risk.requirement import margin_accounts, scratch
from risk.tables import HOLDER, POSITION, holdings_in, margins, rows
from risk.valuation import asset_value, contract_value
from schemas.kinds import Kind, Parameter, Payoff


class StateView:
    """A MarketView over a shard's facts, which every shard has alike. It reads, and never writes."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._memory = scratch(len(state.life), 1)

    def terms(self) -> Terms:
        """See MarketView."""
        read = self._state.parameter
        return Terms(read(Parameter.AUCTION_START), read(Parameter.AUCTION_STEP), read(Parameter.AUCTION_FLOOR))

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

    def requirement(self, account: int, instruments: Sequence[int], balances: Mapping[int, int]) -> Requirement:
        """See MarketView. The kernel of `risk.requirement` over a book in which each candidate is an account."""
        state = self._state
        listed = [state.facts.instruments[i] for i in instruments]
        columns = np.array([at for at, one in enumerate(listed) if one.kind != Kind.SPOT], np.int64)
        coins = [(at, one.base_asset, one.lot_size) for at, one in enumerate(listed) if one.kind == Kind.SPOT]
        numbers = np.array([instruments[at] for at in columns], np.int32)
        owned = np.zeros(state.balance.shape[1], np.int64)
        for asset, amount in balances.items():
            owned[asset] = amount

        def required(lots: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
            candidates, width = len(lots), len(numbers)
            balance = np.tile(owned, (candidates, 1))
            for at, asset, lot in coins:
                balance[:, asset] = lots[:, at] * lot + int(math.fmod(int(owned[asset]), lot))
            holders, held = rows(HOLDER, candidates), rows(POSITION, candidates * width)
            holders["start"][:candidates] = np.arange(candidates) * width
            holders["count"][:candidates] = width
            holders["profile"] = state.accounts.profile[account]
            held["instrument"][: candidates * width] = np.tile(numbers, candidates)
            held["quantity"][: candidates * width] = lots[:, columns].reshape(-1)
            held["funding"][: candidates * width] = np.tile(state.market.funding[numbers], candidates)
            book = holdings_in(holders, held, balance)
            out = margins(candidates)
            every = np.arange(candidates, dtype=np.int64)
            margin_accounts(every, book, state.market, state.profiles, self._memory, out)
            return out.maintenance[:candidates], out.initial[:candidates]

        return required
