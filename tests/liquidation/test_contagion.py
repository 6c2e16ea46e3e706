"""Contagion: a cascade worked by hand, what must hold of every one, and pacing beside all at once."""

from math import exp, expm1, inf, sqrt

import numpy as np
import pytest

from ledger.state import genesis
from liquidation.contagion import Book, Cascade, Entry, Reprice, Rules, along_marks, book, cascade, worth
from liquidation.impact import Decay, Impact, Liquidity
from liquidation.pacing import PACES, Pace
from risk.profile import Netting
from risk.requirement import margin_accounts, scratch
from risk.tables import Market, Profiles, margins
from schemas.kinds import Kind, Payoff, Style
from schemas.limits import ARRAY_EXPONENT, BASIS_POINTS, MICRO

PERP, ETH_PERP, CALL = 1, 2, 3
MARK = 10_000
"""ticks of a cent: a lot is worth 100 dollars"""
TICK = 10_000
"""micro-dollars"""
LASTS = Impact(scale=1.0, cross=0.0, decay=Decay.NONE)
FADES = Impact(scale=1.0, cross=0.5, decay=Decay.EXPONENTIAL, rounds=6.0)


def tables(buffer: int = 0) -> tuple[Market, Profiles]:
    """Two perps on two underlyings and an option paid for; a profile that asks for a tenth of what is held."""
    state = genesis()
    m, p = state.market, state.profiles
    listed = slice(1, 4)
    m.kind[listed], m.payoff[listed] = (Kind.PERP, Kind.PERP, Kind.OPTION), Payoff.LINEAR
    m.style[listed] = (Style.FUTURES, Style.FUTURES, Style.PREMIUM)
    m.underlying[listed] = (0, 1, 0)
    m.tick_value[listed], m.mark[listed], m.marked[listed] = TICK, MARK, 1
    m.notional[listed] = MARK * TICK
    m.delta[listed] = MARK * TICK << ARRAY_EXPONENT
    m.asset_price[0], m.asset_scale[0] = MICRO, MICRO
    losses = np.zeros((len(m.kind), 2), np.int64)
    losses[listed] = np.array([1, -1]) * (MARK * TICK // 10 << ARRAY_EXPONENT)
    p.width[0], p.netting[0], p.gain[0] = 2, Netting.UNDERLYING, BASIS_POINTS
    p.initial[0], p.buffer[0] = 12_000, buffer
    p.has_row[0], p.largest[0] = 1, np.abs(losses).max(axis=1)
    return m, p._replace(losses=losses.reshape(-1))


def of(cash: list[float], held: list[tuple[int, int, int]]) -> Book:
    """Accounts with dollars and positions (row, instrument, lots), opened at the mark."""
    columns = np.array(held, np.int64).reshape(-1, 3).T
    size = len(cash)
    cost = columns[2] * MARK * TICK
    balance = np.zeros((size, 8), np.int64)
    balance[:, 0] = np.rint(np.array(cash) * MICRO)
    zeros = np.zeros(size, np.int64)
    entry = Entry(columns[0], columns[1], columns[2], cost, np.zeros_like(cost))
    return book(np.arange(size) + 16, zeros, zeros, balance, entry)


def liquidity(volume: float = 14_375.0) -> Liquidity:
    return Liquidity(np.array([0.05, 0.05]), np.full(2, volume), np.array([[1.0, 0.8], [0.8, 1.0]]))


def run(start: Book, size: float, rules: Rules, reprice: Reprice | None = None) -> Cascade:
    return cascade(start, reprice or along_marks(*tables()), np.array([size, 0.0]), 0.0, rules)


def crowd(seed: int, accounts: int = 150) -> Book:
    """Random positions, each with another account on its other side, and cash for some of them."""
    draw = np.random.Generator(np.random.Philox(seed))
    held: dict[tuple[int, int], int] = {}
    for _ in range(4 * accounts):
        a, b = draw.choice(accounts, 2, replace=False).tolist()
        instrument, lots = int(draw.integers(1, 4)), int(draw.integers(1, 60))
        held[a, instrument] = held.get((a, instrument), 0) + lots
        held[b, instrument] = held.get((b, instrument), 0) - lots
    cash = (draw.gamma(2.0, 1_500.0, accounts)).tolist()
    return of(cash, [(a, i, lots) for (a, i), lots in held.items() if lots])


def leaning(seed: int, side: int, accounts: int = 150) -> Book:
    """All on one side against one rich maker, at leverages of about two to eight."""
    draw = np.random.Generator(np.random.Philox(seed))
    lots = draw.integers(1, 100, (accounts, 2))
    held = [(a, i + 1, side * int(lots[a, i])) for a in range(accounts) for i in range(2)]
    held += [(accounts, i + 1, -side * int(lots[:, i].sum())) for i in range(2)]
    cash = lots.sum(axis=1) * 100 * draw.uniform(0.13, 0.6, accounts)
    return of([*cash.tolist(), 1e9], held)


def rules(volume: float = 3e6, **rest: object) -> Rules:
    return Rules(**({"impact": FADES, "liquidity": liquidity(volume), "rounds": 400} | rest))  # type: ignore[arg-type]


def test_two_accounts_one_after_the_other_by_hand() -> None:
    start = of([900.0, 1_900.0, 50_000.0], [(0, PERP, 100), (1, PERP, 100), (2, PERP, -200)])
    told = run(start, -0.08, Rules(LASTS, liquidity(), pieces=1))
    # 92 dollars a lot: the first has 900 - 800 < 920 and sells 9,200; the second has 1,100
    first = sqrt(9_200 / 14_375) * 0.05
    second_price = round(9_200 * exp(-first)) / 100
    first_cost = 9_200 * -expm1(-first * 2 / 3)
    # 88.39: the second has 739 < 884 and sells too
    q0, q1 = 9_200.0, 9_200 + second_price * 100
    last = sqrt(q1 / 14_375) * 0.05
    third_price = round(9_200 * exp(-last)) / 100
    mean = 0.05 / sqrt(14_375) * (2 / 3) * (q1**1.5 - q0**1.5) / (q1 - q0)
    second_cost = second_price * 100 * -expm1(-(mean - first))
    assert told.entered.tolist() == [1, 2, 0]
    assert told.failures() == [(1, 0), (2, 1)]
    assert told.settled
    assert [(one.failed, one.liquidating) for one in told.rounds] == [(1, 1), (1, 1), (0, 0)]
    assert [one.cost for one in told.rounds] == pytest.approx([first_cost, second_cost, 0.0], abs=0.01)
    assert [one.sold for one in told.rounds] == pytest.approx([9_200, second_price * 100, 0], abs=0.5)
    after = [
        900 - 800 - first_cost,
        1_900 - (100 - second_price) * 100 - second_cost,
        50_000 + (100 - third_price) * 200,
    ]
    assert told.after.tolist() == pytest.approx(after, abs=0.6)
    assert told.first_loss == pytest.approx(1_600)
    assert told.loss == pytest.approx(900 + 1_900 - after[0] - after[1], abs=0.6)
    assert told.multiplier == pytest.approx(told.loss / 1_600)
    assert told.deficits.tolist() == pytest.approx([first_cost - 100, 0.0, 0.0], abs=0.01)


def test_no_shock_no_failures() -> None:
    start = of([5_000.0, 5_000.0], [(0, PERP, 100), (1, PERP, -100)])
    told = run(start, 0.0, rules())
    assert (told.settled, len(told.rounds), told.sold, told.loss, told.multiplier) == (True, 1, 0.0, 0.0, 1.0)
    assert not told.entered.any()


def test_part_is_sold_where_part_heals() -> None:
    start = of([1_700.0, 90_000.0], [(0, PERP, 100), (1, PERP, -100)])
    told = run(start, -0.08, Rules(LASTS, liquidity(1e12)))
    # 900 of equity against 920: 1 - 900 / 1,104 of 100 lots is 19; a quarter goes at least
    assert told.rounds[0].sold == pytest.approx(25 * 92)
    assert [one.liquidating for one in told.rounds] == [1, 0]


@pytest.mark.parametrize("size", [-0.35, -0.1, 0.25])
@pytest.mark.parametrize("pace", [PACES[0], Pace("some", 0.3)])
def test_what_is_lost_is_gained_by_others(size: float, pace: Pace) -> None:
    told = run(crowd(1), size, rules(pace=pace))
    assert told.sold > 0.0
    # rounding the marks' products and the books' costs: far below a cent an account
    assert told.gain + told.buyers - told.loss == pytest.approx(told.revalued, abs=0.01)
    assert told.revalued == pytest.approx(0.0, abs=0.01)


def test_conservation_without_impact_leaves_buyers_with_what_the_marks_gave() -> None:
    told = run(crowd(2), -0.3, rules(impact=LASTS._replace(scale=0.0)))
    assert told.sold > 0.0
    assert told.cost == 0.0
    assert told.buyers == pytest.approx(0.0, abs=0.01)
    assert told.multiplier == pytest.approx(1.0)


@pytest.mark.parametrize("pace", [PACES[0], Pace("some", 0.3)])
@pytest.mark.parametrize("size", [-0.3, 0.2])
def test_a_fixed_point_is_one(size: float, pace: Pace) -> None:
    """Margined anew at the end, nobody is in breach who still holds anything; at the start many were."""
    start = crowd(3)
    reprice = along_marks(*tables())
    told = run(start, size, rules(pace=pace), reprice)
    assert told.settled
    market, profiles = reprice(told.moves, 0.0)
    accounts = len(start.numbers)
    out = margins(accounts)
    for held, breached in ((start, True), (told.left, False)):
        positions = np.bincount(held.whose, held.holdings.quantity[: len(held.whose)] != 0, accounts)
        holding = np.flatnonzero(positions).astype(np.int64)
        assert len(holding) > 10
        margin_accounts(holding, held.holdings, market, profiles, scratch(len(market.kind), 0), out)
        falls = out.equity[holding] < out.maintenance[holding] + out.buffer[holding]
        # who was ever in liquidation covers its initial margin, not maintenance alone
        falls |= (told.entered[holding] > 0) & (out.equity[holding] < out.initial[holding])
        assert bool(falls.any()) is breached
    assert worth(told.left, market) == pytest.approx(told.after)


def test_a_cascade_that_is_cut_says_so_and_bounds_its_rounds() -> None:
    cut = run(crowd(3), -0.3, rules(rounds=2))
    assert (cut.settled, len(cut.rounds)) == (False, 2)
    whole = run(crowd(3), -0.3, rules(rounds=10_000))
    assert whole.settled
    assert len(whole.rounds) <= 4 * 150 + 1


@pytest.mark.parametrize("seed", [4, 5, 6])
@pytest.mark.parametrize("side", [1, -1])
def test_a_larger_shock_against_those_on_one_side_takes_more(seed: int, side: int) -> None:
    told = [run(leaning(seed, side), -side * size, rules()) for size in (0.05, 0.1, 0.2, 0.3, 0.4)]
    for values in (
        [one.first_loss for one in told],
        [one.loss for one in told],
        [float(one.deficits.sum()) for one in told],
        [int((one.entered > 0).sum()) for one in told],
    ):
        assert values == sorted(values)
    assert told[-1].multiplier > 1.02


@pytest.mark.parametrize("seed", [4, 5, 6, 7])
@pytest.mark.parametrize(("side", "size"), [(1, -0.3), (1, -0.15), (-1, 0.2)])
def test_pacing_one_sided_sales_never_loses_more_where_impact_fades(seed: int, side: int, size: float) -> None:
    told = [
        run(leaning(seed, side), size, rules(pace=Pace("a pace", participation)))
        for participation in (inf, 2.0, 1.0, 0.5, 0.2)
    ]
    assert all(one.settled for one in told)
    for paced in told[1:]:
        assert paced.loss <= told[0].loss + 1e-6
        assert paced.cost <= told[0].cost + 1e-6
    assert told[-1].deficits.sum() <= told[0].deficits.sum()
    assert told[-1].multiplier < told[0].multiplier


def test_pacing_holds_back() -> None:
    told = run(crowd(4), -0.3, rules(pace=Pace("paced", 0.5)))
    once = run(crowd(4), -0.3, rules())
    assert told.rounds[0].waiting > 0.0
    assert len(told.rounds) > len(once.rounds)
    assert told.cost < once.cost
