"""The default model, `crypto_span`: the largest loss over a grid of price, volatility and basis moves one step of time
ahead, and cushions for correlation, for the spread between expiries and for liquidity.

Price moves are common to all underlyings (each by its own scale); volatility and basis are free, so each underlying has
its own worst of them at every price move. Collateral that an underlying's scenarios move is in the scan as its spot.
Where the settlement asset is itself an underlying, gains are counted in it at the scenario's price.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

import numpy as np
import numpy.typing as npt

from risk.collateral import pools
from risk.liquidity import impact, legs_multiplier, longer, strike_multiplier, unwinding
from risk.margin import scan
from risk.margin.answer import AddOn, Assessment, GroupPnl, ScenarioPnl
from risk.margin.book import Instrument, Kind, Market, Portfolio, Strike
from risk.margin.collateral_rules import Backing, backing, gain_charge, price_of
from risk.margin.crypto_rules import Rules, read_rules
from risk.margin.exact import Fact, Number, finely, total
from risk.margin.grid import haircut_charge
from risk.margin.model import Assess, Header
from risk.margin.valuing import Quoted, quoted
from schemas.strict import Table

FloatArray = npt.NDArray[np.float64]

TURNS: Final = tuple((volatility, basis) for volatility in (1, 0, -1) for basis in (1, 0, -1))
"""what volatility and basis do at each price move"""
_WAYS: Final = {1: "up", 0: "unchanged", -1: "down"}


@dataclass(frozen=True, slots=True)
class Legs:
    """Positions first, then collateral that moves. Money in the settlement asset, gains of one contract by cell: price
    moves outermost, then `TURNS`."""

    quotes: Sequence[Quoted]
    quantities: Sequence[Number]
    spots: Sequence[bool]
    """whether the leg is collateral"""
    shared: Sequence[bool]
    """and whether that is a pool's token: it gains by the root, and leans by half its value"""
    forwards: FloatArray
    volatilities: FloatArray
    marks: Sequence[Number]
    gains: Sequence[Sequence[Number]]


@dataclass(frozen=True, slots=True)
class Worst:
    """One underlying: its worst cell at each price move, and what it gains there."""

    cells: Sequence[int]
    gains: Sequence[Number]

    @property
    def deepest(self) -> int:
        """The price move at which it loses most; the first of equals."""
        return min(range(len(self.gains)), key=lambda at: self.gains[at])

    @property
    def alone(self) -> Number:
        """Its own largest loss, not below zero."""
        return max(-self.gains[self.deepest], 0)


def crypto_span(table: Table, header: Header) -> Assess:
    """The model, from its profile's own keys. Raises TomlError."""
    rules = read_rules(table, header)

    def assess(portfolio: Portfolio, market: Market, fact: Fact) -> Assessment:
        return _assessed(rules, portfolio, market, fact)

    return assess


def _assessed(rules: Rules, portfolio: Portfolio, market: Market, fact: Fact) -> Assessment:
    count = len(portfolio.positions)
    quotes = [quoted(one.instrument, market) for one in portfolio.positions]
    backed = backing(portfolio, market, rules.haircuts, rules.terms, quotes, fact)
    collateral = backed.answers
    legs, widened = _legs(rules, portfolio, quotes, backed, market, fact)
    worst = _worst(rules, legs)
    moves = range(len(rules.prices))
    together = [total(one.gains[at] for one in worst.values()) for at in moves]
    deciding = min(moves, key=lambda at: together[at])
    joint = max(-together[deciding], 0)
    apart, notes = _apart(rules, worst, market, fact)
    liquidity = _liquidity(rules, legs, worst, market, fact)
    base = (
        ("correlation", max(apart - joint, 0)),
        ("calendar spread", _calendar(rules, legs, market, fact)),
        ("liquidity", liquidity),
    )
    required = joint + total(more for _, more in base)
    depeg = required * fact(max(rules.peg - market.settlement_price, 0.0) * rules.peg_factor)
    part = fact(rules.maintenance)
    each = [
        scan.carried(one, mark, quote, market.settlement_price, fact)
        for one, mark, quote in zip(portfolio.positions, legs.marks[:count], legs.quotes[:count], strict=True)
    ]
    carried = total(each)
    add_ons = (
        *(AddOn(name, more, more * part) for name, more in (*base, ("depeg", depeg))),
        AddOn("liquidation buffer", _buffer(portfolio, liquidity, (required + depeg) * (1 - part)), fact(0.0)),
        gain_charge(portfolio, each, rules.terms.gain, fact),
        haircut_charge(collateral),
    )
    name = _id(rules, deciding)
    return Assessment(
        initial=joint + total(one.initial for one in add_ons),
        maintenance=joint * part + total(one.maintenance for one in add_ons),
        equity=portfolio.cash + total(one.value for one in collateral) + carried,
        mark_to_market=carried,
        worst_initial=name,
        worst_maintenance=name,
        step=rules.step,
        scenarios=tuple(ScenarioPnl(_id(rules, at), together[at], _groups(legs, worst, at)) for at in moves),
        legs=scan.leg_answers(
            portfolio,
            legs.marks,
            legs.gains,
            legs.forwards,
            legs.volatilities,
            [worst[one.instrument.underlying].cells[deciding] for one in portfolio.positions],
        ),
        add_ons=add_ons,
        collateral=collateral,
        notes=(*widened, *(_told(rules, symbol, one) for symbol, one in worst.items()), *notes, *backed.notes),
    )


def _buffer(portfolio: Portfolio, liquidity: Number, room: Number) -> Number:
    """What initial margin needs more so that all that closing costs lies between it and maintenance. Long options alone
    can lose their value and no more, which the initial margin has already."""
    if all(one.instrument.kind == Kind.OPTION and one.quantity > 0 for one in portfolio.positions):
        return 0
    return max(liquidity - room, 0)


def _legs(
    rules: Rules, portfolio: Portfolio, positions: Sequence[Quoted], backed: Backing, market: Market, fact: Fact
) -> tuple[Legs, tuple[str, ...]]:
    """The legs, and notes of what was widened."""
    quotes = list(positions)
    shared = [False] * len(quotes)
    moving = [row for row, one in enumerate(backed.assets) if one.offsets is not None]
    for one in (backed.assets[row] for row in moving):
        price = price_of(market.assets[one.asset], market)
        shared.append(market.assets[one.asset].pool is not None)
        quotes.append(Quoted(Instrument(Kind.PERP, one.offsets or ""), price, price, 0.0, 0.0, 0.0))
    spots = [number >= len(portfolio.positions) for number in range(len(quotes))]
    symbols = {one.instrument.underlying for one in quotes}
    if market.settlement in market.underlyings:
        symbols.add(market.settlement)
    widening = {symbol: rules.oracle.widening(*_doubt(symbol, quotes, spots, market)) for symbol in sorted(symbols)}
    moves = {symbol: _moves(rules, symbol, wide) for symbol, wide in widening.items()}
    figures = np.array([(one.forward, one.volatility, one.years) for one in quotes], np.float64).reshape(-1, 3)
    wider = np.array([widening[one.instrument.underlying] for one in quotes])[:, None]
    basis = np.array([_basis(rules, one, spot) for one, spot in zip(quotes, spots, strict=True)])[:, None] * wider
    turns = np.array(TURNS, np.float64)
    # (legs, prices, turns), then flat
    moved = np.array([moves[one.instrument.underlying] for one in quotes]).reshape(len(quotes), len(rules.prices), 1)
    shape = (len(quotes), len(rules.prices) * len(TURNS))
    for row in np.flatnonzero(shared):
        moved[row, :, 0] = [pools.gain(move) for move in moved[row, :, 0].tolist()]
    forwards = (figures[:, 0, None, None] * (1.0 + moved) * (1.0 + basis * turns[:, 1])[:, None, :]).reshape(shape)
    shocks = 1.0 + np.minimum(rules.volatility * wider, 0.99) * turns[:, 0]
    volatilities = np.tile(figures[:, 1, None] * shocks, len(rules.prices)).reshape(shape)
    years = np.broadcast_to(np.maximum(figures[:, 2, None] - rules.step, 0.0), shape)
    here, value = scan.now(quotes), scan.worth(quotes, forwards, volatilities, years)
    own = moves.get(market.settlement, [0.0] * len(rules.prices))
    at_price = market.settlement_price * (1.0 + np.repeat(own, len(TURNS)))
    option = np.array([one.instrument.kind == Kind.OPTION for one in quotes], np.bool_).reshape(-1, 1)
    before = here[:, None]
    gains = np.where(option, value / at_price - before / market.settlement_price, (value - before) / at_price)
    told_gains = scan.facts(gains, fact)
    quantities: list[Number] = [one.quantity for one in portfolio.positions]
    quantities += [
        backed.moving(row, -min(each)) for row, each in zip(moving, told_gains[len(positions) :], strict=True)
    ]
    legs = Legs(
        quotes,
        quantities,
        spots,
        shared,
        forwards,
        volatilities,
        [fact(one / market.settlement_price) for one in here.tolist()],
        told_gains,
    )
    told = [
        f"{symbol}: moves widened by {by - 1:.1%} for doubtful or old prices"
        for symbol, by in widening.items()
        if by > 1
    ]
    return legs, tuple(told)


def _doubt(symbol: str, quotes: Sequence[Quoted], spots: Sequence[bool], market: Market) -> tuple[float, float]:
    """The least confidence of the prices that the legs of an underlying rest on, and their age in seconds."""
    one = market.underlyings[symbol]
    least = [one.confidence]
    for quote, spot in zip(quotes, spots, strict=True):
        held_in = quote.instrument
        if held_in.underlying != symbol or spot:
            continue
        if held_in.kind == Kind.PERP:
            least.append(one.perp_confidence)
            continue
        expiry = one.expiries[held_in.expiry]
        least += [expiry.confidence, expiry.rate_confidence]
        if held_in.kind == Kind.OPTION:
            least.append(expiry.volatility_confidence)
    return min(least), one.age


def _moves(rules: Rules, symbol: str, widening: float) -> list[float]:
    scale = rules.of(symbol).scale * widening
    return [max(move * scale, -rules.deepest) for move in rules.prices]


def _basis(rules: Rules, quote: Quoted, spot: bool) -> float:
    if spot:
        return 0.0
    if quote.instrument.kind == Kind.PERP:
        return rules.basis_perp
    return min(rules.basis_least + rules.basis_annualised * quote.years, 0.5)


def _worst(rules: Rules, legs: Legs) -> dict[str, Worst]:
    """Each underlying's worst cells, in alphabetical order."""
    answers = {}
    for symbol in sorted({one.instrument.underlying for one in legs.quotes}):
        rows = [row for row, one in enumerate(legs.quotes) if one.instrument.underlying == symbol]
        sums = scan.summed(
            [legs.quantities[row] for row in rows],
            [legs.gains[row] for row in rows],
            len(rules.prices) * len(TURNS),
        )
        cells = [
            min(range(start, start + len(TURNS)), key=lambda at: sums[at]) for start in range(0, len(sums), len(TURNS))
        ]
        answers[symbol] = Worst(cells, [sums[cell] for cell in cells])
    return answers


def _apart(rules: Rules, worst: Mapping[str, Worst], market: Market, fact: Fact) -> tuple[Number, tuple[str, ...]]:
    """What the underlyings need when they need not move together: the sum of each alone less credits between pairs.

    Two together lose less than each alone by their saving. A pair is credited a part of it, by its correlation, the
    best correlated first; what one pair has used of an underlying's own loss no other can.
    """
    alone = {symbol: one.alone for symbol, one in worst.items()}
    left = dict(alone)
    credited: Number = 0
    unknown = []
    pairs = sorted(combinations(worst, 2), key=lambda pair: (-market.correlations.get(pair, -1.0), pair))
    for one, other in pairs:
        saving = alone[one] + alone[other]
        saving = saving - max(-min(a + b for a, b in zip(worst[one].gains, worst[other].gains, strict=True)), 0)
        correlation = market.correlations.get((one, other))
        if correlation is None:
            unknown += [f"{one} and {other}: no correlation, no credit"] if saving > 0 else []
            continue
        used = min(saving / 2, left[one], left[other])
        left[one], left[other] = left[one] - used, left[other] - used
        credited = credited + 2 * used * finely(fact, rules.credit(correlation))
    return total(alone.values()) - credited, tuple(unknown)


def _calendar(rules: Rules, legs: Legs, market: Market, fact: Fact) -> Number:
    """Of the dollar delta that is long of one expiry and short of another. Options that are held long need no more than
    their value: what they lean is matched only against other legs."""
    deltas = scan.deltas(legs.quotes)
    buckets: dict[tuple[str, int], Number] = {}
    others: dict[str, Number] = {}
    for quote, quantity, each, shared in zip(legs.quotes, legs.quantities, deltas, legs.shared, strict=True):
        one = quote.instrument
        dollars = quantity * fact((0.5 if shared else each) * quote.forward / market.settlement_price)
        key = (one.underlying, one.expiry)
        buckets[key] = buckets.get(key, 0) + dollars
        if one.kind != Kind.OPTION or quantity < 0:
            others[one.underlying] = others.get(one.underlying, 0) + max(dollars, -dollars)
    matched: Number = 0
    for symbol, most in others.items():
        long = total(max(one, 0) for (of, _), one in buckets.items() if of == symbol)
        short = total(max(-one, 0) for (of, _), one in buckets.items() if of == symbol)
        matched = matched + min(long, short, most)
    return matched * fact(rules.spread)


def _liquidity(rules: Rules, legs: Legs, worst: Mapping[str, Worst], market: Market, fact: Fact) -> Number:
    """What closing the book costs, by underlying; collateral has its haircut instead."""
    charge: Number = 0
    for symbol, at in worst.items():
        rows = [
            row
            for row, one in enumerate(legs.quotes)
            if one.instrument.underlying == symbol and not legs.spots[row] and legs.quantities[row]
        ]
        linear = [row for row in rows if legs.quotes[row].instrument.kind != Kind.OPTION]
        options = [row for row in rows if legs.quotes[row].instrument.kind == Kind.OPTION]
        closing = _linear_liquidity(rules, legs, symbol, linear, market, fact)
        closing = closing + _option_liquidity(rules, legs, symbol, options, at.cells[at.deepest], market, fact)
        longer_lasting = at.alone * finely(fact, _growth(rules, legs, symbol, linear, options))
        if not linear and all(legs.quantities[row] > 0 for row in options):
            # long options can be left to expire: with the scan they cost no more than their value
            value = total(legs.quantities[row] * legs.marks[row] for row in options)
            longer_lasting = min(longer_lasting, max(value - at.alone - closing, 0))
        charge = charge + closing + longer_lasting
    return charge


def _growth(rules: Rules, legs: Legs, symbol: str, linear: Sequence[int], options: Sequence[int]) -> float:
    """By what part the loss grows because settling is slow, or the book too large to be sold within the auction."""
    names, rates, period = rules.of(symbol), rules.liquidity, rules.period
    days = max(
        unwinding(_dollars(legs, linear), names.depth * rates.a_day),
        unwinding(_dollars(legs, options), names.option_depth * rates.a_day),
    )
    return longer(period.days, max(days - period.auction / 24.0, 0.0), rates.covered)


def _dollars(legs: Legs, rows: Sequence[int]) -> float:
    """Gross dollars of underlying; of floats alone, so that exact and float reckoning agree."""
    return sum(abs(float(legs.quantities[row])) * legs.quotes[row].spot for row in rows)


def _linear_liquidity(rules: Rules, legs: Legs, symbol: str, rows: Sequence[int], market: Market, fact: Fact) -> Number:
    gross = total(max(legs.quantities[row], -legs.quantities[row]) * legs.marks[row] for row in rows)
    rates = rules.liquidity
    size = sum(abs(float(legs.quantities[row])) * legs.quotes[row].forward for row in rows)
    moved = impact(size, rules.of(symbol).depth, rates.impact, rates.power)
    return gross * (fact(rates.rate) + finely(fact, moved) + fact(market.underlyings[symbol].gap))


def _option_liquidity(
    rules: Rules, legs: Legs, symbol: str, rows: Sequence[int], cell: int, market: Market, fact: Fact
) -> Number:
    rates = rules.liquidity
    gap = market.underlyings[symbol].gap
    sizes = [
        max(legs.quantities[row], -legs.quantities[row]) * fact(legs.quotes[row].spot / market.settlement_price)
        for row in rows
    ]
    growth = 1 + total(sizes) / fact(rules.of(symbol).option_depth / market.settlement_price)
    growth = growth * fact(legs_multiplier(len(rows), rates.free_legs, rates.leg, rates.most))
    deltas = scan.deltas([legs.quotes[row] for row in rows]) if gap else [0.0] * len(rows)
    charge: Number = 0
    for row, size, delta in zip(rows, sizes, deltas, strict=True):
        dearer = _illiquidity(rules, legs.quotes[row], float(legs.quantities[row]), market)
        cost: Number = size * (growth * finely(fact, rates.option * dearer) + finely(fact, gap * abs(delta)))
        if legs.quantities[row] > 0:
            # a long option can be left to expire: with the scan it costs no more than its value
            cost = min(cost, legs.quantities[row] * max(legs.marks[row] + legs.gains[row][cell], 0))
        charge = charge + cost
    return charge


def _illiquidity(rules: Rules, quote: Quoted, quantity: float, market: Market) -> float:
    """How much dearer than at the money a strike is to close."""
    rates, one = rules.liquidity, quote.instrument
    told = market.underlyings[one.underlying].expiries[one.expiry].strikes.get(one.strike, Strike())
    return strike_multiplier(
        abs(float(np.log(one.strike / quote.forward))),
        quote.volatility * float(np.sqrt(quote.years)),
        rates.near,
        rates.far,
        rates.most,
        0.0 if told.open_interest is None else min(abs(quantity) / told.open_interest, 1.0),
        rates.share,
        told.spread,
        rates.tight,
    )


def _groups(legs: Legs, worst: Mapping[str, Worst], at: int) -> tuple[GroupPnl, ...]:
    sums: dict[scan.Group, Number] = {}
    for quote, quantity, gains in zip(legs.quotes, legs.quantities, legs.gains, strict=True):
        one = quote.instrument
        key = (one.underlying, None if one.kind == Kind.PERP else one.expiry)
        sums[key] = sums.get(key, 0) + quantity * gains[worst[one.underlying].cells[at]]
    return tuple(GroupPnl(*key, gain) for key, gain in sums.items())


def _id(rules: Rules, at: int) -> str:
    return f"price{100 * rules.prices[at]:+.4g}%"


def _told(rules: Rules, symbol: str, one: Worst) -> str:
    volatility, basis = TURNS[one.cells[one.deepest] % len(TURNS)]
    return f"{symbol} alone: worst at {_id(rules, one.deepest)}, volatility {_WAYS[volatility]}, basis {_WAYS[basis]}"
