"""A journal kept from earlier is folded to the same bytes by every later version of the code.

`golden_journal.json` holds the entries and, for one and three shards, the hash chains over what came of them. Where
this fails, an upgrade in the middle of a journal would change the books: a changed rule needs a new FOLD_VERSION, which
a ParameterChanged puts in force at its place in the journal. The file is written once for each version and then kept;
`python tests/ledger/test_golden_replay.py` writes a new one.
"""

from __future__ import annotations

import base64
import json
import lzma
from pathlib import Path
from typing import Any

import pytest

from ledger.chain import link_numbered, outcomes_genesis
from schemas.defaults import DEFAULTS, RANGES
from schemas.kinds import Parameter
from services.lockstep import Clearing, Settings

KEPT = Path(__file__).with_name("golden_journal.json")
SHARDS = (1, 3)


def told() -> dict[str, Any]:
    kept: dict[str, Any] = json.loads(KEPT.read_text())
    return kept


def entries(kept: dict[str, Any]) -> list[bytes]:
    whole = lzma.decompress(base64.b64decode("".join(kept["journal"])))
    found: list[bytes] = []
    for size in kept["sizes"]:
        found.append(whole[:size])
        whole = whole[size:]
    assert not whole
    return found


def chains(journal: list[bytes], shards: int) -> list[str]:
    """The hash chain over each shard's outcomes, snapshots' digests among them."""
    clearing = Clearing(Settings(shards=shards, accounts=64, snapshot_every=7))
    links = [outcomes_genesis(shard) for shard in range(shards)]
    for offset, data in enumerate(journal):
        for part, outcomes in clearing.take(offset, data):
            links[part.shard] = link_numbered(links[part.shard], part.n, outcomes)
    return [one.hex() for one in links]


@pytest.mark.parametrize("shards", SHARDS)
def test_the_kept_journal_gives_the_kept_outcomes(shards: int) -> None:
    kept = told()
    assert chains(entries(kept), shards) == kept["outcomes"][str(shards)]


def test_one_event_less_would_show() -> None:
    kept = told()
    assert chains(entries(kept)[:-1], 1) != kept["outcomes"]["1"]


def test_the_versions_in_use_are_those_that_are_kept() -> None:
    """A version of the fold that nobody has kept a journal for is not let into force."""
    lowest, highest = RANGES[Parameter.FOLD_VERSION]
    assert lowest == DEFAULTS[Parameter.FOLD_VERSION] == 1
    assert highest == told()["fold_version"]


def write() -> None:
    from test_snapshot import eventful, on_and_on

    world = eventful()
    on_and_on(world)
    packed = base64.b64encode(lzma.compress(b"".join(world.entries))).decode()
    kept = {
        "fold_version": RANGES[Parameter.FOLD_VERSION][1],
        "sizes": [len(data) for data in world.entries],
        "outcomes": {str(shards): chains(world.entries, shards) for shards in SHARDS},
        "journal": [packed[at : at + 100] for at in range(0, len(packed), 100)],
    }
    KEPT.write_text(json.dumps(kept, indent=1) + "\n")


if __name__ == "__main__":
    write()
