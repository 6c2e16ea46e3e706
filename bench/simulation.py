"""Monte Carlo: from a seed to the loss matrix of 2,000 options in 10,000 states; a portfolio's tail and its spread."""

from __future__ import annotations

import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from importlib.resources import files
from itertools import pairwise
from statistics import median, stdev
from time import perf_counter
from typing import Any, Final, NamedTuple

import numpy as np
from scipy.special import ndtr

from risk import black76
from risk.margin.book import Expiry, Instrument, Kind, Market, Portfolio, Position, Svi, Underlying
from risk.margin.exact import exactly
from risk.margin.policy import calculator
from risk.simulation.copula import factor
from risk.simulation.draws import FloatArray, I64Array, Plan, draws
from risk.simulation.paths import Returns, Smile, States, states
from risk.simulation.revalue import Contracts, quantised_option_losses
from risk.simulation.tail import expected_shortfall, student_shortfall
from risk.volatility import YEAR

THREADS: Final = 2
ROUNDS: Final = 7
UNDERLYINGS: Final = 4
EXPIRIES: Final = 10
BLOCK: Final = 1 << 13
"""numbers at once in the machine's limit: they stay in the nearest cache"""
QUANTUM: Final = 1e9
SHARE: Final = Fraction(1, 100)
PLAN: Final = Plan(10_000, 1, 4.0, True, 3.0)
SPOTS: Final = np.array([95_000.0, 3_300.0, 180.0, 20.0])
DAY: Final = 86_400_000_000


class Rows(NamedTuple):
    """The options, and what the limit is measured on."""

    contracts: Contracts
    terms: FloatArray
    """[underlying and expiry] power of time by which its volatility moves"""


def options(count: int, seed: int = 1) -> Rows:
    """Calls and puts of ten expiries of four underlyings, strikes from half of the forward to twice it."""
    random = np.random.Generator(np.random.Philox(seed))
    on, curve = random.integers(0, UNDERLYINGS, count), random.integers(0, EXPIRIES, count)
    ends = np.geomspace(2.0, 500.0, EXPIRIES) / 365.0
    forward, years = SPOTS[on], ends[curve]
    strike = forward * np.exp(random.uniform(-0.7, 0.7, count))
    volatility, call = random.uniform(0.3, 1.2, count), random.random(count) < 0.5
    left = years - 1.0 / 365.0
    return Rows(
        Contracts(
            on,
            on * EXPIRIES + curve,
            call,
            forward,
            np.log(forward / strike),
            strike,
            volatility,
            np.sqrt(left)[None],
            np.exp(-0.05 * left)[None],
            black76.price(call, forward, strike, volatility, years, 0.05),
        ),
        np.tile((30.0 / 365.0 / ends) ** 0.3, UNDERLYINGS),
    )


def simulated(plan: Plan) -> States:
    """From the seed to the states: points, quantiles, correlation, prices and volatilities a day ahead."""
    drawn = draws.__wrapped__(plan, 2 * UNDERLYINGS)
    loadings = factor([str(n) for n in range(UNDERLYINGS)], {}, 0.7)
    deviations = np.array([0.6, 0.75, 0.9, 0.9])
    return states(drawn, loadings, deviations, 1.0 / 365.0, Smile(-0.5, 1.2, 5.0), Returns(False, 5.0))


def matrix(rows: Rows, plan: Plan, out: I64Array, pool: ThreadPoolExecutor) -> None:
    """All of the work: states from the seed, then every option revalued in every one of them, as whole quanta."""
    made = simulated(plan)
    logarithms = np.log(made.prices)
    on = np.repeat(np.arange(UNDERLYINGS), EXPIRIES)
    volatilities = np.exp(made.volatilities[on] * rows.terms[:, None, None])
    money = np.ones(made.prices.shape[1:])
    cuts = np.linspace(0, len(out), 8 * THREADS + 1).astype(int)

    def part(cut: tuple[int, int]) -> int:
        return quantised_option_losses(
            rows.contracts,
            made.prices,
            logarithms,
            volatilities,
            money,
            1.0,
            QUANTUM,
            int(cut[0]),
            out[cut[0] : cut[1]],
        )

    if any(refused >= 0 for refused in pool.map(part, pairwise(cuts))):
        raise RuntimeError("bench/simulation: a loss does not fit: the data is not what is meant to be measured")


def limit(count: int, pool: ThreadPoolExecutor) -> None:
    """What no revaluation of so many options does without: two normal distributions and an exponential, by scipy and
    numpy, on blocks that stay in the cache."""
    block = np.linspace(-4.0, 4.0, BLOCK)

    def part(times: int) -> None:
        out = np.empty(BLOCK)
        for _ in range(times):
            ndtr(block, out)
            ndtr(block, out)
            np.exp(block, out)

    list(pool.map(part, [count // BLOCK // THREADS] * THREADS))


def plainly(rows: Rows, count: int, made: States) -> None:
    """The same by this project's array formula: `count` rows."""
    own = rows.contracts
    black76.price(
        own.call[:count, None],
        own.forward[:count, None] * made.prices[own.price_row[:count], 0],
        own.strike[:count, None],
        own.volatility[:count, None],
        (own.root_years[0, :count] ** 2)[:, None],
        0.05,
    )


def book(legs: int, seed: int = 2) -> tuple[Portfolio, Market]:
    """One account with so many options and a perp, and its market of one underlying with smiles."""
    now, random = 1_768_982_400_000_000, np.random.Generator(np.random.Philox(seed))
    ends = [now + days * DAY for days in (9, 37, 156)]
    spot = float(SPOTS[0])
    expiries = {}
    for end in ends:
        years = (end - now) / YEAR
        smile = Svi(0.18 * years, 0.05 * float(np.sqrt(years)), -0.3, 0.02, 0.13, spot, years)
        expiries[end] = Expiry(end, spot, 0.05, smile=smile)
    market = Market(now, "USDC", 1.0, {"BTC": Underlying(spot, expiries=expiries)})
    held = [Position(Instrument(Kind.PERP, "BTC"), Fraction(-3, 2))]
    for _ in range(legs - 1):
        strike = 1_000.0 * float(random.integers(60, 140))
        instrument = Instrument(Kind.OPTION, "BTC", ends[random.integers(3)], strike, bool(random.integers(2)))
        held.append(Position(instrument, Fraction(int(random.integers(-500, 500)), 100)))
    return Portfolio("A-1", positions=tuple(held)), market


def spread(plan: Plan, seeds: int = 20) -> float:
    """Relative deviation across seeds of a linear t(4) book's expected shortfall."""
    held = np.array([3.0, -1.0, 2.0, 1.0]) * np.array([0.6, 0.75, 0.9, 0.9]) / np.sqrt(365.0)
    correlation = np.full((UNDERLYINGS, UNDERLYINGS), 0.7) + 0.3 * np.eye(UNDERLYINGS)
    closed = student_shortfall(0.01, 4.0) * float(np.sqrt(held @ correlation @ held))
    found = []
    for seed in range(seeds):
        made = simulated(plan._replace(seed=seed))
        losses = -(np.array([3.0, -1.0, 2.0, 1.0]) @ (made.prices[:, 0] - 1.0))
        found.append(float(expected_shortfall(losses, made.weights, SHARE)) / closed)
    return stdev(found)


def timed(call: Callable[[], Any]) -> float:
    begin = perf_counter()
    call()
    return perf_counter() - begin


def run(instruments: int = 2_000, paths: int = 10_000) -> list[dict[str, Any]]:
    """Medians over interleaved rounds."""
    rows, plan = options(instruments), PLAN._replace(paths=paths)
    out = np.zeros((instruments, 1, paths), np.int64)
    work = instruments * paths
    some = max(1, min(instruments, 100))
    made = simulated(plan)
    portfolio, market = book(20)
    text = (files("risk.margin") / "profiles" / "monte_carlo_es.toml").read_text("utf-8")
    asked = calculator(text, {"simulation": {"paths": paths}})
    along = calculator(text, {"simulation": {"paths": paths, "steps": 8}})
    with ThreadPoolExecutor(THREADS) as pool:
        calls: dict[str, Callable[[], Any]] = {
            "matrix": lambda: matrix(rows, plan, out, pool),
            "states": lambda: simulated(plan),
            "limit": lambda: limit(work, pool),
            "arrays": lambda: plainly(rows, some, made),
            "fill": lambda: out.fill(1),
            "portfolio": lambda: asked.assess(portfolio, market, exactly),
            "paths": lambda: along.assess(portfolio, market, exactly),
        }
        for call in calls.values():
            call()
        times: dict[str, list[float]] = {name: [] for name in calls}
        for _ in range(ROUNDS):
            for name, call in calls.items():
                times[name].append(timed(call))
    seconds = {name: median(values) for name, values in times.items()}
    seconds["arrays"] *= instruments / some
    quasi, plain = spread(plan), spread(plan._replace(quasi=False, tilt=1.0))
    what = f"{instruments} options x {paths} states, {THREADS} threads"
    return [
        {
            "name": f"Monte Carlo, seed to int64 loss matrix, {what}",
            "value": seconds["matrix"],
            "unit": "s",
            "goal": "< 1",
            "peers": {
                "of which states": round(seconds["states"], 4),
                "2 ndtr + exp an option (scipy, numpy, same threads)": round(seconds["limit"], 3),
                "black76.price on arrays, one thread": round(seconds["arrays"], 2),
                "filling the matrix": round(seconds["fill"], 3),
            },
        },
        {
            "name": "Monte Carlo matrix / ndtr and exp of the machine",
            "value": seconds["limit"] / seconds["matrix"],
            "unit": "",
            "goal": None,
            "peers": {},
        },
        {
            "name": f"Monte Carlo ES of a portfolio of 20, {paths} paths, exact, draws known",
            "value": seconds["portfolio"] * 1e3,
            "unit": "ms",
            "goal": None,
            "peers": {"worst of 8 points": round(seconds["paths"] * 1e3, 1)},
        },
        {
            "name": f"ES 99 % of a t(4) book, spread across 20 seeds, {paths} paths",
            "value": quasi,
            "unit": "",
            "goal": "<= 0.01",
            "peers": {"plain sampling": round(plain, 4)},
        },
    ]


if __name__ == "__main__":
    for line in run(*(int(argument) for argument in sys.argv[1:])):
        beside = "".join(f"   {name} {value}" for name, value in line["peers"].items())
        print(f"{line['name']}: {line['value']:.3g} {line['unit']}   goal {line['goal'] or '-'}{beside}")
