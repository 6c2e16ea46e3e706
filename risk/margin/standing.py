"""Where an account stands before any margin: its legs at their marks, its collateral with haircuts, its equity."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from risk.margin import scan
from risk.margin.answer import AddOn, CollateralAnswer
from risk.margin.book import Kind, Market, Portfolio
from risk.margin.exact import Fact, Number, total
from risk.margin.grid import collateral_answers, haircut_charge
from risk.margin.valuing import Quoted, quoted
from risk.margin.worth import Haircut


@dataclass(frozen=True, slots=True)
class Standing:
    """All in the settlement asset; rows are positions."""

    quotes: tuple[Quoted, ...]
    marks: tuple[Number, ...]
    """of one contract"""
    option_value: Number
    """of all options: long less short"""
    mark_to_market: Number
    collateral: tuple[CollateralAnswer, ...]
    haircut: AddOn
    equity: Number


def standing(portfolio: Portfolio, market: Market, haircuts: Mapping[str, Haircut], fact: Fact) -> Standing:
    """The account's standing. Raises NotInMarket, Expired."""
    quotes = tuple(quoted(one.instrument, market) for one in portfolio.positions)
    marks = tuple(fact(one / market.settlement_price) for one in scan.now(quotes).tolist())
    rows = list(zip(portfolio.positions, marks, quotes, strict=True))
    carried = total(scan.carried(one, mark, quote, market.settlement_price, fact) for one, mark, quote in rows)
    collateral = collateral_answers(portfolio, market, haircuts, fact)
    return Standing(
        quotes=quotes,
        marks=marks,
        option_value=total(one.quantity * mark for one, mark, _ in rows if one.instrument.kind == Kind.OPTION),
        mark_to_market=carried,
        collateral=collateral,
        haircut=haircut_charge(collateral),
        equity=portfolio.cash + total(one.value for one in collateral) + carried,
    )
