"""What the gateway needs of the running system, and the names of what it can be refused. Embedded and Kafka keep it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from schemas.wire import Run
from services.asking import Question
from services.heads import Head


class Receipt(NamedTuple):
    """An entry's place in the journal. Of a repeat, the place of the first; None where that is no longer known."""

    source: int
    sequence: int
    offset: int | None
    n: int | None
    repeated: bool


class SequenceGap(Exception):  # noqa: N818 - named for what is found
    """The source left numbers out; nothing was appended."""

    def __init__(self, source: int, sequence: int, expected: int) -> None:
        super().__init__(f"source {source} sent entry {sequence}, expected is {expected}: send on from there")
        self.expected = expected


class SequenceTaken(Exception):  # noqa: N818
    """Another entry, of other bytes, has this number of the source in the journal; nothing was appended."""

    def __init__(self, source: int, sequence: int, offset: int) -> None:
        super().__init__(f"entry {sequence} of source {source} is at offset {offset} with other bytes: number it anew")
        self.offset = offset


class Overloaded(Exception):  # noqa: N818
    """The system is behind: appended entries wait for the fold, or a mark for its answer. Nothing was appended."""

    def __init__(self, what: str, retry_seconds: float) -> None:
        super().__init__(f"{what}: send again in {retry_seconds:g} s")
        self.retry_seconds = retry_seconds


class Stopped(Exception):  # noqa: N818
    """Nothing is taken any more: the journal is full or cannot be reached, or the books do not balance. What waits in
    this call may or may not be in the journal; sent again with its number it is never there twice."""


Judged = Receipt | SequenceGap | SequenceTaken | Overloaded


class ProofUnknown(ValueError):  # noqa: N818
    """No proof of this offset can be given: the journal, or the last head, does not reach it."""

    def __init__(self, offset: int, entries: int) -> None:
        super().__init__(f"offset {offset}: proofs are there of the entries 0 to {entries - 1}")
        self.entries = entries


class AccountElsewhere(Exception):  # noqa: N818
    """The shard that keeps an account's books cannot be asked now: its worker is starting or moving."""

    def __init__(self, account: int, shard: int) -> None:
        super().__init__(f"shard {shard}, which keeps account {account}, cannot be asked now: ask again in a moment")
        self.shard = shard


class Proof(NamedTuple):
    """That the entry at `offset` lies under a head's Merkle root: check with ledger.merkle.includes."""

    offset: int
    leaf: bytes
    path: tuple[bytes, ...]
    head: Head


class Notice(NamedTuple):
    """What all shards said of entry n, less what concerns the books alone; there is none where that is nothing."""

    n: int
    said: tuple[Run, ...]


class Core(Protocol):
    """The running system as the gateway sees it. All of it is called from one event loop."""

    async def expected(self, source: int) -> int:
        """The sequence number that a source's next entry must have. Raises Stopped."""
        ...

    async def append(self, entries: Sequence[bytes]) -> Sequence[Judged]:
        """Append readable entries in order, and say of each what became of it. A receipt means: it is on the disk.

        At the first refusal it stops: that is the last answer then, and nothing after it was tried. Entries of calls
        made one after the other keep their order, even where the first has not returned. Raises Stopped.
        """
        ...

    def notices(self, after: int) -> AsyncIterator[Notice]:
        """The notices of entries past number `after`, in order, each entry once, those to come too; without end."""
        ...

    async def ask(self, account: int, question: Question) -> dict[str, Any]:
        """`services.asking.answer` over the state of the shard that keeps an account's books.

        Raises what `answer` raises, AccountElsewhere, Stopped.
        """
        ...

    def member_of(self, account: int) -> int | None:
        """The member an account belongs to; None where no such account is known here."""
        ...

    async def proof(self, offset: int) -> Proof:
        """The proof of an entry under the newest head that covers it. Raises ProofUnknown, Stopped."""
        ...

    async def head(self) -> Head:
        """The newest head. Raises Stopped."""
        ...

    def health(self) -> Mapping[str, Any]:
        """`ok` (whether entries are taken), `why` where they are not, and figures: `offset`, `n`, `mark`, `answered`,
        `mark_time` (microseconds), `waiting` (entries appended and not folded); where it is known, `quiet` (all is
        folded, and no service has anything more to say). Never blocks, raises nothing."""
        ...
