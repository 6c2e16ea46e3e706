"""What can be wrong with the store, by name."""

from __future__ import annotations


class StoreAway(Exception):  # noqa: N818 - named for what is found
    """PostgreSQL is down, restarting, full, read-only or held by another: nothing of what was given is known to be
    written. Give it again later."""


class StoreMoved(Exception):  # noqa: N818
    """The store's place went back: it was restored from a backup, or emptied. Ask for `place` and give again from there."""


class StoreOutdated(Exception):  # noqa: N818
    """The database's tables are of another revision than this code."""

    def __init__(self, found: str | None, expected: str) -> None:
        super().__init__(
            f"the tables are of revision {found or 'none'}, this code needs {expected}: run the migrations"
        )
        self.found = found
        self.expected = expected


class LoginTaken(Exception):  # noqa: N818
    """There is a login or a role of this name."""
