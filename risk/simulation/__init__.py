"""Simulated markets: random and quasi-random draws, joint moves, paths, revaluation in bulk and the tail of losses."""
