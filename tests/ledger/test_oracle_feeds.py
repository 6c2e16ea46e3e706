"""Several feeds, ages, doubt and pegs through the whole fold: prices, margins, new risk, collateral, withdrawals."""

from __future__ import annotations

from typing import Any

import pytest
from world import (
    BTC,
    BTC_U,
    CALL_BTC,
    ETH_U,
    EXPIRY,
    FUT_BTC,
    GOV,
    HOUR,
    INV_BTC,
    MICRO,
    PERP_BTC,
    PERP_ETH,
    SPAN,
    SPOT_BTC,
    USD,
    USDC,
    World,
    reasons,
)

from ledger.margining import margins_of
from ledger.oracle import verdict
from ledger.snapshot import digest_of, dump, load
from schemas import events as e
from schemas.defaults import DEFAULTS, RANGES
from schemas.kinds import Parameter, Reason
from schemas.outcomes import OracleAccepted, ParameterApplied, WithdrawalAnswered
from schemas.sources import Role
from services.pricer import market

SECOND = MICRO
P = Parameter
NEW = [one for one in Parameter if Parameter.FOLD_VERSION < one <= Parameter.DEPEG_HAIRCUT]


def changed(world: World, *values: tuple[Parameter, int, int]) -> list[Any]:
    """Set (parameter, scope, value) and let the notice pass: the mark at which they take effect."""
    at = world.time + HOUR
    world.send(
        *(e.ParameterChanged(parameter=p, scope=s, time=world.time, effective=at, value=v) for p, s, v in values)
    )
    return world.mark(after=HOUR)


def fed(feeds: int = 3, *more: tuple[Parameter, int, int], weights: tuple[int, ...] = (1, 1, 1)) -> World:
    """A clearinghouse whose BTC price comes from feeds 1, 2, 3 ..., of which so many must agree."""
    world = World()
    world.open(16, 17)
    world.deposit(16, 5_000 * MICRO)
    world.deposit(17, 50_000 * MICRO)
    world.send(
        *(
            e.IndexChanged(underlying=BTC_U, source=number, weight=weight, time=world.time, effective=world.time)
            for number, weight in enumerate(weights, 1)
        )
    )
    changed(world, (P.ORACLE_MIN_FEEDS, BTC_U, feeds), *more)
    world.time += HOUR
    tell(world, *[8_000] * len(weights))
    price_and_mark(world)
    return world


def tell(world: World, *prices: float | None, spread: float = 0.0, later: int = 0) -> list[Any]:
    """Feed 1's price, feed 2's ...; None says nothing."""
    out = []
    for number, price in enumerate(prices, 1):
        if price is not None:
            micro, half = int(price * MICRO), int(spread * MICRO)
            out += world.send(
                e.OraclePrice(
                    underlying=BTC_U, source=number, round=1, time=world.time + later, price=micro, bid=micro - half,
                    ask=micro + half,
                )
            )  # fmt: skip
    return out


def price_and_mark(world: World, after: int = 0) -> list[Any]:
    world.time += after
    world.marks += 1
    out = world.send_runs(Role.PRICER, market(world.state, world.marks, world.time))
    return out + world.send(e.Mark(mark=world.marks, market=world.marks, time=world.time))


def price(world: World, underlying: int = BTC_U) -> float:
    return world.state.facts.oracle[underlying][0] / MICRO


def asked(world: World, asset: int = USD, amount: int = MICRO) -> str:
    """The next mark's answer to a request of 16, with nothing new from any oracle."""
    number = world.marks + 1_000
    world.send(e.WithdrawalRequested(asset=asset, account=16, withdrawal=number, time=world.time, amount=amount))
    (answer,) = [one for one in price_and_mark(world) if isinstance(one, WithdrawalAnswered)]
    return answer.reason.name


# --- switched on by parameters ----------------------------------------------------------------------------------------


def test_every_guard_is_off_until_a_parameter_says_otherwise() -> None:
    state = World().state
    assert (state.facts.feeds, state.facts.uncertainty, state.facts.heard) == ({}, {}, {})
    off = {one: DEFAULTS[one] for one in NEW}
    assert {one for one, value in off.items() if value} == {P.ORACLE_FEED_DEVIATION, P.DEPEG_HAIRCUT}
    for one in NEW:
        assert RANGES[one][0] <= DEFAULTS[one] <= RANGES[one][1]


def test_guards_are_delayed_parameters_like_any_other() -> None:
    world = World()
    soon = e.ParameterChanged(parameter=P.ORACLE_MIN_FEEDS, scope=BTC_U, time=0, effective=world.time, value=3)
    assert reasons(world.send(soon)) == ["PARAMETER_TOO_SOON"]
    (told,) = [one for one in changed(world, (P.ORACLE_MIN_FEEDS, BTC_U, 3)) if isinstance(one, ParameterApplied)]
    assert (told.scope, told.before, told.after) == (BTC_U, 0, 3)


def test_guards_that_are_switched_off_again_leave_no_trace() -> None:
    world = fed(3, (P.ORACLE_ASSET_AGE, 0, HOUR), (P.ORACLE_FORWARD_AGE, 0, HOUR), (P.ORACLE_VOLATILITY_AGE, 0, HOUR))
    facts = world.state.facts
    assert facts.feeds
    assert {key[0] for key in facts.heard} == {0, 1, 2}
    off = [(P.ORACLE_MIN_FEEDS, BTC_U, 0), (P.ORACLE_ASSET_AGE, 0, 0), (P.ORACLE_FORWARD_AGE, 0, 0)]
    changed(world, *off, (P.ORACLE_VOLATILITY_AGE, 0, 0))
    assert (facts.feeds, facts.uncertainty, facts.heard) == ({}, {}, {})
    world.mark(btc=8_100)
    assert price(world) == 8_100  # any one source's again


# --- one price of several feeds ---------------------------------------------------------------------------------------


def test_one_pumped_feed_moves_nothing() -> None:
    world = fed()
    world.time += HOUR // 4
    tell(world, 8_010, 8_020)
    for factor in (0.0002, 0.6, 1.04, 1.3, 3, 100):
        world.time += SECOND
        tell(world, None, None, 8_020 * factor)
        assert 8_000 <= price(world) <= 8_020, factor
    before = price(world)
    world.time += SECOND
    tell(world, 8_030, 8_040)
    assert price(world) == before  # two agree where three must


def test_without_feeds_the_same_pump_is_the_price() -> None:
    world = World()
    assert reasons(tell(world, None, None, 11_900, later=1)) == []
    assert price(world) == 11_900


def test_a_market_that_really_moves_is_followed_feed_by_feed() -> None:
    """By more than a feed may stray from the others: the first is alone, the second is believed."""
    world = fed()
    world.time += HOUR // 4
    tell(world, 7_000)
    assert price(world) == 8_000
    tell(world, None, 7_010)
    assert price(world) == 8_000  # two against one old: two are too few
    said = tell(world, None, None, 7_005)
    assert [one.price for one in said if isinstance(one, OracleAccepted)] == [7_005 * MICRO]
    assert world.state.facts.oracle[BTC_U][1] == world.time


TICKS = [
    ("a feed without weight", {"source": 9}, Reason.ORACLE_UNKNOWN_FEED),
    ("the same time again", {"time": 0}, Reason.ORACLE_LATE),
    ("older than an hour", {"source": 4, "time": -HOUR - 1}, Reason.ORACLE_STALE),
    ("bid above the price", {"bid": 8_001 * MICRO}, Reason.ORACLE_CROSSED),
    ("above the underlying's bounds", {"price": 10**13, "ask": 10**13}, Reason.ORACLE_OUT_OF_BOUNDS),
    ("ten basis points of doubt", {"bid": 7_992 * MICRO, "ask": 8_008 * MICRO}, Reason.NONE),
    ("a micro-dollar more", {"bid": 7_992 * MICRO, "ask": 8_008 * MICRO + 1}, Reason.ORACLE_UNCERTAIN),
    ("far from the others", {"price": 15_000 * MICRO, "bid": 15_000 * MICRO, "ask": 15_000 * MICRO}, Reason.NONE),
]


@pytest.mark.parametrize(("change", "reason"), [one[1:] for one in TICKS], ids=[one[0] for one in TICKS])
def test_a_feed_s_tick_is_refused_by_name_and_nothing_moves(change: dict[str, int], reason: Reason) -> None:
    world = fed(3, (P.ORACLE_MAX_UNCERTAINTY, BTC_U, 10), weights=(1, 1, 1, 0))
    world.send(e.IndexChanged(underlying=BTC_U, source=4, weight=1, time=0, effective=world.time))
    price_and_mark(world)
    values = {"source": 3, "time": 1, "price": 8_000 * MICRO, "bid": 8_000 * MICRO, "ask": 8_000 * MICRO} | change
    values["time"] += world.time
    before = world.digests()
    said = world.send(e.OraclePrice(underlying=BTC_U, round=1, **values))
    assert reasons(said) == ([reason.name] if reason else [])
    assert (world.digests() == before) == bool(reason)
    assert price(world) == 8_000


def test_what_a_feed_says_and_why_it_does_not_count_can_be_read() -> None:
    world = fed(2)
    tell(world, None, None, 9_000, later=1)
    told = verdict(world.state, BTC_U, world.time)
    assert told.left_out == {3: Reason.ORACLE_OUTLYING}
    told = verdict(world.state, BTC_U, world.time + HOUR + 2)
    assert (told.reason, set(told.left_out)) == (Reason.ORACLE_FEW_FEEDS, {1, 2, 3})


def test_a_removed_feed_has_no_say() -> None:
    world = fed(2)
    world.send(e.IndexChanged(underlying=BTC_U, source=3, weight=0, time=0, effective=world.time))
    price_and_mark(world, 1)
    assert [key for key in world.state.facts.feeds if key[1] == 3] == []
    assert reasons(tell(world, None, None, 8_000, later=1)) == ["ORACLE_UNKNOWN_FEED"]


def test_feeds_that_agree_on_a_jump_are_not_believed_while_the_last_price_is_fresh() -> None:
    world = fed(3, (P.ORACLE_MAX_DEVIATION, 0, 2_000))
    world.time += HOUR // 4
    tell(world, 6_000, 6_000, 6_000)
    assert price(world) == 8_000
    price_and_mark(world)
    assert reasons(world.trade(16, 17, PERP_BTC, 1, 800_000)) == ["STALE_PRICE"] * 2  # and nobody opens risk meanwhile
    tell(world, 6_000, 6_000, 6_000, later=HOUR)
    assert price(world) == 6_000


@pytest.mark.parametrize(
    ("told", "answer"),
    [
        ((8_000, 8_000, 8_000), []),
        ((8_000, 8_000, None), ["STALE_PRICE"] * 2),
        ((8_000, 8_000, 12_000), ["STALE_PRICE"] * 2),
    ],
)
def test_below_the_number_of_feeds_the_price_stays_and_nobody_opens_risk(told: Any, answer: list[str]) -> None:
    world = fed()
    world.trade(16, 17, PERP_BTC, 10, 800_000)
    world.time += HOUR + 1
    world.send(*(one for one in world.oracle() if getattr(one, "underlying", BTC_U) == ETH_U))
    tell(world, *told)
    price_and_mark(world)
    assert price(world) == 8_000
    assert reasons(world.trade(16, 17, PERP_BTC, 1, 800_000)) == answer
    assert reasons(world.trade(17, 16, PERP_BTC, 1, 800_000)) == []  # reducing
    assert reasons(world.trade(16, 17, PERP_ETH, 1, 20_000)) == []  # the other underlying has its own


def test_every_shard_and_every_snapshot_knows_the_same() -> None:
    world = fed()
    other = World(3, ready=False)
    for data in world.entries:
        other.bytes(data)
    assert [state.facts.feeds for state in other.clearing.states] == [world.state.facts.feeds] * 3
    assert [state.facts.uncertainty for state in other.clearing.states] == [world.state.facts.uncertainty] * 3
    back = load(dump(world.state), world.state.shard_of)
    assert (back.facts.feeds, digest_of(back)) == (world.state.facts.feeds, digest_of(world.state))
    key = next(iter(back.facts.feeds))
    back.facts.feeds[key] = (*back.facts.feeds[key][:3], 0)
    assert digest_of(back) != digest_of(world.state)


# --- what doubt and age cost ------------------------------------------------------------------------------------------


def margin(world: World) -> tuple[float, float]:
    """16's initial and maintenance margin, dollars."""
    said = margins_of(world.state, 16)
    return said.initial / MICRO, said.maintenance / MICRO


def test_doubt_is_added_to_the_scan_range() -> None:
    """100 lots are 800 dollars: 15 % of it is 120; with quotes reaching 1 % from the price it is 16 %, 128."""
    world = fed()
    world.trade(16, 17, PERP_BTC, 100, 800_000)
    price_and_mark(world)
    assert margin(world) == (144, 120)
    world.time += SECOND
    tell(world, 8_000, 8_000, 8_000, spread=80)
    price_and_mark(world)
    assert margin(world) == (153.6, 128)
    world.time += SECOND
    tell(world, 8_000, 8_000, 8_000)
    price_and_mark(world)
    assert margin(world) == (144, 120)


def test_one_feed_s_doubt_costs_nothing() -> None:
    world = fed()
    world.trade(16, 17, PERP_BTC, 100, 800_000)
    world.time += SECOND
    tell(world, None, None, 8_000, spread=4_000)
    price_and_mark(world)
    assert margin(world) == (144, 120)


def test_no_doubt_stops_the_pricer() -> None:
    world = fed()
    world.trade(16, 17, PERP_BTC, 1, 800_000)
    world.time += SECOND
    tell(world, 8_000, 8_000, 8_000, spread=7_999)
    price_and_mark(world)
    assert 0.15 * 8 < margin(world)[1] < 8
    assert world.state.market.marked[PERP_BTC] == 1


AGEING = [
    # hours since the oracle spoke, requirement as a multiple; limits are 4 hours, ranges double
    (0, 1.0),
    (2, 1.0),
    (3, 1.5),
    (4, 2.0),
]


@pytest.mark.parametrize(("hours", "times"), AGEING)
@pytest.mark.parametrize("limit", [P.ORACLE_MAX_AGE, P.ORACLE_FORWARD_AGE])
def test_age_widens_the_price_range(limit: Parameter, hours: int, times: float) -> None:
    world = World()
    world.open(16, 17)
    world.deposit(16, 5_000 * MICRO)
    world.deposit(17, 5_000 * MICRO)
    changed(world, (P.ORACLE_MAX_AGE, 0, 24 * HOUR), (P.ORACLE_WIDENING, 0, 10_000))
    changed(world, (limit, 0, 4 * HOUR))
    world.trade(16, 17, PERP_BTC, 100, 800_000)
    price_and_mark(world, hours * HOUR)
    assert margin(world)[1] == 120 * times
    assert reasons(world.trade(16, 17, PERP_BTC, 1, 800_000)) == []
    price_and_mark(world, 4 * HOUR + 1 - hours * HOUR)
    assert margin(world)[1] >= 240  # at the widest, and margined still
    assert reasons(world.trade(16, 17, PERP_BTC, 1, 800_000)) == ["STALE_PRICE"] * 2


def with_old_surface(widening: int, hours: int) -> World:
    world = World()
    world.open(16, 17)
    world.deposit(16, 50_000 * MICRO)
    world.deposit(17, 50_000 * MICRO)
    age = (P.ORACLE_VOLATILITY_AGE, 0, 4 * HOUR)
    changed(world, (P.ORACLE_MAX_AGE, 0, 24 * HOUR), (P.ORACLE_WIDENING, 0, widening), age)
    world.trade(17, 16, CALL_BTC, 10, 30_000)
    price_and_mark(world, hours * HOUR)
    return world


def test_an_old_surface_widens_options_then_stops_them_alone() -> None:
    def largest(widening: int, hours: int) -> list[int]:
        found: list[int] = with_old_surface(widening, hours).state.profiles.largest[SPAN, [PERP_BTC, CALL_BTC]].tolist()
        return found

    assert largest(10_000, 2) == largest(0, 2)
    perp, call = largest(10_000, 4)
    assert perp == largest(0, 4)[0]
    assert call > largest(0, 4)[1]
    world = with_old_surface(10_000, 4)
    assert reasons(world.trade(17, 16, CALL_BTC, 1, 30_000)) == []
    price_and_mark(world, 1)
    assert reasons(world.trade(17, 16, CALL_BTC, 1, 30_000)) == ["STALE_PRICE"] * 2
    assert reasons(world.trade(16, 17, CALL_BTC, 1, 30_000)) == []  # reducing
    assert reasons(world.trade(16, 17, FUT_BTC, 1, 800_000)) == []


# --- guards of what is no price of an underlying ----------------------------------------------------------------------

FORWARD = {"underlying": BTC_U, "round": 1, "expiry": EXPIRY, "price": 8_000 * MICRO}
POINT = {"underlying": BTC_U, "round": 1, "expiry": EXPIRY, "strike": 8_000 * MICRO, "volatility": 800_000}
WORTH = {"asset": GOV, "round": 1, "price": 2 * MICRO}
GUARDED: list[tuple[type[Any], dict[str, int], dict[str, int], Reason]] = [
    # a value, what is changed, time against the last one's
    (e.OracleForward, FORWARD, {"price": 8_800 * MICRO, "time": 1}, Reason.NONE),
    (e.OracleForward, FORWARD, {"price": 8_801 * MICRO, "time": 1}, Reason.ORACLE_OUTLYING),
    (e.OracleForward, FORWARD, {"price": 7_199 * MICRO, "time": 1}, Reason.ORACLE_OUTLYING),
    (e.OracleForward, FORWARD, {"time": -1}, Reason.ORACLE_LATE),
    (e.OracleForward, FORWARD | {"underlying": ETH_U, "expiry": 0}, {"price": 200 * MICRO, "time": 0}, Reason.NONE),
    (e.OracleForward, FORWARD, {"time": 2**60}, Reason.TIME_OUT_OF_RANGE),
    (e.OracleVolatility, POINT, {"volatility": 880_000, "time": 1}, Reason.NONE),
    (e.OracleVolatility, POINT, {"volatility": 880_001, "time": 1}, Reason.ORACLE_OUTLYING),
    (e.OracleVolatility, POINT, {"strike": 9_000 * MICRO, "volatility": 2 * MICRO, "time": 1}, Reason.NONE),
    (e.OracleVolatility, POINT, {"time": -1}, Reason.ORACLE_LATE),
    (e.OracleAssetPrice, WORTH, {"price": 2_200_000, "time": 1}, Reason.NONE),
    (e.OracleAssetPrice, WORTH, {"price": 2_200_001, "time": 1}, Reason.ORACLE_OUTLYING),
    (e.OracleAssetPrice, WORTH, {"time": -1}, Reason.ORACLE_LATE),
    (e.OracleAssetPrice, WORTH | {"asset": BTC}, {"price": 8_801 * MICRO, "time": 1}, Reason.ORACLE_OUTLYING),
]


def guarded() -> World:
    world = World()
    world.open(16, 17)
    world.deposit(16, 5_000 * MICRO)
    world.deposit(17, 5_000 * MICRO)
    ages = [(P(number), 0, 4 * HOUR) for number in (P.ORACLE_FORWARD_AGE, P.ORACLE_VOLATILITY_AGE, P.ORACLE_ASSET_AGE)]
    far = (P.ORACLE_FORWARD_DEVIATION, P.ORACLE_VOLATILITY_DEVIATION, P.ORACLE_ASSET_DEVIATION)
    changed(world, (P.ORACLE_MAX_AGE, 0, 24 * HOUR), *ages, *((P(number), 0, 1_000) for number in far))
    world.mark()
    return world


@pytest.mark.parametrize(("kind", "value", "change", "reason"), GUARDED, ids=[f"{c}-{r.name}" for *_, c, r in GUARDED])
def test_guards(kind: type[Any], value: dict[str, int], change: dict[str, int], reason: Reason) -> None:
    world = guarded()
    before = world.digests()
    values = value | change
    values["time"] += world.time
    assert reasons(world.send(kind(**values))) == ([reason.name] if reason else [])
    assert (world.digests() == before) == (bool(reason) or not change["time"])


@pytest.mark.parametrize(("kind", "value"), [(e.OracleForward, FORWARD), (e.OracleVolatility, POINT),
                                             (e.OracleAssetPrice, WORTH)])  # fmt: skip
def test_what_was_told_long_ago_is_stale_and_after_it_anything_is_believed(
    kind: type[Any], value: dict[str, int]
) -> None:
    world = guarded()
    told = world.time
    price_and_mark(world, 4 * HOUR + 2)
    assert reasons(world.send(kind(**value, time=told + 1))) == ["ORACLE_STALE"]
    far = value | ({"volatility": 5 * MICRO} if kind is e.OracleVolatility else {"price": 50 * MICRO})
    # but for a forward, which is measured against its underlying's price
    assert reasons(world.send(kind(**far, time=world.time))) == (["ORACLE_OUTLYING"] if kind is e.OracleForward else [])


def test_an_asset_s_old_price_stops_what_settles_in_it() -> None:
    world = guarded()
    for _ in range(2):  # everything but the coin's price comes on
        assert reasons(world.trade(16, 17, INV_BTC, 1, 800_000)) == []
        world.time += 2 * HOUR + 1
        world.send(*(one for one in world.oracle() if getattr(one, "asset", 0) != BTC))
        price_and_mark(world)
    assert reasons(world.trade(16, 17, INV_BTC, 1, 800_000)) == ["STALE_PRICE"] * 2
    assert world.state.market.marked[SPOT_BTC] == 2
    assert reasons(world.trade(16, 17, PERP_BTC, 1, 800_000)) == []


# --- collateral and withdrawals ---------------------------------------------------------------------------------------


def holding(usdc: int = 1_000) -> World:
    world = guarded()
    world.deposit(16, usdc * MICRO, asset=USDC)
    changed(world, (P.PEG_BOUND, USDC, 200), (P.DEPEG_HAIRCUT, USDC, 5_000), (P.ORACLE_WIDENING, 0, 10_000),
            (P.ORACLE_ASSET_DEVIATION, 0, 0))  # fmt: skip
    return world


def worth(world: World, dollars: float) -> None:
    world.time += SECOND
    world.send(e.OracleAssetPrice(asset=USDC, round=1, time=world.time, price=int(dollars * MICRO)))
    price_and_mark(world)


@pytest.mark.parametrize(
    ("dollars", "equity", "answer"),
    [
        # 5,000 dollars in cash and 1,000 coins, of which 2 % do not count, and half where the peg is lost
        (1.0, 5_980.0, "NONE"),
        (0.98, 5_960.4, "NONE"),
        (0.979999, 5_489.9995, "WITHDRAWAL_DEPEGGED"),
        (0.5, 5_250.0, "WITHDRAWAL_DEPEGGED"),
    ],
)
def test_a_lost_peg_cuts_collateral_and_holds_the_asset(dollars: float, equity: float, answer: str) -> None:
    world = holding()
    worth(world, dollars)
    assert margins_of(world.state, 16).equity / MICRO == equity
    assert asked(world, USDC) == answer
    assert asked(world, USD) == "NONE"
    worth(world, 1.0)
    assert asked(world, USDC) == "NONE"
    assert world.state.market.haircut[USDC] == 200


def test_a_haircut_set_while_the_peg_is_lost_is_there_when_it_comes_back() -> None:
    world = holding()
    worth(world, 0.9)
    said = changed(world, (P.HAIRCUT, USDC, 300))
    assert [(one.before, one.after) for one in said if isinstance(one, ParameterApplied)] == [(200, 300)]
    worth(world, 0.9)
    assert world.state.market.haircut[USDC] == 5_000
    worth(world, 1.0)
    assert world.state.market.haircut[USDC] == 300


@pytest.mark.parametrize(("hours", "haircut", "answer"), [(0, 200, "NONE"), (3, 300, "NONE"), (4, 400, "NONE"),
                                                        (4.001, 400, "WITHDRAWAL_PRICE_STALE")])  # fmt: skip
def test_an_old_price_widens_the_haircut_and_then_holds_every_withdrawal(
    hours: float, haircut: int, answer: str
) -> None:
    """The dollar too: what is left behind is worth nobody knows what."""
    world = holding()
    worth(world, 1.0)
    price_and_mark(world, int(hours * HOUR))
    assert world.state.market.haircut[USDC] == haircut
    assert asked(world, USD) == answer
    assert asked(world, USDC) == answer


def test_a_withdrawal_waits_for_every_price_the_positions_rest_on() -> None:
    world = guarded()
    world.trade(16, 17, PERP_BTC, 1, 800_000)
    assert asked(world) == "NONE"
    world.time += 5 * HOUR
    world.send(*(one for one in world.oracle() if not isinstance(one, e.OracleForward)))
    assert asked(world) == "WITHDRAWAL_PRICE_STALE"
    world.trade(17, 16, PERP_BTC, 1, 800_000)
    assert asked(world) == "NONE"
