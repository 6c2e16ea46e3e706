"""What every shard knows alike, as the fund's decisions need it: the policy in force, what was used of its layers, the
members' parts, the backers' units and what the notice lets them take."""

from __future__ import annotations

from insurance.episode import Ground
from ledger.backers import requests_due
from ledger.state import State
from ledger.waterfall import prices
from schemas.kinds import Parameter


def ground(state: State) -> Ground:
    """The ground of a decision, read from any shard's facts."""
    known = state.facts
    return Ground(
        policy=known.policy,
        drawn=known.drawn,
        parts=known.parts,
        prices=prices(state),
        member_of=lambda account: int(state.accounts.member[account]),
        backers=bool(state.parameter(Parameter.BACKERS)),
        units=known.units,
        requests=requests_due(state),
    )
