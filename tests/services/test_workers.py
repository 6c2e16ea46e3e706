"""The workers on a real broker write what the embedded run writes, whoever of them is killed, paused or stopped."""

from pathlib import Path

import pytest
from workers import System, reference

from services.broker import Broker


@pytest.mark.parametrize("shards", [1, 4, 16])
def test_five_parts_in_lockstep_write_what_the_embedded_run_wrote(
    tmp_path: Path, broker: Broker, prefix: str, shards: int
) -> None:
    told = reference(tmp_path / "embedded", shards=shards)
    with System(broker.address, prefix, told.settings, tmp_path / "system") as system:
        system.start_all()
        system.drive(told)
        system.check(told)
