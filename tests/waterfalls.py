"""A `Managed` clearinghouse with a waterfall policy: members, debts to the unit, and what each layer bore of them."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from managed import Managed
from world import HOUR, ISOLATED, PERP_BTC, USD

from insurance.policy import Policy, Rank, published
from schemas import events as e
from schemas.chart import House
from schemas.kinds import Segregation, WaterfallLayer
from schemas.outcomes import LossBorne

NOWHERE = bytes(32)


class Falling(Managed):
    """Accounts are opened, funded and made to owe; `step` marks and lets the services answer."""

    def __init__(self, shards: int = 1) -> None:
        super().__init__(shards)
        self.policies = 0

    def member(
        self, account: int, member: int, amount: int = 0, segregation: Segregation = Segregation.HOUSE, asset: int = USD
    ) -> None:
        """Open an account of a member with so many smallest units."""
        self.send(
            e.AccountOpened(
                account=account, segregation=segregation, liquidator=0, profile=ISOLATED, member=member, owner=account,
                time=self.time, name=f"W-{account}",
            )
        )  # fmt: skip
        if amount:
            self.deposit(account, amount, asset)

    def publish(self, policy: Policy, effective: int | None = None) -> list[Any]:
        """The council publishes a policy; without a time it is in force from the next mark of `step` on."""
        self.policies += 1
        at = self.time + HOUR if effective is None else effective
        said = self.send(*published(policy, self.policies, self.time, at))
        if effective is None:
            self.step(after=HOUR)
        return said

    def ranks(self, *ranks: Rank, effective: int) -> list[Any]:
        """The same of layers given alone."""
        self.policies += 1
        rows = [
            e.PolicyLayer(policy=self.policies, part=k, layer=r.layer, time=self.time, share=r.share, amount=r.amount)
            for k, r in enumerate(ranks)
        ]
        closing = e.PolicyPublished(
            policy=self.policies, layers=len(rows), time=self.time, effective=effective, digest=NOWHERE
        )
        return self.send(*rows, closing)

    def capital(self, amount: int, asset: int = USD) -> None:
        self.send(e.CapitalContributed(asset=asset, time=self.time, amount=amount))

    def fund(self, amount: int, asset: int = USD, backer: int = 0, own: int = 0) -> None:
        self.send(e.FundContributed(own=own, asset=asset, backer=backer, time=self.time, amount=amount))

    def contribute(self, member: int, amount: int, asset: int = USD) -> list[Any]:
        return self.send(e.DefaultFundContributed(member=member, asset=asset, time=self.time, amount=amount))

    def owe(self, account: int, amount: int) -> None:
        """Make an account that has nothing owe dollars, to the unit, from the next mark on."""
        self.send(e.FeeCharged(account=account, time=self.time, effective=self.time, amount=amount))

    def gain(self, winner: int, loser: int, lots: int) -> None:
        """`winner` is long so many perps against `loser`: ten cents for each dollar and lot."""
        self.trade(winner, loser, PERP_BTC, lots, round(self.prices[0] * 100))

    def step(self, *, btc: float | None = None, after: int = HOUR // 4) -> list[Any]:
        """A mark and everything that the services answer."""
        begun = len(self.said)
        self.mark(btc=btc, after=after)
        self.answer()
        self.check()
        return self.said[begun:]

    def borne(self, asset: int = USD) -> dict[tuple[str, int], int]:
        """(layer, account) -> what it bore so far."""
        sums: defaultdict[tuple[str, int], int] = defaultdict(int)
        for one in self.said:
            if isinstance(one, LossBorne) and one.asset == asset:
                sums[WaterfallLayer(one.layer).name.lower(), one.account] += one.amount
        return dict(sums)

    def house(self, which: House, asset: int = USD) -> int:
        return self.balance(which, asset)
