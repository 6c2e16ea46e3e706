"""Previews against the slow second way; verdicts and their reasons; whose accounts may be asked for."""

from random import Random

import pytest
from world import CALL_BTC, FUT_BTC, HOUR, MICRO, PERP_BTC, PERP_ETH, PUT_BTC, SPOT_BTC, USD, World

from ledger.state import Order, holdings
from risk.breakdown import breakdown
from schemas import events as e
from schemas.kinds import AccountStatus, InstrumentStatus
from schemas.sources import Role
from services.asking import AccountNotHere, Kind, Proposed, Question, answer
from services.explain import AccountUnknown, micro
from services.pricer import market

A, B = 20, 21
PRICES = {PERP_BTC: 800_000, PERP_ETH: 20_000, FUT_BTC: 800_000, CALL_BTC: 30_000, PUT_BTC: 30_000}


def world(money: int = 200_000) -> World:
    one = World()
    one.open(A, B)
    one.deposit(A, money * MICRO)
    one.deposit(B, 10**7 * MICRO)
    return one


def asked(one: World, *orders: tuple[int, int, int], account: int = A) -> dict[str, object]:
    proposed = tuple(Proposed(instrument=i, quantity=q, price=p) for i, q, p in orders)
    return answer(one.owner(account), Question(kind=Kind.PREVIEW, account=account, orders=proposed))


@pytest.mark.parametrize("seed", range(12))
def test_a_preview_is_what_the_second_way_computes(seed: int) -> None:
    chance = Random(seed)
    one = world()
    for _ in range(chance.randrange(4)):
        instrument = chance.choice(list(PRICES))
        buyer, seller = chance.sample([A, B], 2)
        one.trade(buyer, seller, instrument, chance.randrange(1, 400), PRICES[instrument])
    for number in range(chance.randrange(4)):
        instrument = chance.choice(list(PRICES))
        lots = chance.choice([-1, 1]) * chance.randrange(1, 300)
        one.send(
            e.OrderOpened(
                venue=1, instrument=instrument, account=A, time=one.time, order=number, quantity=lots,
                price=PRICES[instrument],
            )
        )  # fmt: skip
    orders = [
        (
            instrument,
            chance.choice([-1, 1]) * chance.randrange(1, 3000),
            PRICES[instrument] + chance.randrange(-500, 500),
        )
        for instrument in chance.choices(list(PRICES), k=chance.randrange(1, 6))
    ]
    books = [bytes(one.state.account_rows.tobytes())]
    told = asked(one, *orders)
    books.append(bytes(one.state.account_rows.tobytes()))
    assert books[0] == books[1]  # asking leaves no trace

    state = one.owner(A)
    for figures, more in (("before", []), ("after", orders)):
        book = dict(state.orders.get(A, {}))
        state.orders[A] = book | {10**6 + k: Order(*order) for k, order in enumerate(more)}
        state.order_tables = None
        slow = breakdown(A, holdings(state), state.market, state.profiles)
        state.orders[A], state.order_tables = book, None
        fast = told[figures]
        assert isinstance(fast, dict)
        assert (fast["equity"], fast["maintenance"], fast["initial"]) == tuple(
            map(micro, (slow.equity, slow.maintenance, slow.initial))
        )
    assert told["accepted"] == (slow.equity >= slow.initial or told["after"] == told["before"])


def rest(one: World, quantity: int) -> None:
    one.send(
        e.OrderOpened(
            venue=1, instrument=PERP_BTC, account=A, time=one.time, order=1, quantity=quantity, price=800_000
        )
    )  # fmt: skip


def halt(one: World) -> None:
    change = e.InstrumentStatusChanged(
        instrument=PERP_BTC, status=InstrumentStatus.HALTED, time=one.time, effective=one.time
    )
    one.send(change)
    one.mark()


def freeze(one: World) -> None:
    one.send(_changed(1, one.time))
    one.mark()


def _changed(status: int, time: int) -> e.AccountChanged:
    return e.AccountChanged(account=A, status=AccountStatus(status), profile=3, time=time, effective=time)


def go_stale(one: World) -> None:
    one.time += 48 * HOUR
    time = one.time
    one.send(*[event for event in one.oracle() if getattr(event, "underlying", 1) == 1])
    one.send_runs(Role.PRICER, market(one.state, 2, time))
    one.send(e.Mark(mark=2, market=2, time=time))


def nothing(_: World) -> None:
    """As it is."""


@pytest.mark.parametrize(
    ("happened", "orders", "reason", "order"),
    [
        (nothing, [(PERP_BTC, 10, 800_000)], None, None),
        (nothing, [], None, None),
        (nothing, [(PERP_BTC, 10, 800_000), (999, 1, 1)], "UNKNOWN_INSTRUMENT", 1),
        (nothing, [(PERP_BTC, 0, 800_000)], "QUANTITY_OUT_OF_RANGE", 0),
        (nothing, [(PERP_BTC, 2**31, 800_000)], "QUANTITY_OUT_OF_RANGE", 0),
        (nothing, [(PERP_BTC, 1, 0)], "PRICE_OUT_OF_RANGE", 0),
        (nothing, [(PERP_BTC, 10**6, 800_000)], "INITIAL_MARGIN_SHORT", None),
        (nothing, [(PERP_BTC, 80_000, 800_000), (PERP_BTC, 80_000, 800_000)], "INITIAL_MARGIN_SHORT", None),
        (lambda one: rest(one, 80_000), [(PERP_BTC, 80_000, 800_000)], "INITIAL_MARGIN_SHORT", None),
        (nothing, [(PERP_BTC, 80_000, 800_000)], None, None),
        (halt, [(PERP_BTC, 1, 800_000)], "INSTRUMENT_HALTED", 0),
        (freeze, [(PERP_BTC, 1, 800_000)], "ACCOUNT_FROZEN", 0),
        (go_stale, [(PERP_BTC, 1, 800_000)], "STALE_PRICE", 0),
        (nothing, [(SPOT_BTC, 1, 800_000)], None, None),
    ],
)
def test_verdicts(happened: object, orders: list[tuple[int, int, int]], reason: str | None, order: int | None) -> None:
    one = world()
    happened(one)  # type: ignore[operator]
    told = asked(one, *orders)
    assert (told["accepted"], told["reason"], told["order"]) == (reason is None, reason, order), told
    assert str(told["message"])


def test_what_is_accepted_may_rest_and_what_only_lowers_is_accepted_under_water() -> None:
    one = world()
    one.trade(A, B, PERP_BTC, 100_000, 800_000)
    one.mark(btc=7000.0)
    assert asked(one, (PERP_BTC, 1, 700_000))["reason"] == "ORDER_RAISES_RISK"
    told = asked(one, (PERP_BTC, -5_000, 700_000))
    assert told["accepted"], told
    assert one.send(e.OrderOpened(venue=1, instrument=PERP_BTC, account=A, time=one.time, order=9, quantity=-5_000, price=700_000)) == []  # fmt: skip  # noqa: E501


def test_a_standing_tells_books_orders_and_margin() -> None:
    one = world()
    one.trade(A, B, PERP_BTC, 10, 800_000)
    rest(one, 5)
    told = answer(one.owner(A), Question(kind=Kind.STANDING, account=A))
    assert told["balances"] == {"USD": "200000"} or float(told["balances"]["USD"]) == 200_000
    assert [(p["instrument"], p["lots"]) for p in told["positions"]] == [("BTC-PERP", 10)]
    assert told["orders"] == [{"order": 1, "instrument": "BTC-PERP", "lots": 5, "price": 800_000}]
    explained = answer(one.owner(A), Question(kind=Kind.EXPLAIN, account=A))
    assert {name: explained[name] for name in ("equity", "maintenance", "initial")} == {
        name: told["margin"][name] for name in ("equity", "maintenance", "initial")
    }
    assert one.balance(A, USD) == 200_000 * MICRO


def test_what_netting_saves_is_told_and_previewed() -> None:
    one = world()
    one.trade(A, B, PERP_BTC, 10, 800_000)
    outright = asked(one)
    assert (outright["isolated_maintenance"], outright["capital_saved"]) == (
        outright["before"]["maintenance"],
        "0.000000",
    )
    one.trade(B, A, FUT_BTC, 10, 800_000)
    for told in (asked(one), answer(one.owner(A), Question(kind=Kind.EXPLAIN, account=A))):
        maintenance = told["maintenance"] if "maintenance" in told else told["before"]["maintenance"]
        alone, saved = float(told["isolated_maintenance"]), float(told["capital_saved"])
        # a perp against a future: each needs as much as the perp did, and together next to nothing
        assert alone == pytest.approx(2 * float(outright["isolated_maintenance"]), rel=0.05)
        assert saved == pytest.approx(alone - float(maintenance))
        assert saved > 0.8 * alone


@pytest.mark.parametrize("kind", list(Kind))
def test_whose_accounts(kind: Kind) -> None:
    one = World(shards=2)
    one.open(A, B)
    right, wrong = one.owner(A), next(state for state in one.clearing.states if not state.owns(A))
    assert answer(right, Question(kind=kind, account=A, member=1))["account" if kind != Kind.PREVIEW else "rung"]
    for question in (
        Question(kind=kind, account=A, member=2),
        Question(kind=kind, account=63),
        Question(kind=kind, account=3),
    ):
        with pytest.raises(AccountUnknown):
            answer(right, question)
    with pytest.raises(AccountNotHere):
        answer(wrong, Question(kind=kind, account=A))
    assert Question.model_validate_json(Question(kind=kind, account=A, member=1).model_dump_json()).account == A
