"""Who may say what: a source's role, told by its number, and the events each role may send."""

from collections.abc import Mapping
from enum import IntEnum
from types import MappingProxyType
from typing import Any, Final

from schemas import events as e


class Role(IntEnum):
    """What a source is. Source numbers are role x SOURCES_PER_ROLE + its own number."""

    EXCHANGE = 1
    ORACLE = 2
    COUNCIL = 3
    CUSTODIAN = 4
    PRICER = 5
    DESK = 6
    LIQUIDATOR = 7
    REGISTRAR = 8
    FUND = 9


SOURCES_PER_ROLE: Final = 1000

ALLOWED: Final[Mapping[int, frozenset[type[Any]]]] = MappingProxyType(
    {
        Role.EXCHANGE: frozenset(
            {
                e.Trade,
                e.TradeReversed,
                e.OrderOpened,
                e.OrderChanged,
                e.OrderCancelled,
                e.FeeCharged,
                e.InstrumentListed,
                e.InstrumentStatusChanged,
                e.WithdrawalRequested,
            }
        ),
        Role.ORACLE: frozenset(
            {
                e.OraclePrice,
                e.OracleVolatility,
                e.OracleForward,
                e.OracleAssetPrice,
                e.FundingRate,
                e.SettlementPrice,
            }
        ),
        Role.COUNCIL: frozenset(
            {
                e.AssetListed,
                e.UnderlyingListed,
                e.InstrumentListed,
                e.InstrumentStatusChanged,
                e.IndexChanged,
                e.ParameterChanged,
                e.ProfileText,
                e.ProfilePublished,
                e.AccountChanged,
                e.FundContributed,
                e.CapitalContributed,
                e.BackstopCommitted,
                e.PolicyLayer,
                e.PolicyPublished,
                e.DefaultFundContributed,
                e.BackerWithdrawalRequested,
                e.MemberDefaulted,
                e.StressReported,
                e.StressResult,
            }
        ),
        Role.CUSTODIAN: frozenset({e.Deposited, e.WithdrawalDecided}),
        Role.PRICER: frozenset({e.InstrumentMark, e.AssetMark, e.UnderlyingMark, e.RiskArray, e.MarketClosed, e.Mark}),
        Role.DESK: frozenset(
            {
                e.LiquidationPlanned,
                e.Awarded,
                e.AuctionEnded,
                e.DeleveragingCalled,
                e.Deleveraged,
                e.PortfolioLot,
                e.PortfolioOffered,
                e.PortfolioAwarded,
                e.PortfolioEnded,
                e.WithdrawalsHeld,
                e.WithdrawalJudged,
                e.MarkAnswered,
            }
        ),
        Role.FUND: frozenset(
            {
                e.FundPaid,
                e.LayerDrawn,
                e.LayerPaid,
                e.Assessed,
                e.GainsHaircut,
                e.BackerMinted,
                e.BackerPaid,
                e.BreakerChanged,
                e.OwnerLimited,
                e.OwnerAsked,
                e.AccountPorted,
                e.MemberResourcesTaken,
                e.MemberResourcesGiven,
                e.MemberSettled,
            }
        ),
        Role.LIQUIDATOR: frozenset({e.Bid, e.PortfolioBid}),
        Role.REGISTRAR: frozenset(
            {e.AccountOpened, e.AccountChanged, e.AccountLinked, e.BackstopCommitted, e.PortingAccepted}
        ),
    }
)


def source(role: Role, number: int = 0) -> int:
    """The number of a role's source."""
    if not 0 <= number < SOURCES_PER_ROLE:
        raise ValueError(f"source {number} of {role.name}: 0 to {SOURCES_PER_ROLE - 1}")
    return int(role) * SOURCES_PER_ROLE + number


def allowed(number: int) -> frozenset[type[Any]]:
    """The event classes a source may send; none for a number of no role."""
    return ALLOWED.get(number // SOURCES_PER_ROLE, frozenset())
