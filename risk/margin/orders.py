"""What pending orders may become: the portfolio with some of them filled, and the worst requirement of those."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from fractions import Fraction
from typing import Final

from risk.margin.answer import AddOn, Assessment
from risk.margin.book import Kind, Market, Order, Portfolio, Position
from risk.margin.exact import Fact, exactly
from risk.margin.model import Assess
from risk.margin.valuing import quoted

ORDERS: Final = "pending orders"
_FILLS: Final[tuple[Callable[[Order], bool], ...]] = (
    lambda order: order.quantity > 0,
    lambda order: order.quantity < 0,
    lambda _: True,
)
"""all buys, all sells, all"""


def with_orders(assess: Assess, portfolio: Portfolio, market: Market, fact: Fact) -> Assessment:
    """The requirement with pending orders, in initial margin alone.

    Each underlying in turn has all of its buys, all of its sells, or all of its orders filled at their prices, those of
    the other underlyings not; then what was worst of each underlying is filled together. The lowest excess of these
    and of the portfolio as it stands decides; what it takes more is the add-on `pending orders`.
    """
    told = assess(replace(portfolio, orders=()), market, fact)
    if not portfolio.orders:
        return told
    least = told.equity - told.initial
    together: list[Order] = []
    for symbol in sorted({order.instrument.underlying for order in portfolio.orders}):
        here = [order for order in portfolio.orders if order.instrument.underlying == symbol]
        worst, chosen = told.equity - told.initial, list[Order]()
        for part in _FILLS:
            fills = [order for order in here if part(order)]
            after = assess(filled(portfolio, fills, market), market, fact)
            if after.equity - after.initial < worst:
                worst, chosen = after.equity - after.initial, fills
        least = min(least, worst)
        together += chosen
    after = assess(filled(portfolio, together, market), market, fact)
    least = min(least, after.equity - after.initial)
    more = told.equity - told.initial - least
    return replace(told, initial=told.initial + more, add_ons=(*told.add_ons, AddOn(ORDERS, more, fact(0.0))))


def filled(portfolio: Portfolio, orders: Iterable[Order], market: Market) -> Portfolio:
    """The portfolio after these orders filled whole at their prices, without the others. Raises NotInMarket, Expired.

    What is bought of an instrument that is held joins the position; what is left without quantity leaves its profit as
    cash. An option's premium is paid, and prices in dollars are turned at the settlement asset's price.
    """
    cash, held = portfolio.cash, list(portfolio.positions)
    settlement = Fraction(market.settlement_price)
    for order in orders:
        index = next((n for n, one in enumerate(held) if one.instrument == order.instrument), len(held))
        before = held[index] if index < len(held) else Position(order.instrument, Fraction(0), Fraction(0))
        quantity = before.quantity + order.quantity
        if order.instrument.kind == Kind.OPTION:
            cash -= order.quantity * order.price / settlement
            gain, entry = before.unrealised, before.entry_price
        elif before.entry_price is None:
            gain = before.unrealised + order.quantity * (_mark(order, market) - order.price) / settlement
            entry = None
        else:
            cost = before.quantity * before.entry_price + order.quantity * order.price
            gain, entry = (Fraction(0), cost / quantity) if quantity else (-cost / settlement, None)
        held[index : index + 1] = [replace(before, quantity=quantity, entry_price=entry, unrealised=gain)]
    cash += sum((one.unrealised + one.funding for one in held if not one.quantity), Fraction(0))
    return replace(portfolio, cash=cash, positions=tuple(one for one in held if one.quantity), orders=())


def _mark(order: Order, market: Market) -> Fraction:
    return exactly(quoted(order.instrument, market).forward)
