"""One answer: requirement, excess and ratio, what it saves against isolated margin, and everything it is made of."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Final

from risk.margin.answer import AddOn, Assessment, CollateralAnswer, LegAnswer, ScenarioPnl, buffer_of
from risk.margin.book import Market, Portfolio
from risk.margin.components import Named, greeks_of, marked, named_parts
from risk.margin.exact import ANSWER, Fact, Number, as_float, down, exactly, total, up
from risk.margin.model import Calculator, Header
from risk.margin.valuing import quoted

COIN: Final = 10**9
"""answers are whole multiples of 1 / COIN where the settlement asset is a coin"""


class RuleBroken(ArithmeticError):  # noqa: N818 - named for what happened
    """An answer that breaks a rule every answer keeps: says which, and the profile. Nobody may act on it."""


@dataclass(frozen=True, slots=True)
class Side:
    """Initial or maintenance margin."""

    requirement: Fraction
    excess: Fraction
    """equity less requirement; negative: in breach"""
    ratio: Fraction | None
    """collateral after haircut over requirement, haircuts in neither; None where nothing is required"""
    scan: Fraction
    """requirement less all add-ons: what the worst scenario takes, with the model's factor on it"""


@dataclass(frozen=True, slots=True)
class Answer:
    """What is answered of a portfolio. Money is of the settlement asset, in whole multiples of 1 / quantum: what is
    required and charged is rounded up, what is owned down."""

    header: Header
    digest: str
    quantum: int
    equity: Fraction
    mark_to_market: Fraction
    initial: Side
    maintenance: Side
    buffer: Fraction
    """liquidation buffer, a part of maintenance without haircuts; initial >= maintenance + buffer"""
    isolated_requirement: Fraction
    """initial margin of each position, each order and what is held, each of them alone, by the same profile"""
    capital_saved: Fraction
    """isolated less initial requirement"""
    components: Named
    worst_initial: str
    worst_maintenance: str
    scenarios: tuple[ScenarioPnl, ...]
    legs: tuple[LegAnswer, ...]
    add_ons: tuple[AddOn, ...]
    collateral: tuple[CollateralAnswer, ...]
    notes: tuple[str, ...]
    new_risk: bool
    """whether positions may be opened: what the book and its orders rest on is young enough"""


@dataclass(frozen=True, slots=True)
class FloatFigures:
    """The float model's figures, as they came out."""

    equity: float
    mark_to_market: float
    initial: float
    maintenance: float


def answer(calculator: Calculator, portfolio: Portfolio, market: Market) -> Answer:
    """The answer, reckoned exactly. Raises NotInMarket, Expired, NotFinite, what the model raises, and RuleBroken."""
    quantum = quantum_of(market)
    told = calculator.assess(portfolio, market, exactly)
    header = calculator.header
    maintenance = up(told.maintenance, quantum)
    buffer = up(buffer_of(told, exactly(header.buffer)), quantum)
    # two roundings up may be a quantum more than the one of their sum
    initial = max(up(told.initial, quantum), maintenance + buffer)
    equity = down(told.equity, quantum)
    alone = up(isolated(calculator, portfolio, market), quantum)
    components = named_parts(told, portfolio, market, header)
    if initial < maintenance + buffer or initial < told.initial or maintenance < told.maintenance:
        raise RuleBroken(f"{header.name}: initial {initial}, maintenance {maintenance}, buffer {buffer}")
    return Answer(
        header=header,
        digest=calculator.digest,
        quantum=quantum,
        equity=equity,
        mark_to_market=down(told.mark_to_market, quantum),
        initial=_side(
            initial,
            equity,
            total(one.haircut for one in told.collateral),
            told.initial - total(one.initial for one in told.add_ons),
            quantum,
        ),
        maintenance=_side(
            maintenance,
            equity,
            total(one.haircut_maintenance for one in told.collateral),
            told.maintenance - total(one.maintenance for one in told.add_ons),
            quantum,
        ),
        buffer=buffer,
        isolated_requirement=alone,
        capital_saved=alone - initial,
        components=components,
        worst_initial=told.worst_initial,
        worst_maintenance=told.worst_maintenance,
        scenarios=tuple(_scenario(one, quantum) for one in told.scenarios),
        legs=_legs(told, portfolio, market, quantum),
        add_ons=tuple(AddOn(one.name, up(one.initial, quantum), up(one.maintenance, quantum)) for one in told.add_ons),
        collateral=tuple(
            CollateralAnswer(
                one.asset, down(one.value, quantum), up(one.haircut, quantum), up(one.haircut_maintenance, quantum)
            )
            for one in told.collateral
        ),
        notes=(*told.notes, *((components.note,) if components.note else ())),
        new_risk=told.new_risk,
    )


def in_float(calculator: Calculator, portfolio: Portfolio, market: Market) -> FloatFigures:
    """The same by the float model. Raises as `answer`."""
    told = calculator.assess(portfolio, market, as_float)
    return FloatFigures(float(told.equity), float(told.mark_to_market), float(told.initial), float(told.maintenance))


def isolated(calculator: Calculator, portfolio: Portfolio, market: Market, fact: Fact = exactly) -> Fraction:
    """The sum of the initial margins of each position, each order, and cash with collateral, each of them alone."""
    nothing = replace(portfolio, cash=Fraction(0), collateral=(), positions=(), orders=())
    parts = [replace(portfolio, positions=(), orders=())] if portfolio.collateral or portfolio.cash else []
    parts += [replace(nothing, positions=(one,)) for one in portfolio.positions]
    parts += [replace(nothing, orders=(one,)) for one in portfolio.orders]
    return sum((Fraction(calculator.assess(one, market, fact).initial) for one in parts), Fraction(0))


def quantum_of(market: Market) -> int:
    """Into how many parts a unit of the settlement asset is divided: 10^9 for a coin, 10^6 for money."""
    return COIN if market.settlement in market.underlyings else ANSWER


def _side(requirement: Fraction, equity: Fraction, haircut: Number, scan: Number, quantum: int) -> Side:
    needed = requirement - Fraction(haircut)
    ratio = down((equity - Fraction(haircut)) / needed, quantum) if needed > 0 else None
    return Side(requirement, equity - requirement, ratio, up(scan, quantum))


def _scenario(one: ScenarioPnl, quantum: int) -> ScenarioPnl:
    return replace(
        one,
        pnl=down(one.pnl, quantum),
        groups=tuple(replace(group, pnl=down(group.pnl, quantum)) for group in one.groups),
    )


def _legs(told: Assessment, portfolio: Portfolio, market: Market, quantum: int) -> tuple[LegAnswer, ...]:
    """The model's legs, with greeks where it gives none; the market's marks where it gives no legs."""
    legs = []
    for one in told.legs or marked(portfolio, market):
        greeks = dict(one.greeks) or greeks_of(quoted(portfolio.positions[one.position].instrument, market))
        greeks.pop("price", None)
        legs.append(
            replace(one, mark=_nearest(one.mark, quantum), pnl_in_worst=down(one.pnl_in_worst, quantum), greeks=greeks)
        )
    return tuple(legs)


def _nearest(value: Number, quantum: int) -> Fraction:
    """A price is nobody's to keep: it is told as it is nearest."""
    return Fraction(round(Fraction(value) * quantum), quantum)
