"""Deribit's portfolio margin: inverse legs on a grid, an extended table of far moves, and the contingencies.

Risk matrix = worst + roll + delta + correlation (older variants: short options, futures); initial = matrix + spot (the
haircuts); maintenance is a part of the matrix. An inverse leg gains q (1 - 1 / (1 + move)) coins, an option what its
value in coins does, priced by Black-76 over its forward.
What the published page leaves open, and how it is read here:
- far moves: a loss counts `factor` and is damped by (|move| / range - 1) x dampener dollars, each underlying by itself;
- the volatility that is moved up is at least `least`, before the move;
- correlation: in each scenario gains of one underlying pay for losses of others by `pnl_offset`, up to `most` dollars;
  what that costs beside plain adding up is the correlation contingency;
- delta: `increment` for each `step` dollars of an underlying's delta past `threshold`, at most `most`, of the delta.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from risk.margin import grid, scan
from risk.margin.answer import AddOn, Assessment, GroupPnl, ScenarioPnl
from risk.margin.book import Instrument, Kind, Market, Portfolio, Position
from risk.margin.exact import Fact, Number, finely, total
from risk.margin.model import Assess, Header
from risk.margin.valuing import Quoted, quoted
from risk.margin.worth import Haircut, haircuts_of
from schemas.strict import Fault, Table, TomlError, flag_of, only, real_of, table_of, value_of

FloatArray = npt.NDArray[np.float64]

MOST_DOLLARS: Final = 1e12


@dataclass(frozen=True, slots=True)
class Rules:
    """A profile of the model `deribit`. Rates are parts of one, amounts dollars."""

    inverse: bool
    maintenance: float
    price_range: float
    cells: tuple[grid.Cell, ...]
    """the grid, then the extended moves"""
    within: int
    """how many of them are the grid"""
    factor: float
    dampener: float
    volatility: grid.VolatilityMove
    roll_annualised: float
    roll_minimum: float
    delta_threshold: float
    delta_increment: float
    delta_step: float
    delta_most: float
    pnl_offset: float
    offset_most: float
    short_option: float
    """coins a contract"""
    futures: float
    haircuts: Mapping[str, Haircut]


@dataclass(frozen=True, slots=True)
class Legs:
    """The portfolio's legs as this model sees them, in the settlement asset."""

    quotes: Sequence[Quoted]
    coins: Sequence[Number]
    """what a coin of the leg's underlying is worth"""
    marks: Sequence[Number]
    gains: Sequence[Sequence[Number]]
    deltas: Sequence[float]
    """coins a contract"""


def deribit(table: Table, header: Header) -> Assess:  # noqa: ARG001 - every model has the same arguments
    """The model, from its profile's own keys. Raises TomlError."""
    rules = _rules(table)

    def assess(portfolio: Portfolio, market: Market, fact: Fact) -> Assessment:
        return _assessed(rules, portfolio, market, fact)

    return assess


def _rules(table: Table) -> Rules:
    only(
        table,
        "",
        (
            "inverse",
            "maintenance_part",
            "price_range",
            "scenarios",
            "extended",
            "volatility",
            "roll",
            "delta",
            "correlation",
            "contingencies",
            "haircuts",
        ),
    )
    extended, roll, delta = (table_of(table, "", key) for key in ("extended", "roll", "delta"))
    correlation, contingencies = (table_of(table, "", key) for key in ("correlation", "contingencies"))
    only(extended, "extended", ("moves", "factor", "dampener"))
    only(roll, "roll", ("annualised", "minimum"))
    only(delta, "delta", ("threshold", "increment", "step", "most"))
    only(correlation, "correlation", ("pnl_offset", "most"))
    only(contingencies, "contingencies", ("short_option", "futures"))
    cells = grid.cells_of(table, "", "scenarios")
    far = _far(extended)
    for number, one in enumerate(far):
        if one.id in {cell.id for cell in (*cells, *far[:number])}:
            raise TomlError(Fault.BAD_SCENARIOS, f"extended.moves[{number}]", f"{one.id} stands twice")
    return Rules(
        inverse=flag_of(table, "", "inverse"),
        maintenance=real_of(table, "", "maintenance_part", 0, 1),
        price_range=real_of(table, "", "price_range", 0.001, 1),
        cells=(*cells, *far),
        within=len(cells),
        factor=real_of(extended, "extended", "factor", 0, 1),
        dampener=real_of(extended, "extended", "dampener", 0, MOST_DOLLARS),
        volatility=grid.volatility_of(table, ""),
        roll_annualised=real_of(roll, "roll", "annualised", 0, 10),
        roll_minimum=real_of(roll, "roll", "minimum", 0, 1),
        delta_threshold=real_of(delta, "delta", "threshold", 0, MOST_DOLLARS),
        delta_increment=real_of(delta, "delta", "increment", 0, 1),
        delta_step=real_of(delta, "delta", "step", 1, MOST_DOLLARS),
        delta_most=real_of(delta, "delta", "most", 0, 1),
        pnl_offset=real_of(correlation, "correlation", "pnl_offset", 0, 1),
        offset_most=real_of(correlation, "correlation", "most", 0, MOST_DOLLARS),
        short_option=real_of(contingencies, "contingencies", "short_option", 0, 1),
        futures=real_of(contingencies, "contingencies", "futures", 0, 1),
        haircuts=haircuts_of(table, ""),
    )


def _far(extended: Table) -> tuple[grid.Cell, ...]:
    moves = value_of(extended, "extended", "moves")
    if not isinstance(moves, list):
        raise TomlError(Fault.WRONG_TYPE, "extended.moves", "not an array")
    return tuple(
        grid.Cell(grid.move_of(move, f"extended.moves[{number}]"), grid.Turn.UP, 1.0)
        for number, move in enumerate(moves)
    )


def _assessed(rules: Rules, portfolio: Portfolio, market: Market, fact: Fact) -> Assessment:
    positions, count = portfolio.positions, len(rules.cells)
    quotes = [quoted(one.instrument, market) for one in positions]
    forwards, volatilities, years = grid.moved(quotes, rules.cells, rules.volatility)
    legs = _legs(rules, quotes, market, fact, (forwards, volatilities, years))
    groups = scan.by_group(positions, legs.gains, count)
    weights = [fact(cell.weight) for cell in rules.cells[: rules.within]]
    whole = scan.by_underlying(groups, count)
    damped = {symbol: _damped(rules, gains, weights, market, fact) for symbol, gains in whole.items()}
    # what of an underlying's gain counts: its groups and legs are told with it, and so add up to the scenario
    parts = {
        symbol: [left / gain if gain else 1 for left, gain in zip(damped[symbol], gains, strict=True)]
        for symbol, gains in whole.items()
    }
    plain = scan.summed([1] * len(damped), damped.values(), count)
    offset = [_offset(rules, [gains[at] for gains in damped.values()], market, fact) for at in range(count)]
    worst = min(range(count), key=lambda at: offset[at])
    lost = max(-plain[worst], 0)
    matrix = (
        ("roll", _roll(rules, positions, legs, fact)),
        ("delta", _delta(rules, positions, legs, market, fact)),
        ("correlation", max(-offset[worst], 0) - lost),
        ("short options", _short_options(rules, positions, legs, fact)),
        ("futures", _futures(rules, positions, legs, fact)),
    )
    part = fact(rules.maintenance)
    collateral = grid.collateral_answers(portfolio, market, rules.haircuts, fact)
    add_ons = (*(AddOn(name, more, more * part) for name, more in matrix), grid.haircut_charge(collateral))
    carried = total(_carried(rules, one, legs, number, fact, market) for number, one in enumerate(positions))
    name = rules.cells[worst].id
    return Assessment(
        initial=lost + total(one.initial for one in add_ons),
        maintenance=lost * part + total(one.maintenance for one in add_ons),
        equity=portfolio.cash + total(one.value for one in collateral) + carried,
        mark_to_market=carried,
        worst_initial=name,
        worst_maintenance=name,
        scenarios=tuple(
            ScenarioPnl(
                cell.id,
                plain[at],
                tuple(GroupPnl(*group, parts[group[0]][at] * gains[at]) for group, gains in groups.items()),
            )
            for at, cell in enumerate(rules.cells)
        ),
        legs=scan.leg_answers(
            portfolio,
            legs.marks,
            legs.gains,
            forwards,
            volatilities,
            [worst] * len(positions),
            [parts[one.instrument.underlying][worst] for one in positions],
        ),
        add_ons=add_ons,
        collateral=collateral,
    )


def _legs(
    rules: Rules,
    quotes: Sequence[Quoted],
    market: Market,
    fact: Fact,
    moved: tuple[FloatArray, FloatArray, FloatArray],
) -> Legs:
    forwards = moved[0]
    value = scan.worth(quotes, *moved, discounted=not rules.inverse)
    here = scan.now(quotes, discounted=not rules.inverse)
    coins = [
        1.0 if one.instrument.underlying == market.settlement else one.spot / market.settlement_price for one in quotes
    ]
    coin = np.array(coins).reshape(-1, 1)
    at = np.array([one.forward for one in quotes]).reshape(-1, 1)
    option = np.array([one.instrument.kind == Kind.OPTION for one in quotes], np.bool_).reshape(-1, 1)
    if rules.inverse:
        marks = np.where(option, here[:, None] / at * coin, at / market.settlement_price)
        gains = coin * np.where(option, value / forwards - here[:, None] / at, 1.0 - at / forwards)
    else:
        marks = here[:, None] / market.settlement_price
        gains = (value - here[:, None]) / market.settlement_price
    return Legs(
        quotes,
        [fact(one) for one in coins],
        [fact(one) for one in marks[:, 0].tolist()],
        scan.facts(gains, fact),
        scan.deltas(quotes),
    )


def _damped(
    rules: Rules, gains: Sequence[Number], weights: Sequence[Number], market: Market, fact: Fact
) -> list[Number]:
    """An underlying's gains: the grid's by their weights, far ones by the factor and the dampener."""
    sums = [weight * gain for weight, gain in zip(weights, gains, strict=False)]
    factor = fact(rules.factor)
    for cell, gain in zip(rules.cells[rules.within :], gains[rules.within :], strict=True):
        damper = max(abs(cell.move) / rules.price_range - 1.0, 0.0) * rules.dampener / market.settlement_price
        sums.append(min(factor * gain + fact(damper), 0) if gain < 0 else factor * gain)
    return sums


def _offset(rules: Rules, gains: Sequence[Number], market: Market, fact: Fact) -> Number:
    """All underlyings' gains in a scenario, where gains pay for losses only in part."""
    if len(gains) < 2:
        return total(gains)
    paid = fact(rules.pnl_offset) * total(max(one, 0) for one in gains)
    return total(min(one, 0) for one in gains) + min(paid, fact(rules.offset_most / market.settlement_price))


def _by(
    positions: Sequence[Position], legs: Legs, fact: Fact, *, expiries: bool
) -> dict[tuple[str, int], tuple[Number, Number, float]]:
    """Net delta in coins, a coin's worth, and years, by underlying and expiry (0: perps, and where not `expiries`)."""
    sums: dict[tuple[str, int], tuple[Number, Number, float]] = {}
    for position, quote, coin, delta in zip(positions, legs.quotes, legs.coins, legs.deltas, strict=True):
        one = position.instrument
        key = (one.underlying, one.expiry if expiries and one.kind != Kind.PERP else 0)
        before = sums.get(key, (0, coin, quote.years))[0]
        sums[key] = (before + position.quantity * fact(delta), coin, quote.years)
    return sums


def _roll(rules: Rules, positions: Sequence[Position], legs: Legs, fact: Fact) -> Number:
    charge: Number = 0
    for delta, coin, years in _by(positions, legs, fact, expiries=True).values():
        rate = finely(fact, max(rules.roll_minimum, rules.roll_annualised * years))
        charge = charge + max(delta, -delta) * coin * rate
    return charge


def _delta(rules: Rules, positions: Sequence[Position], legs: Legs, market: Market, fact: Fact) -> Number:
    charge: Number = 0
    threshold = fact(rules.delta_threshold / market.settlement_price)
    for delta, coin, _ in _by(positions, legs, fact, expiries=False).values():
        worth = max(delta, -delta) * coin
        steps = max(worth - threshold, 0) * fact(market.settlement_price) / fact(rules.delta_step)
        charge = charge + worth * min(steps * fact(rules.delta_increment), fact(rules.delta_most))
    return charge


def _short_options(rules: Rules, positions: Sequence[Position], legs: Legs, fact: Fact) -> Number:
    return fact(rules.short_option) * total(
        -position.quantity * coin
        for position, coin in zip(positions, legs.coins, strict=True)
        if position.instrument.kind == Kind.OPTION and position.quantity < 0
    )


def _futures(rules: Rules, positions: Sequence[Position], legs: Legs, fact: Fact) -> Number:
    return fact(rules.futures) * total(
        abs(position.quantity) * coin
        for position, coin in zip(positions, legs.coins, strict=True)
        if position.instrument.kind != Kind.OPTION
    )


def _carried(rules: Rules, position: Position, legs: Legs, number: int, fact: Fact, market: Market) -> Number:
    quote = legs.quotes[number]
    one: Instrument = position.instrument
    if not rules.inverse or one.kind == Kind.OPTION or position.entry_price is None:
        return scan.carried(position, legs.marks[number], quote, market.settlement_price, fact)
    # q coins at today's price are q x price dollars of contracts, which were (price / entry) q coins at their start
    return position.quantity * (fact(quote.forward) / position.entry_price - 1) * legs.coins[number] + position.funding
