"""The grid of portfolio margin: lists of scenarios and the rule by which volatility moves, read from a profile; and the
model `grid`, as Paradex and Aevo publish it: worst scenario, minimum by delta, floor and provisions.

Reading of what the pages leave open: `hedged` of the minimum is the smaller of the long and the short dollar delta of
an underlying, `net` their difference. A scenario's weight multiplies gains and losses alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
import numpy.typing as npt

from risk.margin import scan
from risk.margin.answer import AddOn, Assessment, CollateralAnswer, ScenarioPnl
from risk.margin.book import Kind, Market, Portfolio
from risk.margin.exact import Fact, Number, total
from risk.margin.model import Assess, Header
from risk.margin.valuing import Quoted, quoted
from risk.margin.worth import Haircut, haircuts_of, held
from schemas.strict import Fault, Table, TomlError, at, decimal_of, flag_of, only, real_of, table_of, value_of

FloatArray = npt.NDArray[np.float64]

MONTH: Final = 30.0
"""days at which a volatility move is the stated one"""
YEAR_DAYS: Final = 365.0


class Turn(StrEnum):
    """Where a scenario's volatility goes."""

    UP = "up"
    NONE = "none"
    DOWN = "down"


@dataclass(frozen=True, slots=True)
class Cell:
    """One scenario of a grid."""

    move: float
    """of the price, relative"""
    turn: Turn
    weight: float
    """part of gain and loss that counts"""

    @property
    def id(self) -> str:
        """Its name in answers."""
        return f"{100 * self.move:+g}%,{self.turn}"


@dataclass(frozen=True, slots=True)
class VolatilityMove:
    """By how much volatility goes up and down, by days to expiry: a rate x (30 / days)^power."""

    up: float
    down: float
    short_power: float
    """to 30 days"""
    long_power: float
    """past them"""
    floor_days: float
    """fewer days count as so many"""
    least: float
    """what is moved up is at least this volatility"""
    points: bool
    """the rates are added, not multiplied"""

    def moved(self, volatilities: FloatArray, days: FloatArray, turn: Turn) -> FloatArray:
        """Volatilities after a turn; none falls below zero."""
        if turn == Turn.NONE:
            return volatilities
        ratio = MONTH / np.maximum(days, self.floor_days)
        size = ratio ** np.where(days <= MONTH, self.short_power, self.long_power)
        if turn == Turn.UP:
            base = np.maximum(volatilities, self.least)
            return base + self.up * size if self.points else base * (1.0 + self.up * size)
        down = self.down * size
        return np.maximum(volatilities - down if self.points else volatilities * (1.0 - down), 0.0)


def cells_of(table: Table, path: str, key: str) -> tuple[Cell, ...]:
    """An array of scenarios [price move, "up" | "none" | "down", weight]. Raises TomlError."""
    rows = value_of(table, path, key)
    where = at(path, key)
    if not isinstance(rows, list) or not rows:
        raise TomlError(Fault.WRONG_TYPE, where, "not an array of [price move, volatility, weight]")
    cells = tuple(_cell(row, f"{where}[{number}]") for number, row in enumerate(rows))
    for number, cell in enumerate(cells):
        if cell.id in {one.id for one in cells[:number]}:
            raise TomlError(Fault.BAD_SCENARIOS, f"{where}[{number}]", f"{cell.id} stands twice")
    return cells


def _cell(row: object, path: str) -> Cell:
    if not isinstance(row, list) or len(row) != 3:
        raise TomlError(Fault.WRONG_TYPE, path, "not [price move, volatility, weight]")
    weight = float(decimal_of(row[2], f"{path}[2]"))
    if not 0.0 <= weight <= 1.0:
        raise TomlError(Fault.OUT_OF_RANGE, f"{path}[2]", f"{weight:g} is not in 0 ... 1")
    return Cell(move_of(row[0], f"{path}[0]"), turn_of(row[1], f"{path}[1]"), weight)


def move_of(value: object, path: str) -> float:
    """A relative price move: above -1, at most 100. Raises TomlError."""
    move = float(decimal_of(value, path))
    if not -1.0 < move <= 100.0:
        raise TomlError(Fault.OUT_OF_RANGE, path, f"{move:g}: a price falls by less than all of it")
    return move


def turn_of(value: object, path: str) -> Turn:
    """A turn by its name. Raises TomlError."""
    if value not in list(Turn):
        raise TomlError(Fault.UNKNOWN_KIND, path, f"{value!r}; known are {', '.join(Turn)}")
    return Turn(str(value))


def volatility_of(table: Table, path: str, key: str = "volatility") -> VolatilityMove:
    """The table of volatility moves. Raises TomlError."""
    one, where = table_of(table, path, key), at(path, key)
    only(one, where, ("up", "down", "short_power", "long_power", "floor_days", "least", "points"))
    short = real_of(one, where, "short_power", 0, 2, 0.0)
    return VolatilityMove(
        up=real_of(one, where, "up", 0, 10),
        down=real_of(one, where, "down", 0, 10),
        short_power=short,
        long_power=real_of(one, where, "long_power", 0, 2, short),
        floor_days=real_of(one, where, "floor_days", 0.01, MONTH, 1.0),
        least=real_of(one, where, "least", 0, 10, 0.0),
        points=flag_of(one, where, "points"),
    )


def moved(
    quotes: Sequence[Quoted], cells: Sequence[Cell], volatility: VolatilityMove
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Forwards, volatilities and years of each leg in each scenario."""
    forwards = np.array([[one.forward * (1.0 + cell.move) for cell in cells] for one in quotes])
    now = np.array([one.volatility for one in quotes])
    years = np.array([one.years for one in quotes])
    turned = {turn: volatility.moved(now, years * YEAR_DAYS, turn) for turn in Turn}
    volatilities = np.array([turned[cell.turn] for cell in cells]).T
    shape = (len(quotes), len(cells))
    return forwards.reshape(shape), volatilities.reshape(shape), np.repeat(years[:, None], len(cells), axis=1)


def collateral_answers(
    portfolio: Portfolio, market: Market, haircuts: Mapping[str, Haircut], fact: Fact
) -> tuple[CollateralAnswer, ...]:
    """Collateral at its whole value, and its haircuts. Raises NotInMarket."""
    answers = []
    for one in held(portfolio, market, haircuts, fact):
        size = max(one.value, -one.value)
        cut = size * one.haircut_maintenance
        answers.append(CollateralAnswer(one.asset, one.value, min(size, cut + size * one.haircut_extra), cut))
    return tuple(answers)


def haircut_charge(collateral: Sequence[CollateralAnswer]) -> AddOn:
    """The haircuts as the add-on they are."""
    initial: Number = total(one.haircut for one in collateral)
    return AddOn("haircut", initial, total(one.haircut_maintenance for one in collateral))


@dataclass(frozen=True, slots=True)
class Rules:
    """A profile of the model `grid`."""

    cells: tuple[Cell, ...]
    volatility: VolatilityMove
    net: float
    hedged: float
    """minimum: parts of net and of hedged dollar delta, by underlying"""
    floor: float
    """added: part of the gross dollar amount held short, options and others"""
    funding: float
    """provided for: part of the perps' gross amount"""
    fees: float
    """provided for: part of the whole gross amount, what it costs to close"""
    maintenance: float
    """part of initial margin, haircuts aside"""
    haircuts: Mapping[str, Haircut]


def grid(table: Table, header: Header) -> Assess:  # noqa: ARG001 - every model has the same arguments
    """The model: initial = max(worst scenario's loss, minimum) + floor + provisions, maintenance a part of it; haircuts
    on top of both. Raises TomlError.
    """
    only(table, "", ("scenarios", "volatility", "minimum_delta", "floor", "provisions", "maintenance_part", "haircuts"))
    least, provisions = table_of(table, "", "minimum_delta"), table_of(table, "", "provisions")
    only(least, "minimum_delta", ("net", "hedged"))
    only(provisions, "provisions", ("funding", "fees"))
    rules = Rules(
        cells=cells_of(table, "", "scenarios"),
        volatility=volatility_of(table, ""),
        net=real_of(least, "minimum_delta", "net", 0, 1),
        hedged=real_of(least, "minimum_delta", "hedged", 0, 1),
        floor=real_of(table, "", "floor", 0, 1),
        funding=real_of(provisions, "provisions", "funding", 0, 1),
        fees=real_of(provisions, "provisions", "fees", 0, 1),
        maintenance=real_of(table, "", "maintenance_part", 0, 1),
        haircuts=haircuts_of(table, ""),
    )

    def assess(portfolio: Portfolio, market: Market, fact: Fact) -> Assessment:
        return _assessed(rules, portfolio, market, fact)

    return assess


def _assessed(rules: Rules, portfolio: Portfolio, market: Market, fact: Fact) -> Assessment:
    positions, price = portfolio.positions, market.settlement_price
    quotes = [quoted(one.instrument, market) for one in positions]
    forwards, volatilities, years = moved(quotes, rules.cells, rules.volatility)
    here = scan.now(quotes)
    gains = scan.facts((scan.worth(quotes, forwards, volatilities, years) - here[:, None]) / price, fact)
    marks = [fact(one / price) for one in here.tolist()]
    count = len(rules.cells)
    groups = scan.by_group(positions, gains, count)
    weights = [fact(cell.weight) for cell in rules.cells]
    sums = [
        weight * gain
        for weight, gain in zip(weights, scan.summed([1] * len(groups), groups.values(), count), strict=True)
    ]
    worst = min(range(count), key=lambda one: sums[one])
    loss = max(-sums[worst], 0)
    least = minimum_by_delta(rules.net, rules.hedged, portfolio, quotes, market, fact)
    sizes = [abs(one.quantity) * fact(quote.spot / price) for one, quote in zip(positions, quotes, strict=True)]
    short = total(size for one, size in zip(positions, sizes, strict=True) if one.quantity < 0)
    perps = total(size for one, size in zip(positions, sizes, strict=True) if one.instrument.kind == Kind.PERP)
    charges = [
        AddOn(name, more, more * fact(rules.maintenance))
        for name, more in (
            ("minimum by delta", max(least - loss, 0)),
            ("floor", fact(rules.floor) * short),
            ("funding provision", fact(rules.funding) * perps),
            ("fee provision", fact(rules.fees) * total(sizes)),
        )
    ]
    collateral = collateral_answers(portfolio, market, rules.haircuts, fact)
    add_ons = (*charges, haircut_charge(collateral))
    carried = total(
        scan.carried(one, mark, quote, price, fact) for one, mark, quote in zip(positions, marks, quotes, strict=True)
    )
    return Assessment(
        initial=loss + total(one.initial for one in add_ons),
        maintenance=loss * fact(rules.maintenance) + total(one.maintenance for one in add_ons),
        equity=portfolio.cash + total(one.value for one in collateral) + carried,
        mark_to_market=carried,
        worst_initial=rules.cells[worst].id,
        worst_maintenance=rules.cells[worst].id,
        scenarios=tuple(
            ScenarioPnl(cell.id, sums[one], scan.told(groups, one, weights[one]))
            for one, cell in enumerate(rules.cells)
        ),
        legs=scan.leg_answers(
            portfolio, marks, gains, forwards, volatilities, [worst] * len(positions), [weights[worst]] * len(positions)
        ),
        add_ons=add_ons,
        collateral=collateral,
        notes=(f"minimum by delta: {float(least):g}",),
    )


def minimum_by_delta(
    net: float, hedged: float, portfolio: Portfolio, quotes: Sequence[Quoted], market: Market, fact: Fact
) -> Number:
    """Parts of the net dollar delta and of the hedged one, over underlyings, in the settlement asset."""
    least: Number = 0
    delta = scan.deltas(quotes)
    for symbol in sorted({one.instrument.underlying for one in portfolio.positions}):
        long: Number = 0
        short: Number = 0
        for position, quote, each in zip(portfolio.positions, quotes, delta, strict=True):
            if position.instrument.underlying == symbol:
                dollars = position.quantity * fact(each * quote.spot / market.settlement_price)
                long, short = long + max(dollars, 0), short + max(-dollars, 0)
        least = least + fact(net) * max(long - short, short - long) + fact(hedged) * min(long, short)
    return least
