"""The margin models by the names that profiles call them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from risk.margin.crypto_span import crypto_span
from risk.margin.deribit import deribit
from risk.margin.derive_pmrm import derive_pmrm
from risk.margin.derive_srm import derive_srm
from risk.margin.grid import grid
from risk.margin.historical import historical
from risk.margin.linear_models import delta_netting, fixed_notional, isolated, static_var
from risk.margin.model import Make
from risk.margin.okx import okx
from risk.margin.simulated import monte_carlo
from risk.margin.span import span
from risk.margin.vega_levels import vega_levels

MODELS: Final[Mapping[str, Make]] = {
    "historical": historical,
    "monte_carlo": monte_carlo,
    "crypto_span": crypto_span,
    "deribit": deribit,
    "grid": grid,
    "derive_pmrm": derive_pmrm,
    "derive_srm": derive_srm,
    "span": span,
    "isolated": isolated,
    "fixed_notional": fixed_notional,
    "delta_netting": delta_netting,
    "static_var": static_var,
    "vega_levels": vega_levels,
    "okx": okx,
}
"""a profile's `model` -> its reader"""

OWN_ORDERS: Final[frozenset[str]] = frozenset({"vega_levels"})
"""the models that margin pending orders by a rule of their own; for all others `risk.margin.orders` does"""
