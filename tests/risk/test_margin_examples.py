"""Worked examples of margin, with the arithmetic in the comments, and those of features/margin.feature."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from portfolios import (
    DOLLAR,
    FINE,
    Account,
    Asset,
    Instrument,
    Order,
    Position,
    Rules,
    holdings_of,
    margin_of,
    market_of,
    profiles_of,
)
from pytest_bdd import given as given_step
from pytest_bdd import parsers, scenarios, then, when

import risk
from risk.breakdown import Breakdown, breakdown
from risk.profile import Netting, Profile, parse_profile
from schemas.kinds import Kind, Payoff, Style

scenarios("features/margin.feature")

PRICES = {"BTC": 100_000, "ETH": 4_000}
SYMBOLS = list(PRICES)
LISTED = {"BTC-PERP": ("BTC", Kind.PERP, 0), "ETH-PERP": ("ETH", Kind.PERP, 0), "BTC-JUN": ("BTC", Kind.FUTURE, 1)}
NUMBERS = {name: number for number, name in enumerate(LISTED)}
CENTS = 10_000
"""micro-dollars of a tick: marks are in cents"""


def listed_market() -> list[Instrument]:
    return [
        Instrument(
            kind=kind,
            underlying=SYMBOLS.index(symbol),
            bucket=bucket,
            tick_value=CENTS,
            mark=PRICES[symbol] * 100,
            delta=PRICES[symbol] * FINE,
            notional=PRICES[symbol] * DOLLAR,
        )
        for symbol, kind, bucket in LISTED.values()
    ]


def rules_of(profile: Profile) -> Rules:
    """A profile's numbers, with the losses of instruments that follow their price in full."""
    risks = [profile.underlying(symbol) for symbol in SYMBOLS]
    rows = []
    for symbol, _, _ in LISTED.values():
        scan = profile.underlying(symbol).price_scan / 10_000
        moves = [(scenario.scans * scan + scenario.move) * scenario.weight for scenario in profile.scenarios()]
        rows.append([round(-move * PRICES[symbol] * FINE) for move in moves])
    return Rules(
        rows=rows,
        netting=profile.netting,
        gain=profile.gain,
        initial=profile.initial_ratio,
        buffer=profile.buffer,
        scan=[one.price_scan for one in risks],
        basis=[one.basis for one in risks],
        short_option=[one.short_option_minimum for one in risks],
        credits=[(SYMBOLS.index(pair.a), SYMBOLS.index(pair.b), pair.rate) for pair in profile.credits],
    )


def profile_named(name: str) -> Profile:
    return parse_profile((Path(risk.__file__).parent / "profiles" / f"{name}.toml").read_text("ascii"))


def explained(
    account: Account, rules: Rules, instruments: list[Instrument] | None = None, assets: list[Asset] | None = None
) -> Breakdown:
    """The breakdown, once it is seen to say what the kernel says."""
    listed = instruments or listed_market()
    market = market_of(listed) if assets is None else market_of(listed, assets)
    parts = breakdown(0, holdings_of([account], 1 if assets is None else len(assets)), market, profiles_of([rules]))
    for name, value in margin_of(account, market, rules).items():
        assert value == int(getattr(parts, name))
    return parts


# --- steps of the feature file ---------------------------------------------------------------------------------------


@dataclass
class Told:
    """What a scenario has said so far."""

    rules: Rules
    dollars: str
    positions: list[Position] = field(default_factory=list)
    orders: list[Order] = field(default_factory=list)

    def parts(self) -> Breakdown:
        whole, _, rest = self.dollars.partition(".")
        balance = int(whole) * DOLLAR + int(rest.ljust(6, "0") or 0)
        return explained(Account(self.positions, [balance], self.orders), self.rules)


def rows(datatable: list[list[str]]) -> list[dict[str, str]]:
    return [dict(zip(datatable[0], row, strict=True)) for row in datatable[1:]]


@given_step(parsers.parse('an account under the "{name}" profile with {dollars} dollars'), target_fixture="told")
def an_account(name: str, dollars: str) -> Told:
    return Told(rules_of(profile_named(name)), dollars)


@when("it holds")
def it_holds(told: Told, datatable: list[list[str]]) -> None:
    for row in rows(datatable):
        number, quantity = NUMBERS[row["instrument"]], int(row["quantity"])
        cost = quantity * PRICES[LISTED[row["instrument"]][0]] * DOLLAR
        told.positions.append(Position(number, quantity, cost))


@when("it has the orders")
def it_has_the_orders(told: Told, datatable: list[list[str]]) -> None:
    for row in rows(datatable):
        told.orders.append(Order(NUMBERS[row["instrument"]], int(row["quantity"]), int(row["price"]) * 100))


@then(parsers.parse("its scan risk is {dollars:d} dollars"))
def its_scan_risk(told: Told, dollars: int) -> None:
    assert told.parts().required.scan == dollars * FINE


@then(parsers.parse("its credit is {dollars:d} dollars"))
def its_credit(told: Told, dollars: int) -> None:
    assert sum(pair.credit for pair in told.parts().required.credits) == dollars * FINE


@then(parsers.parse("its basis charge is {dollars:d} dollars"))
def its_basis_charge(told: Told, dollars: int) -> None:
    assert told.parts().required.basis == dollars * FINE


@then(parsers.parse("its maintenance margin is {dollars:d} dollars"))
def its_maintenance(told: Told, dollars: int) -> None:
    assert told.parts().maintenance == dollars * DOLLAR


@then(parsers.parse("its initial margin is {dollars:d} dollars"))
def its_initial(told: Told, dollars: int) -> None:
    assert told.parts().initial == dollars * DOLLAR


@then(parsers.parse("its buffer is {dollars:d} dollars"))
def its_buffer(told: Told, dollars: int) -> None:
    assert told.parts().buffer == dollars * DOLLAR


@then(parsers.re("it is (?P<called>called|not called)"))
def it_is_called(told: Told, called: str) -> None:
    parts = told.parts()
    assert (parts.equity < parts.maintenance + parts.buffer) == (called == "called")


# --- worked by hand --------------------------------------------------------------------------------------------------


def test_span_by_hand() -> None:
    # BTC-PERP 2 long from 98,000, BTC-JUN 1 short from 100,000, ETH-PERP 10 short from 4,100; 20,000 dollars.
    account = Account(
        [
            Position(NUMBERS["BTC-PERP"], 2, 2 * 98_000 * DOLLAR),
            Position(NUMBERS["BTC-JUN"], -1, -100_000 * DOLLAR),
            Position(NUMBERS["ETH-PERP"], -10, -10 * 4_100 * DOLLAR),
        ],
        [20_000 * DOLLAR],
        fees_due=5 * DOLLAR,
    )
    parts = explained(account, rules_of(profile_named("span")))
    # equity: 20,000 + 2 x 2,000 + 0 + 10 x 100 - 5 = 24,995
    assert parts.equity == 24_995 * DOLLAR
    # scan: BTC net 1 x 100,000 x 15 % = 15,000 (scenario 13, index 12); ETH 10 x 4,000 x 20 % = 8,000 (scenario 11)
    assert [group.scan for group in parts.groups] == [15_000 * FINE, 8_000 * FINE]
    assert parts.worst == 12
    # the extreme moves are 2 x 15 % x 35 % = 10.5 %, less than the whole range
    assert parts.groups[0].losses[15] == 10_500 * FINE
    # basis: 100,000 hedged between the perp and June x 1 % = 1,000
    assert parts.required.basis == 1_000 * FINE
    # credit: hedged = min(100,000, 40,000) = 40,000; BTC's part min(40,000 x 15 %, 15,000 x 40/100) = 6,000;
    # ETH's min(40,000 x 20 %, 8,000) = 8,000; half of 14,000 = 7,000
    assert [(pair.hedged, pair.credit) for pair in parts.required.credits] == [(40_000 * FINE, 7_000 * FINE)]
    # maintenance: 15,000 + 8,000 + 1,000 - 7,000 = 17,000; buffer 10 %; initial 1.2 x
    assert (parts.maintenance, parts.buffer) == (17_000 * DOLLAR, 1_700 * DOLLAR)
    assert parts.initial == 20_400 * DOLLAR
    # each alone: 2 x 15,000, 15,000 and 8,000
    assert parts.isolated == 53_000 * DOLLAR


def test_delta_netting_by_hand() -> None:
    account = Account([Position(0, 3, 0), Position(2, -1, 0), Position(1, 5, 0)], [0])
    parts = explained(account, rules_of(profile_named("delta_netting")))
    # (3 - 1) x 100,000 x 15 % = 30,000 and 5 x 4,000 x 20 % = 4,000; initial 1.4 x 34,000
    assert parts.maintenance == 34_000 * DOLLAR
    assert parts.initial == 47_600 * DOLLAR


def test_isolated_by_hand() -> None:
    # 1 BTC long from 90,000: a gain of 10,000 that does not count. 5 ETH long from 4,200: a loss of 1,000 that does.
    account = Account([Position(0, 1, 90_000 * DOLLAR), Position(1, 5, 21_000 * DOLLAR)], [30_000 * DOLLAR])
    parts = explained(account, rules_of(profile_named("isolated")))
    assert parts.equity == 29_000 * DOLLAR
    # 15,000 + 5 x 4,000 x 20 % = 4,000; initial 1.5 x 19,000
    assert parts.maintenance == parts.isolated == 19_000 * DOLLAR
    assert parts.initial == 28_500 * DOLLAR


def test_equity_exactly_at_the_call_passes_and_a_millionth_below_does_not() -> None:
    rules = Rules([[100 * FINE]], buffer=1_000)
    future = [Instrument(kind=Kind.FUTURE, mark=1)]
    for equity, passes in ((110_000_000, True), (109_999_999, False)):
        parts = explained(Account([Position(0, 1, 1)], [equity]), rules, future)
        assert (parts.maintenance, parts.buffer) == (100_000_000, 10_000_000)
        assert (parts.equity >= parts.maintenance + parts.buffer) == passes


def test_long_call_and_short_put_are_margined_as_the_future() -> None:
    future = [50 * FINE, 0, -50 * FINE]
    call = [32 * FINE, 1 * FINE, -41 * FINE]
    put = [one - other for one, other in zip(call, future, strict=True)]  # parity: call - put = future
    rules = Rules([future, call, put])
    option = Instrument(kind=Kind.OPTION, mark=1)
    listed = [Instrument(kind=Kind.FUTURE, mark=1), option, option]
    pair = explained(Account([Position(1, 7, 7), Position(2, -7, -7)]), rules, listed)
    single = explained(Account([Position(0, 7, 7)]), rules, listed)
    assert pair.groups[0].losses == single.groups[0].losses
    assert pair.maintenance == single.maintenance == 350 * DOLLAR


@given(st.integers(1, 10**9), st.integers(1, 1_000), st.lists(st.integers(0, 2 * 10**12), min_size=1, max_size=20))
def test_long_option_never_needs_more_than_its_value(mark: int, lots: int, values: list[int]) -> None:
    row = [mark * 1024 - value for value in values]  # an option's value in a scenario is not below zero
    option = Instrument(kind=Kind.OPTION, style=Style.PREMIUM, mark=mark)
    parts = explained(Account([Position(0, lots)]), Rules([row], buffer=0), [option])
    assert parts.maintenance <= parts.equity == lots * mark


def test_short_options_that_cannot_lose_still_need_their_minimum() -> None:
    # 4 short, 250 dollars of underlying each, 1 %: 10 dollars; two long ones of another strike do not lower it
    option = Instrument(kind=Kind.OPTION, style=Style.PREMIUM, mark=1, notional=250 * DOLLAR)
    rules = Rules([[0, 0], [0, 0]], short_option=[100])
    parts = explained(Account([Position(0, -4), Position(1, 2)], [0]), rules, [option, option])
    assert parts.maintenance == parts.isolated == 10 * DOLLAR


def test_sales_of_held_options_open_shorts_only_past_what_is_held() -> None:
    # 3 long and orders to sell 2 and 4: at most 3 short x 250 x 1 % = 7.5 dollars; of the other, never held, 2: 5
    option = Instrument(kind=Kind.OPTION, style=Style.PREMIUM, mark=1, notional=250 * DOLLAR)
    rules = Rules([[0, 0], [0, 0]], short_option=[100], buffer=0)
    orders = [Order(0, -2, 1), Order(1, -2, 1), Order(0, -4, 1), Order(1, 9, 1)]
    parts = explained(Account([Position(0, 3)], [0], orders), rules, [option, option])
    assert (parts.maintenance, parts.initial) == (0, 12_500_000)


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2), (2, 1, 0)])
def test_the_lowest_of_the_scenarios_that_tie_is_the_worst(order: tuple[int, ...]) -> None:
    # two underlyings lose 10 at most, one in scenario 2, the other in 1 and 2; a third loses 9 in scenario 0
    rows = [[0, 0, 10 * FINE], [0, 10 * FINE, 10 * FINE], [9 * FINE, 0, 0]]
    zeros = [0, 0, 0]
    rules = Rules([rows[number] for number in order], scan=zeros, basis=zeros, short_option=zeros)
    listed = [Instrument(kind=Kind.FUTURE, mark=1, underlying=number) for number in range(3)]
    assert explained(Account([Position(number, 1) for number in range(3)]), rules, listed).worst == 1


def test_coin_collateral_hedges_a_short_and_is_cut_by_its_haircut() -> None:
    # 2 BTC at 100,000 after 5 %: 190,000 of equity and 1.9 coins in the scan. Short 2 perps: 0.1 coin x 15 % = 1,500.
    assets = [Asset(), Asset(100_000 * DOLLAR, 10**8, 500, 1)]
    perp = Instrument(underlying=0, tick_value=CENTS, mark=100_000 * 100, delta=100_000 * FINE)
    coin = Instrument(kind=Kind.SPOT, base=1, lot_size=10**6, tick_value=100, mark=100_000 * 100, delta=1_000 * FINE)
    rules = Rules([[15_000 * FINE, -15_000 * FINE], [150 * FINE, -150 * FINE]])
    account = Account([Position(0, -2, -200_000 * DOLLAR)], [0, 2 * 10**8])
    out = margin_of(account, market_of([perp, coin], assets), rules)
    assert (out["equity"], out["maintenance"], out["worst"]) == (190_000 * DOLLAR, 1_500 * DOLLAR, 1)
    # alone the perps need 2 x 15,000 and the coins 1.9 x 15,000
    assert explained(account, rules, [perp, coin], assets).isolated == 58_500 * DOLLAR
    # a debt in coins counts in full: -2 coins are 200,000 dollars and 2 x 15,000 of scan
    debt = margin_of(Account((), [300_000 * DOLLAR, -2 * 10**8]), market_of([perp, coin], assets), rules)
    assert (debt["equity"], debt["maintenance"]) == (100_000 * DOLLAR, 30_000 * DOLLAR)
    # isolated: the haircut is all
    alone = margin_of(account, market_of([perp, coin], assets), Rules(rules.rows, Netting.POSITION))
    assert alone["maintenance"] == 30_000 * DOLLAR


def test_inverse_profit_and_funding_by_hand() -> None:
    # 10 lots of 100 dollars: worth -floor(10 x 100 x 10^8 / 50,000) = -2,000,000 satoshi, bought at 40,000 for
    # -2,500,000: 500,000 satoshi = 0.005 BTC x 50,000 = 250 dollars.
    # Funding: 10 lots x 3.5 satoshi = 35 satoshi paid = 0.0175 dollars.
    perp = Instrument(payoff=Payoff.INVERSE, settlement=1, contract_value=100 * 10**8, mark=50_000, funding=4_500_000)
    market = market_of([perp], [Asset(), Asset(50_000 * DOLLAR, 10**8)])
    account = Account([Position(0, 10, -2_500_000, 1_000_000)])
    out = margin_of(account, market, Rules([[FINE]]))
    assert out["equity"] == 250 * DOLLAR - 17_500


@pytest.mark.parametrize(("price", "initial"), [(100, 20), (103, 23), (98, 18)])
def test_an_order_away_from_the_mark_costs_its_slippage(price: int, initial: int) -> None:
    # one lot bought at `price` with the mark at 100 and a loss of 20 in the worst scenario
    future = Instrument(kind=Kind.FUTURE, mark=100, tick_value=DOLLAR)
    account = Account(orders=[Order(0, 1, price)])
    out = margin_of(account, market_of([future]), Rules([[20 * FINE, -20 * FINE]]))
    assert (out["maintenance"], out["initial"]) == (0, initial * DOLLAR)


def test_a_better_price_does_not_count_where_gains_do_not() -> None:
    future = Instrument(kind=Kind.FUTURE, mark=100, tick_value=DOLLAR)
    account = Account(orders=[Order(0, 1, 98)])
    out = margin_of(account, market_of([future]), Rules([[20 * FINE, -20 * FINE]], gain=0))
    assert out["initial"] == 20 * DOLLAR


def test_an_order_that_may_turn_the_hedge_takes_its_credit_away() -> None:
    # long 1 BTC against short 25 ETH has a credit of 17,500; an order to sell 2 BTC may leave both short
    rules = rules_of(profile_named("span"))
    positions = [Position(0, 1, 100_000 * DOLLAR), Position(1, -25, -100_000 * DOLLAR)]
    parts = explained(Account(positions, orders=[Order(0, -2, 100_000 * 100)]), rules)
    assert parts.required.total == 17_500 * FINE
    assert parts.required_with_orders.credits == ()
    assert parts.required_with_orders.total == 35_000 * FINE
