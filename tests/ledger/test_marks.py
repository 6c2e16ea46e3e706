"""What a mark does and when: oracle prices and their age; what takes effect at its time; orders and rungs."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import pytest
from world import (
    BTC,
    BTC_U,
    CALL_BTC,
    DELTA,
    EXPIRY,
    FUT_BTC,
    HOUR,
    ISOLATED,
    MICRO,
    PERP_BTC,
    SPAN,
    USD,
    World,
    listing,
    profile_events,
    reasons,
    shipped_profile,
)

from ledger.margining import margins_of
from schemas import events as e
from schemas.kinds import ClosingReason, InstrumentStatus, Kind, Parameter, Reason, Rung
from schemas.outcomes import (
    LegPosted,
    MarkDone,
    OracleAccepted,
    OrderClosed,
    ParameterApplied,
    RungChanged,
)
from schemas.sources import Role
from services.pricer import market


def opened(*accounts: int, dollars: int = 5_000) -> World:
    world = World()
    world.open(*accounts)
    for account in accounts:
        world.deposit(account, dollars * MICRO)
    return world


def said_of(kind: type[Any], said: list[Any]) -> list[Any]:
    return [one for one in said if isinstance(one, kind)]


def mark_without_oracle(world: World, after: int) -> list[Any]:
    """A mark whose market is priced from what the oracle said before."""
    world.time += after
    world.marks += 1
    out = world.send_runs(Role.PRICER, market(world.state, world.marks, world.time))
    return out + world.send(e.Mark(mark=world.marks, market=world.marks, time=world.time))


def tick(world: World, price: float, source: int = 1, later: int = 0, underlying: int = BTC_U) -> list[Any]:
    micro = int(price * MICRO)
    return world.send(
        e.OraclePrice(
            underlying=underlying, source=source, round=1, time=world.time + later, price=micro, bid=micro, ask=micro
        )
    )


# --- the oracle -------------------------------------------------------------------------------------------------------


def test_a_silent_oracle_stops_opening_and_not_reducing() -> None:
    world = opened(16, 17)
    world.trade(16, 17, PERP_BTC, 10, 800_000)
    mark_without_oracle(world, HOUR)  # as old as allowed
    assert reasons(world.trade(16, 17, PERP_BTC, 1, 800_000)) == []
    mark_without_oracle(world, 1)
    assert reasons(world.trade(16, 17, PERP_BTC, 1, 800_000)) == ["STALE_PRICE", "STALE_PRICE"]
    assert reasons(world.trade(17, 16, PERP_BTC, 4, 800_000)) == []
    assert reasons(world.trade(17, 16, PERP_BTC, 8, 800_000)) == ["STALE_PRICE", "STALE_PRICE"]  # 7 are left: a flip
    assert world.position(16, PERP_BTC)[0] == 7
    world.mark()
    assert reasons(world.trade(16, 17, PERP_BTC, 1, 800_000)) == []


def test_an_instrument_the_market_leaves_out_cannot_be_opened_and_keeps_its_last_mark() -> None:
    world = opened(16, 17)
    world.trade(16, 17, PERP_BTC, 10, 800_000)
    world.time += HOUR // 2
    world.marks += 1
    assets = e.AssetMark(asset=BTC, market=world.marks, price=8_000 * MICRO)
    world.send(assets)
    staged = world.state.facts.staged[world.marks]
    digest = hashlib.sha256(b"".join(run.rows.tobytes() for run in staged)).digest()
    world.send(e.MarketClosed(market=world.marks, rows=1, digest=digest))
    world.send(e.Mark(mark=world.marks, market=world.marks, time=world.time))
    assert world.state.mark == world.marks
    assert reasons(world.trade(16, 17, PERP_BTC, 1, 800_000)) == ["NO_RISK_ARRAY", "NO_RISK_ARRAY"]
    margin = margins_of(world.state, 16)
    assert (margin.equity, margin.reason) == (5_000 * MICRO, Reason.NO_RISK_ARRAY)


@pytest.mark.parametrize(
    ("ticks", "good", "answers"),
    [
        # (price, source, seconds later); deviation at most 50 %
        ([(8_000, 1, 1)], 8_000, "NONE"),
        ([(9_000, 1, 1), (8_500, 2, 1)], 8_500, "NONE NONE"),  # another source, the same time
        ([(9_000, 1, 2), (8_500, 2, 1)], 9_000, "NONE NONE"),  # heard, but the newer one stays
        ([(9_000, 1, 2), (8_500, 1, 1)], 9_000, "NONE ORACLE_LATE"),
        ([(9_000, 1, 2), (8_500, 1, 2)], 9_000, "NONE ORACLE_LATE"),
        ([(12_000, 1, 1)], 12_000, "NONE"),
        ([(12_001, 1, 1)], 8_000, "ORACLE_OUTLYING"),
        ([(3_999, 1, 1)], 8_000, "ORACLE_OUTLYING"),
        ([(12_001, 77, 1)], 8_000, "ORACLE_OUTLYING"),  # a source never heard before is measured too
        ([(12_001, 2, 3_600)], 8_000, "ORACLE_OUTLYING"),
        ([(12_001, 2, 3_601)], 12_001, "NONE"),  # the last good price is past its age: measured no more
        ([(9_000, 1, 3_000), (14_000, 2, 3_700)], 9_000, "NONE ORACLE_OUTLYING"),  # measured against the newest
        ([(12_001, 1, 1), (8_100, 1, 1)], 8_100, "ORACLE_OUTLYING NONE"),  # refused, its time is not the source's last
    ],
)
def test_which_price_is_good(ticks: list[tuple[int, int, int]], good: int, answers: str) -> None:
    world = World()
    found = []
    for price, source, seconds in ticks:
        said = tick(world, price, source, seconds * MICRO)
        found.append("".join(reasons(said)) or "NONE")
    assert found == answers.split()
    assert world.state.facts.oracle[BTC_U][0] == good * MICRO


def test_a_good_price_is_told_once_by_one_shard() -> None:
    world = World(shards=3)
    assert len(said_of(OracleAccepted, tick(world, 8_100, later=1))) == 1


# --- what takes effect later ------------------------------------------------------------------------------------------


def test_a_parameter_takes_effect_at_the_first_mark_at_or_past_its_time_and_says_so_once() -> None:
    world = opened(16)
    world.deposit(16, 1_000_000, BTC)  # 80 dollars, 76 after haircut
    notice = world.time + HOUR
    for effective, answer in ((notice - 1, ["PARAMETER_TOO_SOON"]), (notice, [])):
        changed = e.ParameterChanged(
            parameter=Parameter.HAIRCUT, scope=BTC, time=world.time, effective=effective, value=1_000
        )
        assert reasons(world.send(changed)) == answer
    said = world.mark(after=HOUR - 1)
    assert (said_of(ParameterApplied, said), margins_of(world.state, 16).equity) == ([], 5_076 * MICRO)
    (applied,) = said_of(ParameterApplied, world.mark(after=1))
    assert (applied.before, applied.after) == (500, 1_000)
    assert margins_of(world.state, 16).equity == 5_072 * MICRO
    assert said_of(ParameterApplied, world.mark()) == []


def test_changes_due_at_one_mark_apply_by_time_then_by_arrival() -> None:
    world = World()
    for hours, value in ((3, 300), (2, 200), (3, 301)):
        effective = world.time + hours * HOUR
        world.send(e.ParameterChanged(parameter=Parameter.HAIRCUT, scope=BTC, time=0, effective=effective, value=value))
    assert [one.after for one in said_of(ParameterApplied, world.mark(after=4 * HOUR))] == [200, 300, 301]


def test_a_profile_is_replaced_after_notice_and_its_text_may_come_back() -> None:
    world = opened(16, 17)
    world.trade(16, 17, PERP_BTC, 100, 800_000)
    world.mark()
    first, second = (
        shipped_profile("span"),
        shipped_profile("span").replace('price_scan = "0.15"', 'price_scan = "0.30"'),
    )
    assert margins_of(world.state, 16).maintenance == 120 * MICRO
    early = profile_events(SPAN, second)
    assert reasons(world.send(*early)) == ["PARAMETER_TOO_SOON"]
    # three publications before any takes effect, the third the first one's text
    for hours, text in ((2, second), (4, first), (6, second)):
        *pieces, published = profile_events(SPAN, text)
        assert reasons(world.send(*pieces, replace(published, effective=world.time + hours * HOUR))) == []
    maintenance = []
    for _ in range(4):
        world.mark(after=2 * HOUR)
        maintenance.append(margins_of(world.state, 16).maintenance // MICRO)
    assert maintenance == [240, 120, 240, 240]
    assert world.state.facts.profile_pending == {}


def test_three_publications_due_at_one_mark_leave_the_last() -> None:
    world = opened(16, 17)
    world.trade(16, 17, PERP_BTC, 100, 800_000)
    second = shipped_profile("span").replace('price_scan = "0.15"', 'price_scan = "0.30"')
    for hours, text in ((2, second), (3, shipped_profile("span")), (4, second)):
        *pieces, published = profile_events(SPAN, text)
        assert reasons(world.send(*pieces, replace(published, effective=world.time + hours * HOUR))) == []
    world.mark(after=5 * HOUR)
    assert margins_of(world.state, 16).maintenance == 240 * MICRO


def test_an_underlying_listed_after_a_profile_has_its_numbers() -> None:
    world = World()
    assert world.state.profiles.short_option[SPAN, 2] == 0
    world.send(e.UnderlyingListed(underlying=2, time=0, lowest=1, highest=10**12, symbol="ALT"))
    # the default: 30 % scan, 3 % basis, 2 % short option minimum
    p = world.state.profiles
    assert [int(x[SPAN, 2]) for x in (p.scan, p.basis, p.short_option)] == [3_000, 300, 200]
    assert p.has_row[SPAN, PERP_BTC] == 1  # and what may be opened, may still be


def test_an_account_s_profile_changes_after_notice() -> None:
    world = opened(16, 17)
    world.trade(16, 17, PERP_BTC, 100, 800_000)
    change = e.AccountChanged(status=0, profile=ISOLATED, account=16, time=0, effective=world.time + HOUR)  # type: ignore[arg-type]
    assert reasons(world.send(replace(change, effective=world.time))) == ["PARAMETER_TOO_SOON"]
    assert reasons(world.send(change)) == []
    world.mark(after=HOUR)
    assert world.state.accounts.profile[16] == ISOLATED
    assert margins_of(world.state, 16).initial == 180 * MICRO  # 1.5 x 120


def test_an_instrument_trades_from_the_first_mark_at_or_past_its_time() -> None:
    world = opened(16, 17)
    perp = next(x for x in listing() if getattr(x, "instrument", 0) == PERP_BTC)
    world.send(replace(perp, instrument=40, symbol="NEW", effective=world.time + HOUR))
    world.mark(after=HOUR - 1)
    assert reasons(world.trade(16, 17, 40, 1, 800_000)) == ["UNKNOWN_INSTRUMENT"]
    world.mark(after=1)
    assert reasons(world.trade(16, 17, 40, 1, 800_000)) == []


def test_a_status_never_opens_an_instrument_before_its_time() -> None:
    world = opened(16, 17)
    perp = next(x for x in listing() if getattr(x, "instrument", 0) == PERP_BTC)
    later = world.time + HOUR
    world.send(replace(perp, instrument=40, symbol="NEW", effective=later))
    status = e.InstrumentStatusChanged(status=InstrumentStatus.OPEN, instrument=40, time=0, effective=world.time)
    assert reasons(world.send(status)) == ["TIME_OUT_OF_RANGE"]
    assert reasons(world.send(replace(status, status=InstrumentStatus.HALTED, effective=later))) == []
    world.mark(after=HOUR)
    assert reasons(world.trade(16, 17, 40, 1, 800_000)) == ["INSTRUMENT_HALTED"]


def test_expiries_settled_one_by_one_leave_room_for_others() -> None:
    world = opened(16, 17)
    future = next(x for x in listing() if getattr(x, "instrument", 0) == FUT_BTC)
    for k in range(70):  # more than there are buckets
        expiry = world.time + HOUR // 2
        said = world.send(replace(future, instrument=40 + k, symbol=f"F{k}", expiry=expiry))
        said += world.send(
            e.SettlementPrice(
                final=1, sources=1, underlying=BTC_U, instrument=40 + k, time=0, effective=expiry, expiry=expiry,
                window_start=0, window_end=0, price=800_000,
            )
        )  # fmt: skip
        assert reasons(said) == [], k
        world.mark(after=HOUR)
        world.mark(after=0)
    assert len(world.state.facts.buckets[BTC_U]) <= 64


# --- orders and rungs -------------------------------------------------------------------------------------------------


def order(account: int, number: int, quantity: int, price: int = 800_000, instrument: int = PERP_BTC) -> e.OrderOpened:
    return e.OrderOpened(
        venue=1, instrument=instrument, account=account, time=0, order=number, quantity=quantity, price=price
    )


def test_orders_count_in_the_initial_margin_alone() -> None:
    world = opened(16, 17)
    world.trade(16, 17, PERP_BTC, 100, 800_000)
    before = margins_of(world.state, 16)
    world.send(order(16, 1, 50))
    after = margins_of(world.state, 16)
    assert (before.initial, after.initial) == (144 * MICRO, 216 * MICRO)
    assert (before.equity, before.maintenance, before.buffer) == (after.equity, after.maintenance, after.buffer)
    world.send(e.OrderCancelled(account=16, time=0, order=1))
    assert margins_of(world.state, 16) == before


def failing() -> World:
    """16 is long 500 lots and in liquidation, with an order that reduces and orders that do not."""
    world = opened(16, 17, dollars=1_000)
    world.trade(16, 17, PERP_BTC, 500, 800_000)
    world.send(order(16, 1, 1), order(16, 2, -100), order(16, 3, -501), order(16, 4, -1, instrument=FUT_BTC))
    return world


def test_liquidation_closes_the_orders_that_raise_risk() -> None:
    world = failing()
    said = world.mark(btc=6_500)
    assert world.state.accounts.rung[16] == Rung.LIQUIDATING
    closed = [(one.order, one.reason) for one in said_of(OrderClosed, said)]
    assert closed == [(1, ClosingReason.RISK_RAISING), (3, ClosingReason.RISK_RAISING), (4, ClosingReason.RISK_RAISING)]
    change = e.OrderChanged(account=16, time=0, order=2, quantity=-501, price=800_000)
    assert reasons(world.send(change)) == ["ORDER_RAISES_RISK"]  # an amendment is no way around
    assert reasons(world.send(replace(change, quantity=-200))) == []
    assert reasons(world.send(replace(change, quantity=-50))) == []


def test_a_rung_is_told_when_it_changes_and_not_again() -> None:
    world = failing()
    changes = [
        [(one.before.name, one.after.name) for one in said_of(RungChanged, world.mark(btc=price))]
        for price in (7_900, 6_500, 6_500, 6_600, 8_000, 8_000)
    ]
    assert changes == [
        [], [("HEALTHY", "LIQUIDATING")], [], [], [("LIQUIDATING", "HEALTHY")], [],
    ]  # fmt: skip


def test_orders_end_with_their_instrument() -> None:
    world = opened(16)
    world.send(order(16, 1, 1, instrument=FUT_BTC), order(16, 2, 1))
    said = world.mark(after=EXPIRY - world.time)
    assert [(one.order, one.reason) for one in said_of(OrderClosed, said)] == [(1, ClosingReason.INSTRUMENT_ENDED)]


def test_a_mark_s_sums_are_over_all_accounts_the_frozen_ones_too() -> None:
    world = opened(16, 17)
    world.send(e.AccountChanged(status=1, profile=SPAN, account=16, time=0, effective=0))  # type: ignore[arg-type]
    (done,) = said_of(MarkDone, world.mark())
    assert (done.accounts, done.equity) == (2, 10_000 * MICRO)


def test_every_leg_is_judged_by_its_own_account_s_profile() -> None:
    world = World()
    world.open(16, profile=DELTA)
    world.open(17, profile=ISOLATED)
    said = world.trade(16, 17, CALL_BTC, 5, 30_000)
    assert [one.reason.name for one in said_of(LegPosted, said)] == ["NONE", "NONE"]
    assert world.balance(16, USD) == -world.balance(17, USD)
    assert world.state.facts.instruments[CALL_BTC].kind == Kind.OPTION
