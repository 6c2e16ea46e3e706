"""Compiles every kernel by clearing a few marks of the demonstration, so that the cache is full when it matters."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory

from services.auditor import audit
from services.run import Inputs, run
from services.tables import read_funding, read_prices

STEPS = 230
"""marks: past the first expiry and into the crash, so that settlement, auctions and deleveraging run too"""


def warm() -> None:
    """Run and audit a small exchange in a folder of its own that is thrown away."""
    data = files("services") / "data"
    inputs = Inputs(
        read_prices(Path(str(data / "crash_2020_03.csv"))), read_funding(Path(str(data / "funding_2020_03.csv")))
    )
    with TemporaryDirectory() as folder:
        ledger, _ = run(Path(folder), inputs, accounts=60, seed=1, steps=STEPS)
        ledger.close()
        audit(Path(folder))
