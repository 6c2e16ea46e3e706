"""The walk over made-up history: no look-ahead, losses by hand, margins whose verdict is known."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from risk import black76
from risk.backtest import laying
from risk.backtest.laying import PeriodTooLong, lay, losses, smile, usable
from risk.backtest.past import (
    BURN_IN,
    CARRY_HOURS,
    HOUR,
    HOURS_A_YEAR,
    RATIO,
    NotAscending,
    Past,
    Path,
    Records,
    known,
    past,
    realised_volatility,
)
from risk.backtest.portfolios import BOOKS, Book, Leg
from risk.backtest.verdicts import FORESIGHT, NOTHING, Verdict, grid_starts, judged, period_hours, pooled, references
from risk.backtest.walk import history, market, portfolio, walk
from risk.margin.answer import Assessment
from risk.margin.book import Kind, Market, Portfolio
from risk.margin.exact import Fact
from risk.margin.model import Calculator, Header, MarginPeriod

DAY = 24
HOURS = 60 * DAY
BEGAN = 1_600_000_000_000_000 // HOUR * HOUR
GRID = BEGAN + HOUR * np.arange(HOURS)
NAMED = {one.name: one for one in BOOKS}
FloatArray = npt.NDArray[np.float64]


def random_records(seed: int = 1) -> dict[str, Records]:
    draws = np.random.Generator(np.random.Philox(seed))
    answer = {}
    for name, start in {"BTC": 30_000.0, "ETH": 2_000.0, "LINK": 20.0, "SOL": 50.0}.items():
        spot = start * np.exp(np.cumsum(draws.normal(0.0, 0.01, HOURS)))
        perp = spot * (1.0 + draws.normal(0.0, 0.0005, HOURS))
        paid = (GRID[::8], draws.normal(1e-4, 1e-4, len(GRID[::8])))
        index = (GRID[200:], 0.8 + 0.1 * draws.random(HOURS - 200)) if name == "BTC" else None
        answer[name] = Records((GRID, spot), (GRID, perp), paid, index)
    return answer


def shuffled_after(records: dict[str, Records], hour: int) -> dict[str, Records]:
    """The same records up to and with that hour, all later values in another order and twice as large."""
    draws = np.random.Generator(np.random.Philox(99))

    def other(series: tuple[npt.NDArray[np.int64], FloatArray] | None):  # type: ignore[no-untyped-def]
        if series is None:
            return None
        times, values = series
        later = times > GRID[hour]
        changed = values.copy()
        changed[later] = 2.0 * draws.permutation(values[later])
        return times, changed

    return {
        name: Records(other(one.spot), other(one.perp), other(one.funding), other(one.index))
        for name, one in records.items()
    }


def seen(one: Market) -> tuple[object, ...]:
    """All that a market says, in a form that compares."""
    assert one.history is not None
    told = one.history
    parts = (told.times, told.returns, told.volatility_moves)
    return (repr(replace(one, history=None)), told.underlyings, told.proxy, *(part.tobytes() for part in parts))


HEADER = Header("made up", "2020-01-01", "", "", "made-up", 0.99, MarginPeriod(0.0, 24.0, 0.0), 20, (), 0.0)


def model(require: Callable[[Portfolio, Market], float], header: Header = HEADER) -> Calculator:
    def assess(portfolio: Portfolio, market: Market, fact: Fact) -> Assessment:
        needed = fact(require(portfolio, market))
        return Assessment(needed, needed * 0.5, fact(0.0), fact(0.0), notes=("made up",))

    return Calculator(header, "", assess)


def flat(share: float) -> Calculator:
    """A part of each position's notional."""

    def require(portfolio: Portfolio, market: Market) -> float:
        return share * sum(
            abs(float(one.quantity)) * market.underlyings[one.instrument.underlying].spot for one in portfolio.positions
        )

    return model(require)


def by_path(spot: list[float], **other: FloatArray) -> Past:
    prices = np.array(spot)
    nothing = np.zeros(len(prices))
    plain = {"perp": prices, "carry": nothing, "funding": nothing, "volatility": nothing + 0.8} | other
    path = Path(prices, proxied=np.zeros(len(prices), bool), **plain)
    return Past(GRID[: len(prices)], {"BTC": path, "ETH": path})


def verdict_of(story: Past, book: Book, calculator: Calculator, hours: int = DAY, step: int = DAY) -> Verdict:
    starts = usable(story, book, grid_starts(story, int(GRID[0]), int(GRID[-1]) + 1, step), hours)
    laid = lay(story, book, starts)
    asked = walk(story, laid, calculator)
    return judged("made up", story, laid, losses(story, laid, hours), asked, hours, step, 0.01)


@pytest.mark.parametrize("book", BOOKS, ids=lambda one: one.name)
def test_what_is_asked_at_a_start_does_not_depend_on_what_comes_after(book: Book) -> None:
    cut = 40 * DAY
    records = random_records()
    plain, other = past(GRID, records), past(GRID, shuffled_after(records, cut))
    starts = usable(plain, book, np.array([cut - 3 * DAY, cut - 1, cut, cut + 1]), DAY)
    assert len(starts) == 4
    laid, laid_other = lay(plain, book, starts), lay(other, book, starts)
    for number in range(3):
        assert seen(market(plain, laid, number, 20)) == seen(market(other, laid_other, number, 20))
        assert portfolio(laid, number) == portfolio(laid_other, number)
    assert seen(market(plain, laid, 3, 20)) != seen(market(other, laid_other, 3, 20))

    def everything(portfolio: Portfolio, market: Market) -> float:
        assert market.history is not None
        worth = sum(abs(float(one.quantity)) for one in portfolio.positions)
        return worth * float(np.abs(market.history.returns).sum()) * next(iter(market.underlyings.values())).spot

    asked, asked_other = (walk(one, two, model(everything)) for one, two in ((plain, laid), (other, laid_other)))
    assert asked.initial[:3].tolist() == asked_other.initial[:3].tolist()
    assert asked.initial[3] != asked_other.initial[3]
    # what was lost does: the future is another one
    assert np.all(losses(plain, laid, DAY).end[2:] != losses(other, laid_other, DAY).end[2:])


def test_a_value_is_known_from_its_time_on_and_for_so_long() -> None:
    told = known(GRID[:8], GRID[[2, 5]], np.array([1.0, 2.0]), 1)
    assert np.array_equal(told, [np.nan, np.nan, 1.0, 1.0, np.nan, 2.0, 2.0, np.nan], equal_nan=True)
    with pytest.raises(NotAscending):
        known(GRID[:8], GRID[[5, 2]], np.array([1.0, 2.0]), 1)


def test_volatility_is_the_index_where_there_is_one_and_a_ratio_of_realised_elsewhere() -> None:
    records = random_records()
    times, values = records["BTC"].index or (GRID, GRID)
    gap = (times >= GRID[600]) & (times < GRID[620])
    records["BTC"] = replace(records["BTC"], index=(times[~gap], values[~gap]))
    told = past(GRID, records).paths
    btc, eth = told["BTC"], told["ETH"]
    assert btc.volatility[300] == pytest.approx(values[100]) and not btc.proxied[300]
    realised = realised_volatility(btc.spot)
    assert btc.volatility[610] == pytest.approx(realised[610] * values[399] / realised[599])
    assert btc.proxied[610] and eth.proxied.all()
    assert eth.volatility[300] == pytest.approx(realised_volatility(eth.spot)[300] * values[100] / realised[300])
    # before the index: the stated ratio; before enough moves: nothing
    assert btc.volatility[190] == pytest.approx(RATIO * realised[190])
    assert np.isnan(btc.volatility[BURN_IN - 1]) and np.isfinite(btc.volatility[BURN_IN])


def test_realised_volatility_of_equal_moves_is_their_size() -> None:
    prices = 100.0 * np.exp(0.01 * (np.arange(400) % 2))
    assert realised_volatility(prices)[-1] == pytest.approx(0.01 * HOURS_A_YEAR**0.5)


def test_carry_is_the_mean_of_what_was_paid() -> None:
    rates = np.full(len(GRID[::8]), 1e-4)
    told = past(GRID, {"BTC": Records((GRID, np.full(HOURS, 100.0)), funding=(GRID[::8], rates))}).paths["BTC"]
    assert told.carry[CARRY_HOURS * 2] == pytest.approx(3 * 365 * 1e-4)
    assert told.funding[16] - told.funding[8] == pytest.approx(0.01)


def test_losses_of_perps_by_hand() -> None:
    paid = np.array([0.0, 0.0, 1.0, 1.0])
    story = by_path([100.0, 90.0, 80.0, 95.0], funding=paid)
    laid = lay(story, NAMED["long-btc"], np.array([0]), 100_000.0)
    assert laid.legs[0].quantity[0] == pytest.approx(1_000.0)
    told = losses(story, laid, 3)
    assert told.end[0] == pytest.approx(1_000 * (5.0 + 1.0))
    assert told.worst[0] == pytest.approx(1_000 * (20.0 + 1.0))
    short = losses(story, lay(story, NAMED["short-btc"], np.array([0]), 100_000.0), 3)
    assert short.end[0] == pytest.approx(-6_000.0)
    assert short.worst[0] == 0.0  # the start itself is in the period
    hedged = losses(story, lay(story, NAMED["btc-eth"], np.array([0])), 3)
    assert hedged.end[0] == pytest.approx(0.0)
    on_eth = replace(NAMED["long-btc"], collateral="ETH")
    assert losses(story, lay(story, on_eth, np.array([0]), 100_000.0), 3).end[0] == pytest.approx(11_000.0)


def test_losses_of_inverse_contracts_are_counted_in_coins() -> None:
    story = by_path([100.0, 50.0])
    laid = lay(story, NAMED["long-btc"], np.array([0]), 100_000.0)
    # 1,000 coins' worth at 100: at 50 the loss is 1,000 (1 - 100 / 50) coins, 100 dollars each at the start
    assert losses(story, laid, 1, "BTC").end[0] == pytest.approx(100_000.0)
    call = Book("call", "", (Leg(Kind.OPTION, "BTC", 1.0, 30, 1.0, True),))
    laid = lay(story, call, np.array([0]), 100_000.0)
    leg = laid.legs[0]
    years = [30 / 365, (30 * DAY - 1) / 24 / 365]
    marks = [
        float(black76.price(True, spot, leg.strike[0], _smile(spot, leg.strike[0], t), t))
        for spot, t in zip((100.0, 50.0), years, strict=True)
    ]
    assert losses(story, laid, 1).end[0] == pytest.approx(1_000 * (marks[0] - marks[1]))
    assert losses(story, laid, 1, "BTC").end[0] == pytest.approx(1_000 * (marks[0] / 100 - marks[1] / 50) * 100)


def _smile(forward: float, strike: float, years: float) -> float:
    one = [np.array([value]) for value in (0.8, forward, strike, years)]
    return float(smile(*one)[0])


def test_losses_begin_at_the_price_that_the_model_is_told() -> None:
    story = past(GRID, random_records())
    laid = lay(story, NAMED["short-strangle"], np.array([30 * DAY]))
    curve = next(iter(market(story, laid, 0, 20).underlyings["BTC"].expiries.values()))
    assert isinstance(curve.smile, dict) and len(curve.smile) == 2
    for leg in laid.legs:
        told = black76.price(leg.call, curve.forward, leg.strike, curve.smile[float(leg.strike[0])], 30 / 365)
        assert laying.worth(story, leg, laid.starts[:, None])[0, 0] == pytest.approx(float(told[0]))


def test_a_hedged_book_has_no_delta(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a flat smile a small move costs nothing but gamma; the skew's share of the delta is left."""
    still, moved = by_path([100.0] * 2), by_path([100.0, 100.01])
    call = Book("call", "", (Leg(Kind.OPTION, "BTC", -1.0, 7, 1.0, True),))
    start = np.array([0])

    def lost(book: Book) -> float:
        laid, other = lay(moved, book, start), lay(still, book, start)
        return float((losses(moved, laid, 1).end - losses(still, other, 1).end)[0])

    hedged = replace(call, hedged=True)
    assert len(lay(moved, hedged, start).legs) == 2
    assert lost(call) > 5.0 and abs(lost(hedged)) < 0.5
    monkeypatch.setattr(laying, "SKEW", 0.0)
    monkeypatch.setattr(laying, "CURVE", 0.0)
    assert abs(lost(hedged)) < 0.02


def test_an_option_that_dies_in_the_period_is_refused() -> None:
    story = by_path([100.0] * (8 * DAY))
    with pytest.raises(PeriodTooLong, match="BTC option"):
        losses(story, lay(story, NAMED["short-gamma"], np.array([0])), 7 * DAY)


def test_no_margin_is_breached_by_every_loss_and_foresight_by_none() -> None:
    story = past(GRID, random_records())
    book = NAMED["short-strangle"]
    starts = usable(story, book, grid_starts(story, int(GRID[0]), int(GRID[-1]) + 1, DAY), DAY)
    laid = lay(story, book, starts)
    lost = losses(story, laid, DAY)
    told = {
        name: judged(name, story, laid, lost, asked, DAY, DAY, 0.01) for name, asked in references(laid, lost).items()
    }
    assert len(told[NOTHING].breaches) == int((lost.end > 0).sum()) > 5
    assert told[NOTHING].average == 0.0 and told[NOTHING].peak_to_trough is None
    assert told[NOTHING].proportion.p_value < 1e-6
    assert not told[FORESIGHT].breaches and told[FORESIGHT].shortfall == 0.0
    # whatever covers everything asks for at least as much on average
    whole = verdict_of(story, book, flat(0.5))
    assert not whole.breaches and whole.average == pytest.approx(0.5) and whole.average > told[FORESIGHT].average
    assert pooled([whole, told[NOTHING]]) == (len(told[NOTHING].breaches), 2 * len(starts), pytest.approx(0.25))


def test_a_verdict_by_hand() -> None:
    """Days of +-1 % with three falls of 10 %: a margin of 5 % is breached on those, by what is left."""
    moves = np.where(np.arange(60) % 2, 0.01, -0.01)
    moves[[20, 21, 40]] = -0.10
    spot = 100.0 * np.repeat(np.concatenate([[1.0], np.cumprod(1.0 + moves)]), DAY)
    story = by_path(spot[:HOURS].tolist())
    told = verdict_of(story, NAMED["long-btc"], flat(0.05))
    assert [int((one.time - GRID[0]) // HOUR // DAY) for one in told.breaches] == [20, 21, 40]
    assert told.shortfall == pytest.approx(0.05, abs=1e-6)
    assert told.breaches[0].loss == pytest.approx(10_000.0, rel=1e-6)
    assert told.breaches[0].required == pytest.approx(5_000.0, rel=1e-6)
    assert told.covered == pytest.approx(1 - 3 / 59)
    assert told.tested == len(told.times) == 59
    assert told.of_maintenance == 3 and told.average == pytest.approx(0.05) and told.peak_to_trough == pytest.approx(1)
    assert told.rises == {5: pytest.approx(0.0, abs=1e-9), 30: pytest.approx(0.0, abs=1e-9)}
    assert told.saved is None and told.notes == ("made up",)
    # periods of two days overlap: the tests take every other start
    assert verdict_of(story, NAMED["long-btc"], flat(0.05), hours=2 * DAY).tested == 29


def test_what_netting_saves_is_against_the_legs_alone() -> None:
    def net(portfolio: Portfolio, market: Market) -> float:
        worth = (float(one.quantity) * market.underlyings["BTC"].spot for one in portfolio.positions)
        return 0.1 * abs(sum(worth)) + 1_000.0

    told = verdict_of(by_path([100.0] * HOURS), NAMED["basis"], model(net))
    # each leg alone 11,000, the cash alone 1,000
    assert told.saved == pytest.approx(1 - 1_000 / 23_000)


def test_a_requirement_that_doubles_within_days_is_told() -> None:
    story = by_path([100.0] * HOURS)

    def doubling(portfolio: Portfolio, market: Market) -> float:
        return 1_000.0 if market.time < GRID[30 * DAY] else 2_000.0 if market.time < GRID[40 * DAY] else 3_000.0

    told = verdict_of(story, NAMED["long-btc"], model(doubling))
    assert told.peak_to_trough == pytest.approx(3.0)
    assert told.rises == {5: pytest.approx(1.0), 30: pytest.approx(2.0)}
    by_the_hour = verdict_of(story, NAMED["long-btc"], model(doubling), step=6)
    assert by_the_hour.rises == told.rises  # days are days, however often is asked


def test_what_a_model_refuses_is_counted_by_its_reason() -> None:
    def fussy(portfolio: Portfolio, market: Market) -> float:
        if market.time < GRID[10 * DAY]:
            raise ValueError("too early")
        return 1e9

    told = verdict_of(by_path([100.0] * HOURS), NAMED["long-btc"], model(fussy))
    assert told.refused == {"ValueError: too early": 10} and len(told.times) == 49

    def broken(portfolio: Portfolio, market: Market) -> float:
        raise KeyError("a fault of the program")

    with pytest.raises(KeyError):
        verdict_of(by_path([100.0] * HOURS), NAMED["long-btc"], model(broken))


def test_history_is_of_whole_days_and_says_what_stands_for_volatility() -> None:
    story = past(GRID, random_records())
    told = history(story, ("BTC", "ETH"), 30 * DAY + 5, 20)
    assert told.returns.shape == told.volatility_moves.shape == (20, 2)
    assert told.times[-1] == GRID[30 * DAY + 5] and np.all(np.diff(told.times) == DAY * HOUR)
    spot = story.paths["ETH"].spot
    assert told.returns[-1, 1] == pytest.approx(spot[30 * DAY + 5] / spot[29 * DAY + 5] - 1)
    assert "realised" in told.proxy
    only_index = history(story, ("BTC",), 50 * DAY, 20)
    assert only_index.proxy == ""
    assert len(history(story, ("BTC",), 5 * DAY, 20).times) == 5


@pytest.mark.parametrize(("days", "hours"), [(0.0, 1), (0.1, 3), (12.1 / 24, 13), (1.0, 24), (2.0, 48)])
def test_periods_are_rounded_up_to_hours(days: float, hours: int) -> None:
    assert period_hours(days) == hours


def test_starts_lie_in_the_period_that_was_asked_for() -> None:
    story = by_path([100.0] * 100)
    assert grid_starts(story, int(GRID[10]), int(GRID[60]), DAY).tolist() == [10, 34, 58]
    assert grid_starts(story, int(GRID[0]) - 10 * HOUR, int(GRID[3]), 1).tolist() == [0, 1, 2]
    assert not len(grid_starts(story, int(GRID[-1]), int(GRID[-1]) + HOUR, 1))
    holes = by_path([100.0] * 50 + [np.nan] + [100.0] * 49)
    assert usable(holes, NAMED["long-btc"], np.array([10, 27, 51, 80]), DAY).tolist() == [10, 51]
    assert not len(usable(holes, NAMED["sol-on-eth"], np.array([10]), DAY))
