"""Compiles every kernel by clearing a few marks of the demonstration, so that the cache is full when it matters."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from risk.black76_kernel import OUTPUTS, price_and_greeks
from risk.margin.book import Svi
from risk.surface.moves import Book, Moves, risk_array
from services.auditor import audit
from services.run import Inputs, run
from services.tables import read_funding, read_prices

STEPS = 230
"""marks: past the first expiry and into the crash, so that settlement, auctions and deleveraging run too"""


def warm() -> None:
    """Price and move one option; run and audit a small exchange in a folder of its own that is thrown away."""
    one = np.ones(1)
    price_and_greeks(one > 0.0, one, one, one, one, one, np.empty((len(OUTPUTS), 1)))
    held = Book(one > 0.0, one, np.zeros(1, np.int64))
    risk_array([Svi(0.04, 0.1, 0.0, 0.0, 0.1, 1.0, 1.0)], held, Moves(one, one, one, one))
    data = files("services") / "data"
    inputs = Inputs(
        read_prices(Path(str(data / "crash_2020_03.csv"))), read_funding(Path(str(data / "funding_2020_03.csv")))
    )
    with TemporaryDirectory() as folder:
        ledger, _ = run(Path(folder), inputs, accounts=60, seed=1, steps=STEPS)
        ledger.close()
        audit(Path(folder))
