"""What liquidations got against the marks in a run: counted by folding its journal again, with the gap told.

GAP_TOLD is switched on in the copy that is folded, whatever the journal says of it: the figures are those that the fold
itself would have told. Nothing is written.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, NamedTuple

from ledger.journal.sqlite import SqliteReader
from ledger.state import State
from liquidation.gap import Liquidation, by_mark, high_quantile, liquidations, points, proposal
from schemas.events import EVENTS, ParameterChanged
from schemas.jsonform import to_json
from schemas.kinds import Kind, LegKind, Parameter
from schemas.outcomes import OUTCOMES, LegPosted, LiquidationGap, PortfolioOpened
from schemas.units import format_time
from schemas.wire import OutcomeHeader, decode, messages_of
from services.lockstep import JOURNAL, Clearing, Settings
from services.replay import PositionUnknown, refolded

LEVEL: Final = 9_900
LAST: Final = 1_000
MOST: Final = 5_000
LEVELS: Final = (5_000, 9_000, 9_900)
"""of legs, that a group's row tells: median, nine tenths, 99 of 100; basis points"""
BINS: Final = (0, 25, 50, 100, 150, 200, 300, 500)
"""upper ends of the classes of gaps, basis points; one more is above the last"""

Progress = Callable[[int, int], None]


class Way(StrEnum):
    """How a leg was sold."""

    AUCTION = "auction"
    PORTFOLIO = "sealed bid"
    BACKSTOP = "backstop"


class Sale(NamedTuple):
    """A liquidated leg, what it lost, and how it was sold."""

    told: LiquidationGap
    entry: int
    time: int
    way: Way
    underlying: str
    kind: str


class Row(NamedTuple):
    """A group of legs. Micro-dollars; gaps in basis points of the legs' worth at the marks, below zero a gain."""

    group: str
    legs: int
    worth: int
    lost: int
    mean: int
    """of all dollars of it"""
    quantiles: tuple[int, ...]
    """of its legs, at LEVELS"""
    worst: int


@dataclass(frozen=True, slots=True)
class Asked:
    """How a proposal is made: the level of the quantile (basis points), of how many liquidations, and its limit."""

    level: int = LEVEL
    last: int = LAST
    most: int = MOST


@dataclass(frozen=True, slots=True)
class Gaps:
    """What was counted."""

    position: int
    time: int
    sales: tuple[Sale, ...]
    liquidations: tuple[Liquidation, ...]
    """by last mark, then account"""
    times: Mapping[int, int]
    """of the marks at which something was sold"""
    names: Mapping[int, str]
    buffer: int
    """BUFFER_GAP in force, basis points of maintenance"""
    asked: Asked
    proposed: ParameterChanged

    @property
    def worst(self) -> list[Liquidation]:
        """The liquidations with the largest gap first, then those that lost most."""
        return sorted(self.liquidations, key=lambda one: (-one.gap, -one.lost, one.last, one.account))


def counted(directory: Path, to: int | None = None, asked: Asked | None = None, told: Progress | None = None) -> Gaps:
    """Fold a run's journal again up to entry `to` (None: all of it) and gather what liquidated legs got.

    Raises PositionUnknown and what `services.replay.replayed` raises.
    """
    asked = asked or Asked()
    clearing = Clearing(Settings.read(directory))
    sales = list(_sales(clearing, directory, to, told or _unheard))
    n = clearing.sequence.n
    if to is not None and n < to:
        raise PositionUnknown(to, n)
    state = clearing.states[0]
    gaps = [one.told for one in sales]
    return Gaps(
        position=n,
        time=state.time,
        sales=tuple(sales),
        liquidations=tuple(liquidations(gaps)),
        times={one.told.mark: one.time for one in sales},
        names=dict(_names(clearing.states, {one.account for one in gaps})),
        buffer=state.parameter(Parameter.BUFFER_GAP),
        asked=asked,
        proposed=proposal(
            gaps, state.time, state.parameter(Parameter.NOTICE), level=asked.level, last=asked.last, most=asked.most
        ),
    )


def _sales(clearing: Clearing, directory: Path, to: int | None, told: Progress) -> Iterator[Sale]:
    whole: set[int] = set()
    _ask(clearing.states)
    with closing(SqliteReader(directory / JOURNAL)) as reader:
        end = reader.end()
        for part, data in refolded(clearing, reader, to):
            state = clearing.states[part.shard]
            _ask([state])  # the journal may have switched it off with this entry
            told(part.n, end)
            runs = [run for run in decode(data, OutcomeHeader, OUTCOMES).runs if run.message.cls in _HEARD]
            if not runs:
                continue
            said = list(messages_of(runs))
            whole |= {one.auction for one in said if isinstance(one, PortfolioOpened)}
            backed = {
                (one.index, one.account, one.instrument)
                for one in said
                if isinstance(one, LegPosted) and one.kind == LegKind.BACKSTOP
            }
            for one in said:
                if isinstance(one, LiquidationGap):
                    backstop = (one.index, one.account, one.instrument) in backed
                    yield _sale(state, one, part.n, backstop=backstop, whole=one.auction in whole)


_HEARD: Final = (LegPosted, LiquidationGap, PortfolioOpened)


def _ask(states: Iterable[State]) -> None:
    for state in states:
        state.facts.parameters[int(Parameter.GAP_TOLD), 0] = 1


def _sale(state: State, told: LiquidationGap, n: int, *, backstop: bool, whole: bool) -> Sale:
    listed = state.facts.instruments[told.instrument]
    return Sale(
        told=told,
        entry=n,
        time=state.time,
        way=Way.BACKSTOP if backstop else Way.PORTFOLIO if whole else Way.AUCTION,
        underlying=state.facts.underlyings[listed.underlying].symbol,
        kind=Kind(listed.kind).name.lower(),
    )


def _names(states: Sequence[State], accounts: Iterable[int]) -> Iterator[tuple[int, str]]:
    for account in sorted(accounts):
        for state in states:
            if state.owns(account):
                yield account, bytes(state.accounts.name[account]).decode("utf-8", "replace")


def _unheard(_done: int, _of: int) -> None:
    """Nobody wants to know how far it is."""


def rows(sales: Sequence[Sale]) -> list[Row]:
    """All legs, then those of each underlying and kind, then those of each way of selling."""
    kinds = sorted({(one.underlying, one.kind) for one in sales})
    groups = [("all", sales)]
    groups += [(f"{u} {kind}", [one for one in sales if (one.underlying, one.kind) == (u, kind)]) for u, kind in kinds]
    groups += [(f"by {way.value}", [one for one in sales if one.way == way]) for way in Way]
    return [_row(name, found) for name, found in groups if found]


def _row(group: str, sales: Sequence[Sale]) -> Row:
    gaps = [points(one.told.lost, one.told.worth) for one in sales]
    worth, lost = sum(one.told.worth for one in sales), sum(one.told.lost for one in sales)
    quantiles = tuple(high_quantile(gaps, level) for level in LEVELS)
    return Row(group, len(sales), worth, lost, points(lost, worth), quantiles, max(gaps))


def classes(found: Sequence[Liquidation]) -> list[tuple[str, int, int]]:
    """Liquidations by their gap: (basis points in words, how many, micro-dollars lost), each class of BINS."""
    names = [
        "a gain",
        *(f"{low} to {high}" for low, high in pairwise(BINS)),
        f"above {BINS[-1]}",
    ]
    counts, lost = [0] * len(names), [0] * len(names)
    for one in found:
        place = max(1, bisect_left(BINS, one.gap)) if one.gap >= 0 else 0
        counts[place] += 1
        lost[place] += one.lost
    return list(zip(names, counts, lost, strict=True))


def as_json(told: Gaps) -> dict[str, Any]:
    """The answer for programs: micro-dollars, basis points."""
    return {
        "position": told.position,
        "time": format_time(told.time),
        "legs": len(told.sales),
        "groups": [
            row._asdict() | {"quantiles": dict(zip(map(str, LEVELS), row.quantiles, strict=True))}
            for row in rows(told.sales)
        ],
        "liquidations": [
            one._asdict() | {"name": told.names[one.account], "gap": one.gap, "share_of_maintenance": one.share}
            for one in told.liquidations
        ],
        "marks": [
            {"mark": mark, "time": format_time(told.times[mark]), **one._asdict()}
            for mark, one in by_mark(sale.told for sale in told.sales).items()
        ],
        "buffer_gap": told.buffer,
        "proposal": {
            "level": told.asked.level,
            "last": told.asked.last,
            "most": told.asked.most,
            "of": len(told.liquidations[-told.asked.last :]),
            "event": to_json(EVENTS, told.proposed),
        },
    }
