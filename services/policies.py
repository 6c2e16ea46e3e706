"""A run under a published waterfall: the policy that was named, and what the demonstration's members put in for it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from insurance.policy import SHIPPED, Policy, parse_policy, published, shipped
from schemas.events import DefaultFundContributed
from schemas.kinds import WaterfallLayer
from schemas.limits import MICRO
from schemas.sources import Role
from services.exchange import DOLLAR
from services.population import Customer, member_of
from services.run import Pledges, Variant

NUMBER: Final = 1
"""that the policy is published under"""
_MUTUAL: Final = frozenset({WaterfallLayer.MEMBER_CONTRIBUTION, WaterfallLayer.DEFAULT_FUND, WaterfallLayer.ASSESSMENT})


class PolicyUnknown(ValueError):  # noqa: N818 - named for what is missing
    """Neither a policy that comes with the package nor a file."""

    def __init__(self, named: str) -> None:
        super().__init__(f"{named} is neither a policy ({', '.join(SHIPPED)}) nor a file")


def read_policy(named: str) -> Policy:
    """A shipped policy by its name, or one of a file. Raises PolicyUnknown, TomlError, UnicodeDecodeError, OSError."""
    if named in SHIPPED:
        return shipped(named)
    if not Path(named).is_file():
        raise PolicyUnknown(named)
    return parse_policy(Path(named).read_text("ascii"))


def contributions(fund: int) -> Pledges:
    """All members, the professionals too, contribute so many dollars together, in equal parts."""

    def said(customers: Sequence[Customer], opened: int) -> list[tuple[Role, Sequence[Any]]]:
        members = sorted({member_of(one) for one in customers})
        each = fund * MICRO // len(members)
        return [
            (
                Role.COUNCIL,
                [DefaultFundContributed(asset=DOLLAR, member=one, time=opened, amount=each) for one in members],
            )
        ]

    return said


def under(policy: Policy, fund: int) -> Variant:
    """The demonstration under a policy that is in force from the first mark. Where it asks members they contribute
    `fund` dollars (see contributions)."""
    mutual = any(rank.layer in _MUTUAL for rank in policy.ranks)
    return Variant(
        policy=lambda _venue, opened: [(Role.COUNCIL, published(policy, NUMBER, opened, opened))],
        pledges=contributions(fund) if mutual else None,
    )
