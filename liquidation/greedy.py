"""The greedy proposer: piece by piece what frees most margin for its cost, for many accounts at once.

Every account is a row. All accounts take their next step together, so that the margins of all they might do next are
one call; what one does never shows in another's answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from liquidation.costs import Holding, Rates, columns, cost, pieces
from schemas.limits import BASIS_POINTS

I64Array = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]

Required = Callable[[I64Array, I64Array], I64Array]
"""Numbers of cases [rows] and lots held [rows, holdings] -> initial margin [rows], micro-dollars. A row is a portfolio
that case might be left with; columns past the case's own holdings are zero."""

_NEAR: Final = 1.0 - 1e-12
"""two scores closer than this are compared once more in whole numbers"""


class Case(NamedTuple):
    """An account to be planned for."""

    account: int
    equity: int
    """micro-dollars"""
    holdings: tuple[Holding, ...]
    """in order of instruments, none twice"""
    balances: Mapping[int, int]
    """smallest units by asset, those that are holdings too"""


class Weights(NamedTuple):
    """By how much a piece counts for more, basis points: where its holding is the account's riskiest (most margin of
    its own for a dollar's worth), its most liquid (least cost for a dollar's worth), its most capital-hungry (most
    margin given back if it were gone). Others count in proportion; zeros: margin freed for its cost alone."""

    risk: int = 0
    liquidity: int = 0
    capital: int = 0


class Table(NamedTuple):
    """Cases as arrays, [cases, holdings]; a case with fewer holdings than the widest has zeros past them."""

    equity: I64Array
    """[cases]"""
    quantity: I64Array
    piece: I64Array
    pieces: I64Array
    """pieces that a holding is cut in"""
    position: BoolArray
    """False: a coin balance"""
    cost: I64Array
    """[cases, holdings, steps] of each piece after those before it, micro-dollars"""
    released: I64Array
    """the same of what equity gains"""


class Greedy(NamedTuple):
    """What the greedy came to."""

    left: I64Array
    """[cases, holdings] lots; zeros where nothing it may do heals"""
    healed: BoolArray
    """[cases] equity covers the initial margin of what is left, costs paid"""
    last: I64Array
    """[cases, holdings] lots taken by the last step, signed as the holding"""


def table(cases: Sequence[Case], steps: int, rates: Rates) -> Table:
    """The cases as arrays, every holding cut in `steps` pieces of at least one lot."""
    held = columns([case.holdings for case in cases])
    piece, count, lost, freed = pieces(held, steps, rates)
    position = np.zeros(held.quantity.shape, np.bool_)
    for row, case in enumerate(cases):
        position[row, : len(case.holdings)] = [not one.collateral for one in case.holdings]
    return Table(
        np.array([case.equity for case in cases], np.int64), held.quantity, piece, count, position, lost, freed
    )


def greedy(t: Table, required: Required, factor: I64Array | None = None, groups: I64Array | None = None) -> Greedy:
    """Take, while equity does not cover the initial margin, the step with most margin freed (what it releases included)
    x factor for its cost; on a tie the first in the order: single pieces by instrument, pieces of a whole group, a
    piece of every position. Where none frees anything, everything goes.

    `factor` [cases, holdings]: see `factors`; a step of several holdings has the mean of theirs. With `groups` [cases,
    holdings] (numbers from 0, -1 past the holdings) hedges are kept: a step must neither raise the requirement of the
    whole nor, by itself, that of a group it touches; and a piece of all that a group holds is a step of its own.
    """
    cases = len(t.quantity)
    done, equity = np.zeros_like(t.quantity), t.equity.copy()
    last, healed = np.zeros_like(t.quantity), np.zeros(cases, np.bool_)
    gone = np.zeros(cases, np.bool_)
    active = np.flatnonzero(t.quantity.any(axis=1))
    while len(active):
        left = _left(t, active, done[active])
        movable = left != 0
        taken: I64Array = np.sign(left) * np.minimum(np.abs(left), t.piece[active])
        own = None if groups is None else groups[active]
        moves, valid = _moves(movable, t.position[active], own)
        at, move = np.nonzero(valid)
        tried: I64Array = left[at] - taken[at] * moves[at, move]
        initial = required(np.concatenate([active, active[at]]), np.vstack([left, tried]))
        now, then = initial[: len(active)], initial[len(active) :]
        is_healed = equity[active] >= now
        healed[active[is_healed]] = True
        step = np.minimum(done[active], t.cost.shape[2] - 1)[..., None]
        costs = np.take_along_axis(t.cost[active], step, 2)[..., 0]
        frees = np.take_along_axis(t.released[active], step, 2)[..., 0]
        lost = (costs[at] * moves[at, move]).sum(axis=1)
        gained = (frees[at] * moves[at, move]).sum(axis=1)
        freed = now[at] - then + gained
        allowed = freed > 0
        if own is not None:
            allowed &= (then <= now[at]) & ~_breaks(left, tried, at, moves[at, move], active, own, required)
        weight = None if factor is None else _mean(factor[active][at], moves[at, move])
        best = _best(valid.shape, (at, move), (freed, np.maximum(lost, 1), weight), allowed)
        gone[active[~is_healed & (best < 0)]] = True
        row = np.flatnonzero(~is_healed & (best >= 0))
        chosen = moves[row, best[row]]
        number = active[row]
        equity[number] += ((frees - costs)[row] * chosen).sum(axis=1)
        last[number] = taken[row] * chosen
        done[number] += chosen
        active = number[(done[number] < t.pieces[number]).any(axis=1)]
    left = _left(t, np.arange(cases), done)
    left[gone] = 0
    healed |= ~left.any(axis=1) & ~gone & (equity >= 0)
    return Greedy(left, healed, last)


def factors(t: Table, cases: Sequence[Case], rates: Rates, weights: Weights, required: Required) -> I64Array | None:
    """[cases, holdings] by how much each holding counts, BASIS_POINTS^2 and more; None where nothing is weighed."""
    if not any(weights):
        return None
    n, width = t.quantity.shape
    each = np.eye(width, dtype=np.int64)
    alone = t.quantity[:, None, :] * each
    without = t.quantity[:, None, :] - alone
    whose = np.arange(n)
    rows = np.concatenate([t.quantity, alone.reshape(-1, width), without.reshape(-1, width)])
    told = required(np.concatenate([whose, np.repeat(whose, width), np.repeat(whose, width)]), rows)
    whole, own, rest = told[:n], told[n : n + n * width].reshape(n, width), told[n + n * width :].reshape(n, width)
    factor = np.full((n, width), BASIS_POINTS**2, np.int64)
    for row, case in enumerate(cases):
        held = range(len(case.holdings))
        worth = [max(one.worth, 1) for one in case.holdings]
        risk = [int(own[row, at]) * BASIS_POINTS // worth[at] for at in held]
        dear = [
            1 + cost(one, abs(one.quantity), rates) * BASIS_POINTS // worth[at] for at, one in enumerate(case.holdings)
        ]
        hungry = [max(int(whole[row] - rest[row, at]), 0) for at in held]
        for at in held:
            factor[row, at] += weights.risk * (risk[at] * BASIS_POINTS // max(*risk, 1))
            factor[row, at] += weights.liquidity * (min(dear) * BASIS_POINTS // dear[at])
            factor[row, at] += weights.capital * (hungry[at] * BASIS_POINTS // max(*hungry, 1))
    return factor


def breaks_a_hedge(before: I64Array, after: I64Array, groups: I64Array, required: Required) -> BoolArray:
    """[cases] whether what is left [cases, holdings] needs more than before: in all, or any one group by itself."""
    cases = np.arange(len(before))
    told = required(np.concatenate([cases, cases]), np.vstack([before, after]))
    changed = (before != after).astype(np.int64)
    return (told[len(cases) :] > told[: len(cases)]) | _breaks(before, after, cases, changed, cases, groups, required)


def _left(t: Table, active: I64Array, done: I64Array) -> I64Array:
    whole = t.quantity[active]
    left: I64Array = np.sign(whole) * (np.abs(whole) - np.minimum(done * t.piece[active], np.abs(whole)))
    return left


def _moves(movable: BoolArray, position: BoolArray, groups: I64Array | None) -> tuple[I64Array, BoolArray]:
    """The steps there are, [cases, steps, holdings] of 0 and 1, and which of them are any."""
    width = movable.shape[1]
    whole = movable & position
    kinds = [np.eye(width, dtype=np.bool_)[None] & movable[:, None, :]]
    if groups is not None:
        together = (groups[:, None, :] == np.arange(width)[:, None]) & movable[:, None, :]
        # one alone is a single piece, and where all is one group the step of every position is there already
        some = (together.sum(axis=2) > 1) & (together != whole[:, None, :]).any(axis=2)
        kinds.append(together & some[..., None])
    # a hedged book frees nothing leg by leg: only a piece of all its legs together does
    kinds.append((whole & (whole.sum(axis=1) > 1)[:, None])[:, None, :])
    moves = np.concatenate(kinds, axis=1)
    return moves.astype(np.int64), np.asarray(moves.any(axis=2), np.bool_)


def _breaks(
    left: I64Array,
    tried: I64Array,
    at: I64Array,
    touched: I64Array,
    active: I64Array,
    groups: I64Array,
    required: Required,
) -> BoolArray:
    """[tries] whether a group that a try touches needs more by itself than before. `left` [cases, holdings], `tried`
    and `touched` [tries, holdings], `at` [tries] whose row of `left` each is tried on."""
    width = left.shape[1]
    groups_of = groups[:, None, :] == np.arange(width)[:, None]
    case, group = np.nonzero(groups_of.any(axis=2))
    number = np.zeros((len(left), width), np.int64)
    number[case, group] = np.arange(len(case))
    hit = (groups_of[at] & (touched != 0)[:, None, :]).any(axis=2)
    which, what = np.nonzero(hit)
    rows = np.vstack([left[case] * groups_of[case, group], tried[which] * groups_of[at[which], what]])
    told = required(np.concatenate([active[case], active[at[which]]]), rows)
    raised = told[len(case) :] > told[number[at[which], what]]
    breaks = np.zeros(len(tried), np.bool_)
    breaks[which[raised]] = True
    return breaks


def _mean(factor: I64Array, move: I64Array) -> I64Array:
    mean: I64Array = (factor * move).sum(axis=1) // move.sum(axis=1)
    return mean


def _best(
    shape: tuple[int, ...],
    where: tuple[I64Array, I64Array],
    scored: tuple[I64Array, I64Array, I64Array | None],
    allowed: BoolArray,
) -> I64Array:
    """[cases] the step with the highest freed x weight / cost, the first of those alike; -1: none is allowed."""
    at, move = where
    freed, lost, weight = scored
    score = freed / lost if weight is None else freed / lost * weight
    scores = np.full(shape, -1.0)
    scores[at[allowed], move[allowed]] = score[allowed]
    top = scores.max(axis=1, initial=-1.0)
    near = (scores >= top[:, None] * _NEAR) & (scores > 0.0)
    best = np.where(top > 0.0, near.argmax(axis=1), -1)
    alike = np.flatnonzero(near.sum(axis=1) > 1)
    if len(alike):
        entry = np.zeros(shape, np.int64)
        entry[at, move] = np.arange(len(at))
        for row in alike.tolist():
            found, above, below = -1, 0, 1
            for one in np.flatnonzero(near[row]).tolist():
                k = int(entry[row, one])
                value = int(freed[k]) * (1 if weight is None else int(weight[k]))
                if value * below > above * int(lost[k]):
                    found, above, below = one, value, int(lost[k])
            best[row] = found
    return np.asarray(best, np.int64)
