"""The real broker that tests run against; its fixtures are in conftest.py."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from services.broker import Broker, fetched

FOLDER = Path(os.environ.get("NOVATE_KAFKA_HOME", Path(__file__).parents[1] / ".kafka"))


@contextmanager
def running(directory: Path, **how: Any) -> Iterator[Broker]:
    """A broker of one's own over `directory`, which may be killed and started again."""
    jars = fetched(FOLDER, may_install=True)
    with Broker(directory, jars, quick=True, **how) as broker:
        yield broker
