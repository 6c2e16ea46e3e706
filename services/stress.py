"""A run's whole book, as it stood at a position, under the standard shocks: a what-if, nothing is sent.

What the cascade assumes of the market (volatility, volume, correlation, impact) is not in the journal: it is `Assumed`,
and is said with every answer.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from insurance.adequacy import Adequacy
from insurance.shocks import Shock, price_moves, scaled, standard
from insurance.sizing import Cover, Who, by_member, by_owner, smallest
from ledger.facts import activate
from ledger.state import UNOPENED, State, live_rows
from liquidation.contagion import Book, Cascade, Entry, Reprice, Rules, book, cascade
from liquidation.impact import Impact, Liquidity
from liquidation.pacing import PACES, Pace
from risk.tables import I64Array, Market, Profiles
from schemas.chart import FIRST_ACCOUNT, House
from schemas.kinds import Kind, LinkKind
from schemas.limits import FUNDING_SCALE, MICRO
from services.pricer import market
from services.replay import replayed
from services.stress_waterfall import Backing, Borne, backing_of, borne, laid, prefunded, standing

FloatArray = npt.NDArray[np.float64]

FURTHEST: Final = (-0.9, 3.0)
"""how far reverse stress looks, down and up"""
FIRST: Final = 10
"""first failures that are told"""


class NothingToStress(ValueError):  # noqa: N818 - named for what is wrong
    """A position at which there are no accounts or no market in force."""

    def __init__(self, position: int, what: str) -> None:
        super().__init__(f"position {position}: {what}, so there is nothing to stress")


@dataclass(frozen=True, slots=True)
class Assumed:
    """What is assumed of the market; all of it can be set."""

    volatility: float = 0.05
    """of a day, every underlying alike"""
    correlation: float = 0.8
    """between any two"""
    turnover: float = 1.0
    """a day's volume over the book's open interest in an underlying"""
    impact: Impact = field(default_factory=Impact)
    rounds: int = 200
    rounds_a_day: float = 96.0
    """a round is a mark interval of 15 minutes"""


@dataclass(frozen=True, slots=True)
class Situation:
    """A run's book at a position."""

    position: int
    mark: int
    time: int
    book: Book
    reprice: Reprice
    symbols: Mapping[int, str]
    """underlyings"""
    open_interest: FloatArray
    """[underlyings] dollars, one side"""
    fund: Mapping[int, float]
    """asset -> dollars before the shock"""
    backing: Backing
    """the fund and all else that pays, by the policy in force or another that is tried"""
    moved_by: Mapping[int, int]
    """asset -> the underlying that moves it"""
    who: Mapping[int, Who]
    names: Mapping[int, str]
    links: Sequence[tuple[int, int, int]]
    """(link kind, account, other)"""


@dataclass(frozen=True, slots=True)
class Failure:
    """An account that entered liquidation."""

    round: int
    account: int
    name: str
    member: int
    deficit: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a shock does, dollars."""

    shock: Shock
    cascade: Cascade
    fund: float
    """at the shock's prices"""
    borne: Borne
    layers: Adequacy
    """what each layer of the policy bears"""
    members: Cover
    owners: Cover
    failures: tuple[Failure, ...]
    """the first of them"""


@dataclass(frozen=True, slots=True)
class Reverse:
    """A direction and the smallest move in it whose deficits the layers cannot pay; None: none that far."""

    direction: str
    furthest: float
    size: float | None


@dataclass(frozen=True, slots=True)
class Stress:
    """The whole answer."""

    situation: Situation
    assumed: Assumed
    fund: float
    verdicts: tuple[Verdict, ...]
    worst: Verdict
    """with the largest deficits, then losses"""
    paced: tuple[tuple[Pace, Cascade, Borne], ...]
    """the worst shock at every pace"""
    reverse: tuple[Reverse, ...]

    @property
    def cover(self) -> tuple[float, float]:
        """Cover-1 and cover-2 over members: the largest over all shocks."""
        return max(v.members.one for v in self.verdicts), max(v.members.two for v in self.verdicts)


Progress = Callable[[int, int], None]


def situation(directory: Path, at: int | None = None) -> Situation:
    """The book of a run's directory after entry `at` (None: the last). Raises NothingToStress and what
    `services.replay.replayed` raises."""
    return situation_of(replayed(directory, at).states)


def situation_of(states: Sequence[State]) -> Situation:
    """The book that the shards keep together, all after the same entry. Raises NothingToStress."""
    state = states[0]
    facts = state.facts
    if not state.market_number:
        raise NothingToStress(state.n, "no market is in force")
    whole = _book(states)
    if not len(whole.numbers):
        raise NothingToStress(state.n, "no account is open")
    underlyings = max(facts.underlyings) + 1
    held = whole.holdings
    i = held.instrument[: len(whole.whose)]
    notional = np.abs(held.quantity[: len(i)]) * (state.market.notional[i] / MICRO)
    interest = np.bincount(state.market.underlying[i], notional, underlyings).astype(np.float64) / 2
    balance = np.sum([one.balance[House.FUND] for one in states], axis=0)
    price = state.market.asset_price / np.maximum(state.market.asset_scale, 1) / MICRO
    who: dict[int, Who] = {}
    names: dict[int, str] = {}
    for one in states:
        for account in _mine(one).tolist():
            who[account] = Who(int(one.accounts.member[account]), int(one.accounts.owner[account]))
            names[account] = bytes(one.accounts.name[account]).decode("utf-8", "replace")
    return Situation(
        position=state.n,
        mark=state.mark,
        time=state.time,
        book=whole,
        reprice=reprice_of(state),
        symbols={number: listed.symbol for number, listed in sorted(facts.underlyings.items())},
        open_interest=interest,
        fund={asset: float(amount * price[asset]) for asset, amount in enumerate(balance) if amount},
        backing=backing_of(states),
        moved_by=_moved_by(state),
        who=who,
        names=names,
        links=sorted(facts.links),
    )


def reprice_of(state: State) -> Reprice:
    """Markets as the pricer would make them of this shard's oracle values moved: every price, forward and coin of an
    underlying by its move, strikes' volatilities by the volatility's. What the pricer leaves out (a lot worth too
    little) moves in proportion and keeps its last risk array."""
    moved_by = _moved_by(state)

    def reprice(by: FloatArray, volatility: float) -> tuple[Market, Profiles]:
        def moved(price: int, underlying: int) -> int:
            return max(1, round(price * (1.0 + float(by[underlying]))))

        known = state.facts
        number = state.market_number + 1
        facts = replace(
            known,
            oracle={u: (moved(price, u), at) for u, (price, at) in known.oracle.items()},
            forwards={(u, expiry): moved(price, u) for (u, expiry), price in known.forwards.items()},
            volatilities={
                key: {strike: max(1, round(one * (1.0 + volatility))) for strike, one in smile.items()}
                for key, smile in known.volatilities.items()
            },
            asset_prices={
                asset: moved(price, moved_by[asset]) if asset in moved_by else price
                for asset, price in known.asset_prices.items()
            },
            closed={},
            staged={},
        )
        other = replace(
            state,
            facts=facts,
            market=Market._make(column.copy() for column in state.market),
            profiles=Profiles._make(column.copy() for column in state.profiles),
        )
        facts.closed[number] = list(market(other, number, state.time))
        activate(other, number)
        now = other.market
        left = (now.marked == 0) & (state.market.marked > 0)
        factor = 1.0 + by[state.market.underlying[left]]
        now.mark[left] = np.maximum(np.rint(state.market.mark[left] * factor), 1).astype(np.int64)
        return now, other.profiles

    return reprice


def stress(
    of: Situation,
    assumed: Assumed | None = None,
    *,
    shocks: Sequence[Shock] | None = None,
    paces: Sequence[Pace] = PACES,
    reverse: bool = True,
    told: Progress | None = None,
) -> Stress:
    """Every shock's cascade, the worst of them at every pace, and the smallest shocks that exhaust the layers."""
    assumed = assumed or Assumed()
    shocks = standard(of.symbols) if shocks is None else shocks
    lines = _directions(of) if reverse else []
    steps = len(shocks) + len(paces) + len(lines)
    told = told or _unheard
    verdicts: list[Verdict] = []
    for shock in shocks:
        verdicts.append(_verdict(of, assumed, shock))
        told(len(verdicts), steps)
    worst = max(verdicts, key=lambda one: (one.borne.deficits, one.cascade.loss))
    paced: list[tuple[Pace, Cascade, Borne]] = []
    for pace in paces:
        ran = _cascade(of, assumed, worst.shock, pace)
        paced.append((pace, ran, borne(ran, _fund(of, ran.moves), _layers(of, ran, worst.shock))))
        told(len(verdicts) + len(paced), steps)
    found: list[Reverse] = []
    for shock, furthest in lines:
        found.append(Reverse(shock.name, furthest, _exhausting(of, assumed, shock, furthest)))
        told(len(verdicts) + len(paced) + len(found), steps)
    return Stress(of, assumed, sum(of.fund.values()), tuple(verdicts), worst, tuple(paced), tuple(found))


def _unheard(_done: int, _of: int) -> None:
    """Nobody wants to know how far it is."""


def liquidity(of: Situation, assumed: Assumed) -> Liquidity:
    """What is assumed of the underlyings, as the impact law reads it."""
    count = len(of.open_interest)
    correlation = np.full((count, count), assumed.correlation)
    np.fill_diagonal(correlation, 1.0)
    # nothing is open where volume comes to nothing, so nothing is sold there
    volume = np.maximum(of.open_interest * assumed.turnover, 1.0)
    return Liquidity(np.full(count, assumed.volatility), volume, correlation)


def as_json(told: Stress) -> dict[str, Any]:
    """The answer for programs; dollars as numbers."""
    one, two = told.cover
    assumed = asdict(told.assumed)
    assumed["impact"] = told.assumed.impact._asdict() | {"decay": told.assumed.impact.decay.value}
    return {
        "position": told.situation.position,
        "time": told.situation.time,
        "accounts": len(told.situation.book.numbers),
        "assumed": assumed,
        "fund": told.fund,
        "policy": {
            "name": told.situation.backing.policy,
            "layers": [rank._asdict() | {"layer": rank.layer.name.lower()} for rank in told.situation.backing.ranks],
        },
        "cover_1": one,
        "cover_2": two,
        "worst": told.worst.shock.name,
        "shocks": [_verdict_json(told.situation, verdict) for verdict in told.verdicts],
        "pacing": [
            {"pace": pace.name, **_figures(told.situation, ran), **carried._asdict()}
            for pace, ran, carried in told.paced
        ],
        "reverse": [asdict(line) for line in told.reverse],
    }


def _verdict_json(of: Situation, verdict: Verdict) -> dict[str, Any]:
    return {
        "shock": verdict.shock.name,
        **_figures(of, verdict.cascade),
        "fund": verdict.fund,
        **verdict.borne._asdict(),
        "layers": [
            {"layer": layer.name.lower(), "room": room, "bears": verdict.layers.borne[layer]}
            for layer, room in verdict.layers.room.items()
        ],
        "exhausted": verdict.layers.exhausted_at.name.lower() if verdict.layers.exhausted_at else None,
        "prefunded": prefunded(verdict.layers),
        "members": {"cover_1": verdict.members.one, "cover_2": verdict.members.two, "groups": _groups(verdict.members)},
        "owners": {"cover_1": verdict.owners.one, "cover_2": verdict.owners.two, "groups": _groups(verdict.owners)},
        "first_failures": [asdict(failure) for failure in verdict.failures],
    }


def _groups(cover: Cover) -> list[dict[str, Any]]:
    return [group._asdict() for group in cover.groups[:FIRST]]


def _figures(of: Situation, ran: Cascade) -> dict[str, Any]:
    return {
        "moves": {symbol: float(ran.moves[number]) for number, symbol in of.symbols.items()},
        "settled": ran.settled,
        "failed": int((ran.entered > 0).sum()),
        "first_loss": ran.first_loss,
        "loss": ran.loss,
        "multiplier": ran.multiplier,
        "impact_cost": ran.cost,
        "liquidated": ran.sold,
        "rounds": [
            {name: value for name, value in one._asdict().items() if name != "moves"}
            | {"moves": {symbol: float(one.moves[number]) for number, symbol in of.symbols.items()}}
            for one in ran.rounds
        ],
    }


def _directions(of: Situation) -> list[tuple[Shock, float]]:
    """The directions that reverse stress looks in: all together and each alone, down and up."""
    names = [(None, "all"), *of.symbols.items()]
    return [
        (Shock(f"{symbol} {'down' if furthest < 0.0 else 'up'}", furthest, only=number), furthest)
        for number, symbol in names
        for furthest in FURTHEST
    ]


def _exhausting(of: Situation, assumed: Assumed, shock: Shock, furthest: float) -> float | None:
    def exhausts(size: float) -> bool:
        return _layers(of, _cascade(of, assumed, scaled(shock, size)), shock).unpaid > 0.0

    return smallest(exhausts, furthest)


def _verdict(of: Situation, assumed: Assumed, shock: Shock) -> Verdict:
    ran = _cascade(of, assumed, shock)
    fund = _fund(of, ran.moves)
    numbers = of.book.numbers.tolist()
    deficits = dict(zip(numbers, ran.deficits.tolist(), strict=True))
    members = by_member(deficits, of.who, _linked(of, LinkKind.CLIENT), _linked(of, LinkKind.AFFILIATE))
    owners = by_owner(deficits, of.who, _linked(of, LinkKind.OWNER))
    first = tuple(
        Failure(at, numbers[row], of.names[numbers[row]], of.who[numbers[row]].member, deficits[numbers[row]])
        for at, row in ran.failures()[:FIRST]
    )
    layers = _layers(of, ran, shock)
    return Verdict(shock, ran, fund, borne(ran, fund, layers), layers, members, owners, first)


def _layers(of: Situation, ran: Cascade, shock: Shock) -> Adequacy:
    """A cascade's deficits on the policy's layers. A deficit is that of the member whose number the account bears."""
    deficits: defaultdict[int, float] = defaultdict(float)
    for account, deficit in zip(of.book.numbers.tolist(), ran.deficits.tolist(), strict=True):
        deficits[of.who[account].member] += deficit
    survivors = standing(of.backing, of.book, ran, of.reprice, shock.volatility)
    return laid(of.backing, deficits, lambda asset, amount: _after(of, asset, amount, ran.moves), survivors)


def _linked(of: Situation, kind: LinkKind) -> list[tuple[int, int]]:
    return [(account, other) for link, account, other in of.links if link == kind]


def _cascade(of: Situation, assumed: Assumed, shock: Shock, pace: Pace = PACES[0]) -> Cascade:
    market_of = liquidity(of, assumed)
    by = price_moves(shock, int(np.argmax(of.open_interest)), market_of.volatility, market_of.correlation)
    rules = Rules(assumed.impact, market_of, pace, assumed.rounds, rounds_a_day=assumed.rounds_a_day)
    return cascade(of.book, of.reprice, by, shock.volatility, rules)


def _fund(of: Situation, moves: FloatArray) -> float:
    """The fund's dollars when prices have moved."""
    return sum(_after(of, asset, amount, moves) for asset, amount in of.fund.items())


def _after(of: Situation, asset: int, amount: float, moves: FloatArray) -> float:
    """Dollars of an asset when prices have moved."""
    return amount * (1.0 + float(moves[of.moved_by[asset]])) if asset in of.moved_by else amount


def _moved_by(state: State) -> dict[int, int]:
    symbols = {listed.symbol: number for number, listed in state.facts.underlyings.items()}
    return {asset: symbols[one.symbol] for asset, one in state.facts.assets.items() if one.symbol in symbols}


def _mine(state: State) -> I64Array:
    opened = (state.accounts.status != UNOPENED) & (state.accounts.owned == 1)
    opened[:FIRST_ACCOUNT] = False
    return np.flatnonzero(opened).astype(np.int64)


def _book(states: Sequence[State]) -> Book:
    """All shards' customers in one book, funding settled."""
    owners = [_mine(state) for state in states]
    numbers = np.concatenate(owners)
    order = np.argsort(numbers)
    row = np.full(int(numbers.max(initial=0)) + 1, -1, np.int64)
    row[numbers[order]] = np.arange(len(numbers))
    columns = max(state.balance.shape[1] for state in states)
    balance = np.zeros((len(numbers), columns), np.int64)
    profile, due = np.zeros(len(numbers), np.int64), np.zeros(len(numbers), np.int64)
    parts: list[list[I64Array]] = []
    for state, mine in zip(states, owners, strict=True):
        balance[row[mine], : state.balance.shape[1]] = state.balance[mine]
        profile[row[mine]], due[row[mine]] = state.accounts.profile[mine], state.accounts.fees_due[mine]
        pool, live = state.pool, live_rows(state.pool)
        whose = np.repeat(np.arange(len(pool.count)), pool.count)
        kept = (whose >= FIRST_ACCOUNT) & (pool.quantity[live] != 0)
        live, whose = live[kept], row[whose[kept]]
        instrument = pool.instrument[live].astype(np.int64)
        parts.append([whose, instrument, *(column[live] for column in (pool.quantity, pool.cost, pool.funding))])
    held = Entry(*(np.concatenate(columns_of).astype(np.int64) for columns_of in zip(*parts, strict=True)))
    m = states[0].market
    perp = m.kind[held.instrument] == Kind.PERP
    step = (m.funding[held.instrument] - held.funding) * perp
    accrued = np.floor(-held.quantity * (step / FUNDING_SCALE)).astype(np.int64)
    np.add.at(balance, (held.whose, m.settlement[held.instrument].astype(np.int64)), accrued)
    settled = held._replace(funding=np.where(perp, m.funding[held.instrument], held.funding))
    return book(numbers[order], profile, due, balance, settled)
