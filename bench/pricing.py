"""Prices and greeks beside QuantLib and vollib in the same run, and a risk array of a whole surface's moves."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from statistics import median
from time import perf_counter
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import QuantLib
import vollib.black  # type: ignore[import-untyped]
import vollib.black.greeks.analytical as vollib_greeks  # type: ignore[import-untyped]

from risk.black76_kernel import OUTPUTS, price_and_greeks
from risk.greeks import sensitivities
from risk.margin.book import Svi
from risk.surface.moves import Book, Moves, risk_array

THREADS: Final = 2
OPTIONS: Final = 400_000
PEER_OPTIONS: Final = 4_000
"""the peers price one option a call: this many tell their rate"""
INSTRUMENTS: Final = 2_000
SCENARIOS: Final = 256
EXPIRIES: Final = 12
ROUNDS: Final = 7
FloatArray = npt.NDArray[np.float64]
Options = tuple[npt.NDArray[np.bool_], FloatArray, FloatArray, FloatArray, FloatArray, FloatArray]


def options(count: int, seed: int = 1) -> Options:
    """Calls and puts of an hour to two years, within three deviations or so of the forward."""
    random = np.random.default_rng(seed)
    years, volatility = random.uniform(1 / 8760, 2.0, count), random.uniform(0.2, 1.5, count)
    forward = random.uniform(5e4, 1e5, count)
    strike = forward * np.exp(random.normal(0.0, 1.0, count) * volatility * np.sqrt(years))
    return random.random(count) < 0.5, forward, strike, volatility, years, random.uniform(0.0, 0.1, count)


def by_quantlib(rows: list[tuple[bool, float, float, float, float, float]]) -> None:
    """Price, delta, gamma, vega, theta, rho and vanna of each option, one calculator each."""
    for call, forward, strike, volatility, years, rate in rows:
        side = QuantLib.Option.Call if call else QuantLib.Option.Put
        deviation, discount = volatility * years**0.5, 2.718281828459045 ** (-rate * years)
        one = QuantLib.BlackCalculator(QuantLib.PlainVanillaPayoff(side, strike), forward, deviation, discount)
        one.value()
        one.deltaForward()
        one.gammaForward()
        one.vega(years)
        one.theta(forward, years)
        one.rho(years)
        one.vanna(forward, years)


def by_vollib(rows: list[tuple[bool, float, float, float, float, float]]) -> None:
    """Price, delta, gamma, vega, theta and rho of each option: it has no vanna."""
    for call, forward, strike, volatility, years, rate in rows:
        flag = "c" if call else "p"
        vollib.black.black(flag, forward, strike, years, rate, volatility)
        for greek in (
            vollib_greeks.delta,
            vollib_greeks.gamma,
            vollib_greeks.vega,
            vollib_greeks.theta,
            vollib_greeks.rho,
        ):
            greek(flag, forward, strike, years, rate, volatility)


def surface() -> tuple[tuple[Svi, ...], Book, Moves]:
    """Twelve expiries, options around each forward, and scenarios that move spot, level, skew and term."""
    random = np.random.default_rng(2)
    slices = tuple(
        Svi(0.2 * t, 0.08 * t**0.5, -0.3, 0.01, 0.1 * t**0.5, 90_000.0 * (1.0 + 0.05 * t), t)
        for t in np.geomspace(1 / 365, 1.5, EXPIRIES).tolist()
    )
    number = random.integers(0, EXPIRIES, INSTRUMENTS)
    wide = np.sqrt(np.array([one.tau for one in slices]))[number]
    strike = 90_000.0 * np.exp(random.normal(0.0, 0.5, INSTRUMENTS) * wide)
    spot, level, skew, term = (random.uniform(-one, one, SCENARIOS) for one in (0.4, 0.5, 0.2, 0.2))
    return slices, Book(random.random(INSTRUMENTS) < 0.5, strike, number), Moves(spot, level, skew, term)


def _seconds(calls: dict[str, Callable[[], Any]]) -> dict[str, float]:
    """Median seconds of each, rounds interleaved."""
    for call in calls.values():
        call()
    told: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(ROUNDS):
        for name, call in calls.items():
            begin = perf_counter()
            call()
            told[name].append(perf_counter() - begin)
    return {name: median(times) for name, times in told.items()}


def run() -> list[dict[str, Any]]:
    """Rates over interleaved rounds; the load is the machine's over the last minute, since others may be at work."""
    whole, few = options(OPTIONS), options(PEER_OPTIONS)
    rows = list(zip(*(one.tolist() for one in few), strict=True))
    out = np.empty((len(OUTPUTS), OPTIONS))
    slices, book, moves = surface()
    gains = np.empty((INSTRUMENTS, SCENARIOS))
    cuts = np.array_split(np.arange(OPTIONS), THREADS)
    outs = [np.empty((len(OUTPUTS), len(cut))) for cut in cuts]
    call, *columns = whole
    parts: list[Options] = []
    for cut in cuts:
        forward, strike, volatility, years, rates = (column[cut] for column in columns)
        parts.append((call[cut], forward, strike, volatility, years, rates))
    held = [slice(int(cut[0]), int(cut[-1]) + 1) for cut in np.array_split(np.arange(INSTRUMENTS), THREADS)]

    def portion(cut: slice) -> None:
        risk_array(slices, Book(book.call[cut], book.strike[cut], book.slice[cut]), moves, gains[cut])

    def greeks_of(part: tuple[Options, FloatArray]) -> None:
        call, forward, strike, volatility, years, rate = part[0]
        price_and_greeks(call, forward, strike, volatility, years, rate, part[1])

    with ThreadPoolExecutor(THREADS) as pool:
        took = _seconds(
            {
                "kernel": lambda: price_and_greeks(*whole, out),
                "threads": lambda: list(pool.map(greeks_of, zip(parts, outs, strict=True))),
                "numpy": lambda: sensitivities(*whole),
                "QuantLib": lambda: by_quantlib(rows),
                "vollib": lambda: by_vollib(rows),
                "array": lambda: risk_array(slices, book, moves, gains),
                "array, threads": lambda: list(pool.map(portion, held)),
            }
        )
    rate = {name: OPTIONS / took[name] for name in ("kernel", "threads", "numpy")}
    rate |= {name: PEER_OPTIONS / took[name] for name in ("QuantLib", "vollib")}
    load = os.getloadavg()[0]
    faster = max(rate["QuantLib"], rate["vollib"])
    one_core = {"one core": rate["kernel"], "numpy": rate["numpy"]}
    peers = {"QuantLib": rate["QuantLib"], "vollib": rate["vollib"], "load": load}
    return [
        {
            "name": "Black-76, price and 6 greeks",
            "value": rate["threads"],
            "unit": "options/s",
            "peers": one_core | peers,
        },
        {
            "name": "the same over the faster of QuantLib and vollib, both called option by option",
            "value": rate["threads"] / faster,
            "unit": "x",
            "goal": ">= 20",
            "peers": {"one core": rate["kernel"] / faster, "load": load},
        },
        {
            "name": f"risk array, {INSTRUMENTS:,} x {SCENARIOS}, whole surface moved",
            "value": 1e3 * took["array, threads"],
            "unit": "ms",
            "goal": "< 50",
            "peers": {"one core": 1e3 * took["array"], "load": load},
        },
    ]
