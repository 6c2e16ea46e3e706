"""Margin profiles: the TOML text that says how an account is margined, read strictly into plain numbers."""

from __future__ import annotations

from enum import IntEnum


class Netting(IntEnum):
    """Whose gains may pay for whose losses in a scenario."""

    POSITION = 0
    """nobody's: every position is margined alone"""
    UNDERLYING = 1
    """positions of one underlying, collateral included"""
