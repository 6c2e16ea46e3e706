"""The demonstration's customers: whole books, same seed same bytes, strategies that are what they are named."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from risk.profile import parse_profile
from schemas.chart import FIRST_ACCOUNT
from schemas.events import (
    EVENTS,
    LINKED,
    OrderCancelled,
    OrderChanged,
    OrderOpened,
    Trade,
    TradeReversed,
    WithdrawalDecided,
    WithdrawalRequested,
)
from schemas.kinds import Kind, Payoff, Reason, Right, WithdrawalDecision
from schemas.outcomes import WithdrawalAnswered
from schemas.wire import encode_entry, runs_of
from services.exchange import exchange
from services.flow import BUST_EVERY, CANCELLED_AFTER, CHANGED_AFTER, Moment, custodian, deposits, flow
from services.markets import asset_prices, openings, path
from services.population import (
    INITIAL_RATIOS,
    OTHER_SCAN,
    SCANS,
    SHARES,
    SMALLEST,
    Population,
    Strategy,
    TooFewAccountsError,
    population,
)
from services.tables import PROFILE_NUMBERS, read_prices

BARS = read_prices(Path(__file__).parents[2] / "services" / "data" / "crash_2020_03.csv")
VENUE = exchange(openings(BARS), BARS[0].ts)
TRACK = path(BARS, VENUE)
PRICES = asset_prices(TRACK, VENUE, 0)


def mark(step: int) -> dict[int, int]:
    """Marks near enough to trade at: options at their intrinsic value and a hundredth of the price."""
    marks: dict[int, int] = {}
    for one in VENUE.instruments:
        spot = int(TRACK.prices[step, one.underlying]) * one.price_scale // 1_000_000
        if one.kind == Kind.OPTION:
            inside = spot - one.strike if one.right == Right.CALL else one.strike - spot
            marks[one.instrument] = max(0, inside) + spot // 100
        else:
            marks[one.instrument] = spot
    return marks


def people(count: int = 400, seed: int = 7) -> Population:
    return population(VENUE, mark(0), PRICES, count, seed, BARS[0].ts)


PEOPLE = people()


def now(step: int, barred: frozenset[int] = frozenset()) -> Moment:
    return Moment(step, int(TRACK.times[step]), mark(step), asset_prices(TRACK, VENUE, step), barred)


def wire(events: object) -> bytes:
    return encode_entry(1, 1, runs_of(EVENTS, events))  # type: ignore[arg-type]


def held(trades: tuple[Trade, ...]) -> Counter[tuple[int, int]]:
    positions: Counter[tuple[int, int]] = Counter()
    for one in trades:
        positions[one.buyer, one.instrument] += one.quantity
        positions[one.seller, one.instrument] -= one.quantity
    return positions


def test_accounts_are_dense_and_every_event_is_about_one_of_them() -> None:
    accounts = [one.account for one in PEOPLE.accounts]
    assert accounts == [one.account for one in PEOPLE.customers] == list(range(FIRST_ACCOUNT, FIRST_ACCOUNT + 400))
    assert {one.account for one in PEOPLE.deposits} == set(accounts)
    assert all({one.buyer, one.seller} <= set(accounts) and one.buyer != one.seller for one in PEOPLE.trades)


def test_positions_net_to_zero_in_every_instrument() -> None:
    net: Counter[int] = Counter()
    for (_, instrument), quantity in held(PEOPLE.trades).items():
        net[instrument] += quantity
    assert set(net.values()) == {0}
    assert len(net) > 80


def test_same_seed_same_bytes_other_seed_others() -> None:
    def told(seed: int) -> bytes:
        one = people(60, seed)
        return wire((*one.accounts, *one.deposits, *one.trades))

    assert told(1) == told(1)
    assert told(1) != told(2)


def test_numbers_are_used_once() -> None:
    assert len({one.trade for one in PEOPLE.trades}) == len(PEOPLE.trades)
    assert len({one.deposit for one in PEOPLE.deposits}) == len(PEOPLE.deposits)
    assert all(one.amount > 0 for one in PEOPLE.deposits)
    assert all(one.quantity > 0 and one.price > 0 for one in PEOPLE.trades)


def test_the_mix_is_whole() -> None:
    counts = Counter(one.strategy for one in people(2_000).customers)
    assert counts[Strategy.LIQUIDATOR] == 8
    assert counts[Strategy.MARKET_MAKER] == 40
    for strategy, share in SHARES.items():
        assert abs(counts[strategy] - 1_952 * share / 100) < 1
    assert sum(SHARES.values()) == 100
    assert {one.profile for one in PEOPLE.customers} == {1, 2, 3}
    assert Counter(one.profile for one in PEOPLE.customers).most_common(1)[0][0] == 3
    assert {one.asset for one in PEOPLE.deposits} == {0, 1, 2, 3, 4}


def test_the_smallest_mix_and_one_below_it() -> None:
    assert {one.strategy for one in people(SMALLEST).customers} == set(Strategy)
    with pytest.raises(TooFewAccountsError, match="23 accounts"):
        people(SMALLEST - 1)


def test_strategies_hold_what_they_are_named_for() -> None:
    positions: dict[int, list[tuple[int, int]]] = {one.account: [] for one in PEOPLE.customers}
    for (account, instrument), quantity in held(PEOPLE.trades).items():
        positions[account].append((instrument, quantity))

    def kinds(strategy: Strategy) -> list[list[tuple[Kind, Right, int]]]:
        return [
            sorted((VENUE.number(i).kind, VENUE.number(i).right, 1 if q > 0 else -1) for i, q in positions[one.account])
            for one in PEOPLE.of(strategy)
        ]

    assert all((Kind.OPTION, Right.CALL, -1) in one for one in kinds(Strategy.COVERED_CALL))
    assert all(
        one == [(Kind.OPTION, Right.CALL, -1), (Kind.OPTION, Right.PUT, -1)] for one in kinds(Strategy.SHORT_STRADDLE)
    )
    assert all(one == [(Kind.OPTION, Right.PUT, -1)] for one in kinds(Strategy.NAKED_PUT))
    assert all(one == [(Kind.OPTION, Right.PUT, 1)] for one in kinds(Strategy.PROTECTIVE_PUT))
    assert all(len(one) == 1 and one[0][2] == 1 for one in kinds(Strategy.LEVERAGED_LONG))
    assert all(len(one) == 1 and one[0][2] == -1 for one in kinds(Strategy.LEVERAGED_SHORT))
    # a basis trade is short a perp or a future, against coins or against a long future of the same size
    assert all(min(side for _, _, side in one) == -1 for one in kinds(Strategy.BASIS_TRADE))
    for one in PEOPLE.of(Strategy.BASIS_TRADE):
        if len(positions[one.account]) == 2:
            assert sum(quantity for _, quantity in positions[one.account]) == 0
    assert all(len(positions[one.account]) > 10 for one in PEOPLE.of(Strategy.MARKET_MAKER))
    assert not any(positions[one.account] for one in PEOPLE.of(Strategy.LIQUIDATOR))


def test_some_longs_are_careful_and_some_are_not() -> None:
    notional: Counter[int] = Counter()
    for one in PEOPLE.trades:
        listed = VENUE.number(one.instrument)
        if listed.payoff == Payoff.LINEAR:
            notional[one.buyer] += one.quantity * one.price * listed.tick_value
    leverages = [
        notional[one.account] / one.equity for one in PEOPLE.of(Strategy.LEVERAGED_LONG) if notional[one.account]
    ]
    assert min(leverages) < 1.5
    assert 5 < max(leverages) < 10


def test_first_leverage_knows_the_shipped_profiles() -> None:
    folder = Path(__file__).parents[2] / "risk" / "profiles"
    for name, number in PROFILE_NUMBERS.items():
        profile = parse_profile((folder / f"{name.replace('-', '_')}.toml").read_text())
        assert profile.initial_ratio == round(INITIAL_RATIOS[number] * 10_000)
        scans = {symbol: risk.price_scan for symbol, risk in profile.underlyings.items()}
        assert {symbol: round(scan * 10_000) for symbol, scan in SCANS.items()}.items() <= scans.items()
        assert scans["default"] == round(OTHER_SCAN * 10_000)


def test_each_step_is_a_function_of_seed_and_step() -> None:
    for step in (0, 5, 47, 200):
        told = flow(PEOPLE, VENUE, 3, now(step))
        assert told == flow(PEOPLE, VENUE, 3, now(step))
        assert told != flow(PEOPLE, VENUE, 4, now(step))
        assert wire(told)
        assert deposits(PEOPLE, 3, now(step)) == deposits(PEOPLE, 3, now(step))


def test_orders_are_opened_then_changed_then_cancelled() -> None:
    begun = flow(PEOPLE, VENUE, 3, now(10))
    opened = {one.order: one for one in begun if isinstance(one, OrderOpened)}
    changed = [one for one in flow(PEOPLE, VENUE, 3, now(10 + CHANGED_AFTER)) if isinstance(one, OrderChanged)]
    cancelled = [one for one in flow(PEOPLE, VENUE, 3, now(10 + CANCELLED_AFTER)) if isinstance(one, OrderCancelled)]
    assert opened
    assert {one.order for one in cancelled} == set(opened)
    assert {one.order for one in changed} <= set(opened)
    assert changed
    for one in changed:
        assert one.account == opened[one.order].account
        assert one.quantity == int(opened[one.order].quantity / 2)
    for order in opened.values():
        resting = order.price - mark(10)[order.instrument]
        assert resting * order.quantity < 0


def test_barred_accounts_open_nothing_by_trade() -> None:
    everyone = frozenset(one.account for one in PEOPLE.customers)
    for step in range(20):
        free = [one for one in flow(PEOPLE, VENUE, 3, now(step)) if isinstance(one, Trade) and not one.flags]
        barred = frozenset(one.buyer for one in free) | frozenset(one.seller for one in free)
        makers = {one.account for one in PEOPLE.of(Strategy.MARKET_MAKER)}
        left = [one for one in flow(PEOPLE, VENUE, 3, now(step, barred - makers)) if isinstance(one, Trade)]
        assert all({one.buyer, one.seller} <= makers | (everyone - barred) for one in left)


def test_who_has_no_room_does_not_trade() -> None:
    one = PEOPLE.customers[100]
    now_with = Moment(1, 0, {}, {}, (), {one.account: one.equity // 10})
    assert now_with.may_trade(one)
    assert not replace(now_with, room={one.account: one.equity // 10 - 10**6}).may_trade(one)
    assert not replace(now_with, barred={one.account}).may_trade(one)
    assert replace(now_with, room={}).may_trade(one)


def test_a_trade_is_busted_as_it_was_and_spreads_are_linked() -> None:
    told = flow(PEOPLE, VENUE, 3, now(BUST_EVERY - 1))
    (bust,) = [one for one in told if isinstance(one, TradeReversed)]
    done = next(one for one in told if isinstance(one, Trade) and one.trade == bust.trade)
    assert all(
        getattr(done, name) == getattr(bust, name) for name in ("buyer", "seller", "quantity", "price", "buyer_fee")
    )
    told = flow(PEOPLE, VENUE, 3, now(2))
    (first,) = [k for k, one in enumerate(told) if isinstance(one, Trade) and one.flags == LINKED]
    near, far = told[first], told[first + 1]
    assert (near.buyer, near.seller, near.quantity) == (far.seller, far.buyer, far.quantity)
    assert VENUE.number(near.instrument).underlying == VENUE.number(far.instrument).underlying


def test_nothing_trades_that_is_about_to_expire() -> None:
    step = [int(time) for time in TRACK.times].index(VENUE.expiries[0]) - 1
    for seed in range(30):
        for one in flow(PEOPLE, VENUE, seed, now(step)):
            if isinstance(one, Trade | OrderOpened):
                assert VENUE.number(one.instrument).expiry != VENUE.expiries[0]


def test_the_custodian_decides_what_was_approved_alone() -> None:
    answers = [
        WithdrawalAnswered(
            index=k,
            reason=Reason(70 + k % 2) if k % 4 == 0 else Reason.NONE,
            asset=0,
            account=16 + k,
            withdrawal=k,
            amount=5,
        )
        for k in range(400)
    ]
    decided = custodian(answers, 1, now(4))
    assert {one.withdrawal for one in decided} == {one.withdrawal for one in answers if one.reason == Reason.NONE}
    assert decided == custodian(answers[::-1], 1, now(4))
    returned = sum(one.decision == WithdrawalDecision.RETURNED for one in decided)
    assert 0 < returned < 40
    assert all(isinstance(one, WithdrawalDecided) for one in decided)
    assert any(isinstance(e, WithdrawalRequested) for s in range(1, 40) for e in flow(PEOPLE, VENUE, 3, now(s)))
