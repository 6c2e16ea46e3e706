"""The tables that outcomes and facts are written to: a message's fields, each as a column, after what names the row.

The migrations say the same in SQL; a test holds the two together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from schemas import events as e
from schemas import outcomes as o
from schemas.events import EVENTS
from schemas.message import Catalogue, Field, Message
from schemas.outcomes import OUTCOMES

SMALL: Final = "smallint"
INTEGER: Final = "integer"
BIG: Final = "bigint"
NUMERIC: Final = "numeric"
TIMESTAMP: Final = "timestamp with time zone"
BYTES: Final = "bytea"
TEXT: Final = "text"

_TYPES: Final[Mapping[str, str]] = MappingProxyType(
    {"<u1": SMALL, "<u2": INTEGER, "<u4": BIG, "<i8": BIG, "<u8": NUMERIC, "V32": BYTES}
)
"""A wire type's column; an unsigned number of 64 bits goes past bigint."""
_DENSE: Final = frozenset({"mark"})
"""64-bit numbers that the fold counts itself, one by one: a bigint holds them."""
_RENAMED: Final[Mapping[str, str]] = MappingProxyType(
    {
        "order": "order_number",
        "right": "option_right",
        "window": "porting_window",
        "left": "left_over",
        "limit": "limit_value",
        "only": "only_underlying",
        "cross": "cross_impact",
    }
)
"""Words that SQL reserves."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its name, its SQL type, and the field it is filled from (its own name where they are the same)."""

    name: str
    sql: str
    field: str


@dataclass(frozen=True, slots=True)
class Table:
    """A table: its name, its columns in the order they are copied in."""

    name: str
    columns: tuple[Column, ...]

    @property
    def fixed(self) -> bool:
        """Whether every row has the same width as bytes."""
        return all(column.sql != TEXT for column in self.columns)


def _column(field: Field) -> Column:
    sql = TEXT if field.wire.form == "text" else _TYPES[field.wire.code]
    if sql == NUMERIC and field.name in _DENSE:
        sql = BIG
    return Column(_RENAMED.get(field.name, field.name), sql, field.name)


def _named(name: str, key: tuple[tuple[str, str], ...], columns: tuple[Column, ...] = ()) -> Table:
    return Table(name, (*(Column(one, sql, one) for one, sql in key), *columns))


_OUTCOME_KEY: Final = (("n", BIG), ("shard", SMALL), ("line", INTEGER))
_FACT_KEY: Final = (("n", BIG), ("index", BIG))


def _of(catalogue: Catalogue, cls: type[Any], name: str, key: tuple[tuple[str, str], ...], *leave: str) -> Table:
    message: Message = catalogue.by_class[cls]
    left = {"flags", *(one for one, _ in key), *leave}
    return _named(name, key, tuple(_column(field) for field in message.fields if field.name not in left))


MARKS: Final = _named("marks", (*_OUTCOME_KEY, ("mark", BIG), ("time", TIMESTAMP), ("shards", INTEGER)))
POSTINGS: Final = _named(
    "postings",
    (*_OUTCOME_KEY, ("side", SMALL), ("index", BIG), ("leg", SMALL), ("account", BIG), ("asset", INTEGER),
     ("kind", SMALL), ("amount", BIG)),
)  # fmt: skip
MOVES: Final = _named(
    "position_moves",
    (*_OUTCOME_KEY, ("side", SMALL), ("index", BIG), ("leg", SMALL), ("account", BIG), ("instrument", BIG),
     ("lots", BIG)),
)  # fmt: skip

_OUTCOME_NAMES: Final[Mapping[type[Any], str]] = MappingProxyType(
    {
        o.LegPosted: "legs",
        o.Posted: "transfers",
        o.Rejected: "rejections",
        o.PositionSettled: "settlements",
        o.RungChanged: "margins",
        o.LiquidationDue: "liquidations_due",
        o.LiquidationPosition: "liquidation_positions",
        o.LiquidationBalance: "liquidation_balances",
        o.OrderClosed: "orders_closed",
        o.AuctionOpened: "auctions_opened",
        o.AuctionClosed: "auctions_closed",
        o.BidReserved: "bids",
        o.DeficitFound: "deficits",
        o.DeleveragingCandidate: "deleveraging_candidates",
        o.WithdrawalAnswered: "withdrawal_answers",
        o.ParameterApplied: "parameters",
        o.FundingIndexed: "funding",
        o.NetPosition: "net_positions",
        o.HouseBalance: "house_balances",
        o.MarkDone: "mark_totals",
        o.SnapshotTaken: "snapshots",
        o.AccountRegistered: "registrations",
        o.OracleAccepted: "oracle_prices",
        o.DeficitCovered: "deficits_covered",
        o.WithdrawalWaiting: "withdrawals_waiting",
        o.WithdrawalsHold: "withdrawals_held",
        o.PortfolioOpened: "portfolios_opened",
        o.PortfolioBidReserved: "portfolio_bids",
        o.PortfolioBidDropped: "portfolio_bids_dropped",
        o.PortfolioClosed: "portfolios_closed",
        o.BackstopCapacity: "backstop_capacity",
        o.LiquidationGap: "liquidation_gaps",
        o.PolicyApplied: "policies",
        o.LaidOut: "layers_laid_out",
        o.LossBorne: "losses_borne",
        o.AssessmentCapacity: "assessment_capacity",
        o.GainReported: "gains_reported",
        o.MemberPart: "default_fund_parts",
        o.BackerDeposited: "backer_deposits",
        o.BackerStands: "backers",
        o.PortingChecked: "porting_checks",
        o.ClientPorted: "clients_ported",
        o.MemberStanding: "member_standings",
        o.CloseOutDue: "close_outs_due",
        o.ResourcesMoved: "resources_moved",
        o.OpenInterest: "open_interest",
        o.OwnerInterest: "owner_interest",
        o.BreakerSwitched: "breakers",
        o.StressRecorded: "stress_runs",
        o.StressResultRecorded: "stress_results",
    }
)
_FACT_NAMES: Final[Mapping[type[Any], str]] = MappingProxyType(
    {
        e.AssetListed: "assets",
        e.UnderlyingListed: "underlyings",
        e.InstrumentListed: "instruments",
        e.InstrumentStatusChanged: "instrument_changes",
        e.IndexChanged: "index_changes",
        e.AccountOpened: "accounts",
        e.AccountChanged: "account_changes",
        e.AccountLinked: "account_links",
        e.FundingRate: "funding_rates",
        e.SettlementPrice: "settlement_prices",
        e.ParameterChanged: "parameter_changes",
        e.ProfilePublished: "profiles",
        e.InstrumentMark: "instrument_marks",
        e.AssetMark: "asset_marks",
        e.UnderlyingMark: "underlying_marks",
        e.MemberDefaulted: "members_defaulted",
        e.PolicyLayer: "policy_layers",
        e.PolicyPublished: "policies_published",
    }
)

OUTCOME_TABLES: Final[Mapping[type[Any], Table]] = MappingProxyType(
    {
        cls: _of(OUTCOMES, cls, name, _OUTCOME_KEY, *(("time",) if cls is o.MarkDone else ()))
        for cls, name in _OUTCOME_NAMES.items()
    }
)
"""Every outcome's table. A row is named by the entry, the shard, and the outcome's place in the shard's answer."""
FACT_TABLES: Final[Mapping[type[Any], Table]] = MappingProxyType(
    {cls: _of(EVENTS, cls, name, _FACT_KEY) for cls, name in _FACT_NAMES.items()}
)
"""Tables of the facts that every shard is told; an event has a row only where it was accepted. Oracles' raw prices,
risk arrays and profiles' texts stay in the journal."""
TABLES: Final = (*FACT_TABLES.values(), *OUTCOME_TABLES.values(), MARKS, POSTINGS, MOVES)
"""Every table that the projector fills, but for its own place."""
