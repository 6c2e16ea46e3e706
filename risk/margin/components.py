"""Delta risk, vega risk and stress loss of a portfolio, by the expansion of the worst scenario in its greeks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

from scipy.special import ndtri

from risk.greeks import sensitivities
from risk.margin.answer import Assessment, LegAnswer
from risk.margin.book import Instrument, Kind, Market, Portfolio
from risk.margin.expansion import Parts, expansion
from risk.margin.model import Header
from risk.margin.valuing import NotInMarket, Quoted, quoted, smile_volatility

SHOCK: Final = 0.3
"""relative rise and fall of volatility in the reference moves"""
UNKNOWN_VOLATILITY: Final = 0.8
"""of an underlying whose market has no smile"""
_LINEAR: Final = (Kind.PERP, Kind.FUTURE)


class Named(NamedTuple):
    """The named parts, in the settlement asset, none below zero, and the expansion they come from."""

    delta_risk: float
    """what the delta term loses, as the model counts it"""
    vega_risk: float
    """size of the vega term, as the model counts it: vega x the move of volatility"""
    stress_loss: float
    """what the worst scenario loses by full revaluation, as the model counts it"""
    expansion: Parts
    """in dollars, before weights and dampening"""
    note: str
    """which moves they are of, where the model does not tell; empty where it does"""


def named_parts(told: Assessment, portfolio: Portfolio, market: Market, header: Header) -> Named:
    """The named parts of what a model said.

    Where the model tells what its worst scenario revalued each leg at (`LegAnswer.forward_in_worst`), that scenario is
    expanded. Where it does not (a model without scenarios, or of simulated paths), it is the worst of four reference
    moves: all prices up or down by z(confidence) x volatility at the money x root of the margin period (at least a
    day), volatility up or down by SHOCK of itself. Raises NotInMarket, Expired.
    """
    legs = [quoted(one.instrument, market) for one in portfolio.positions]
    quantities = [float(one.quantity) for one in portfolio.positions]
    worst = next((one for one in told.scenarios if one.id == told.worst_initial), None)
    coins = _coins(portfolio, market)
    if not legs and not coins:
        return Named(0.0, 0.0, 0.0, expansion([], [], 0.0), "")
    price, inside = market.settlement_price, sum(float(one.pnl_in_worst) for one in told.legs)
    if any(one.forward_in_worst is not None for one in told.legs):
        parts, note = _expanded(told, legs, quantities), ""
        weights = {one.position: float(one.weight_in_worst) for one in told.legs}
        counted = _expanded(told, legs, [size * weights.get(row, 1.0) for row, size in enumerate(quantities)])
        if worst is not None and coins:
            # what the scenario moves besides the positions is collateral, and that is linear
            moved = (float(worst.pnl) - inside) * price
            counted = counted._replace(delta=counted.delta + moved)
            parts = parts._replace(delta=parts.delta + moved, revaluation=parts.revaluation + moved)
    else:
        held = [*quantities, *(amount for _, amount in coins)]
        parts = _referred([*legs, *(leg for leg, _ in coins)], held, market, header)
        counted = parts
        note = "the components are of reference moves: the model tells no prices of a worst scenario"
    if worst is not None:
        stress = -float(worst.pnl)
    elif told.scenarios and told.legs:
        # a worst scenario of each underlying: their legs have them
        stress = -inside
    else:
        stress = -parts.revaluation / price
    return Named(max(0.0, -counted.delta / price), abs(counted.vega) / price, max(0.0, stress), parts, note)


def marked(portfolio: Portfolio, market: Market) -> tuple[LegAnswer, ...]:
    """Marks (settlement asset) and greeks (dollars) of one contract of each position. Raises NotInMarket, Expired."""
    legs = []
    for number, one in enumerate(portfolio.positions):
        leg = quoted(one.instrument, market)
        greeks = greeks_of(leg)
        price = greeks.pop("price", leg.forward)
        legs.append(LegAnswer(number, price / market.settlement_price, greeks))
    return tuple(legs)


def greeks_of(leg: Quoted) -> dict[str, float]:
    """The greeks of one contract by name, an option's price among them; of what is linear the delta alone."""
    if leg.instrument.kind in _LINEAR:
        return {"delta": 1.0}
    told = sensitivities(
        leg.instrument.call, leg.forward, leg.instrument.strike, leg.volatility, leg.years, leg.rate
    )._asdict()
    # at the money with neither volatility nor time left a greek is infinite, and infinity is no number of JSON
    return {name: float(value) for name, value in told.items() if math.isfinite(float(value))}


def _coins(portfolio: Portfolio, market: Market) -> list[tuple[Quoted, float]]:
    """Collateral that moves with an underlying, each asset as if it were a perp at its price, and how much of it."""
    told = []
    for one in portfolio.collateral:
        quote = market.assets.get(one.asset)
        if quote is not None and quote.offsets is not None and quote.offsets in market.underlyings:
            instrument = Instrument(Kind.PERP, quote.offsets)
            told.append((Quoted(instrument, quote.price, quote.price, 0.0, 0.0, 0.0), float(one.amount)))
    return told


def _expanded(told: Assessment, legs: Sequence[Quoted], quantities: Sequence[float]) -> Parts:
    answers = {one.position: one for one in told.legs}
    moves, shocks = [], []
    for number, leg in enumerate(legs):
        answer = answers.get(number)
        forward = None if answer is None else answer.forward_in_worst
        volatility = None if answer is None else answer.volatility_in_worst
        moves.append(0.0 if forward is None else forward / leg.forward - 1.0)
        shocks.append(0.0 if volatility is None else volatility - leg.volatility)
    return expansion(legs, quantities, moves, shocks, [min(told.step, leg.years) for leg in legs])


def _referred(legs: Sequence[Quoted], quantities: Sequence[float], market: Market, header: Header) -> Parts:
    deviations = float(ndtri(header.confidence)) * math.sqrt(max(header.period.days, 1.0) / 365.0)
    sizes = {
        symbol: deviations * _at_the_money(symbol, market) for symbol in {one.instrument.underlying for one in legs}
    }
    outcomes = [
        expansion(
            legs,
            quantities,
            # a fall by more than nearly all is none that a price can have
            [max(sign * sizes[one.instrument.underlying], -0.95) for one in legs],
            [shock * one.volatility for one in legs],
        )
        for sign in (-1.0, 1.0)
        for shock in (-SHOCK, SHOCK)
    ]
    return min(outcomes, key=lambda one: one.revaluation)


def _at_the_money(symbol: str, market: Market) -> float:
    for expiry in sorted(market.underlyings[symbol].expiries.values(), key=lambda one: one.time):
        try:
            return smile_volatility(expiry, expiry.forward)
        except NotInMarket:
            continue
    return UNKNOWN_VOLATILITY
