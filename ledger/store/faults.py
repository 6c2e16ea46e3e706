"""What can be wrong with the store, by name."""

from __future__ import annotations


class StoreAway(Exception):  # noqa: N818 - named for what is found
    """PostgreSQL is down, restarting, full, read-only or held by another: nothing of what was given is known to be
    written. Give it again later."""


class StoreMoved(Exception):  # noqa: N818
    """The store's place went back: it was restored from a backup, or emptied. Ask for `place` and go on from
    there."""


class StoreOutdated(Exception):  # noqa: N818
    """The database's tables are of another revision than this code."""

    def __init__(self, found: str | None, expected: str) -> None:
        super().__init__(
            f"the tables are of revision {found or 'none'}, this code needs {expected}: run the migrations"
        )
        self.found = found
        self.expected = expected


class StoreRefused(Exception):  # noqa: N818
    """PostgreSQL will not have a row: there is another one in its place, or a value is out of a column's range. The
    store or the streams are not what they should be, and nothing of the batch is written."""


class LoginTaken(Exception):  # noqa: N818
    """There is a login or a role of this name."""
