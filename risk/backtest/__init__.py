"""How good a margin was: portfolios walked through history, their losses set against what was asked for them."""
