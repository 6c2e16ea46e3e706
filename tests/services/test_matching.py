"""The demonstration's exchange and breakers: what it still matches, and that nothing it sends is refused by one."""

from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from ledger.journal.sqlite import SqliteReader
from ledger.state import State
from schemas import events as e
from schemas.kinds import BreakerCause, Kind, Parameter, Payoff, Reason
from schemas.outcomes import OUTCOMES, BreakerSwitched, LegPosted, Rejected
from schemas.wire import Run, messages_of, runs_of
from services.crashes import Scope, setting
from services.exchange import VENUE
from services.lockstep import JOURNAL
from services.matching import Matching
from services.run import Variant, own_inputs, run, venue_of

# --- what is matched --------------------------------------------------------------------------------------------------

EXCHANGE = venue_of(own_inputs())


def listed(underlying: int, kind: Kind) -> int:
    return next(
        one.instrument
        for one in EXCHANGE.instruments
        if (one.underlying, one.kind, one.payoff) == (underlying, kind, Payoff.LINEAR)
    )


BTC, BTC_SPOT, BTC_FUTURE, ETH = (
    listed(0, Kind.PERP),
    listed(0, Kind.SPOT),
    listed(0, Kind.FUTURE),
    listed(1, Kind.PERP),
)
LONG, SHORT, FLAT, TWIN, LOW = 16, 17, 18, 19, 20
OWNERS = {LONG: 1, SHORT: 2, FLAT: 3, TWIN: 1, LOW: 4}
HELD = {(LONG, BTC): 10, (LOW, BTC): -8, (SHORT, BTC): -4, (TWIN, BTC): 10, (LONG, ETH): 10, (SHORT, BTC_FUTURE): -4}

EVERYBODY = (BreakerCause.OPEN_INTEREST, 1, 0, 0)
FIRST_OWNER = (BreakerCause.OWNER, 1, 0, 1)


def notices(*switches: tuple[BreakerCause, int, int, int]) -> list[Run]:
    return runs_of(
        OUTCOMES,
        [
            BreakerSwitched(
                index=0, cause=cause, tripped=tripped, underlying=underlying, owner=owner, mark=1, interest=0, limit=0
            )
            for cause, tripped, underlying, owner in switches
        ],
    )


def told(*switches: tuple[BreakerCause, int, int, int]) -> Matching:
    matching = Matching()
    matching.hear(notices(*switches))
    return matching


def trade(buyer: int, seller: int, lots: int, instrument: int = BTC, number: int = 1, flags: int = 0) -> e.Trade:
    return e.Trade(
        flags=flags, venue=VENUE, instrument=instrument, buyer=buyer, seller=seller, time=1, trade=number,
        quantity=lots, price=100, buyer_fee=50 * lots, seller_fee=-10 * lots,
    )  # fmt: skip


def reversal(lots: int, number: int = 1) -> e.TradeReversed:
    return e.TradeReversed(
        venue=VENUE, instrument=BTC, buyer=SHORT, seller=LONG, time=1, trade=number, quantity=lots, price=100,
        buyer_fee=50 * lots, seller_fee=-10 * lots,
    )  # fmt: skip


def order(account: int, lots: int, instrument: int = BTC) -> e.OrderOpened:
    return e.OrderOpened(venue=VENUE, instrument=instrument, account=account, time=1, order=7, quantity=lots, price=100)


def admitted(matching: Matching, *events: Any) -> list[Any]:
    return list(matching.admitted(events, EXCHANGE, OWNERS, lambda *of: HELD.get(of, 0)))


@pytest.mark.parametrize(
    ("switches", "wanted", "lots"),
    [
        ([], trade(FLAT, SHORT, 9), 9),
        ([EVERYBODY], trade(SHORT, LONG, 3), 3),
        ([EVERYBODY], trade(SHORT, LONG, 9), 4),
        ([EVERYBODY], trade(LONG, SHORT, 1), 0),
        ([EVERYBODY], trade(FLAT, LONG, 1), 0),
        ([EVERYBODY], trade(SHORT, FLAT, 1), 0),
        ([EVERYBODY], trade(FLAT, LONG, 1, BTC_SPOT), 1),
        ([EVERYBODY], trade(FLAT, SHORT, 1, BTC_FUTURE), 0),
        ([EVERYBODY], trade(FLAT, SHORT, 9, ETH), 9),
        ([FIRST_OWNER], trade(LONG, FLAT, 1), 0),
        ([FIRST_OWNER], trade(TWIN, FLAT, 1), 0),
        ([FIRST_OWNER], trade(FLAT, LONG, 99), 10),
        ([FIRST_OWNER], trade(FLAT, SHORT, 9), 9),
        ([EVERYBODY, (BreakerCause.PRICE, 1, 0, 0), (BreakerCause.PRICE, 0, 0, 0)], trade(FLAT, SHORT, 9), 0),
        ([EVERYBODY, (BreakerCause.OPEN_INTEREST, 0, 0, 0)], trade(FLAT, SHORT, 9), 9),
        ([FIRST_OWNER, (BreakerCause.OWNER, 0, 0, 1)], trade(LONG, FLAT, 9), 9),
        ([FIRST_OWNER, (BreakerCause.OWNER, 0, 0, 2)], trade(LONG, FLAT, 9), 0),
    ],
    ids=[
        "nothing is tripped", "both reduce", "cut to what reduces both", "both open", "the buyer opens",
        "the seller opens",
        "spot is never shut", "every instrument of the underlying", "another underlying", "a limited owner opens",
        "his other account", "he reduces, to nothing", "others trade on", "let go for one cause of two", "let go",
        "the owner is let go", "another owner is let go",
    ],
)  # fmt: skip
def test_a_trade_is_cut_to_what_reduces(
    switches: Sequence[tuple[BreakerCause, int, int, int]], wanted: e.Trade, lots: int
) -> None:
    going = admitted(told(*switches), wanted)
    assert [(one.quantity, one.buyer_fee, one.seller_fee) for one in going] == (
        [(lots, 50 * lots, -10 * lots)] * bool(lots)
    )


def test_what_a_trade_before_it_took_can_be_reduced_no_more() -> None:
    going = admitted(
        told(EVERYBODY), trade(SHORT, LONG, 3, number=1), trade(SHORT, TWIN, 3, number=2), trade(SHORT, TWIN, 1)
    )
    assert [(one.seller, one.quantity) for one in going] == [(LONG, 3), (TWIN, 1)]
    going = admitted(told(EVERYBODY), trade(LOW, LONG, 8, number=1), trade(SHORT, LONG, 4, number=2))
    assert [(one.buyer, one.quantity) for one in going] == [(LOW, 8), (SHORT, 2)]


@pytest.mark.parametrize(("lots", "together"), [(3, True), (5, False)])
def test_a_spread_is_matched_whole_or_not(lots: int, together: bool) -> None:
    pair = [trade(SHORT, LONG, lots, flags=e.LINKED), trade(LONG, FLAT, lots, ETH, number=2)]
    assert admitted(told(EVERYBODY), *pair) == (pair if together else [])


@pytest.mark.parametrize(
    ("wanted", "lots"), [(3, [3, 3]), (9, [4, 4])], ids=["a whole trade's", "a cut trade's"]
)  # fmt: skip
def test_a_reversal_undoes_what_was_matched(wanted: int, lots: list[int]) -> None:
    going = admitted(told(EVERYBODY), trade(SHORT, LONG, wanted), reversal(wanted))
    assert [(one.quantity, one.buyer_fee, one.seller_fee) for one in going] == [(n, 50 * n, -10 * n) for n in lots]
    assert admitted(told(EVERYBODY), trade(LONG, FLAT, wanted), reversal(wanted)) == []


@pytest.mark.parametrize(
    ("wanted", "rests"),
    [
        (order(LONG, -10), True), (order(LONG, -11), False), (order(LONG, 1), False), (order(FLAT, 1), False),
        (order(FLAT, 1, ETH), True), (order(FLAT, 1, BTC_SPOT), True),
    ],
    ids=["reduces to nothing", "turns the position", "adds", "opens", "another underlying", "spot"],
)  # fmt: skip
def test_an_order_that_could_raise_risk_never_rests(wanted: e.OrderOpened, rests: bool) -> None:
    matching = told(EVERYBODY)
    assert bool(admitted(matching, wanted)) == rests
    matching.hear(notices((BreakerCause.OPEN_INTEREST, 0, 0, 0)))
    later = [
        e.OrderChanged(account=wanted.account, time=2, order=wanted.order, quantity=wanted.quantity, price=100),
        e.OrderCancelled(account=wanted.account, time=3, order=wanted.order),
    ]
    # what was turned away is neither changed nor cancelled, though all is open again
    assert admitted(matching, *later) == (later if rests else [])
    assert admitted(matching, *later) == later


# --- the demonstration with breakers ----------------------------------------------------------------------------------

ACCOUNTS, STEPS = 48, 160
BREAKERS = (
    setting({Parameter.BREAKER_STRESS: 150, Parameter.PRICE_BREAKER: 1_000}, Scope.UNDERLYINGS),
    setting({Parameter.OWNER_SHARE: 3_000}),
)
OF_A_BREAKER = (Reason.BREAKER_TRIPPED, Reason.OWNER_LIMITED)


def variant(heeds: bool, watch: Callable[[Sequence[Run], State], None] | None = None) -> Variant:
    return Variant(
        policy=lambda venue, opened: [said for one in BREAKERS for said in one(venue, opened)], watch=watch, heeds=heeds
    )


@cache
def demonstrated(heeds: bool) -> tuple[Counter[str], Counter[tuple[BreakerCause, int]]]:
    """What breakers refused, and how often they tripped and were let go."""
    refused: Counter[str] = Counter()
    switched: Counter[tuple[BreakerCause, int]] = Counter()

    def watch(runs: Sequence[Run], _: State) -> None:
        for one in messages_of(runs):
            if isinstance(one, LegPosted):
                refused["legs in suspense"] += one.reason in OF_A_BREAKER
            elif isinstance(one, Rejected):
                refused["refused"] += one.reason in OF_A_BREAKER
            elif isinstance(one, BreakerSwitched):
                switched[one.cause, one.tripped] += 1

    with TemporaryDirectory() as room:
        ledger, _ = run(
            Path(room) / "run", own_inputs(), accounts=ACCOUNTS, seed=1, steps=STEPS, variant=variant(heeds, watch)
        )
        ledger.close()
    return refused, switched


def test_an_exchange_that_listens_sends_nothing_that_a_breaker_refuses() -> None:
    deaf, _ = demonstrated(heeds=False)
    assert min(deaf["legs in suspense"], deaf["refused"]) > 50
    refused, switched = demonstrated(heeds=True)
    assert set(switched) == {(cause, tripped) for cause in BreakerCause for tripped in (0, 1)}
    assert not any(refused.values())


def test_a_run_with_breakers_taken_up_again_over_other_shards_matches_the_same(tmp_path: Path) -> None:
    entries = []
    for name, shards, stops in (("whole", 4, (40,)), ("again", 1, (20, 40))):
        directory = tmp_path / name
        for steps in stops:
            ledger, _ = run(
                directory, own_inputs(), accounts=ACCOUNTS, seed=1, shards=shards, steps=steps, variant=variant(True)
            )
            ledger.close()
        reader = SqliteReader(directory / JOURNAL)
        entries.append([data for _, data in reader.read(0, reader.end())])
        reader.close()
    one, other = entries
    assert one == other
