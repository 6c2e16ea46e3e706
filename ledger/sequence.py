"""Numbers the journal's entries: drops repeats, refuses gaps, quarantines what cannot be read; and splits over shards.

Every reader of the journal computes the same numbers by itself; nothing about them is stored but in snapshots.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from schemas import events as ev
from schemas.chart import FIRST_ACCOUNT
from schemas.kinds import Reason
from schemas.limits import MAX_ENTRY_BYTES
from schemas.message import Message
from schemas.wire import EntryHeader, Rows, Run, WireError, decode_header, encode_entry

MAX_SHARDS: Final = 64
"""a row's shards are kept as the bits of one 64-bit word"""

# --- numbering --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Numbered:
    """An entry that counts: the n-th. Its header reads; whether its body does is for the fold to say."""

    n: int
    offset: int
    source: int
    sequence: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Repeated:
    """An entry its source has sent before (only its number is compared); dropped."""

    offset: int
    source: int
    sequence: int


@dataclass(frozen=True, slots=True)
class Gap:
    """An entry whose source left numbers out; refused. The source sends again from `expected` on."""

    offset: int
    source: int
    sequence: int
    expected: int


@dataclass(frozen=True, slots=True)
class Quarantined:
    """Bytes whose header cannot be read: why, the byte position, and what was found there. No source's number moves."""

    offset: int
    reason: Reason
    position: int
    what: str


@dataclass(frozen=True, slots=True)
class Reread:
    """An offset that was judged before, read once more; dropped. (Judged again, a gap of then could pass now.)"""

    offset: int


Sequenced = Numbered | Repeated | Gap | Quarantined | Reread


@dataclass(slots=True)
class SequenceState:
    """How far the journal has been numbered."""

    n: int = 0
    """the last number given"""
    offset: int = 0
    """where to read on; all below have been judged"""
    last: dict[int, int] = field(default_factory=dict)
    """each source's last sequence number"""


_SEQUENCE_AT: Final = decode_header(encode_entry(0, 0, ()), EntryHeader)[1] - np.dtype("<u8").itemsize
"""where an entry's sequence number stands: the last eight bytes of its header"""


def number(state: SequenceState, offset: int, data: bytes) -> Sequenced:
    """What becomes of the entry at this offset; the state moves on in place. Every entry has an answer, none raises."""
    if offset < state.offset:
        return Reread(offset)
    state.offset = offset + 1
    try:
        header, _ = decode_header(data, EntryHeader)
    except WireError as error:
        return Quarantined(offset, error.reason, error.position, error.what)
    source, sequence = header["source"], header["sequence"]
    if sequence == 0:
        return Quarantined(offset, Reason.MALFORMED, _SEQUENCE_AT, f"sequence 0 of source {source}: the first is 1")
    expected = state.last.get(source, 0) + 1
    if sequence < expected:
        return Repeated(offset, source, sequence)
    if sequence > expected:
        return Gap(offset, source, sequence, expected)
    state.last[source] = sequence
    state.n += 1
    return Numbered(state.n, offset, source, sequence, data)


def exported(state: SequenceState) -> dict[str, npt.NDArray[np.uint64]]:
    """The state as arrays for a snapshot, sources in ascending order: equal states give equal bytes."""
    sources = sorted(state.last)
    return {
        "position": np.array([state.n, state.offset], np.uint64),
        "sources": np.array(sources, np.uint64),
        "sequences": np.array([state.last[source] for source in sources], np.uint64),
    }


def restored(arrays: dict[str, npt.NDArray[np.uint64]]) -> SequenceState:
    """The state that `exported` wrote. Raises ValueError where the arrays do not belong together."""
    n, offset = (int(value) for value in arrays["position"])
    sources = [int(source) for source in arrays["sources"]]
    sequences = [int(sequence) for sequence in arrays["sequences"]]
    if sum(sequences) != n or sources != sorted(set(sources)):
        raise ValueError(f"{len(sources)} sources sent {sum(sequences)} entries, {n} are numbered")
    return SequenceState(n, offset, dict(zip(sources, sequences, strict=True)))


# --- splitting over shards --------------------------------------------------------------------------------------------

ROUTES: Final[dict[type[Any], tuple[str, ...]]] = {
    ev.Trade: ("buyer", "seller"),
    ev.TradeReversed: ("buyer", "seller"),
    ev.Deposited: ("account",),
    ev.WithdrawalRequested: ("account",),
    ev.WithdrawalDecided: ("account",),
    ev.WithdrawalJudged: ("account",),
    ev.OrderOpened: ("account",),
    ev.OrderChanged: ("account",),
    ev.OrderCancelled: ("account",),
    ev.FeeCharged: ("account",),
    ev.LiquidationPlanned: ("account",),
    ev.Bid: ("bidder",),
    ev.Awarded: ("account", "bidder"),
    ev.AuctionEnded: ("account",),
    ev.Deleveraged: ("account", "counterparty"),
    ev.PortfolioBid: ("bidder",),
    ev.PortfolioAwarded: ("account", "bidder"),
    ev.FundPaid: ("account",),
    ev.LayerPaid: ("account",),
    ev.FundContributed: (),
    ev.CapitalContributed: (),
    ev.StressReported: (),
    ev.StressResult: (),
    ev.MemberResourcesTaken: ("account",),
    ev.MemberResourcesGiven: ("account",),
}
"""An event goes to the shards of the accounts in these fields; to shard 0 where there are none (the house's own books).
What is not listed is a fact that every shard needs."""

Index = npt.NDArray[np.uint32]
ShardOf = npt.NDArray[np.int32]


class UnknownShard(ValueError):  # noqa: N818 - named for what is found
    """The table of shards sends an account to one that does not exist."""

    def __init__(self, account: int, shard: int, shards: int) -> None:
        super().__init__(f"account {account} belongs to shard {shard} of {shards}")
        self.account = account
        self.shard = shard


@dataclass(frozen=True, slots=True)
class IndexedRun:
    """Rows of one template and each one's position in its entry, ascending."""

    message: Message
    rows: Rows
    index: Index


@dataclass(frozen=True, slots=True)
class ShardEntry:
    """What a shard gets of entry n; `previous` is the last n it was sent, 0 before the first.

    `reason` is not NONE where the entry's body cannot be read: shard 0 then gets it without runs, to reject it.
    """

    n: int
    previous: int
    shard: int
    runs: tuple[IndexedRun, ...]
    reason: Reason = Reason.NONE
    source: int = 0
    """who sent the entry: what it may say depends on it"""
    recipients: int = 0
    """in the facts' part alone: bits of the shards that will say something of this entry"""


@dataclass(slots=True)
class SplitState:
    """The last n sent to each shard; one number a shard."""

    sent: list[int]
    facts: int = 0
    """and the last n of which the facts were told"""

    @classmethod
    def of(cls, shards: int) -> SplitState:
        """Nothing sent yet. Raises ValueError where the number of shards is not 1 ... MAX_SHARDS."""
        if not 1 <= shards <= MAX_SHARDS:
            raise ValueError(f"{shards} shards, 1 to {MAX_SHARDS} are possible")
        return cls([0] * shards)


def split(state: SplitState, n: int, runs: Sequence[Run], shard_of: ShardOf, source: int) -> tuple[ShardEntry, ...]:
    """An entry's rows for each shard that gets any, shards ascending; the state moves on in place.

    `shard_of` is the shard of each account number; the house's own and those past its end are shard 0's. A row goes to
    every shard that owns one of its accounts, a chain of linked rows goes whole to every shard that owns any in it.
    With one shard nothing is copied. Raises UnknownShard where the table names one that is not there.
    """
    shards = len(state.sent)
    runs = [run for run in runs if len(run.rows)]
    starts = np.cumsum([0, *(len(run.rows) for run in runs)]).tolist()
    if shards == 1:
        whole = tuple(IndexedRun(run.message, run.rows, _positions(a, b)) for run, a, b in _placed(runs, starts))
        return (_sent(state, n, 0, whole, source),) if whole else ()
    masks = [_masks(run, shard_of, shards) for run in runs]
    if any((run.rows["flags"] & ev.LINKED).any() for run in runs):
        masks = _joined(runs, masks, starts)
    parts: list[ShardEntry] = []
    for shard in range(shards):
        bit = np.uint64(1 << shard)
        mine: list[IndexedRun] = []
        for (run, a, b), mask in zip(_placed(runs, starts), masks, strict=True):
            picked = np.flatnonzero(mask & bit)
            if len(picked) == len(run.rows):
                mine.append(IndexedRun(run.message, run.rows, _positions(a, b)))
            elif len(picked):
                mine.append(_picked(run, picked, a))
        if mine:
            parts.append(_sent(state, n, shard, tuple(mine), source))
    return tuple(parts)


def recipients(runs: Sequence[Run], shard_of: ShardOf, shards: int) -> int:
    """The bits of the shards that `split` gives any rows; nothing is copied. Raises UnknownShard."""
    runs = [run for run in runs if len(run.rows)]
    if shards == 1 or not runs:
        return 1 if runs else 0
    # a chain's rows go where any of them goes, so joining them adds no shard
    return int(np.bitwise_or.reduce([np.bitwise_or.reduce(_masks(run, shard_of, shards)) for run in runs]))


FACTS_SHARD: Final = 0xFFFF
"""stands where a shard's number stands in what the services without accounts are sent"""

BOOKED: Final = frozenset({ev.Trade, ev.TradeReversed, ev.OrderOpened, ev.OrderChanged, ev.OrderCancelled})
"""Events that concern the books alone: an entry of nothing else is not told to services that keep no accounts."""


def tells(entry: ShardEntry) -> bool:
    """Whether the services that keep no accounts wait to hear of this part of an entry."""
    return entry.reason != Reason.NONE or any(run.message.cls not in BOOKED for run in entry.runs)


def facts_part(state: SplitState, n: int, runs: Sequence[Run], parts: Sequence[ShardEntry]) -> ShardEntry | None:
    """What services that keep no accounts are sent of an entry split into `parts`: the rows that every shard needs, and
    the shards that will say something; None where nobody will. The state moves on in place."""
    recipients = sum(1 << part.shard for part in parts if tells(part))
    if not recipients:
        return None
    kept: list[IndexedRun] = []
    at = 0
    for run in runs:
        if run.message.cls not in ROUTES and len(run.rows):
            kept.append(IndexedRun(run.message, run.rows, _positions(at, at + len(run.rows))))
        at += len(run.rows)
    previous, state.facts = state.facts, n
    return ShardEntry(n, previous, FACTS_SHARD, tuple(kept), parts[0].reason, parts[0].source, recipients)


def refused(state: SplitState, n: int, reason: Reason, source: int = 0) -> ShardEntry:
    """Entry n for shard 0 where its body cannot be read; the state moves on in place."""
    return _sent(state, n, 0, (), source, reason)


def _sent(
    state: SplitState, n: int, shard: int, runs: tuple[IndexedRun, ...], source: int, reason: Reason = Reason.NONE
) -> ShardEntry:
    previous, state.sent[shard] = state.sent[shard], n
    return ShardEntry(n, previous, shard, runs, reason, source)


def _placed(runs: Sequence[Run], starts: list[int]) -> list[tuple[Run, int, int]]:
    return [(run, a, b) for run, (a, b) in zip(runs, pairwise(starts), strict=True)]


def _picked(run: Run, picked: npt.NDArray[np.intp], first: int) -> IndexedRun:
    rows = run.rows.take(picked)  # indexing copies a structured row field by field, 28 times slower
    rows.flags.writeable = False
    return IndexedRun(run.message, rows, (picked + first).astype(np.uint32))


_NARROWEST: Final = min(message.dtype.itemsize for message in ev.EVENTS.by_template.values())
_POSITIONS: Final = np.arange(MAX_ENTRY_BYTES // _NARROWEST + 1, dtype=np.uint32)
_POSITIONS.flags.writeable = False


def _positions(first: int, end: int) -> Index:
    return _POSITIONS[first:end] if end <= len(_POSITIONS) else np.arange(first, end, dtype=np.uint32)


def _masks(run: Run, shard_of: ShardOf, shards: int) -> npt.NDArray[np.uint64]:
    """For each row, the bits of the shards it goes to, links not yet looked at."""
    accounts = ROUTES.get(run.message.cls)
    if not accounts:
        everyone = (1 << shards) - 1
        return np.full(len(run.rows), everyone if accounts is None else 1, np.uint64)
    masks = np.zeros(len(run.rows), np.uint64)
    for name in accounts:
        masks |= np.uint64(1) << _shards(run.rows[name], shard_of, shards)
    return masks


def _shards(accounts: npt.NDArray[np.uint32], shard_of: ShardOf, shards: int) -> npt.NDArray[np.uint64]:
    inside = (accounts >= FIRST_ACCOUNT) & (accounts < len(shard_of))
    found = shard_of[np.where(inside, accounts, 0)] if len(shard_of) else np.zeros(len(accounts), np.int32)
    found = np.where(inside, found, 0)
    wrong = np.flatnonzero((found < 0) | (found >= shards))
    if len(wrong):
        raise UnknownShard(int(accounts[wrong[0]]), int(found[wrong[0]]), shards)
    return found.astype(np.uint64)


def _joined(
    runs: Sequence[Run], masks: list[npt.NDArray[np.uint64]], starts: list[int]
) -> list[npt.NDArray[np.uint64]]:
    """The masks with each chain's rows given the bits of all of them. A chain may cross runs."""
    linked = np.concatenate([(run.rows["flags"] & ev.LINKED).astype(bool) for run in runs])
    opens = np.flatnonzero(np.concatenate([[True], ~linked[:-1]]))
    lengths = np.diff(opens, append=len(linked))
    together = np.repeat(np.bitwise_or.reduceat(np.concatenate(masks), opens), lengths)
    return [together[a:b] for a, b in pairwise(starts)]


# --- receiving a shard's part -----------------------------------------------------------------------------------------


class MissingPredecessor(Exception):  # noqa: N818
    """A shard was sent an entry that does not follow the last one it has; it must not go on."""

    def __init__(self, shard: int, expected: int, found: int) -> None:
        super().__init__(f"shard {shard}: the entry follows {found}, the last one here is {expected}")
        self.shard = shard
        self.expected = expected
        self.found = found


@dataclass(slots=True)
class ShardIntake:
    """The last n a shard has taken in."""

    shard: int
    last: int = 0


def taken(intake: ShardIntake, entry: ShardEntry) -> bool:
    """Whether the entry is new to the shard; the intake moves on in place. False: it has it already, drop it.

    Raises MissingPredecessor where entries between are missing, ValueError where it is another shard's.
    """
    if entry.shard != intake.shard:
        raise ValueError(f"an entry for shard {entry.shard} came to shard {intake.shard}")
    if entry.n <= intake.last:
        return False
    if entry.previous != intake.last:
        raise MissingPredecessor(intake.shard, intake.last, entry.previous)
    intake.last = entry.n
    return True
