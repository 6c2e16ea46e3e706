"""Prices and losses: pricing, scenarios, risk arrays, margin profiles, collateral and the oracle's guard."""
