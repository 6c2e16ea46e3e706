"""The margin models by the names that profiles call them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from risk.margin.deribit import deribit
from risk.margin.derive_pmrm import derive_pmrm
from risk.margin.derive_srm import derive_srm
from risk.margin.grid import grid
from risk.margin.historical import historical
from risk.margin.model import Make
from risk.margin.simulated import monte_carlo

MODELS: Final[Mapping[str, Make]] = {
    "historical": historical,
    "monte_carlo": monte_carlo,
    "deribit": deribit,
    "grid": grid,
    "derive_pmrm": derive_pmrm,
    "derive_srm": derive_srm,
}
"""a profile's `model` -> its reader"""

OWN_ORDERS: Final[frozenset[str]] = frozenset()
"""the models that margin pending orders by a rule of their own; for all others `risk.margin.orders` does"""
