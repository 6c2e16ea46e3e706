"""Revaluation of legs over scenarios: what one contract of each leg is worth, and gains, in each of them.

Arrays are (legs, scenarios). A model says how forwards, volatilities and times move; this module prices and adds up.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from risk import black76
from risk.margin.answer import GroupPnl, LegAnswer
from risk.margin.book import Kind, Portfolio, Position
from risk.margin.exact import Fact, Number
from risk.margin.valuing import Quoted

FloatArray = npt.NDArray[np.float64]
Group = tuple[str, int | None]
"""underlying and expiry; None: perps and collateral"""


def worth(
    quotes: Sequence[Quoted],
    forwards: FloatArray,
    volatilities: FloatArray,
    years: FloatArray,
    *,
    discounted: bool = True,
) -> FloatArray:
    """Dollars of one contract of each leg in each scenario: futures and perps at their price, options by Black-76 with
    the quote's rate (none where not `discounted`). The arrays are (legs, scenarios).
    Raises risk.black76.OutOfDomainError.
    """
    value = np.array(forwards, np.float64)
    options = [row for row, one in enumerate(quotes) if one.instrument.kind == Kind.OPTION]
    if options:
        held = [quotes[row] for row in options]
        column = (len(options), 1)
        value[options] = black76.price(
            np.array([one.instrument.call for one in held]).reshape(column),
            value[options],
            np.array([one.instrument.strike for one in held]).reshape(column),
            volatilities[options],
            years[options],
            np.array([one.rate if discounted else 0.0 for one in held]).reshape(column),
        )
    return value


def now(quotes: Sequence[Quoted], *, discounted: bool = True) -> FloatArray:
    """Dollars of one contract of each leg as the market stands, (legs,)."""
    figures = np.array([(one.forward, one.volatility, one.years) for one in quotes], np.float64).reshape(-1, 3)
    forwards, volatilities, years = (figures[:, [column]] for column in range(3))
    return worth(quotes, forwards, volatilities, years, discounted=discounted)[:, 0]


def deltas(quotes: Sequence[Quoted]) -> list[float]:
    """Forward delta of one contract of each leg: 1 of futures and perps, discounted Black-76 of options."""
    return [_delta(one) for one in quotes]


def _delta(quote: Quoted) -> float:
    one = quote.instrument
    if one.kind != Kind.OPTION:
        return 1.0
    told = black76.greeks(one.call, quote.forward, one.strike, quote.volatility, quote.years, quote.rate)
    return float(told.delta)


def facts(values: FloatArray, fact: Fact) -> list[list[Number]]:
    """Every figure of a (legs, scenarios) array as a fact."""
    return [[fact(one) for one in row] for row in values.tolist()]


def summed(quantities: Iterable[Number], gains: Iterable[Sequence[Number]], scenarios: int) -> list[Number]:
    """Gain of so many contracts of each leg, by scenario."""
    sums: list[Number] = [0] * scenarios
    for quantity, row in zip(quantities, gains, strict=True):
        for scenario, gain in enumerate(row):
            sums[scenario] = sums[scenario] + quantity * gain
    return sums


def group_of(position: Position) -> Group:
    """Where a position's gains are told."""
    one = position.instrument
    return (one.underlying, None if one.kind == Kind.PERP else one.expiry)


def by_group(
    positions: Sequence[Position], gains: Sequence[Sequence[Number]], scenarios: int
) -> dict[Group, list[Number]]:
    """Gains by underlying and expiry, then scenario."""
    rows: dict[Group, list[int]] = {}
    for number, position in enumerate(positions):
        rows.setdefault(group_of(position), []).append(number)
    return {
        group: summed([positions[row].quantity for row in these], [gains[row] for row in these], scenarios)
        for group, these in rows.items()
    }


def by_underlying(groups: Mapping[Group, Sequence[Number]], scenarios: int) -> dict[str, list[Number]]:
    """Gains by underlying, then scenario."""
    rows: dict[str, list[Sequence[Number]]] = {}
    for (underlying, _), gains in groups.items():
        rows.setdefault(underlying, []).append(gains)
    return {underlying: summed([1] * len(these), these, scenarios) for underlying, these in rows.items()}


def told(groups: Mapping[Group, Sequence[Number]], scenario: int, weight: Number = 1) -> tuple[GroupPnl, ...]:
    """The groups' gains in a scenario, as the answer tells them."""
    return tuple(GroupPnl(*group, weight * gains[scenario]) for group, gains in groups.items())


def carried(position: Position, mark: Number, quote: Quoted, settlement_price: float, fact: Fact) -> Number:
    """What a position adds to equity: options their value at the mark, others the profit not paid yet; and funding."""
    if position.instrument.kind == Kind.OPTION:
        return position.quantity * mark + position.funding
    if position.entry_price is None:
        return position.unrealised + position.funding
    gain = position.quantity * (fact(quote.forward) - position.entry_price)
    return gain / fact(settlement_price) + position.funding


def leg_answers(
    portfolio: Portfolio,
    marks: Sequence[Number],
    gains: Sequence[Sequence[Number]],
    forwards: FloatArray,
    volatilities: FloatArray,
    worst: Sequence[int],
    parts: Sequence[Number] | None = None,
) -> tuple[LegAnswer, ...]:
    """Each position's mark, and its gain and prices in the scenario that is worst for it to be told of; of the gain
    that part which counts there (None: all of it), so that legs add up to their scenario."""
    return tuple(
        LegAnswer(
            number,
            marks[number],
            pnl_in_worst=position.quantity * gains[number][at] * (1 if parts is None else parts[number]),
            forward_in_worst=float(forwards[number, at]),
            volatility_in_worst=float(volatilities[number, at]),
            weight_in_worst=1 if parts is None else parts[number],
        )
        for number, (position, at) in enumerate(zip(portfolio.positions, worst, strict=True))
    )
