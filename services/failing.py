"""Which accounts are failing, followed from outcomes alone: whichever shard keeps an account, its rung is told."""

from __future__ import annotations

from schemas.kinds import Rung
from schemas.outcomes import RungChanged
from schemas.wire import Run


class Failing:
    """The accounts in liquidation or deficit. `hear` takes runs of outcomes in their order."""

    def __init__(self) -> None:
        self._accounts: set[int] = set()

    def hear(self, run: Run) -> None:
        """Take in a run; only changes of rung are looked at."""
        if run.message.cls is RungChanged:
            for account, after in zip(run.rows["account"].tolist(), run.rows["after"].tolist(), strict=True):
                change = self._accounts.add if after >= Rung.LIQUIDATING else self._accounts.discard
                change(account)

    def __contains__(self, account: int) -> bool:
        return account in self._accounts
