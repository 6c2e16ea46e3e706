"""A directory, an archive and a cluster that hold one history get one verdict, whole or changed in the same way."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from histories import History, as_archive, as_cluster, as_directory, history_of

from schemas.events import EVENTS, Deposited
from schemas.wire import EntryHeader, Run, decode, encode_entry
from services.auditor import Verdict, audit
from services.broker import Broker
from services.sources import ClusterSource


@pytest.fixture(scope="module")
def history(short: Path) -> History:
    return history_of(short)


def verdicts(history: History, tmp_path: Path, broker: Broker, prefix: str) -> dict[str, Verdict]:
    as_cluster(history, broker.address, prefix)
    return {
        "directory": audit(as_directory(history, tmp_path / "run")),
        "archive": audit(as_archive(history, tmp_path / "archive")),
        "cluster": audit(lambda: ClusterSource(broker.address, prefix, patience=0.5)),
    }


def untouched(history: History) -> History:
    return history


def change_an_entry(history: History) -> History:
    """A deposit is a unit more."""
    for offset, data in enumerate(history.entries):
        batch = decode(data, EntryHeader, EVENTS)
        if any(run.message.cls is Deposited for run in batch.runs):
            runs = [a_unit_more(run) if run.message.cls is Deposited else run for run in batch.runs]
            changed = encode_entry(batch.header["source"], batch.header["sequence"], runs)
            return replace(history, entries=[*history.entries[:offset], changed, *history.entries[offset + 1 :]])
    raise AssertionError("no deposit")


def a_unit_more(run: Run) -> Run:
    rows = run.rows.copy()
    rows["amount"][0] += 1
    return replace(run, rows=rows)


def lose_the_last_entry(history: History) -> History:
    return replace(history, entries=history.entries[:-1])


def swap_entries(history: History) -> History:
    entries = list(history.entries)
    entries[60], entries[61] = entries[61], entries[60]
    return replace(history, entries=entries)


def send_an_entry_again(history: History) -> History:
    return replace(history, entries=[*history.entries, history.entries[0]])


def lose_an_outcome(history: History) -> History:
    return history.with_outcomes(0, [row for row in history.outcomes[0] if row[0] != 61])


def lose_the_last_outcome(history: History) -> History:
    return history.with_outcomes(1, history.outcomes[1][:-1])


def change_an_outcome(history: History) -> History:
    rows = list(history.outcomes[1])
    n, data = rows[40]
    rows[40] = (n, data[:-1] + bytes([data[-1] ^ 1]))
    return history.with_outcomes(1, rows)


def swap_outcomes(history: History) -> History:
    rows = list(history.outcomes[0])
    rows[50], rows[51] = (rows[50][0], rows[51][1]), (rows[51][0], rows[50][1])
    return history.with_outcomes(0, rows)


def invent_an_outcome(history: History) -> History:
    return history.with_outcomes(0, [*history.outcomes[0], (100_000, history.outcomes[0][-1][1])])


def change_a_head(history: History) -> History:
    told = json.loads(history.heads[1]) | {"merkle": "00" * 32}
    return replace(history, heads=[history.heads[0], (json.dumps(told) + "\n").encode(), *history.heads[2:]])


def respell_a_head(history: History) -> History:
    return replace(history, heads=[history.heads[0].replace(b": ", b":  "), *history.heads[1:]])


CASES: list[tuple[Callable[[History], History], str, dict[str, Any]]] = [
    # what was done, what every audit says, a part of where
    (untouched, "^agrees: .* heads are equal to the byte$", {}),
    (send_an_entry_again, "^agrees: .*no head covers the last 1 entries$", {}),
    (change_an_entry, "outcomes of n [0-9]+ in shard [01] differ at byte", {"part": "outcomes"}),
    (lose_the_last_entry, "outcomes of n [0-9]+ in shard [01] follow from no entry", {"part": "outcomes"}),
    (swap_entries, "outcomes of n 6[12] in shard [01] (differ|stand)", {"part": "outcomes"}),
    (lose_an_outcome, "outcomes of n 62 in shard 0 stand where n 61 is due", {"part": "outcomes", "n": 61, "shard": 0}),
    (lose_the_last_outcome, "outcomes of n [0-9]+ in shard 1 are missing", {"part": "outcomes", "shard": 1}),
    (change_an_outcome, "outcomes of n [0-9]+ in shard 1 differ at byte", {"part": "outcomes", "shard": 1}),
    (swap_outcomes, "outcomes of n [0-9]+ in shard 0 differ at byte", {"part": "outcomes", "shard": 0}),
    (invent_an_outcome, "outcomes of n 100000 in shard 0 follow from no entry", {"part": "outcomes", "n": 100_000}),
    (change_a_head, "has another merkle", {"part": "head", "field": "merkle"}),
    (respell_a_head, "line 1: no head", {"part": "heads", "line": 1}),
]


@pytest.mark.parametrize(("change", "what", "where"), CASES, ids=[case[0].__name__ for case in CASES])
def test_one_history_has_one_verdict(
    history: History, tmp_path: Path, broker: Broker, prefix: str,
    change: Callable[[History], History], what: str, where: dict[str, Any],
) -> None:  # fmt: skip
    told = verdicts(change(history), tmp_path, broker, prefix)
    for verdict in told.values():
        assert re.search(what, re.sub("[0-9]+ snapshots", "", verdict.line())), verdict.line()
        assert where.items() <= verdict.where.items()
    first, *others = (replace(one, snapshots=0, difference=re.sub("heads.jsonl", "heads", one.difference))
                      for one in told.values())  # fmt: skip
    assert others == [first, first]
    assert told["directory"].snapshots > 0 or not told["directory"].agrees


def test_what_a_cluster_holds_twice_must_be_equal(history: History, broker: Broker, prefix: str) -> None:
    rows = list(history.outcomes[0])
    again = history.with_outcomes(0, [*rows[:60], *rows[20:60], *rows[50:]])
    twice = replace(again, heads=[history.heads[0], *history.heads])
    as_cluster(twice, broker.address, prefix)
    verdict = audit(lambda: ClusterSource(broker.address, prefix))
    assert verdict.agrees, verdict.line()
    assert (verdict.outcomes, verdict.heads) == (sum(map(len, history.outcomes)), len(history.heads))

    n, data = rows[30]
    other = history.with_outcomes(0, [*rows[:60], (n, data[:-1] + bytes([data[-1] ^ 1])), *rows[60:]])
    as_cluster(other, broker.address, f"{prefix}b")
    verdict = audit(lambda: ClusterSource(broker.address, f"{prefix}b"))
    assert verdict.where == {"part": "outcomes", "n": n, "shard": 0}
    assert "were written a second time as others" in verdict.line()


def test_a_record_that_is_no_outcome_is_named(history: History, broker: Broker, prefix: str) -> None:
    rows = [(n, b"" if at == 30 else data) for at, (n, data) in enumerate(history.outcomes[0])]
    as_cluster(history.with_outcomes(0, rows), broker.address, prefix)
    verdict = audit(lambda: ClusterSource(broker.address, prefix))
    assert verdict.where == {"part": "outcomes", "n": rows[30][0], "shard": 0, "byte": 0}
