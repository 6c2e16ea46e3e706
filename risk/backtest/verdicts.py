"""What a margin's walk through history says of it: breaches and their tests, what it cost, how it rose in bad days."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from risk.backtest.coverage import LikelihoodRatio, conditional, independence, kupiec
from risk.backtest.laying import Laid, Losses
from risk.backtest.past import HOUR, Past
from risk.backtest.walk import Asked
from risk.procyclicality import measured

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

RISES: Final = (5, 30)
"""days over which the largest rise of the requirement is told"""
NOTHING: Final = "(nothing)"
FORESIGHT: Final = "(foresight)"
"""the two margins that no model is: none at all, and just the loss to come"""


@dataclass(frozen=True, slots=True)
class Breach:
    """A loss that the requirement did not cover; dollars."""

    time: int
    """the start, microseconds"""
    loss: float
    required: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """One profile on one book. Shares are parts of one, of gross notional where it says so."""

    profile: str
    book: str
    hours: int
    """the margin period, rounded up"""
    expected: float
    """the share of breaches that the profile's confidence allows"""
    times: IntArray
    """of the starts that were answered"""
    required: FloatArray
    """initial margin, of gross notional"""
    lost: FloatArray
    """by the end of the period, of gross notional"""
    breaches: tuple[Breach, ...]
    """of initial margin by the loss at the end of the period"""
    worst_hour: int
    """breaches of initial margin by the loss at the worst hour of the period"""
    of_maintenance: int
    """breaches of maintenance margin by the loss at the end of the period"""
    tested: int
    """starts whose periods do not overlap: what the tests are made on"""
    proportion: LikelihoodRatio
    independence: LikelihoodRatio
    conditional: LikelihoodRatio
    average: float
    """initial margin, of gross notional"""
    shortfall: float
    """the largest loss past initial margin, of gross notional"""
    saved: float | None
    """1 - initial margin / the sum of its legs alone by the same profile; None where there is one leg"""
    peak_to_trough: float | None
    """None where the requirement was zero"""
    rises: Mapping[int, float] = field(default_factory=dict)
    """largest relative rise within so many days; without those longer than the walk"""
    refused: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def covered(self) -> float:
        """The share of starts whose loss was covered; 1 where there was none."""
        return 1.0 - len(self.breaches) / len(self.times) if len(self.times) else 1.0


def judged(
    name: str, past: Past, laid: Laid, losses: Losses, asked: Asked, hours: int, step: int, expected: float
) -> Verdict:
    """The verdict on a walk with a start every `step` hours and a margin period of `hours`."""
    there = np.isfinite(asked.initial)
    starts, gross = laid.starts[there], laid.gross[there]
    initial, end = asked.initial[there], losses.end[there]
    breached = end > initial
    apart = _apart(starts, hours)
    sample = breached[apart].tolist()
    legs = np.isfinite(asked.isolated)
    isolated = float(asked.isolated[legs].sum())
    peak, rises = _procyclicality(initial / gross, step)
    return Verdict(
        profile=name,
        book=laid.book.name,
        hours=hours,
        expected=expected,
        times=past.times[starts],
        required=initial / gross,
        lost=end / gross,
        breaches=tuple(
            Breach(int(past.times[starts[k]]), float(end[k]), float(initial[k])) for k in np.flatnonzero(breached)
        ),
        worst_hour=int((losses.worst[there] > initial).sum()),
        of_maintenance=int((end > asked.maintenance[there]).sum()),
        tested=len(sample),
        proportion=kupiec(sum(sample), len(sample), expected),
        independence=independence(sample),
        conditional=conditional(sample, expected),
        average=float(np.mean(initial / gross)) if len(starts) else 0.0,
        shortfall=float(np.max((end - initial) / gross, initial=0.0)),
        saved=1.0 - float(asked.initial[legs].sum()) / isolated if isolated > 0.0 else None,
        peak_to_trough=peak,
        rises=rises,
        refused=asked.refused,
        notes=asked.notes,
    )


def references(laid: Laid, losses: Losses) -> dict[str, Asked]:
    """Margins to measure others by: nothing, which every loss breaches, and the loss to come, the least that covers."""
    none = np.full(len(laid.starts), np.nan)
    nothing, foresight = np.zeros(len(laid.starts)), np.maximum(losses.end, 0.0)
    return {
        NOTHING: Asked(nothing, nothing, none, {}, ()),
        FORESIGHT: Asked(foresight, foresight, none, {}, ()),
    }


def pooled(verdicts: Sequence[Verdict]) -> tuple[int, int, float]:
    """Over all books of a profile: breaches, starts, and the mean requirement of gross notional (each book alike)."""
    breaches = sum(len(one.breaches) for one in verdicts)
    starts = sum(len(one.times) for one in verdicts)
    answered = [one.average for one in verdicts if len(one.times)]
    return breaches, starts, sum(answered) / len(answered) if answered else 0.0


def _apart(starts: IntArray, hours: int) -> list[int]:
    """Which starts to take, from the first on, so that their periods do not overlap."""
    taken: list[int] = []
    for number, start in enumerate(starts):
        if not taken or start >= starts[taken[-1]] + hours:
            taken.append(number)
    return taken


def _procyclicality(path: FloatArray, step: int) -> tuple[float | None, dict[int, float]]:
    if not len(path) or path.min() <= 0.0:
        return None, {}
    spans = {days: days * 24 // step for days in RISES}
    rises = {days: measured(path, span).largest_rise for days, span in spans.items() if 1 <= span < len(path)}
    return measured(path, 1).peak_to_trough, rises


def period_hours(days: float) -> int:
    """A margin period in whole hours, rounded up, one at least."""
    return max(1, -int(-days * 24 // 1))


def grid_starts(past: Past, first: int, last: int, step: int) -> IntArray:
    """Places of the grid from `first` to `last` (microseconds, last excluded), every `step` hours."""
    begin = max(0, -(-(first - int(past.times[0])) // HOUR))
    end = min(len(past.times), -(-(last - int(past.times[0])) // HOUR))
    return np.arange(begin, max(begin, end), step)
