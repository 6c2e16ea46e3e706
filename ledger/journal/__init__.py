"""The journal: one order of entries, appended by one process, read by any number. Its storages keep this protocol."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol


class JournalBroken(Exception):  # noqa: N818 - named for what is found
    """What is stored is not what was appended. Nothing from `offset` on can be trusted."""

    def __init__(self, where: str, offset: int, what: str) -> None:
        super().__init__(f"{where}: broken at offset {offset}: {what}")
        self.where = where
        self.offset = offset
        self.what = what


class JournalFull(Exception):  # noqa: N818
    """The storage refused a write or a flush. The entries are not acknowledged, and no more are taken until the journal
    is opened anew: after a failed flush only what is then found on the disk is known to be there."""

    def __init__(self, where: str, what: str) -> None:
        super().__init__(f"{where}: nothing can be appended: {what}")
        self.where = where
        self.what = what


class JournalLocked(Exception):  # noqa: N818
    """Another appender has this journal."""

    def __init__(self, where: str, what: str) -> None:
        super().__init__(f"{where}: {what}")
        self.where = where
        self.what = what


class JournalUnreachable(Exception):  # noqa: N818
    """The storage did not answer within its time limit; what it holds is not known."""

    def __init__(self, where: str, what: str) -> None:
        super().__init__(f"{where}: no answer: {what}")
        self.where = where
        self.what = what


class EntryTooLarge(ValueError):  # noqa: N818
    """An entry past MAX_ENTRY_BYTES (schemas/limits.py); nothing was appended."""

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(f"an entry of {size} bytes, at most {limit} are taken")
        self.size = size
        self.limit = limit


class JournalReader(Protocol):
    """The reading side. Each entry is checked against the hash chain before it is given out."""

    def read(self, offset: int, limit: int) -> Iterator[tuple[int, bytes]]:
        """Up to `limit` entries from `offset` on, in order, as (offset, bytes); fewer at the end, none past it.

        Raises JournalBroken at the first that is not what was appended, ValueError on a negative offset.
        """
        ...

    def tail(self, offset: int, timeout: float, limit: int = 1024) -> list[tuple[int, bytes]]:
        """As `read`, but where nothing is there yet it waits up to `timeout` seconds for any process to append.

        Returns one batch (bounded in bytes, so it may be shorter than what is there), empty when the time is over.
        """
        ...

    def end(self) -> int:
        """The offset that the next entry will have: the number of entries there."""
        ...

    def close(self) -> None:
        """Let go of the storage; a second close does nothing."""
        ...


class Journal(JournalReader, Protocol):
    """The appending side; only one is open at a time, and it can read too."""

    def append(self, entry: bytes) -> int:
        """Append one entry and return its offset (0, 1, 2 ...). When it returns the entry is on the disk.

        Raises JournalFull, JournalBroken, EntryTooLarge. After the first two nothing more is taken until reopened.
        """
        ...

    def append_many(self, entries: Sequence[bytes]) -> list[int]:
        """Append all of them or none, with one flush, and return their offsets. Raises as `append`."""
        ...
