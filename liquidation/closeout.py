"""Closing an account out because its member is in default: everything goes, though its margin may not ask for it."""

from __future__ import annotations

from liquidation.costs import Rates, cost
from liquidation.greedy import Case
from liquidation.plan import Plan, Sale
from schemas.limits import BASIS_POINTS


def whole(case: Case, healing: Plan, rates: Rates, *, collateral: bool) -> Plan:
    """All positions, and with `collateral` all coins. Where only coins are left, what `healing` sells of them to cover
    negative cash, and every coin that is owed is bought back."""
    positions = [one for one in case.holdings if not one.collateral]
    lots = {} if positions else {sale.instrument: sale.quantity for sale in healing.sales}
    for one in case.holdings:
        if not one.collateral or collateral or (one.quantity < 0 and not positions):
            lots[one.instrument] = -one.quantity
    lost = sum(cost(one, abs(lots.get(one.instrument, 0)), rates) for one in case.holdings)
    return Plan(tuple(Sale(number, lots[number]) for number in sorted(lots)), bool(positions), lost)


def surrendered(net: int, worth: int, floor: int) -> int:
    """What deleveraging a closed-out account may cost it, micro-dollars: its deficit where there is one, or no more
    than an auction's `floor` (basis points) of its positions' `worth`, as it may be well covered and is forced."""
    return min(net, worth * floor // BASIS_POINTS)
