"""Forecasts of daily variance: EWMA, GARCH(1,1), HAR and a learned one, and how good each was out of sample."""
