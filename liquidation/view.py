"""What the liquidation desk has to know of the market and of margin, and cannot know itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from liquidation.auction import Offering, Terms
from liquidation.greedy import Case, Required
from liquidation.plan import Rules
from liquidation.program import Scan
from schemas.kinds import Payoff


class MarketView(Protocol):
    """The market in force at the mark that is answered, with the parameters in force."""

    def terms(self) -> Terms:
        """How auctions opened now run."""

    def offering(self) -> Offering:
        """How much is sold at a mark, and how whole portfolios and backstops come in."""

    def pacing(self) -> Mapping[int, int]:
        """The most that forced sales may have on offer, micro-dollars by underlying; without a limit it is left out."""

    def underlying(self, instrument: int) -> int:
        """The underlying an instrument follows."""

    def mark(self, instrument: int) -> int:
        """An instrument's mark, ticks."""

    def payoff(self, instrument: int) -> Payoff:
        """An instrument's payoff."""

    def settlement(self, instrument: int) -> int:
        """The asset an instrument's profit and loss is paid in."""

    def value(self, instrument: int, quantity: int) -> int:
        """What |quantity| lots are worth at the mark, micro-dollars, >= 0."""

    def spot(self, asset: int) -> int | None:
        """The SPOT instrument that turns an asset into dollars; None: the dollar, or nowhere to sell it."""

    def lot(self, spot: int) -> int:
        """Smallest units of its base asset that a lot of a SPOT instrument moves."""

    def haircut(self, asset: int) -> int:
        """Part of an asset's value that does not count as collateral, basis points."""

    def amount_value(self, asset: int, amount: int) -> int:
        """What an amount of smallest units is worth, micro-dollars, no haircut."""

    def bearable(self, held: Mapping[tuple[int, int], int]) -> Mapping[int, int]:
        """By asset, what may be counted on to bear losses before positions are closed against others, smallest units.

        `held`: what the house accounts hold, (house account, asset) -> smallest units over all shards.
        """

    def tears_up(self) -> bool:
        """Whether what nobody takes is closed pro rata at the mark, instead of by rank at the bankruptcy price."""

    def rules(self) -> Rules:
        """How plans are made now."""

    def depth(self, instrument: int) -> int:
        """Dollars whose sale moves the instrument's price by the rules' impact; 0: no matter how many."""

    def scans(self, cases: Sequence[Case]) -> list[Scan]:
        """What the margin of each case is made of; asked for only where the rules need it."""

    def required(self, cases: Sequence[Case]) -> Required:
        """The margin of what these accounts might be left with, each under its own profile and without orders.

        Columns are a case's holdings. A SPOT's column is the coin balance in whole lots: of the case's balances an
        asset whose SPOT is not a holding, and what is less than a lot, stay as they are.
        """
