"""The services that decide: what the pricer, the fund and the liquidation desk answer to what they hear."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from insurance import breakers, treasurer
from insurance.breakers import Guard
from insurance.treasurer import Treasurer
from ledger.breakers import rules
from ledger.state import State
from liquidation import desk, outflow
from liquidation.desk import Desk
from liquidation.outflow import Gate
from schemas.events import EVENTS, Mark, MarkAnswered
from schemas.kinds import Parameter
from schemas.outcomes import DeficitFound, MarkDone
from schemas.sources import Role, source
from schemas.wire import EntryHeader, Run, decode, encode_entry, message_of, messages_of, runs_of
from services.lockstep import bounded
from services.pricer import market
from services.processors import porting
from services.standing import ground
from services.view import StateView

Decision = Sequence[Run]
"""runs of events that are appended together"""


class Decider(Protocol):
    """Hears every entry in order, with what all shards said of it, and decides what its source says next.

    `hear` must be a pure function of what was heard before; its decisions are counted, so that one that is in the
    journal is not sent again. `idle` is asked only when nothing else waits to be heard and nothing of its own is on the
    way; it may look at the facts alone, and must say the same again when asked again.
    """

    @property
    def source(self) -> int:
        """The number of the source it speaks as."""
        ...

    def hear(self, source: int, said: Iterable[Run], state: State, *, under_way: bool) -> Sequence[Decision]:
        """Take in an entry from a source, folded into `state`; `under_way`: something of its own is not in the journal
        yet."""
        ...

    def idle(self, state: State) -> Sequence[Decision]:
        """What there is to say with no new entry."""
        ...

    def exported(self) -> dict[str, Any]:
        """The state as plain data, for a snapshot."""
        ...

    def restore(self, told: dict[str, Any]) -> None:
        """Take up the state that `exported` gave."""
        ...


def heard(said: Iterable[Run], kinds: tuple[type[Any], ...]) -> list[Any]:
    """The messages of some kinds among runs, in order."""
    return [message_of(run.message, row) for run in said if run.message.cls in kinds for row in run.rows]


class Pricing:
    """The pricer: prices a market and marks with it whenever an oracle's price is newer than the last mark.

    The next mark waits until the last one is answered in full, so rounds that come meanwhile are skipped.
    """

    def __init__(self) -> None:
        self.source = source(Role.PRICER)

    def hear(self, _source: int, _said: Iterable[Run], _state: State, *, under_way: bool) -> Sequence[Decision]:  # noqa: ARG002
        """See Decider. What the pricer knows are facts; it needs no memory."""
        return ()

    def idle(self, state: State) -> Sequence[Decision]:
        """See Decider: a market of the latest prices, and the mark that names it."""
        time = due(state)
        if time is None:
            return ()
        known = state.facts
        begun = max([state.market_number, *known.staged, *known.closed])
        if begun > state.market_number:  # a market that no mark names yet: begun before a restart, or in vain
            runs = market(state, begun, time)
            there = known.closed.get(begun) or known.staged[begun]
            if (left := _left(runs, there, closed=begun in known.closed)) is not None:
                return [*([left] if left else []), _mark(state, begun, time)]
        number = begun + 1
        return [market(state, number, time), _mark(state, number, time)]

    def exported(self) -> dict[str, Any]:
        """See Decider."""
        return {}

    def restore(self, _told: dict[str, Any]) -> None:
        """See Decider."""


def due(state: State) -> int | None:
    """The time of the mark that is due, microseconds: of the newest accepted price, where the last mark is older and
    answered; None else."""
    if state.mark != state.answered or not state.facts.oracle:
        return None
    newest = max(time for _, time in state.facts.oracle.values())
    return newest if newest > state.time else None


def _mark(state: State, number: int, time: int) -> Decision:
    return runs_of(EVENTS, [Mark(mark=state.mark + 1, market=number, time=time)])


def _left(runs: Sequence[Run], there: Sequence[Run], *, closed: bool) -> list[Run] | None:
    """The rows of a market that are not there yet; None where what is there is no beginning of it."""
    whole = b"".join(_bytes(run) for run in runs[:-1])  # the last run closes the market and is not among its rows
    begun = b"".join(_bytes(run) for run in there)
    if not whole.startswith(begun) or (closed and begun != whole):
        return None
    if closed:
        return []
    left: list[Run] = []
    skip = len(begun)
    for run in runs:
        size = len(run.rows) * run.message.dtype.itemsize
        if skip >= size:
            skip -= size
            continue
        if skip % run.message.dtype.itemsize:
            return None
        left.append(Run(run.message, run.rows[skip // run.message.dtype.itemsize :]))
        skip = 0
    return left


def _bytes(run: Run) -> bytes:
    return bytes(run.rows.tobytes())


class Paying:
    """The fund: once the desk has answered a mark it pays what accounts owe and trips the breakers of what it cannot
    carry. Until then it says nothing to a mark: the two would race to the journal."""

    def __init__(self, shards: int) -> None:
        self.source = source(Role.FUND)
        self._treasurer = Treasurer(shards)
        self._guard = Guard(shards)
        self._answered = 0
        self._sent: deque[bool] = deque()
        """of what is not in the journal yet, oldest first: whether another than the treasurer said it"""
        self._first: list[Any] = []
        """what is to be said of members in default when the mark is answered"""

    def hear(self, source: int, said: Iterable[Run], state: State, *, under_way: bool) -> Sequence[Decision]:
        """See Decider."""
        said = list(said)
        if source == self.source and not (self._sent and self._sent.popleft()):
            self._treasurer.posted()
        messages = heard(said, treasurer.LISTENS)
        marked = any(run.message.cls is MarkDone for run in said)
        if marked:  # what a mark left unsaid, one that came too early says anew
            self._first = []
        deficits, first = porting.answered(heard(said, porting.LISTENS), state, under_way=under_way)
        if deficits is not None:
            messages = [*(one for one in messages if not isinstance(one, DeficitFound)), *deficits]
        self._treasurer.observe(messages)
        decisions = [*self._guarded(said, state, marked=marked)]
        self._first += first
        if self._first and state.mark == state.answered:
            decisions += self._saying(self._first, treasurer=False)
            self._first = []
        on_the_way = False in self._sent
        if state.answered != self._answered:
            self._answered = state.answered
            payments = self._treasurer.decide(ground(state), under_way=on_the_way)
        elif source == self.source and not on_the_way:
            payments = self._treasurer.proceed(ground(state))
        else:
            payments = []
        if payments:
            decisions += self._saying(payments, treasurer=True)
        return decisions

    def _guarded(self, said: Sequence[Run], state: State, *, marked: bool) -> Sequence[Decision]:
        """What the breakers answer. While a word of theirs is on its way a mark is passed over: the next tells all
        anew."""
        if marked and self._guard.waits:
            self._guard.skip()
        self._guard.observe(heard(said, breakers.LISTENS))
        if any(self._sent):
            self._guard.skip()
        if not self._guard.waits or state.mark != state.answered:
            return ()
        events = self._guard.decide(rules(state))
        return self._saying(events, treasurer=False) if events else ()

    def _saying(self, events: Sequence[Any], *, treasurer: bool) -> Sequence[Decision]:
        decision = runs_of(EVENTS, events)
        self._sent.extend(not treasurer for _ in bounded(decision))
        return [decision]

    def idle(self, _state: State) -> Sequence[Decision]:
        """See Decider. The fund pays only when it hears something."""
        return ()

    def exported(self) -> dict[str, Any]:
        """See Decider."""
        return {
            "answered": self._answered,
            "treasurer": self._treasurer.exported(),
            "guard": self._guard.exported(),
            "sent": list(self._sent),
            "first": encode_entry(self.source, 0, runs_of(EVENTS, self._first)).hex() if self._first else "",
        }

    def restore(self, told: dict[str, Any]) -> None:
        """See Decider."""
        self._answered = told["answered"]
        self._treasurer.restore(told["treasurer"])
        if "guard" in told:
            self._guard.restore(told["guard"])
        self._sent = deque(told.get("sent", [False] * len(told["treasurer"]["unposted"])))
        if told.get("first"):
            self._first = messages_of(decode(bytes.fromhex(told["first"]), EntryHeader, EVENTS).runs)


class Liquidating:
    """The liquidation desk; when it has nothing more to say to a mark it judges the withdrawals that wait, and says
    so: in one entry, so that the next mark does not come between."""

    def __init__(self, shards: int) -> None:
        self.source = source(Role.DESK)
        self._desk = Desk(shards)
        self._gate = Gate(shards)

    def hear(self, source: int, said: Iterable[Run], state: State, *, under_way: bool) -> Sequence[Decision]:
        """See Decider."""
        said = list(said)
        self._gate.observe(heard(said, outflow.LISTENS))
        if messages := heard(said, desk.LISTENS):
            self._desk.observe(messages, own=source == self.source)
            if events := self._desk.decide(StateView(state)):
                return [runs_of(EVENTS, events)]
        if state.mark > state.answered and not under_way:
            held = bool(state.facts.withdrawals_held)
            judged = self._gate.decide(state.mark, _leaving(state), held=held)
            return [runs_of(EVENTS, [*judged, MarkAnswered(mark=state.mark)])]
        return ()

    def idle(self, _state: State) -> Sequence[Decision]:
        """See Decider. The desk answers only what it hears."""
        return ()

    def exported(self) -> dict[str, Any]:
        """See Decider."""
        return self._desk.exported() | {"withdrawals": self._gate.exported()}

    def restore(self, told: dict[str, Any]) -> None:
        """See Decider."""
        self._desk.restore(told)
        if "withdrawals" in told:
            self._gate.restore(told["withdrawals"])


def _leaving(state: State) -> outflow.Rules:
    """What may leave, by the parameters in force."""
    rates = {asset: state.parameter(Parameter.WITHDRAWAL_RATE, asset) for asset in state.facts.assets}
    hold = bool(state.parameter(Parameter.WITHDRAWAL_HOLD))
    return outflow.Rules(hold, {asset: rate for asset, rate in rates.items() if rate})


def packed(decider: Decider) -> bytes:
    """A decider's state as bytes."""
    return json.dumps(decider.exported(), sort_keys=True).encode()
