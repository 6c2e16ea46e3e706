"""The margin models by the names that profiles call them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from risk.margin.model import Make

MODELS: Final[Mapping[str, Make]] = {}
"""a profile's `model` -> its reader"""
