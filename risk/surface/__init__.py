"""Volatility surfaces, curves and their ages: calibrated to quotes, free of arbitrage, moved by scenarios."""
