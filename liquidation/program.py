"""The other proposer: a linear program whose variables are the parts of holdings that are sold.

It minimises the expected cost (and, far below it, what is sold) subject to: equity, costs paid and haircuts released,
covers the initial margin of what is left. Of that margin the scan is exact: a variable for each netting group lies
above the group's loss in every scenario, and never above what the group's scan was. Charges, credits and minimums are
no convex function; they are taken as straight lines through the point at hand, and the program is solved again at the
point it came to. Its answer is rounded up to lots. It only proposes: whether it heals is asked of the integers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.optimize import linprog
from scipy.sparse import csr_array

from liquidation.costs import Rates, columns, costs, pieces
from liquidation.greedy import Case, Required
from schemas.limits import BASIS_POINTS

I64Array = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]

SOLVES: Final = 3
"""how often an account's program is solved at most"""
TOGETHER: Final = 64
"""accounts solved in one program, which their answers do not depend on but for ties"""

_GROSS: Final = 1e-6
"""a dollar sold weighs so much beside a dollar of cost: of two plans that cost the same the smaller"""
_SHORT: Final = 1e4
"""and a dollar of margin that is not reached so much, so that every program has an answer"""
_LOT: Final = 1e-6
"""part of a lot past which a float's digits say nothing"""


class Scan(NamedTuple):
    """What an account's margin is made of, as far as it is convex. Money is micro-dollars."""

    group: I64Array
    """[holdings] netting group, numbered from 0"""
    losses: FloatArray
    """[holdings, scenarios] of a lot held long, as margin counts it: a coin after its haircut"""
    fixed: FloatArray
    """[groups, scenarios] losses of what the account has in them and may not sell"""
    ratio: float
    """initial margin over the scan risk"""


class _Block(NamedTuple):
    """One account's program, in parts of its initial margin: minimise cost @ x, rows @ x <= limit, 0 <= x <= most."""

    cost: FloatArray
    rows: FloatArray
    limit: FloatArray
    most: FloatArray
    holding: I64Array
    """[variables] the holding that the first of them sell"""


def propose(
    cases: Sequence[Case],
    scans: Sequence[Scan],
    factor: Sequence[I64Array] | None,
    required: Required,
    rates: Rates,
    steps: int,
) -> list[list[I64Array]]:
    """For each case what it might be left with: up to SOLVES proposals, [holdings] lots each, the later ones nearer."""
    told: list[list[I64Array]] = [[] for _ in cases]
    held = [np.array([one.quantity for one in case.holdings], np.int64) for case in cases]
    at = list(held)
    active = list(range(len(cases)))
    for _ in range(SOLVES):
        slopes = _slopes([(number, at[number], scans[number]) for number in active], required)
        moved: list[int] = []
        for first in range(0, len(active), TOGETHER):
            part = active[first : first + TOGETHER]
            blocks = [
                _block(cases[n], scans[n], at[n], slopes[n], None if factor is None else factor[n], rates, steps)
                for n in part
            ]
            for number, block, parts in zip(part, blocks, _solved(blocks), strict=True):
                sold = np.bincount(block.holding, parts[: len(block.holding)], len(held[number]))
                lots = np.ceil(np.minimum(sold, 1.0) * np.abs(held[number]) - _LOT).astype(np.int64)
                left = np.sign(held[number]) * (np.abs(held[number]) - np.minimum(lots, np.abs(held[number])))
                if not any(np.array_equal(left, known) for known in told[number]):
                    told[number].append(left)
                    moved.append(number)
                at[number] = left
        # a program with no charges answers the same again: it has its answer
        active = moved
    return told


def _slopes(points: Sequence[tuple[int, I64Array, Scan]], required: Required) -> dict[int, tuple[float, FloatArray]]:
    """By case: what its margin is beside the scan where it stands, and by how much that changes a lot sold."""
    width = max((len(left) for _, left, _ in points), default=0)
    rows, whose, steps = [], [], []
    for number, left, _ in points:
        step = np.maximum(np.abs(left) // 4, 1) * np.where(left < 0, -1, 1) * (left != 0)
        tried = np.zeros((len(left) + 1, width), np.int64)
        tried[:, : len(left)] = left - np.vstack([np.zeros_like(left), np.diag(step)])
        rows.append(tried)
        whose.append(np.full(len(tried), number, np.int64))
        steps.append(np.abs(step))
    if not rows:
        return {}
    initial = required(np.concatenate(whose), np.vstack(rows)).astype(np.float64)
    told: dict[int, tuple[float, FloatArray]] = {}
    first = 0
    for (number, left, scan), tried, step in zip(points, rows, steps, strict=True):
        beside = initial[first : first + len(tried)] - scan.ratio * _risks(scan, tried[:, : len(left)])
        told[number] = float(beside[0]), (beside[1:] - beside[0]) / np.maximum(step, 1)
        first += len(tried)
    return told


def _risks(scan: Scan, lots: I64Array) -> FloatArray:
    """[rows] scan risk of holding these lots [rows, holdings], all groups together."""
    total = np.zeros(len(lots))
    for group, fixed in enumerate(scan.fixed):
        mine = scan.group == group
        total += np.maximum((lots[:, mine] @ scan.losses[mine] + fixed).max(axis=1), 0.0)
    return total


def _block(
    case: Case,
    scan: Scan,
    at: I64Array,
    slope: tuple[float, FloatArray],
    factor: I64Array | None,
    rates: Rates,
    steps: int,
) -> _Block:
    held = case.holdings
    quantity = np.array([one.quantity for one in held], np.float64)
    groups, width = scan.fixed.shape
    holding, cost, size = _segments(case, rates, steps)
    most = np.concatenate([size, np.zeros(groups), [np.inf]])
    legs = quantity[:, None] * scan.losses
    rows = np.zeros((groups * width + 1, len(most)))
    limit = np.zeros(len(rows))
    for group in range(groups):
        mine = scan.group == group
        band = slice(group * width, (group + 1) * width)
        whole = legs[mine].sum(axis=0) + scan.fixed[group]
        rows[band, : len(holding)] = np.where(mine[holding], -legs[holding].T, 0.0)
        rows[band, len(holding) + group] = -1.0
        limit[band] = -whole
        most[len(holding) + group] = max(float(whole.max()), 0.0)
    beside, slopes = slope
    lots = np.abs(quantity)
    released = np.array([one.released for one in held], np.float64)
    rows[-1, : len(holding)] = cost + (slopes * lots - released)[holding]
    rows[-1, len(holding) : -1] = scan.ratio
    rows[-1, -1] = -1.0
    limit[-1] = case.equity - beside + float(slopes @ (lots - np.abs(at)))
    worth = np.array([one.worth for one in held], np.float64)
    weighed = cost if factor is None else cost * (BASIS_POINTS**2 / factor[: len(held)].astype(np.float64))[holding]
    price = np.concatenate([weighed + _GROSS * worth[holding], np.zeros(groups), [_SHORT]])
    unit = max(float(np.abs(limit).max()), 1.0)
    # money in parts of `unit`; the parts of holdings stay as they are
    money = np.ones(len(most))
    money[len(holding) :] = unit
    return _Block(price * money / unit, rows * money / unit, limit / unit, most / money, holding)


def _segments(case: Case, rates: Rates, steps: int) -> tuple[I64Array, FloatArray, FloatArray]:
    """(holding, cost of the whole at the segment's rate, its part of the holding): one of each holding, or its pieces,
    the later the dearer, where its sale moves its price."""
    of = columns([case.holdings])
    if not rates.impact:
        whole = costs(of, np.abs(of.quantity), rates)[0].astype(np.float64)
        return np.arange(len(whole)), whole, np.ones(len(whole))
    size, _, lost, _ = pieces(of, steps, rates)
    lots = np.abs(of.quantity[0]).astype(np.float64)
    each = np.clip(lots[:, None] - np.arange(steps) * size[0][:, None], 0, size[0][:, None])
    holding, step = np.nonzero(each > 0)
    part = each[holding, step] / lots[holding]
    return holding, lost[0][holding, step] / part, part


def _solved(blocks: Sequence[_Block]) -> list[FloatArray]:
    """The answers of the programs, solved as one; zeros where the solver has none."""
    columns = np.cumsum([0, *(len(block.cost) for block in blocks)])
    lines = np.cumsum([0, *(len(block.limit) for block in blocks)])
    entries = [np.nonzero(block.rows) for block in blocks]
    values = np.concatenate([block.rows[where] for block, where in zip(blocks, entries, strict=True)])
    row = np.concatenate([where[0] + line for where, line in zip(entries, lines, strict=False)])
    column = np.concatenate([where[1] + first for where, first in zip(entries, columns, strict=False)])
    bounds = np.concatenate([np.column_stack([np.zeros(len(block.most)), block.most]) for block in blocks])
    answer = linprog(  # type: ignore[call-overload]  # the stubs know no sparse matrix
        np.concatenate([block.cost for block in blocks]),
        A_ub=csr_array((values, (row, column)), shape=(int(lines[-1]), int(columns[-1]))),
        b_ub=np.concatenate([block.limit for block in blocks]),
        bounds=bounds,
        method="highs",
    )
    found = np.zeros(int(columns[-1])) if answer.x is None else np.asarray(answer.x, np.float64)
    return [found[columns[k] : columns[k + 1]] for k in range(len(blocks))]
