"""What one entry brings about, gathered in order: outcomes, and the accounts it touched."""

from __future__ import annotations

from typing import Any

import numpy as np

from ledger.state import State
from risk.tables import I64Array
from schemas.chart import FIRST_ACCOUNT
from schemas.kinds import PostingKind, Reason
from schemas.limits import MAX_BALANCE
from schemas.outcomes import OUTCOMES, Posted, Rejected
from schemas.wire import Rows, Run, runs_of


class Outbox:
    """Outcomes of one entry in one shard. `index` is the event being handled."""

    def __init__(self) -> None:
        self.index = 0
        self.touched: list[int] = []
        self._touched_rows: list[I64Array] = []
        self._runs: list[Run] = []
        self._waiting: list[Any] = []

    def touch_rows(self, accounts: I64Array) -> None:
        """Accounts that a kernel touched, each once."""
        self._touched_rows.append(accounts)

    def touched_accounts(self) -> I64Array:
        """Every customer's account this entry touched, once."""
        if len(self._touched_rows) == 1 and not self.touched:
            return self._touched_rows[0]
        every = np.unique(np.concatenate([*self._touched_rows, np.array(self.touched, np.int64)]))
        return every[every >= FIRST_ACCOUNT]

    def emit(self, outcome: Any) -> None:
        """Add one outcome."""
        self._waiting.append(outcome)

    def emit_rows(self, kind: type[Any], rows: Rows) -> None:
        """Add outcomes that a kernel wrote."""
        if len(rows):
            self._flush()
            self._runs.append(Run(OUTCOMES.by_class[kind], rows))

    def reject(self, template: int, reason: Reason, account: int = 0) -> None:
        """Say why the event being handled was refused."""
        self.emit(Rejected(index=self.index, template=template, reason=reason, account=account))

    def runs(self) -> tuple[Run, ...]:
        """Everything in order."""
        self._flush()
        return tuple(self._runs)

    def _flush(self) -> None:
        if self._waiting:
            self._runs.extend(runs_of(OUTCOMES, self._waiting))
            self._waiting = []


def can_take(state: State, account: int, asset: int, amount: int) -> bool:
    """Whether a balance may change by this much without passing MAX_BALANCE."""
    return abs(int(state.balance[account, asset]) + amount) <= MAX_BALANCE


def write(state: State, account: int, asset: int, amount: int) -> None:
    """One side of a posting: the balance, and the sum of all single writes that must come back to zero."""
    state.balance[account, asset] += amount
    state.total[asset] += amount


def post(
    state: State, out: Outbox, kind: PostingKind, asset: int, debit: int, credit: int, amount: int, reference: int = 0
) -> None:
    """Move an amount from `debit` to `credit` and say so. The caller has checked both with `can_take`."""
    write(state, debit, asset, -amount)
    write(state, credit, asset, amount)
    out.touched.extend((debit, credit))
    out.emit(
        Posted(index=out.index, kind=kind, asset=asset, debit=debit, credit=credit, reference=reference, amount=amount)
    )
