"""The lockstep run: an exchange's events, oracle rounds, marks, and every answer, until nothing is unanswered.

Mark m + 1 waits for every answer to mark m, so two runs of one input are equal to the byte, whatever the shards.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, Final

import numpy as np

from ledger.margining import margins_of
from ledger.orders import position_of
from ledger.state import State
from liquidation import auction
from liquidation.auction import Terms
from risk.valuation import part_up
from schemas.chart import FIRST_ACCOUNT
from schemas.events import (
    EVENTS,
    AccountOpened,
    CapitalContributed,
    Deposited,
    FundContributed,
    Mark,
    ProfilePublished,
    ProfileText,
    Trade,
)
from schemas.kinds import Rung, Segregation
from schemas.limits import ARRAY_EXPONENT, MICRO
from schemas.outcomes import WithdrawalAnswered
from schemas.sources import Role, source
from schemas.wire import Run, message_of, runs_of
from services import exchange, flow, markets
from services.answers import Answers
from services.bidders import Offer, PortfolioOffer, bids, sealed_bids, unwinding
from services.exchange import Exchange
from services.figures import Gathered, begin_mark, gather
from services.lockstep import Lockstep, Settings, bounded
from services.matching import Matching
from services.population import SPAN, Customer, Population, Strategy, population
from services.pricer import market
from services.processors.deciders import Decider
from services.tables import PROFILE_NUMBERS, Bar, FundingRow, read_funding, read_prices
from services.view import StateView

SNAPSHOT_EVERY: Final = 400
"""numbered entries between two snapshots of a run"""
PIECE: Final = 128
"""characters of a profile's text in one event"""
FUND_PER_ACCOUNT: Final = 900
"""dollars that backers put into the fund for each account of the demonstration"""
CAPITAL_PER_ACCOUNT: Final = 100
"""and that the clearinghouse puts in itself"""


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a run clears: bars and funding rates, and a user's own accounts, deposits and trades where there are any."""

    bars: Sequence[Bar]
    funding: Sequence[FundingRow] = ()
    accounts: Sequence[AccountOpened] = ()
    deposits: Sequence[Deposited] = ()
    trades: Sequence[Trade] = ()
    own_figures: bool = True
    stable: Sequence[Bar] = ()
    """bars of USDC at the times of the others; none: it is worth a dollar throughout"""


Policy = Callable[[Exchange, int], Sequence[tuple[Role, Sequence[Any]]]]
"""The exchange and the time it opens -> what roles say of default management before the first mark, in this order."""
Pledges = Callable[[Sequence[Customer], int], Sequence[tuple[Role, Sequence[Any]]]]
"""The customers and the time -> what roles say once their accounts are open."""
Watch = Callable[[Sequence[Run], State], None]
"""Hears an entry's outcomes, all shards', with the facts after it."""
Resale = Callable[[State, int, int], int]
"""Facts, instrument, lots as the failing account's leg (it sells: < 0) -> what bidders believe them worth, ticks."""


@dataclass(frozen=True, slots=True)
class Variant:
    """What a run may have otherwise than the demonstration; the defaults are the demonstration's."""

    leverage: float = 1.0
    """what the margin profiles' leverage is multiplied by: their price scan ranges are divided by it"""
    fund: int | None = None
    """dollars an account that backers put into the fund; None: FUND_PER_ACCOUNT"""
    capital: int | None = None
    """and that the clearinghouse puts in itself; None: CAPITAL_PER_ACCOUNT"""
    policy: Policy | None = None
    pledges: Pledges | None = None
    buyer: int = 0
    """dollars of a further account, the last by number, that trades only when `desk` says so; 0: there is none"""
    desk: Decider | None = None
    """who liquidates; None: the liquidation desk"""
    watch: Watch | None = None
    resale: Resale | None = None
    """None: what is for sale is worth its mark"""
    whole: Callable[[State, Mapping[int, int]], int] | None = None
    """facts, a portfolio's lots by instrument -> basis points less than their marks that bidders believe them worth"""
    heeds: bool = True
    """whether the exchange listens to breakers; else it matches as if there were none"""


@dataclass(slots=True)
class Ran:
    """What came of a run, for the report."""

    gathered: Gathered = field(default_factory=Gathered)
    customers: Sequence[Customer] = ()
    events: int = 0


def own_inputs() -> Inputs:
    """The demonstration's own prices and funding rates."""
    data = files("services") / "data"
    with as_file(data / "crash_2020_03.csv") as bars, as_file(data / "funding_2020_03.csv") as rates:
        return Inputs(read_prices(bars), read_funding(rates))


def venue_of(inputs: Inputs) -> Exchange:
    """The exchange that the inputs' first prices and time make."""
    return exchange.exchange(markets.openings(inputs.bars), inputs.bars[0].ts)


def shipped_profiles() -> dict[int, str]:
    """The text of each profile that comes with the project, by its number."""
    folder = files("risk") / "profiles"
    return {
        number: (folder / f"{name.replace('-', '_')}.toml").read_text("ascii")
        for name, number in sorted(PROFILE_NUMBERS.items(), key=lambda item: item[1])
    }


def stretched(profile: str, leverage: float) -> str:
    """A profile's text with its price scan ranges divided by `leverage`, in whole basis points."""
    if leverage == 1.0:
        return profile
    return re.sub(
        r'(?m)^price_scan = "([0-9.]+)"', lambda found: f'price_scan = "{float(found[1]) / leverage:.4f}"', profile
    )


def profile_events(number: int, text: str, time: int) -> list[Any]:
    """A profile's text as events: its pieces and the row that closes them."""
    pieces = [text[at : at + PIECE] for at in range(0, len(text), PIECE)]
    digest = hashlib.sha256(text.encode("ascii")).digest()
    return [
        *(ProfileText(profile=number, part=k, time=time, text=piece) for k, piece in enumerate(pieces)),
        ProfilePublished(profile=number, parts=len(pieces), time=time, effective=time, digest=digest),
    ]


class Conductor:
    """Drives a ledger in lockstep: sends events, keeps what came of them, and lets the desk and bidders answer."""

    def __init__(self, ledger: Lockstep, seed: int, variant: Variant | None = None) -> None:
        self.ledger = ledger
        self.ran = Ran()
        self.matching = Matching()
        self._seed = seed
        self.variant = variant or Variant()
        self._answers = Answers(ledger.clearing.settings.shards, desk=self.variant.desk)
        self._market = 0
        self._withdrawals: list[WithdrawalAnswered] = []

    def send(self, role: Role, events: Iterable[Any]) -> list[Run]:
        """Send events of a role; returns and gathers their outcomes."""
        return self._send(role, runs_of(EVENTS, events))

    def _send(self, role: Role, runs: Sequence[Run]) -> list[Run]:
        if not runs:
            return []
        outcomes = [one for part in bounded(runs) for one in self._entry(source(role), part)]
        while (answer := self._answers.following()) is not None:
            self._entry(*answer)
        return outcomes

    def _entry(self, number: int, runs: Sequence[Run]) -> list[Run]:
        self.ran.events += sum(len(run.rows) for run in runs)
        outcomes = self.ledger.send(number, runs)
        gather(self.ran.gathered, outcomes, self.ledger.state)
        if self.variant.watch is not None:
            self.variant.watch(outcomes, self.ledger.state)
        if self.variant.heeds:
            self.matching.hear(outcomes)
        self._withdrawals += _messages(outcomes, (WithdrawalAnswered,))
        self._answers.hear(number, outcomes, self.ledger.state)
        return outcomes

    def withdrawals(self) -> list[WithdrawalAnswered]:
        """What was answered since the last call: at a mark by the shards, or after it where the services judge."""
        told, self._withdrawals = self._withdrawals, []
        return told

    def mark(self, time: int) -> list[Run]:
        """Price a market, mark with it, and let every service answer until nothing is unanswered."""
        begin_mark(self.ran.gathered, time)
        self._market += 1
        outcomes = self._send(Role.PRICER, market(self.ledger.state, self._market, time))
        marked = self.send(Role.PRICER, [Mark(mark=self._market, market=self._market, time=time)])
        self.send(Role.LIQUIDATOR, [*self._bids(StateView(self.ledger.state), time), *self._sealed_bids(time)])
        return [*outcomes, *marked]

    def _bids(self, view: StateView, time: int) -> Sequence[Any]:
        states, resale = self.ledger.clearing.states, self.variant.resale
        offers = []
        clearing = view.offering().clearing > 0
        for state in states:
            for number, one in state.auctions.items():
                mark = view.mark(one.instrument)
                terms = Terms(one.start, one.step, one.floor)
                ticks = auction.price(one.remaining, mark, auction.discount(terms, state.mark - one.mark))
                worth = mark if resale is None else resale(state, one.instrument, one.remaining)
                margin = self._margin(one.instrument)
                offers.append(Offer(number, one.instrument, one.remaining, ticks, worth, margin, clearing))
        if not offers:
            return ()
        return bids(offers, self._rooms(), self._seed, self._market, time)

    def _sealed_bids(self, time: int) -> Sequence[Any]:
        """The bids for portfolios that this mark put on offer."""
        state, whole = self.ledger.state, self.variant.whole
        offers, less = [], {}
        for number, one in state.facts.portfolios.items():
            if one.mark != self._market:
                continue
            margin = sum(abs(lots) * self._margin(instrument) for instrument, lots in one.lots.items())
            less[number] = whole(state, one.lots) if whole is not None else 0
            offers.append(PortfolioOffer(auction=number, margin=margin, reserve=one.reserve - less[number]))
        made = sealed_bids(offers, self._rooms(), self._seed, self._market, time) if offers else ()
        return [replace(bid, discount=bid.discount + less[bid.auction]) for bid in made]

    def _rooms(self) -> dict[int, int]:
        """Every liquidator's equity less initial margin, micro-dollars by account."""
        room = {}
        for state in self.ledger.clearing.states:
            mine = (state.accounts.liquidator == 1) & (state.accounts.owned == 1)
            for account in np.flatnonzero(mine).tolist():
                margin = margins_of(state, account)
                room[account] = margin.equity - margin.initial
        return room

    def _margin(self, instrument: int) -> int:
        """The initial margin of one lot alone under the profile that liquidators have, micro-dollars."""
        p = self.ledger.state.profiles
        return int(part_up((int(p.largest[SPAN, instrument]) >> ARRAY_EXPONENT) + 1, int(p.initial[SPAN])))


def _messages(runs: Iterable[Run], kinds: tuple[type[Any], ...]) -> list[Any]:
    return [message_of(run.message, row) for run in runs if run.message.cls in kinds for row in run.rows]


def run(
    directory: Path,
    inputs: Inputs,
    *,
    accounts: int,
    seed: int,
    shards: int = 1,
    snapshot_every: int = SNAPSHOT_EVERY,
    steps: int | None = None,
    tell: Callable[[int, int], None] | None = None,
    acknowledged: Callable[[int], None] | None = None,
    variant: Variant | None = None,
) -> tuple[Lockstep, Ran]:
    """Clear the inputs into a directory; the ledger comes back open. A directory with part of the same run is gone on
    with. `steps` cuts the run short; `tell` hears (marks done, marks in all), `acknowledged` each new entry's offset.
    `variant` is what is otherwise than in the demonstration.

    Raises RunDiffers, SettingsDiffer, HeadDiffers or OutcomeDiffers where the directory holds another run, and what
    opening it, reading prices and making an exchange raises.
    """
    venue = venue_of(inputs)
    track = markets.path(inputs.bars, venue, inputs.stable)
    variant = variant or Variant()
    opened = int(track.times[0])
    highest = max((one.account for one in inputs.accounts), default=FIRST_ACCOUNT + accounts - 1)
    buyers = int(variant.buyer > 0)
    ledger = Lockstep(directory, Settings(shards, highest + buyers + 1, snapshot_every), acknowledged)
    try:
        conductor = Conductor(ledger, seed, variant)
        establish(conductor, venue, opened, accounts)
        conductor.send(Role.ORACLE, markets.oracle_events(track, venue, inputs.funding, 0))
        conductor.mark(opened)
        people = _open_accounts(conductor, inputs, venue, accounts, seed, opened)
        if buyers:
            _open_buyer(conductor, highest + 1, opened)
        last = min(len(track), steps or len(track))
        for step in range(1, last):
            _step(conductor, inputs, venue, track, people, seed, step)
            if tell:
                tell(step + 1, last)
    except BaseException:
        ledger.abandon()
        raise
    return ledger, conductor.ran


def establish(conductor: Conductor, venue: Exchange, opened: int, accounts: int) -> None:
    """What exists before anybody trades."""
    variant = conductor.variant
    texts = {number: stretched(text, variant.leverage) for number, text in shipped_profiles().items()}
    profiles = [e for number, text in texts.items() for e in profile_events(number, text, opened)]
    fund = FUND_PER_ACCOUNT if variant.fund is None else variant.fund
    capital = CAPITAL_PER_ACCOUNT if variant.capital is None else variant.capital
    conductor.send(
        Role.COUNCIL,
        [
            *venue.assets,
            *venue.underlyings,
            *venue.index,
            *venue.instruments,
            *exchange.opening_parameters(opened),
            *profiles,
            CapitalContributed(asset=0, time=opened, amount=accounts * capital * MICRO),
            FundContributed(own=1, asset=0, backer=0, time=opened, amount=accounts * capital // 2 * MICRO),
            FundContributed(own=0, asset=0, backer=1, time=opened, amount=accounts * fund * MICRO),
        ],
    )
    for role, events in variant.policy(venue, opened) if variant.policy is not None else ():
        conductor.send(role, events)


def _open_accounts(
    conductor: Conductor, inputs: Inputs, venue: Exchange, accounts: int, seed: int, opened: int
) -> Population | None:
    """The customers: the user's own, or the seeded mix with its first deposits and trades."""
    if inputs.accounts:
        conductor.send(Role.REGISTRAR, inputs.accounts)
        conductor.send(Role.CUSTODIAN, [one for one in inputs.deposits if one.time <= opened])
        conductor.send(Role.EXCHANGE, [one for one in inputs.trades if one.time <= opened])
        return None
    state = conductor.ledger.state
    people = population(venue, _marks(state), _prices(state), accounts, seed, opened, conductor.variant.leverage)
    conductor.ran.customers = people.customers
    conductor.send(Role.REGISTRAR, people.accounts)
    conductor.send(Role.CUSTODIAN, people.deposits)
    pledges = conductor.variant.pledges
    for role, events in pledges(people.customers, opened) if pledges is not None else ():
        conductor.send(role, events)
    conductor.send(Role.EXCHANGE, people.trades)
    return people


def _open_buyer(conductor: Conductor, account: int, opened: int) -> None:
    """An account with so many dollars that it can take whatever is sold."""
    one = AccountOpened(
        segregation=Segregation.HOUSE,
        liquidator=0,
        profile=SPAN,
        account=account,
        member=account,
        owner=account,
        time=opened,
        name="buyer",
    )
    conductor.send(Role.REGISTRAR, [one])
    amount = conductor.variant.buyer * MICRO
    number = account * MICRO  # apart from the numbers of the customers' deposits
    conductor.send(Role.CUSTODIAN, [Deposited(asset=0, account=account, deposit=number, time=opened, amount=amount)])


def _marks(state: State) -> dict[int, int]:
    return {i: int(state.market.mark[i]) for i in state.facts.instruments if state.market.marked[i]}


def _prices(state: State) -> dict[int, int]:
    return {asset: int(state.market.asset_price[asset]) for asset in state.facts.assets}


def _step(
    conductor: Conductor,
    inputs: Inputs,
    venue: Exchange,
    track: markets.Path,
    people: Population | None,
    seed: int,
    step: int,
) -> None:
    time, before = int(track.times[step]), int(track.times[step - 1])
    opened = int(track.times[0])
    if inputs.own_figures:
        conductor.send(Role.COUNCIL, exchange.council(venue, opened, before, time))
    conductor.send(Role.ORACLE, markets.oracle_events(track, venue, inputs.funding, step))
    conductor.mark(time)
    answers = conductor.withdrawals()
    if people is None:
        conductor.send(Role.CUSTODIAN, [one for one in inputs.deposits if before < one.time <= time])
        conductor.send(Role.EXCHANGE, [one for one in inputs.trades if before < one.time <= time])
        return
    states = conductor.ledger.clearing.states
    now = flow.Moment(
        step, time, _marks(conductor.ledger.state), _prices(conductor.ledger.state), _barred(states), _room(states)
    )
    conductor.send(Role.CUSTODIAN, [*flow.custodian(answers, seed, now), *flow.deposits(people, seed, now)])
    held = _held(states, [one.account for one in people.of(Strategy.LIQUIDATOR)])
    wanted = [*flow.flow(people, venue, seed, now), *unwinding(held, people, venue, seed, now)]
    owners = {one.account: one.owner for one in people.accounts}
    matched = conductor.matching.admitted(wanted, venue, owners, lambda *of: _lots(states, *of))
    conductor.send(Role.EXCHANGE, matched)


def _barred(states: Sequence[State]) -> set[int]:
    """Accounts that may not open risk now."""
    return {
        account
        for state in states
        for account in np.flatnonzero((state.accounts.rung != Rung.HEALTHY) & (state.accounts.owned == 1)).tolist()
    }


def _room(states: Sequence[State]) -> dict[int, int]:
    """Equity less initial margin of every account, micro-dollars."""
    return {
        account: int(state.margins.equity[account] - state.margins.initial[account])
        for state in states
        for account in np.flatnonzero((state.accounts.owned == 1) & (state.accounts.status == 0)).tolist()
        if account >= FIRST_ACCOUNT
    }


def _lots(states: Sequence[State], account: int, instrument: int) -> int:
    """Lots that an account holds of an instrument."""
    return next((position_of(state, account, instrument) for state in states if state.owns(account)), 0)


def _held(states: Sequence[State], accounts: Sequence[int]) -> dict[tuple[int, int], int]:
    """Lots by (account, instrument) of some accounts."""
    held = {}
    for state in states:
        for account in accounts:
            if state.owns(account):
                first = int(state.pool.start[account])
                for p in range(first, first + int(state.pool.count[account])):
                    if state.pool.quantity[p]:
                        held[(account, int(state.pool.instrument[p]))] = int(state.pool.quantity[p])
    return held
