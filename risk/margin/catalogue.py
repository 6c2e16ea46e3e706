"""The margin models by the names that profiles call them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from risk.margin.derive_pmrm import derive_pmrm
from risk.margin.model import Make

MODELS: Final[Mapping[str, Make]] = {
    "derive_pmrm": derive_pmrm,
}
"""a profile's `model` -> its reader"""

OWN_ORDERS: Final[frozenset[str]] = frozenset()
"""the models that margin pending orders by a rule of their own; for all others `risk.margin.orders` does"""
