"""Directories that several test modules of the services read; a test that changes one copies it first."""

from pathlib import Path

import crash
import pytest


@pytest.fixture(scope="session")
def cleared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small crash over two shards, with snapshots. Not to be written to."""
    directory = tmp_path_factory.mktemp("cleared") / "run"
    crash.clear(directory, shards=2, snapshot_every=200)
    return directory


@pytest.fixture(scope="session")
def short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first marks of the small crash over two shards, with many snapshots. Not to be written to."""
    directory = tmp_path_factory.mktemp("short") / "run"
    crash.clear(directory, shards=2, snapshot_every=25, steps=24, accounts=40)
    return directory
