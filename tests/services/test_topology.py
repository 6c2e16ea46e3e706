"""The parts of the running system say what the embedded run says: the same journal, the same outcomes, to the byte."""

from contextlib import closing
from pathlib import Path

import pytest
from topology import Topology, parts

from ledger.journal.outcomes import OutcomeLog
from ledger.journal.sqlite import SqliteReader
from schemas.sources import Role
from schemas.wire import EntryHeader, decode_header
from services.lockstep import JOURNAL, OUTCOME_LOG
from services.processors.records import Topic
from services.run import own_inputs, run

ANSWERING = {Role.PRICER, Role.DESK, Role.FUND}


@pytest.mark.parametrize(("shards", "whole"), [(1, False), (1, True), (4, False)])
def test_parts_over_topics_write_the_journal_and_the_outcomes_of_the_embedded_run(
    tmp_path: Path, shards: int, whole: bool
) -> None:
    ledger, _ = run(tmp_path, own_inputs(), accounts=120, seed=3, shards=shards, snapshot_every=100, steps=170)
    settings = ledger.clearing.settings
    ledger.close()
    with closing(SqliteReader(tmp_path / JOURNAL)) as reader:
        entries = [data for _, data in reader.read(0, 10**6)]
    roles = [decode_header(data, EntryHeader)[0]["source"] // 1000 for data in entries]
    assert {Role.PRICER, Role.DESK, Role.FUND, Role.LIQUIDATOR, Role.EXCHANGE} <= set(roles)

    system = Topology(parts(settings, whole=whole))
    for data, role in zip(entries, roles, strict=True):
        if role not in ANSWERING:
            system.journal(data)

    journal = system.topics[Topic.JOURNAL, 0]
    first = next((at for at, (a, b) in enumerate(zip(journal, entries, strict=False)) if a != b), None)
    assert first is None, (first, roles[first], len(journal), len(entries))
    assert len(journal) == len(entries)
    with closing(OutcomeLog(tmp_path / OUTCOME_LOG, reading=True)) as log:
        for shard in range(shards):
            assert system.topics[Topic.OUTCOMES, shard] == [data for _, data in log.scan(shard)]
