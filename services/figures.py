"""What a run came to, gathered from the outcomes as they arrive: the series and tables that the report shows."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from ledger.margining import working_memory
from ledger.state import State, holdings
from risk.requirement import margin_accounts
from risk.tables import I64Array, margins
from risk.valuation import asset_value, contract_value
from schemas.chart import FIRST_ACCOUNT, House
from schemas.kinds import LegKind, PostingKind, Reason, Rung, WaterfallLayer
from schemas.outcomes import (
    DeficitCovered,
    DeficitFound,
    HouseBalance,
    LegPosted,
    LossBorne,
    MarkDone,
    ParameterApplied,
    Posted,
    Rejected,
    RungChanged,
)
from schemas.wire import Run, message_of
from services.failing import Failing
from services.population import Customer
from services.report import (
    INSURANCE_FUND,
    Audit,
    Decision,
    LayerFigures,
    Losses,
    RunFigures,
    Shortfall,
    StrategyFigures,
)

OTHERS: Final = "own files"
"""the strategy that accounts of a user's file are counted under"""
LAYERS: Final[Mapping[WaterfallLayer, tuple[str, House | None]]] = {
    WaterfallLayer.LAID_OUT: ("what was laid out before", House.LAID_OUT),
    WaterfallLayer.MEMBER_CONTRIBUTION: ("the failing members' contributions", None),
    WaterfallLayer.OWN_CAPITAL: ("own capital", House.OWN_CAPITAL),
    WaterfallLayer.FUND: (INSURANCE_FUND, House.FUND),
    WaterfallLayer.DEFAULT_FUND: ("the default fund", House.DEFAULT_FUND),
    WaterfallLayer.ASSESSMENT: ("assessments", None),
    WaterfallLayer.GAINS_HAIRCUT: ("haircuts of gains", None),
}
"""the layers that pay in money: how they are named, and where what is left of them lies; a failing member's own
contribution lies with the others' in the default fund"""


def net_worth(states: Sequence[State]) -> I64Array:
    """What every account is worth without any haircut, micro-dollars, by number."""
    size = max(len(state.accounts.status) for state in states)
    worth = np.zeros(size, np.int64)
    for state in states:
        mine = np.flatnonzero((state.accounts.owned == 1) & (state.accounts.status != 255)).astype(np.int64)
        mine = mine[mine >= FIRST_ACCOUNT]
        tables, out = holdings(state), margins(len(state.accounts.status))
        bare = state.market._replace(haircut=np.zeros_like(state.market.haircut))
        whole = state.profiles._replace(gain=np.full_like(state.profiles.gain, 10_000))
        margin_accounts(mine, tables, bare, whole, working_memory(state), out)
        worth[mine] = out.equity[mine]
    return worth


@dataclass(slots=True)
class Gathered:
    """Series by mark and sums so far."""

    failing: Failing = field(default_factory=Failing)
    times: list[int] = field(default_factory=list)
    prices: defaultdict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    volatility: defaultdict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    equity: list[int] = field(default_factory=list)
    initial: list[int] = field(default_factory=list)
    maintenance: list[int] = field(default_factory=list)
    calls: list[int] = field(default_factory=list)
    liquidations: list[int] = field(default_factory=list)
    notional: list[int] = field(default_factory=list)
    fund: list[int] = field(default_factory=list)
    called: set[int] = field(default_factory=set)
    liquidated: set[int] = field(default_factory=set)
    owed: dict[int, tuple[int, int]] = field(default_factory=dict)
    """account -> (time, most it owed)"""
    covered: Counter[int] = field(default_factory=Counter)
    """account -> what was paid of what it owed, by whatever layer"""
    borne: Counter[WaterfallLayer] = field(default_factory=Counter)
    """the same by layer"""
    gave: Counter[int] = field(default_factory=Counter)
    """account -> what it was assessed for and what of its gains was withheld, for others"""
    torn_up: int = 0
    """value at the mark of failing accounts' positions that were torn up"""
    deleveraged: Counter[int] = field(default_factory=Counter)
    brought: Counter[int] = field(default_factory=Counter)
    """account -> deposits less withdrawals, dollars at the time"""
    rejections: Counter[str] = field(default_factory=Counter)
    decisions: list[Decision] = field(default_factory=list)
    outcomes: int = 0


def dollars(state: State, asset: int, amount: int) -> int:
    """An amount's value at the market in force, micro-dollars."""
    m = state.market
    return int(asset_value(amount, int(m.asset_price[asset]), int(m.asset_scale[asset])))


def _value(state: State, instrument: int, quantity: int, price: int) -> int:
    m = state.market
    units = contract_value(
        int(m.payoff[instrument]), quantity, price, int(m.tick_value[instrument]), int(m.contract_value[instrument])
    )
    return dollars(state, int(m.settlement[instrument]), units)


def gather(told: Gathered, runs: Iterable[Run], state: State) -> None:
    """Take in one entry's outcomes (all shards')."""
    for run in runs:
        told.outcomes += len(run.rows)
        told.failing.hear(run)
        kind = run.message.cls
        if kind is Rejected:
            for reason, count in zip(*np.unique(run.rows["reason"], return_counts=True), strict=True):
                told.rejections[Reason(int(reason)).name] += int(count)
        elif kind is LegPosted:
            _legs(told, run, state)
        elif kind in _TAKERS:
            take = _TAKERS[kind]
            for row in run.rows:
                take(told, message_of(run.message, row), state)
    if any(run.message.cls is MarkDone for run in runs):
        for number, listed in sorted(state.facts.underlyings.items()):
            told.prices[listed.symbol].append(state.facts.oracle[number][0])
            told.volatility[listed.symbol].append(at_the_money(state, number))


def at_the_money(state: State, underlying: int) -> int:
    """The volatility nearest the money of the nearest expiry still told, millionths; 0 where there is none."""
    smiles = sorted((expiry, s) for (u, expiry), s in state.facts.volatilities.items() if u == underlying)
    alive = [smile for expiry, smile in smiles if expiry > state.time]
    if not alive:
        return 0
    price = state.facts.oracle[underlying][0]
    return alive[0][min(alive[0], key=lambda strike: abs(strike - price))]


def _legs(told: Gathered, run: Run, state: State) -> None:
    rows = run.rows[run.rows["kind"] >= LegKind.LIQUIDATION]
    for row in rows:
        instrument, quantity, price = int(row["instrument"]), int(row["quantity"]), int(row["price"])
        mark = int(state.market.mark[instrument])
        failing = int(row["account"]) in told.failing
        if told.notional and failing:
            told.notional[-1] += abs(_value(state, instrument, quantity, mark))
        if row["kind"] == LegKind.DELEVERAGING and failing:
            # What the failing account got over the mark is what its counterparties gave up.
            gift = _value(state, instrument, quantity, mark) - _value(state, instrument, quantity, price)
            told.deleveraged[int(row["account"])] += max(0, gift)
        if row["kind"] == LegKind.TEAR_UP and failing:
            told.torn_up += abs(_value(state, instrument, quantity, mark))


def _rung(told: Gathered, one: RungChanged, _: State) -> None:
    if one.after >= Rung.CALLED and one.before < Rung.CALLED:
        told.calls[-1] += 1
        told.called.add(one.account)
    if one.after >= Rung.LIQUIDATING and one.before < Rung.LIQUIDATING:
        told.liquidations[-1] += 1
        told.liquidated.add(one.account)


def _done(told: Gathered, one: MarkDone, _: State) -> None:
    told.equity[-1] += one.equity
    told.initial[-1] += one.initial
    told.maintenance[-1] += one.maintenance


def _house(told: Gathered, one: HouseBalance, state: State) -> None:
    if one.account == House.FUND:
        told.fund[-1] += dollars(state, one.asset, one.balance)


def _deficit(told: Gathered, one: DeficitFound, state: State) -> None:
    owed = dollars(state, one.asset, one.amount)
    if owed > told.owed.get(one.account, (0, 0))[1]:
        told.owed[one.account] = (state.time, owed)


def _covered(told: Gathered, one: DeficitCovered | LossBorne, state: State) -> None:
    paid = dollars(state, one.asset, one.amount)
    told.covered[one.account] += paid
    told.borne[one.layer if isinstance(one, LossBorne) else WaterfallLayer.FUND] += paid


def _posted(told: Gathered, one: Posted, state: State) -> None:
    if one.kind == PostingKind.DEPOSIT:
        told.brought[one.credit] += dollars(state, one.asset, one.amount)
    elif one.kind == PostingKind.WITHDRAWAL:
        told.brought[one.debit] -= dollars(state, one.asset, one.amount)
    elif one.kind == PostingKind.WITHDRAWAL_RETURNED:
        told.brought[one.credit] += dollars(state, one.asset, one.amount)
    elif one.kind in (PostingKind.ASSESSMENT, PostingKind.GAINS_HAIRCUT):
        told.gave[one.debit] += dollars(state, one.asset, one.amount)


def _parameter(told: Gathered, one: ParameterApplied, state: State) -> None:
    what = one.parameter.name.lower().replace("_", " ")
    scope = f" of {state.facts.assets[one.scope].symbol}" if one.scope else ""
    told.decisions.append(Decision(state.time, f"{what}{scope}: {one.before:,} to {one.after:,}"))


_TAKERS: Final[Mapping[type[Any], Any]] = {
    RungChanged: _rung,
    MarkDone: _done,
    HouseBalance: _house,
    DeficitFound: _deficit,
    DeficitCovered: _covered,
    LossBorne: _covered,
    Posted: _posted,
    ParameterApplied: _parameter,
}


def begin_mark(told: Gathered, time: int) -> None:
    """Open the next entry of every series, before the mark's outcomes come."""
    told.times.append(time)
    margins_told = (told.equity, told.initial, told.maintenance)
    for series in (*margins_told, told.calls, told.liquidations, told.notional, told.fund):
        series.append(0)


def _layers(told: Gathered, states: Sequence[State]) -> list[LayerFigures]:
    """The layers of the policy in force at the end, in its order, after those that paid before and are not in it."""
    facts = states[0].facts
    ranks = [WaterfallLayer.FUND] if facts.policy is None else [rank.layer for rank in facts.policy.ranks]
    named = [layer for layer in ranks if layer in LAYERS]
    return [
        LayerFigures(name, told.borne[layer], None if house is None else _held(states, house))
        for layer in (*sorted(told.borne.keys() - set(named)), *named)
        for name, house in (LAYERS[layer],)
    ]


def _held(states: Sequence[State], house: House) -> int:
    """What a house account holds over all shards, at the market in force."""
    return sum(
        dollars(states[0], asset, sum(int(state.balance[house, asset]) for state in states))
        for asset in states[0].facts.assets
    )


def figures(
    told: Gathered,
    states: Sequence[State],
    customers: Sequence[Customer],
    *,
    title: str,
    seed: int,
    entries: int,
    events: int,
    audit: Audit,
    own_figures: bool,
    policy: str = "",
) -> RunFigures:
    """Everything the report shows."""
    worth = net_worth(states)
    strategy = {one.account: str(one.strategy) for one in customers}
    accounts = [
        number
        for state in states
        for number in np.flatnonzero((state.accounts.owned == 1) & (state.accounts.status != 255)).tolist()
        if number >= FIRST_ACCOUNT
    ]
    names = states[0].facts.profiles
    profit = {a: int(worth[a]) - told.brought[a] - told.covered[a] - told.deleveraged[a] for a in accounts}
    owed = {a: max(most, told.covered[a]) for a, (_, most) in told.owed.items()}
    by_strategy: defaultdict[str, list[int]] = defaultdict(list)
    for account in sorted(accounts):
        by_strategy[strategy.get(account, OTHERS)].append(account)
    failed = told.liquidated
    uncovered = {a: max(0, -int(worth[a])) for a in {*told.owed, *failed}}

    lost = {a: -profit[a] - told.gave[a] for a in failed}
    borne = {a: told.covered[a] + told.deleveraged[a] + uncovered[a] for a in failed}
    return RunFigures(
        title=title,
        seed=seed,
        accounts=len(accounts),
        entries=entries,
        events=events,
        outcomes=told.outcomes,
        times=told.times,
        prices=dict(told.prices),
        volatility=dict(told.volatility),
        equity=told.equity,
        initial=told.initial,
        maintenance=told.maintenance,
        calls=told.calls,
        liquidations=told.liquidations,
        notional=told.notional,
        fund=told.fund,
        strategies=[
            StrategyFigures(
                name=name,
                accounts=len(members),
                called=sum(a in told.called for a in members),
                liquidated=sum(a in told.liquidated for a in members),
                deficits=sum(a in told.owed for a in members),
                profit=sum(profit[a] for a in members),
                shortfall=sum(owed.get(a, 0) + told.deleveraged[a] for a in members),
            )
            for name, members in by_strategy.items()
        ],
        shortfalls=[
            Shortfall(
                account=a,
                strategy=strategy.get(a, OTHERS),
                profile=names[int(states[0].accounts.profile[a])].name,
                time=told.owed[a][0] if a in told.owed else told.times[-1],
                owed=owed.get(a, 0) + told.deleveraged[a],
                paid=told.covered[a],
                from_deleveraging=told.deleveraged[a],
            )
            for a in sorted({*told.owed, *told.deleveraged})
        ],
        losses=Losses(
            from_accounts=sum(lost[a] - borne[a] for a in failed if lost[a] > 0),
            from_layers=_layers(told, states),
            from_deleveraging=sum(told.deleveraged.values()),
            uncovered=sum(uncovered.values()),
            torn_up=told.torn_up,
        ),
        audit=audit,
        decisions=told.decisions,
        rejections=dict(told.rejections),
        own_figures=own_figures,
        policy=policy,
    )
