"""What an outcome moved, as plain double entries: read from the outcome alone, so that books can be kept elsewhere.

It is the second way. The kernels write balances and positions directly; who adds up these entries from the first
outcome on must get the same balances and the same positions, the house's included.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from schemas.chart import House
from schemas.events import InstrumentListed
from schemas.kinds import Kind
from schemas.outcomes import LegPosted, PositionSettled, Posted

Posting = tuple[int, int, int]
"""(account, asset, smallest units)"""
Move = tuple[int, int, int]
"""(account, instrument, lots)"""


def postings_of(outcome: Any, instruments: Mapping[int, InstrumentListed]) -> list[Posting]:
    """The postings behind an outcome, zeros left out; in each asset they sum to zero. None where it moved no money.

    `instruments` are those listed by then. Raises KeyError where the outcome names another one.
    """
    if isinstance(outcome, Posted):
        return _pair(outcome.debit, outcome.credit, outcome.asset, outcome.amount)
    if isinstance(outcome, LegPosted):
        return _of_leg(outcome, instruments[outcome.instrument])
    if isinstance(outcome, PositionSettled):
        asset = instruments[outcome.instrument].settlement_asset
        return [
            *_pair(House.CLEARINGHOUSE, outcome.account, asset, outcome.cash),
            *_pair(House.FUNDING, outcome.account, asset, outcome.funding),
        ]
    return []


def moves_of(outcome: Any, instruments: Mapping[int, InstrumentListed]) -> list[Move]:
    """The changes of positions behind an outcome; in each instrument they sum to zero."""
    if isinstance(outcome, LegPosted) and instruments[outcome.instrument].kind != Kind.SPOT:
        return _pair(House.CLEARINGHOUSE, outcome.account, outcome.instrument, outcome.quantity)
    if isinstance(outcome, PositionSettled) and outcome.closed:
        return _pair(House.CLEARINGHOUSE, outcome.account, outcome.instrument, -outcome.quantity)
    return []


def _of_leg(leg: LegPosted, listed: InstrumentListed) -> list[Posting]:
    asset = listed.settlement_asset
    out = _pair(House.CLEARINGHOUSE, leg.account, asset, leg.cash)
    if listed.kind == Kind.SPOT:
        out += _pair(House.CLEARINGHOUSE, leg.account, listed.base_asset, leg.quantity * listed.lot_size)
    out += _pair(leg.account, House.FEES, asset, leg.fee)
    out += _pair(House.FEES, House.FUND, asset, leg.fund_share)
    return out + _pair(House.FUNDING, leg.account, asset, leg.funding)


def _pair(debit: int, credit: int, unit: int, amount: int) -> list[tuple[int, int, int]]:
    return [(int(debit), unit, -amount), (int(credit), unit, amount)] if amount else []
