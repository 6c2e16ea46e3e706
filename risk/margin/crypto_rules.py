"""The parameters of `crypto_span`, read strictly from a profile's tables, and what follows from them alone."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from scipy.special import ndtri, stdtrit

from risk.margin.collateral_rules import Terms, terms_of
from risk.margin.grid import move_of
from risk.margin.model import Header, MarginPeriod
from risk.margin.worth import Haircut, haircuts_of
from schemas.strict import DEFAULT, Fault, Table, TomlError, at, only, real_of, table_of, text_of, value_of

MOST_DOLLARS: Final = 1e12


@dataclass(frozen=True, slots=True)
class Names:
    """What is set for one underlying."""

    scale: float
    """of the listed price moves"""
    depth: float
    """dollars of futures and perps whose sale moves the price by `impact`"""
    option_depth: float
    """dollars of underlying in options at which their charge doubles"""


@dataclass(frozen=True, slots=True)
class Liquidity:
    """The liquidity cushion's rates, parts of dollars held."""

    rate: float
    """futures and perps: what closing costs, however small"""
    impact: float
    """and by how much more at the underlying's depth"""
    power: float
    """of size, by which that grows"""
    a_day: float
    """depths that are sold in a day at most"""
    covered: float
    """days of margin period that the listed price moves are for: a longer one is charged for"""
    option: float
    """options: of the dollars of underlying"""
    near: float
    """deviations from the money within which a strike is liquid"""
    far: float
    """more of the option charge for each deviation past them"""
    free_legs: float
    """option legs of an underlying that can be closed together"""
    leg: float
    """more of the option charge for each leg past them"""
    most: float
    """neither multiplier is above this"""
    share: float
    """more of the option charge for all of a strike's open interest"""
    tight: float
    """bid-ask spread, part of an option's price, past which a strike is not liquid"""


@dataclass(frozen=True, slots=True)
class Oracle:
    """How doubtful and old prices widen the moves: of price, volatility and basis alike."""

    threshold: float
    """confidences below this widen"""
    doubt: float
    """widening of a confidence that is one below it"""
    fresh: float
    """seconds"""
    hour: float
    """widening for each hour past them"""
    most: float
    """widening is not above this"""

    def widening(self, confidence: float, age: float) -> float:
        """What the moves are multiplied by, 1 or more."""
        doubt = self.doubt * max(self.threshold - confidence, 0.0)
        return 1.0 + min(doubt + self.hour * max(age - self.fresh, 0.0) / 3_600.0, self.most)


@dataclass(frozen=True, slots=True)
class Rules:
    """A profile of the model `crypto_span`. Moves and rates are parts of one."""

    prices: tuple[float, ...]
    """as they stand at the profile's confidence, of an underlying of scale 1"""
    deepest: float
    """no price falls by more"""
    volatility: float
    step: float
    """years"""
    basis_perp: float
    basis_least: float
    basis_annualised: float
    spread: float
    """charge between expiries, of the matched dollar delta"""
    names: Mapping[str, Names]
    liquidity: Liquidity
    hedge: float
    """what counts of a correlation from which a hedge is credited"""
    oracle: Oracle
    peg: float
    peg_factor: float
    maintenance: float
    haircuts: Mapping[str, Haircut]
    terms: Terms
    period: MarginPeriod

    def of(self, underlying: str) -> Names:
        """What holds for an underlying."""
        return self.names.get(underlying, self.names[DEFAULT])

    def credit(self, correlation: float) -> float:
        """What is credited of the saving between two underlyings.

        A position and an equal one against it spread by root(2 (1 - correlation)) of one, and without credit are
        charged twice one: so 1 - root((1 - correlation) / 2). For unequal ones that is on the safe side, because the
        true spread is convex in the hedge and the credit linear.
        """
        counted = min(correlation, correlation * self.hedge)
        return 1.0 - math.sqrt((1.0 - counted) / 2.0)


def deviations(confidence: float, distribution: str, degrees: float) -> float:
    """How many standard deviations of a loss the confidence is, one-sided, to a millionth; of Student's t the deviation
    is its own (it has one from `degrees` above 2)."""
    if distribution == "normal":
        return round(float(ndtri(confidence)), 6)
    return round(float(stdtrit(degrees, confidence)) * math.sqrt((degrees - 2.0) / degrees), 6)


def read_rules(table: Table, header: Header) -> Rules:
    """The profile's own keys. Raises TomlError."""
    tables = ("scan", "basis", "underlyings", "liquidity", "correlation", "oracle", "depeg")
    only(table, "", (*tables, "maintenance_part", "haircuts", "collateral_terms"))
    scan, basis, underlyings, liquidity, correlation, oracle, depeg = (table_of(table, "", key) for key in tables)
    only(
        scan,
        "scan",
        ("prices", "standard_deviations", "distribution", "degrees", "deepest", "volatility", "step_hours"),
    )
    only(basis, "basis", ("perp", "least", "annualised", "spread"))
    only(
        liquidity,
        "liquidity",
        (
            *("rate", "impact", "power", "a_day", "covered_hours"),
            *("option", "near", "far", "free_legs", "leg", "most", "share", "tight"),
        ),
    )
    only(correlation, "correlation", ("hedge",))
    only(oracle, "oracle", ("threshold", "doubt", "fresh_seconds", "hour", "most"))
    only(depeg, "depeg", ("threshold", "factor"))
    return Rules(
        prices=_prices(scan, header.confidence),
        deepest=real_of(scan, "scan", "deepest", 0.01, 0.999),
        volatility=real_of(scan, "scan", "volatility", 0, 0.99),
        step=real_of(scan, "scan", "step_hours", 0, 8_760) / 8_760.0,
        basis_perp=real_of(basis, "basis", "perp", 0, 0.5),
        basis_least=real_of(basis, "basis", "least", 0, 0.5),
        basis_annualised=real_of(basis, "basis", "annualised", 0, 0.5),
        spread=real_of(basis, "basis", "spread", 0, 1),
        names=_names(underlyings),
        liquidity=Liquidity(
            rate=real_of(liquidity, "liquidity", "rate", 0, 1),
            impact=real_of(liquidity, "liquidity", "impact", 0, 1),
            power=real_of(liquidity, "liquidity", "power", 0.1, 2),
            a_day=real_of(liquidity, "liquidity", "a_day", 0.001, 1e6),
            covered=real_of(liquidity, "liquidity", "covered_hours", 0.01, 8_760) / 24.0,
            option=real_of(liquidity, "liquidity", "option", 0, 1),
            near=real_of(liquidity, "liquidity", "near", 0, 1_000),
            far=real_of(liquidity, "liquidity", "far", 0, 1_000),
            free_legs=real_of(liquidity, "liquidity", "free_legs", 0, 1_000),
            leg=real_of(liquidity, "liquidity", "leg", 0, 1_000),
            most=real_of(liquidity, "liquidity", "most", 1, 1_000),
            share=real_of(liquidity, "liquidity", "share", 0, 1_000),
            tight=real_of(liquidity, "liquidity", "tight", 0.0001, 1_000),
        ),
        hedge=real_of(correlation, "correlation", "hedge", 0, 1),
        oracle=Oracle(
            real_of(oracle, "oracle", "threshold", 0, 1),
            real_of(oracle, "oracle", "doubt", 0, 100),
            real_of(oracle, "oracle", "fresh_seconds", 0, 1e9),
            real_of(oracle, "oracle", "hour", 0, 100),
            real_of(oracle, "oracle", "most", 0, 100),
        ),
        peg=real_of(depeg, "depeg", "threshold", 0, 1),
        peg_factor=real_of(depeg, "depeg", "factor", 0, 100),
        maintenance=real_of(table, "", "maintenance_part", 0, 1),
        haircuts=haircuts_of(table, ""),
        terms=terms_of(table, "collateral_terms", header),
        period=header.period,
    )


def _prices(scan: Table, confidence: float) -> tuple[float, ...]:
    """The listed moves, times the deviations that the confidence asks for over those they are listed at."""
    rows = value_of(scan, "scan", "prices")
    if not isinstance(rows, list) or not rows:
        raise TomlError(Fault.WRONG_TYPE, "scan.prices", "not an array of price moves")
    moves = [move_of(row, f"scan.prices[{number}]") for number, row in enumerate(rows)]
    for number in range(1, len(moves)):
        if moves[number] <= moves[number - 1]:
            raise TomlError(Fault.BAD_SCENARIOS, f"scan.prices[{number}]", "moves must ascend")
    listed = real_of(scan, "scan", "standard_deviations", 0.1, 100)
    distribution = text_of(scan, "scan", "distribution")
    if distribution not in ("normal", "student"):
        raise TomlError(Fault.UNKNOWN_KIND, "scan.distribution", f"{distribution!r}; known are normal, student")
    degrees = real_of(scan, "scan", "degrees", 2.01, 1_000)
    wanted = deviations(confidence, distribution, degrees)
    return tuple(move * wanted / listed for move in moves)


def _names(underlyings: Table) -> Mapping[str, Names]:
    if DEFAULT not in underlyings:
        raise TomlError(Fault.MISSING, at("underlyings", DEFAULT), "it has no default")
    names = {}
    for symbol in underlyings:
        one, where = table_of(underlyings, "underlyings", symbol), at("underlyings", symbol)
        only(one, where, ("scale", "depth", "option_depth"))
        names[symbol] = Names(
            real_of(one, where, "scale", 0.01, 10),
            real_of(one, where, "depth", 1, MOST_DOLLARS),
            real_of(one, where, "option_depth", 1, MOST_DOLLARS),
        )
    return names
