"""A portfolio in sampled states of the market: unit losses, the loss vector in whole numbers, and what its tail asks.

The unit loss matrix is the fact: whole quanta. All after it (quantities x rows, the worst point, the order of losses,
the tail's mean) is integer arithmetic in exact form, and the same lines in floats otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from risk.margin.answer import AddOn, Assessment, CollateralAnswer, GroupPnl, LegAnswer, ScenarioPnl
from risk.margin.book import Kind, Market, Portfolio
from risk.margin.exact import QUANTUM, Fact, Number
from risk.margin.scan import carried, now
from risk.margin.valuing import Quoted, quoted
from risk.margin.worth import Haircut, Held, held
from risk.simulation.paths import States
from risk.simulation.revalue import Contracts, FloatArray, UnitLossTooLarge, option_losses, quantised
from risk.simulation.tail import Losses, expected_shortfall, value_at_risk
from risk.volatility import YEAR

SHOWN: Final = 20
"""so many of the states that add most to the tail are told in an answer, beside those that decide"""
_MONTH: Final = 30 / 365
_DAY: Final = 1 / 365
_HALF: Final = 31
_MASK: Final = (1 << _HALF) - 1


class Sample(NamedTuple):
    """The states a model draws for a market: the same for every portfolio, so that requirements add up."""

    underlyings: tuple[str, ...]
    states: States
    label: Callable[[int], str]
    """a path's name"""
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Measure:
    """What is asked of the losses."""

    shortfall: bool
    """the mean of the tail; otherwise its edge, which is what is breached by no more than its share"""
    initial: Fraction
    """share of the tail, 1/100 for 99 %"""
    maintenance: Fraction
    term_power: float
    """implied volatility of T days moves by (30 / T)^power of what that of thirty days does, T a day at least"""
    widest: float
    """it is multiplied by no more than this, and divided by no more"""


class _Leg(NamedTuple):
    quantity: Fraction
    underlying: str
    expiry: int | None
    quote: Quoted | None
    """None: collateral"""
    mark: float
    """dollars"""


class _Vector(NamedTuple):
    """A portfolio's losses: [steps, paths] x `unit`, in Numbers of one kind."""

    losses: Losses
    unit: Fraction | float


def assessed(
    portfolio: Portfolio,
    market: Market,
    fact: Fact,
    sample: Sample,
    measure: Measure,
    haircuts: Mapping[str, Haircut],
) -> Assessment:
    """What the sample asks of a portfolio; orders are not looked at. Requirements are not below zero.

    Each path counts at its worst step. Positions and collateral that offsets an underlying are revalued; a perp, a
    future and its underlying move alike. A settlement asset that is itself an underlying changes its worth too.
    Raises NotInMarket, Expired, UnitLossTooLarge.
    """
    exact = isinstance(fact(0.0), Fraction)
    coins = held(portfolio, market, haircuts, fact)
    quotes = [quoted(one.instrument, market) for one in portfolio.positions]
    marks = now(quotes)
    legs = [
        _Leg(
            one.quantity,
            quote.instrument.underlying,
            None if quote.instrument.kind == Kind.PERP else quote.instrument.expiry,
            quote,
            float(mark),
        )
        for one, quote, mark in zip(portfolio.positions, quotes, marks, strict=True)
    ]
    legs += [_Leg(one.amount, one.offsets, None, None, float(one.price)) for one in coins if one.offsets is not None]
    units = _units(legs, sample, market, measure)
    facts = _quanta(units) if exact else units
    vector = _vector(facts, [leg.quantity for leg in legs], exact)
    worst_step = np.argmax(vector.losses, axis=0)
    paths = np.arange(vector.losses.shape[1])
    losses: Losses = vector.losses[worst_step, paths]
    weights = sample.states.weights
    ask = expected_shortfall if measure.shortfall else value_at_risk
    asked = [ask(losses, weights, share) for share in (measure.initial, measure.maintenance)]
    initial, maintenance = (max(one * vector.unit, fact(0.0)) for one in asked)
    # the deciding path of a mean is the one that loses nearest to it
    deciding = [int(np.argmin(np.abs(np.asarray(losses, np.float64) - float(one)))) for one in asked]
    most = np.argsort(-(np.asarray(losses, np.float64) * weights), kind="stable")[:SHOWN]
    shown = list(dict.fromkeys([*deciding, *(int(path) for path in most)]))
    gains = _gains(facts, legs, exact)
    scenarios = tuple(
        ScenarioPnl(
            sample.label(path),
            -(_number(losses, path) * vector.unit),
            _groups(legs, [gain(int(worst_step[path]), path) for gain in gains]),
        )
        for path in sorted(shown, key=lambda path: (-_number(losses, path), path))
    )
    positions = len(portfolio.positions)
    settlement = market.settlement_price
    told = [fact(float(mark) / settlement) for mark in marks]
    worth: Number = sum(
        (
            carried(one, mark, quote, settlement, fact)
            for one, mark, quote in zip(portfolio.positions, told, quotes, strict=True)
        ),
        fact(0.0),
    )
    where = (int(worst_step[deciding[0]]), deciding[0])
    cuts, add_ons = _haircuts(coins, fact)
    return Assessment(
        initial=initial + sum((one.initial for one in add_ons), fact(0.0)),
        maintenance=maintenance + sum((one.maintenance for one in add_ons), fact(0.0)),
        equity=portfolio.cash + worth + sum((one.value for one in coins), fact(0.0)),
        mark_to_market=worth,
        worst_initial=sample.label(deciding[0]),
        worst_maintenance=sample.label(deciding[1]),
        scenarios=scenarios,
        legs=tuple(
            _leg_answer(number, told[number], gains[number](*where), legs[number], sample, measure, where)
            for number in range(positions)
        ),
        add_ons=add_ons,
        collateral=cuts,
        notes=sample.notes,
    )


def _units(legs: Sequence[_Leg], sample: Sample, market: Market, measure: Measure) -> FloatArray:
    """Losses [legs, steps, paths] of a unit of each leg, in the settlement asset."""
    prices = sample.states.prices
    row = {name: number for number, name in enumerate(sample.underlyings)}
    now_money = 1.0 / market.settlement_price
    itself = row.get(market.settlement)
    money = now_money / (np.ones(prices.shape[1:]) if itself is None else prices[itself])
    units = np.empty((len(legs), *prices.shape[1:]))
    options = []
    for number, leg in enumerate(legs):
        after = prices[row[leg.underlying]]
        if leg.quote is None:
            units[number] = leg.mark * (now_money - after * money)
        elif leg.quote.instrument.kind == Kind.OPTION:
            options.append(number)
        else:
            units[number] = leg.mark * (1.0 - after) * money
    if options:
        out = np.empty((len(options), *prices.shape[1:]))
        contracts, volatilities = _contracts([legs[number] for number in options], row, sample.states, measure)
        option_losses(contracts, prices, np.log(prices), volatilities, money, now_money, 0, out)
        units[options] = out
    return units


def _contracts(
    legs: Sequence[_Leg], row: Mapping[str, int], states: States, measure: Measure
) -> tuple[Contracts, FloatArray]:
    """Options as columns, and the relative volatilities [rows, steps, paths] their smiles have."""
    quotes = [leg.quote for leg in legs if leg.quote is not None]
    curves = [(row[one.instrument.underlying], one.years) for one in quotes]
    smiles = list(dict.fromkeys(curves))
    volatilities = np.stack([_relative(states.volatilities[on], years, measure) for on, years in smiles])
    forward = np.array([one.forward for one in quotes])
    strike = np.array([one.instrument.strike for one in quotes])
    left = np.maximum(np.array([one.years for one in quotes]) - states.elapsed[:, None], 0.0)
    return Contracts(
        price_row=np.array([row[one.instrument.underlying] for one in quotes], np.int64),
        volatility_row=np.array(
            [smiles.index((row[one.instrument.underlying], one.years)) for one in quotes], np.int64
        ),
        call=np.array([one.instrument.call for one in quotes], np.bool_),
        forward=forward,
        log_moneyness=np.log(forward / strike),
        strike=strike,
        volatility=np.array([one.volatility for one in quotes]),
        root_years=np.sqrt(left),
        discount=np.exp(-np.array([one.rate for one in quotes]) * left),
        mark=np.array([leg.mark for leg in legs]),
    ), volatilities


def _relative(logarithms: FloatArray, years: float, measure: Measure) -> FloatArray:
    bound = math.log(measure.widest)
    moved: FloatArray = np.exp(np.clip(logarithms * _term(years, measure), -bound, bound))
    return moved


def _term(years: float, measure: Measure) -> float:
    return float((_MONTH / max(years, _DAY)) ** measure.term_power)


def _quanta(units: FloatArray) -> npt.NDArray[np.int64]:
    """The facts. Raises UnitLossTooLarge."""
    facts = np.empty(units.shape, np.int64)
    for leg, step in np.ndindex(*units.shape[:2]):
        if not quantised(units[leg, step], float(QUANTUM), facts[leg, step]):
            path = int(np.argmax(~(np.abs(units[leg, step]) * QUANTUM < 2.0**62)))
            raise UnitLossTooLarge(f"leg {leg} loses {units[leg, step, path]} a unit in path {path}, step {step}")
    return facts


def _wholes(quantities: Sequence[Fraction]) -> tuple[list[int], int]:
    """Quantities as whole numbers over one denominator."""
    over = math.lcm(*(one.denominator for one in quantities))
    return [one.numerator * (over // one.denominator) for one in quantities], over


def _vector(units: FloatArray | npt.NDArray[np.int64], quantities: Sequence[Fraction], exact: bool) -> _Vector:
    """Quantities x rows."""
    if exact:
        numbers, over = _wholes(quantities)
        return _Vector(_whole_sums(units.astype(np.int64, copy=False), numbers), Fraction(1, over * QUANTUM))
    floats = np.zeros(units.shape[1:])
    for quantity, row in zip(quantities, units, strict=True):
        floats += float(quantity) * row
    return _Vector(floats, 1.0)


def _whole_sums(rows: npt.NDArray[np.int64], numbers: Sequence[int]) -> Losses:
    """Numbers x rows, exactly. Each row (below LARGEST, 2^62) in two halves of 31 bits, whose sums 63 bits hold where
    the numbers together are below 2^31; in long integers throughout where they are not."""
    if sum(abs(number) for number in numbers) >= 1 << _HALF:
        long = np.zeros(rows.shape[1:], object)
        for number, row in zip(numbers, rows, strict=True):
            long += number * row.astype(object)
        return long
    high, low = np.zeros(rows.shape[1:], np.int64), np.zeros(rows.shape[1:], np.int64)
    for number, row in zip(numbers, rows, strict=True):
        high += number * (row >> _HALF)
        low += number * (row & _MASK)
    high += low >> _HALF
    low &= _MASK
    if np.all(np.abs(high) < 1 << _HALF):
        return (high << _HALF) + low
    joined: Losses = high.astype(object) * (1 << _HALF) + low
    return joined


def _gains(
    units: FloatArray | npt.NDArray[np.int64], legs: Sequence[_Leg], exact: bool
) -> list[Callable[[int, int], Number]]:
    """For each leg, its gain at a step of a path."""

    def of(number: int) -> Callable[[int, int], Number]:
        quantity = legs[number].quantity
        if exact:
            return lambda step, path: -quantity * Fraction(int(units[number, step, path]), QUANTUM)
        return lambda step, path: -float(quantity) * float(units[number, step, path])

    return [of(number) for number in range(len(legs))]


def _groups(legs: Sequence[_Leg], gains: Sequence[Number]) -> tuple[GroupPnl, ...]:
    sums: dict[tuple[str, int | None], Number] = {}
    for leg, gain in zip(legs, gains, strict=True):
        group = (leg.underlying, leg.expiry)
        sums[group] = sums[group] + gain if group in sums else gain
    return tuple(GroupPnl(*group, pnl) for group, pnl in sums.items())


def _leg_answer(
    number: int, mark: Number, gain: Number, leg: _Leg, sample: Sample, measure: Measure, where: tuple[int, int]
) -> LegAnswer:
    assert leg.quote is not None
    at = (sample.underlyings.index(leg.underlying), *where)
    wide = float(_relative(sample.states.volatilities[at], leg.quote.years, measure))
    forward = leg.quote.forward * float(sample.states.prices[at])
    return LegAnswer(number, mark, {}, gain, forward, leg.quote.volatility * wide)


def _haircuts(coins: Sequence[Held], fact: Fact) -> tuple[tuple[CollateralAnswer, ...], tuple[AddOn, ...]]:
    answers = []
    for one in coins:
        size = max(one.value, -one.value)
        maintenance = size * one.haircut_maintenance
        answers.append(CollateralAnswer(one.asset, one.value, maintenance + size * one.haircut_extra, maintenance))
    if not answers:
        return (), ()
    initial = sum((one.haircut for one in answers), fact(0.0))
    lesser = sum((one.haircut_maintenance for one in answers), fact(0.0))
    return tuple(answers), (AddOn("haircuts", initial, lesser),)


def _number(losses: Losses, path: int) -> int | float:
    value = losses[path]
    return value if isinstance(value, int) else value.item()


def years_of(days: float) -> float:
    """Days as the years that volatility is counted by."""
    return days * 86_400_000_000 / YEAR
