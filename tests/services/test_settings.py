"""How a journal is folded: accounts dealt in turn, some moved to other shards; kept, read again, refused if broken."""

import json
from pathlib import Path

import pytest

from services.lockstep import SETTINGS, Settings, SettingsBroken, SettingsDiffer

DEALT = {"shards": 4, "accounts": 12, "snapshot_every": 5}


def test_accounts_are_dealt_in_turn_and_some_are_moved() -> None:
    assert Settings(**DEALT).table().tolist() == [0, 1, 2, 3] * 3
    moved = Settings(**DEALT, moved=((5, 6, 3), (11, 11, 0)))
    assert moved.table().tolist() == [0, 1, 2, 3, 0, 3, 3, 3, 0, 1, 2, 0]


@pytest.mark.parametrize("moved", [(), ((5, 6, 3), (8, 8, 0))])
def test_what_is_kept_is_read_again(tmp_path: Path, moved: tuple[tuple[int, int, int], ...]) -> None:
    settings = Settings(**DEALT, moved=moved)
    settings.settle(tmp_path)
    assert Settings.read(tmp_path) == settings
    settings.settle(tmp_path)
    with pytest.raises(SettingsDiffer, match="moved"):
        Settings(**DEALT, moved=((1, 1, 0),)).settle(tmp_path)


def test_settings_of_before_accounts_could_be_moved_are_read_and_written_as_then(tmp_path: Path) -> None:
    (tmp_path / SETTINGS).write_text(json.dumps(DEALT) + "\n")
    assert Settings.read(tmp_path).line() == (tmp_path / SETTINGS).read_bytes()


@pytest.mark.parametrize(
    "moved",
    [[[5, 4, 0]], [[5, 12, 0]], [[-1, 2, 0]], [[5, 6, 4]], [[5, 6, -1]], [[5, 6, 1], [6, 7, 2]], [[7, 8, 1], [1, 2, 1]],
     [[1, 2]], [1], 5, "x", [[1.0, 2, 0]], [[1, 2, True]]],
)  # fmt: skip
def test_no_shards_accounts_moved_in_a_way_that_cannot_be(tmp_path: Path, moved: object) -> None:
    (tmp_path / SETTINGS).write_text(json.dumps(DEALT | {"moved": moved}))
    with pytest.raises(SettingsBroken):
        Settings.read(tmp_path)
