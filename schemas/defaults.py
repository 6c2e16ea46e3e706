"""The value of every parameter before a `ParameterChanged` event says otherwise."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from schemas.kinds import Parameter

HOUR: Final = 3_600_000_000
"""microseconds"""

DEFAULTS: Final[Mapping[Parameter, int]] = MappingProxyType(
    {
        Parameter.FUND_FEE_SHARE: 2_000,
        Parameter.HAIRCUT: 0,
        Parameter.ORACLE_MAX_AGE: HOUR,
        Parameter.ORACLE_MAX_DEVIATION: 5_000,
        Parameter.NOTICE: HOUR,
        Parameter.GRACE: 0,
        Parameter.MAX_FEE: 100,
        Parameter.AUCTION_STEP: 50,
        Parameter.AUCTION_START: 50,
        Parameter.AUCTION_FLOOR: 500,
        Parameter.FOLD_VERSION: 1,
        Parameter.ORACLE_MIN_FEEDS: 0,
        Parameter.ORACLE_FEED_DEVIATION: 500,
        Parameter.ORACLE_MAX_UNCERTAINTY: 0,
        Parameter.ORACLE_FORWARD_AGE: 0,
        Parameter.ORACLE_FORWARD_DEVIATION: 0,
        Parameter.ORACLE_VOLATILITY_AGE: 0,
        Parameter.ORACLE_VOLATILITY_DEVIATION: 0,
        Parameter.ORACLE_ASSET_AGE: 0,
        Parameter.ORACLE_ASSET_DEVIATION: 0,
        Parameter.ORACLE_WIDENING: 0,
        Parameter.PEG_BOUND: 0,
        Parameter.DEPEG_HAIRCUT: 5_000,
        Parameter.LADDER_HYSTERESIS: 0,
        Parameter.LIQUIDATION_FEE: 0,
        Parameter.WHOLE_LIQUIDATION_FEE: 0,
        Parameter.WITHDRAWAL_RATE: 0,
        Parameter.WITHDRAWAL_HOLD: 0,
        Parameter.COLLATERAL_NOTICE: 0,
        Parameter.PACING: 0,
        Parameter.BREAKER_FUND_SHARE: 10_000,
        Parameter.BREAKER_STRESS: 0,
        Parameter.BREAKER_RESET: 9_000,
        Parameter.OWNER_SHARE: 0,
        Parameter.PRICE_BREAKER: 0,
        Parameter.PRICE_BREAKER_MARKS: 4,
        Parameter.PLAN_METHOD: 0,
        Parameter.PLAN_RISK_WEIGHT: 0,
        Parameter.PLAN_LIQUIDITY_WEIGHT: 0,
        Parameter.PLAN_CAPITAL_WEIGHT: 0,
        Parameter.PLAN_DEPTH: 0,
        Parameter.PLAN_IMPACT: 0,
        Parameter.AUCTION_FRACTION: 10_000,
        Parameter.PORTFOLIO_AUCTION_MARKS: 0,
        Parameter.PORTFOLIO_RESERVE: 500,
        Parameter.BACKSTOP_DISCOUNT: 500,
        Parameter.BUFFER_GAP: 0,
        Parameter.GAP_TOLD: 0,
        Parameter.AUCTION_IMPACT: 0,
        Parameter.PORTING_WINDOW: 24 * HOUR,
        Parameter.HOUSE_COVERS_CLIENTS: 1,
        Parameter.BACKER_NOTICE: 7 * 24 * HOUR,
        Parameter.BACKERS: 0,
        Parameter.PORTING_MARGIN: 0,
        Parameter.OWN_TRADES_CLIP: 0,
        Parameter.UNMET_CALLS_SOLD: 0,
        Parameter.CLOSE_DEFAULTED: 0,
        Parameter.REVERSAL_KEEPS_FUND: 0,
        Parameter.AUCTION_CLEARING: 0,
        Parameter.PLAN_TARGET: 10_000,
    }
)

RANGES: Final[Mapping[Parameter, tuple[int, int]]] = MappingProxyType(
    {
        Parameter.FUND_FEE_SHARE: (0, 10_000),
        Parameter.HAIRCUT: (0, 10_000),
        Parameter.ORACLE_MAX_AGE: (1, 30 * 24 * HOUR),
        Parameter.ORACLE_MAX_DEVIATION: (1, 1_000_000),
        Parameter.NOTICE: (0, 365 * 24 * HOUR),
        Parameter.GRACE: (0, 1_000),
        Parameter.MAX_FEE: (0, 10_000),
        Parameter.AUCTION_STEP: (1, 10_000),
        Parameter.AUCTION_START: (0, 10_000),
        Parameter.AUCTION_FLOOR: (0, 10_000),
        Parameter.FOLD_VERSION: (1, 1),
        Parameter.ORACLE_MIN_FEEDS: (0, 16),
        Parameter.ORACLE_FEED_DEVIATION: (1, 10_000),
        Parameter.ORACLE_MAX_UNCERTAINTY: (0, 10_000),
        Parameter.ORACLE_FORWARD_AGE: (0, 30 * 24 * HOUR),
        Parameter.ORACLE_FORWARD_DEVIATION: (0, 1_000_000),
        Parameter.ORACLE_VOLATILITY_AGE: (0, 30 * 24 * HOUR),
        Parameter.ORACLE_VOLATILITY_DEVIATION: (0, 1_000_000),
        Parameter.ORACLE_ASSET_AGE: (0, 30 * 24 * HOUR),
        Parameter.ORACLE_ASSET_DEVIATION: (0, 1_000_000),
        Parameter.ORACLE_WIDENING: (0, 100_000),
        Parameter.PEG_BOUND: (0, 10_000),
        Parameter.DEPEG_HAIRCUT: (0, 10_000),
        Parameter.LADDER_HYSTERESIS: (0, 5_000),
        Parameter.LIQUIDATION_FEE: (0, 1_000),
        Parameter.WHOLE_LIQUIDATION_FEE: (0, 1_000),
        Parameter.WITHDRAWAL_RATE: (0, 10_000),
        Parameter.WITHDRAWAL_HOLD: (0, 1),
        Parameter.COLLATERAL_NOTICE: (0, 365 * 24 * HOUR),
        Parameter.PACING: (0, 2**60),
        Parameter.BREAKER_FUND_SHARE: (0, 1_000_000),
        Parameter.BREAKER_STRESS: (0, 1_000_000),
        Parameter.BREAKER_RESET: (0, 9_999),
        Parameter.OWNER_SHARE: (0, 10_000),
        Parameter.PRICE_BREAKER: (0, 1_000_000),
        Parameter.PRICE_BREAKER_MARKS: (0, 10_000),
        Parameter.PLAN_METHOD: (0, 1),
        Parameter.PLAN_RISK_WEIGHT: (0, 100_000),
        Parameter.PLAN_LIQUIDITY_WEIGHT: (0, 100_000),
        Parameter.PLAN_CAPITAL_WEIGHT: (0, 100_000),
        Parameter.PLAN_DEPTH: (0, 10**12),
        Parameter.PLAN_IMPACT: (0, 10_000),
        Parameter.AUCTION_FRACTION: (1, 10_000),
        Parameter.PORTFOLIO_AUCTION_MARKS: (0, 1_000),
        Parameter.PORTFOLIO_RESERVE: (0, 10_000),
        Parameter.BACKSTOP_DISCOUNT: (0, 10_000),
        Parameter.BUFFER_GAP: (0, 10_000),
        Parameter.GAP_TOLD: (0, 1),
        Parameter.AUCTION_IMPACT: (0, 1),
        Parameter.PORTING_WINDOW: (0, 30 * 24 * HOUR),
        Parameter.HOUSE_COVERS_CLIENTS: (0, 1),
        Parameter.BACKER_NOTICE: (0, 365 * 24 * HOUR),
        Parameter.BACKERS: (0, 1),
        Parameter.PORTING_MARGIN: (0, 1),
        Parameter.OWN_TRADES_CLIP: (0, 1),
        Parameter.UNMET_CALLS_SOLD: (0, 1),
        Parameter.CLOSE_DEFAULTED: (0, 1),
        Parameter.REVERSAL_KEEPS_FUND: (0, 1),
        Parameter.AUCTION_CLEARING: (0, 10_000),
        Parameter.PLAN_TARGET: (10_000, 50_000),
    }
)
"""Smallest and largest value of each parameter."""

OF_AN_ASSET: Final = frozenset({Parameter.HAIRCUT, Parameter.PEG_BOUND, Parameter.DEPEG_HAIRCUT})
"""Parameters whose scope is an asset, never the dollar."""
OF_ANY_ASSET: Final = frozenset({Parameter.WITHDRAWAL_RATE})
"""Parameters whose scope is an asset, the dollar too."""
OF_AN_UNDERLYING: Final = frozenset(
    {
        Parameter.ORACLE_MIN_FEEDS,
        Parameter.ORACLE_FEED_DEVIATION,
        Parameter.ORACLE_MAX_UNCERTAINTY,
        Parameter.PACING,
        Parameter.PLAN_DEPTH,
        Parameter.BREAKER_FUND_SHARE,
        Parameter.BREAKER_STRESS,
        Parameter.PRICE_BREAKER,
    }
)
"""Parameters whose scope is an underlying; all others have scope 0."""
