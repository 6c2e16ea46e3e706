"""A cascade of liquidations over a book of 100,000 accounts: shock, margins of all, sales, impact, and round again."""

from __future__ import annotations

from time import perf_counter
from typing import Any, Final

import numpy as np

from bench.fold import GROUPS, INSTRUMENTS, PROFILE, prepared
from liquidation.contagion import Book, Cascade, Entry, Rules, along_marks, book, cascade
from liquidation.impact import Impact, Liquidity
from liquidation.pacing import Pace
from risk.tables import Market
from schemas.limits import MICRO

ACCOUNTS: Final = 100_000
HELD: Final = 10
UNDERLYINGS: Final = 4
ROUNDS: Final = 20
SHOCK: Final = -0.3


def full_book(accounts: int, market: Market) -> Book:
    """Accounts with ten positions each, long for the most part, from little to much cash for what they hold."""
    draw = np.random.default_rng(11)
    whose = np.repeat(np.arange(accounts), HELD)
    per = INSTRUMENTS // GROUPS
    instrument = 1 + (whose % GROUPS) * per + np.tile(np.arange(HELD) % per, accounts)
    quantity = draw.integers(1, 200, len(whose)) * np.where(draw.random(len(whose)) < 0.8, 1, -1)
    cost = quantity * market.mark[instrument] * market.tick_value[instrument]
    gross = np.bincount(whose, np.abs(cost), accounts)
    balance = np.zeros((accounts, 8), np.int64)
    balance[:, 0] = (gross * draw.uniform(0.05, 0.6, accounts)).astype(np.int64)
    profile, zeros = np.full(accounts, PROFILE, np.int64), np.zeros(accounts, np.int64)
    held = Entry(whose, instrument, quantity, cost, np.zeros_like(cost))
    return book(np.arange(accounts), profile, zeros, balance, held)


def followed(accounts: int, rounds: int) -> tuple[Cascade, float]:
    """A cascade paced so slowly that it is cut after so many rounds, and its seconds."""
    state = prepared(accounts)
    whole = full_book(accounts, state.market)
    notional = np.abs(whole.holdings.quantity) * state.market.notional[whole.holdings.instrument] / MICRO
    interest = np.bincount(state.market.underlying[whole.holdings.instrument], notional, UNDERLYINGS).astype(np.float64)
    market = Liquidity(np.full(UNDERLYINGS, 0.05), interest, np.full((UNDERLYINGS, UNDERLYINGS), 0.8))
    rules = Rules(Impact(), market, Pace("a fiftieth", 0.02), rounds)
    reprice = along_marks(state.market, state.profiles)
    begun = perf_counter()
    told = cascade(whole, reprice, np.full(UNDERLYINGS, SHOCK), 0.0, rules)
    return told, perf_counter() - begun


def run() -> list[dict[str, Any]]:
    """The cascade's figures."""
    followed(1_000, 2)
    told, seconds = followed(ACCOUNTS, ROUNDS)
    return [
        {
            "name": "cascade of 100,000 accounts with ten positions, 20 rounds",
            "value": seconds,
            "unit": "s",
            "goal": "< 5",
            "peers": {
                "rounds": len(told.rounds),
                "accounts that failed": int((told.entered > 0).sum()),
                "loss multiplier": told.multiplier,
            },
        }
    ]
