"""Published heads: what is told of a history for somebody else to hold, a line of JSON each in `heads.jsonl`."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Head:
    """Hashes over a history's first entries: with one of them at hand any change before it is found."""

    entries: int
    """entries in the journal"""
    n: int
    """the last number given"""
    journal: str
    """hash chain over the entries, hex"""
    merkle: str
    """RFC 6962 root over the entries, hex"""
    outcomes: tuple[str, ...]
    """hash chain over each shard's outcomes, hex"""

    def line(self) -> str:
        """The head as it is published."""
        return json.dumps(asdict(self)) + "\n"


class HeadBroken(ValueError):  # noqa: N818 - named for what is found
    """A line that was not published like this: no head, or not past the head before it."""

    def __init__(self, where: str, line: int) -> None:
        super().__init__(f"{where}, line {line}: no head that was published here")
        self.line = line


class HeadDiffers(RuntimeError):  # noqa: N818
    """What is here is not what was published: the journal, or the head itself, was changed since."""

    def __init__(self, where: str, entries: int) -> None:
        super().__init__(f"{where}: the head published after {entries} entries is not that of those that are here")
        self.entries = entries


def read_heads(path: Path) -> dict[int, Head]:
    """Published heads by the number of entries they cover, in order.

    A last line without its end was torn by a crash before it was told to anybody; it is passed over. Raises HeadBroken,
    FileNotFoundError.
    """
    *lines, _ = path.read_bytes().split(b"\n")
    return heads_in((line + b"\n" for line in lines), path.name)


def heads_in(lines: Iterable[bytes], where: str) -> dict[int, Head]:
    """The heads that these lines publish, each with its end. Raises HeadBroken."""
    heads: dict[int, Head] = {}
    last = 0
    for number, line in enumerate(lines, 1):
        try:
            told = json.loads(line)
            head = Head(**(told | {"outcomes": tuple(told["outcomes"])}))
            last, before = head.entries, last
            # the one spelling that `line` gives: no byte of it can be changed without changing what it says
            whole = head.line().encode() == line and last > before
        except (ValueError, TypeError, KeyError):
            whole = False
        if not whole:
            raise HeadBroken(where, number)
        heads[last] = head
    return heads


class HeadsFile:
    """A directory's heads, open for publishing. What was published before stays; nothing else is published for it.

    Raises HeadBroken where the file holds anything else.
    """

    def __init__(self, path: Path) -> None:
        self._where = str(path)
        self._file = path.open("a+b")
        self._published = read_heads(path)
        self._file.truncate(path.read_bytes().rfind(b"\n") + 1)

    def last(self) -> int:
        """How many entries the last published head covers; 0 where none was published."""
        return max(self._published, default=0)

    def covers(self, entries: int) -> bool:
        """Whether a head was published after this many entries."""
        return entries in self._published

    def publish(self, head: Head) -> None:
        """Publish a head; when it returns it is on the disk. Raises HeadDiffers where another one was published."""
        known = self._published.get(head.entries)
        if known is None:
            self._file.write(head.line().encode())
            self._file.flush()
            os.fsync(self._file.fileno())
            self._published[head.entries] = head
        elif known != head:
            raise HeadDiffers(self._where, head.entries)

    def close(self) -> None:
        """Let go of the file; a second close does nothing."""
        self._file.close()
