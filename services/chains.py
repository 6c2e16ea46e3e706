"""The hash chains and the Merkle log of a history as it grows. Large pieces are hashed by a thread beside the fold."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

from ledger.chain import JOURNAL_GENESIS, link, link_numbered, outcomes_genesis
from ledger.merkle import Frontier, appended, leaf_hash, root
from services.heads import Head

BESIDE: Final = 1 << 16
"""bytes from which on handing them to the thread is cheaper than hashing them here"""
DEPTH: Final = 4
"""entries that may wait to be hashed"""


class Chains:
    """Hash chains over the journal and each shard's outcomes, and the Merkle log over the journal."""

    def __init__(self, shards: int) -> None:
        self._journal = JOURNAL_GENESIS
        self._merkle = Frontier()
        self._outcomes = [outcomes_genesis(shard) for shard in range(shards)]
        self._thread = ThreadPoolExecutor(1, "chains")
        self._waiting: deque[Future[None]] = deque()

    @staticmethod
    def after(head: Head, peaks: Sequence[bytes]) -> Chains:
        """The chains as they were at a head, `peaks` being those of `frontier` then."""
        chains = Chains(len(head.outcomes))
        chains._journal = bytes.fromhex(head.journal)
        chains._merkle = Frontier(head.entries, tuple(peaks))
        chains._outcomes = [bytes.fromhex(chain) for chain in head.outcomes]
        return chains

    def frontier(self) -> Frontier:
        """The Merkle log's frontier over everything taken in."""
        self._caught_up()
        return self._merkle

    def append(self, entry: bytes, outcomes: Sequence[tuple[int, int, bytes]] = ()) -> None:
        """Take in the journal's next entry and what came of it, as (n, shard, bytes)."""
        size = len(entry) + sum(len(data) for _, _, data in outcomes)
        if not self._waiting and size < BESIDE:
            self._link(entry, outcomes)
            return
        self._waiting.append(self._thread.submit(self._link, entry, outcomes))
        while len(self._waiting) > DEPTH or (self._waiting and self._waiting[0].done()):
            self._waiting.popleft().result()

    def head(self, n: int) -> Head:
        """The head over everything taken in, the last number given being n."""
        self._caught_up()
        return Head(
            entries=self._merkle.size,
            n=n,
            journal=self._journal.hex(),
            merkle=root(self._merkle).hex(),
            outcomes=tuple(chain.hex() for chain in self._outcomes),
        )

    def _caught_up(self) -> None:
        while self._waiting:
            self._waiting.popleft().result()

    def _link(self, entry: bytes, outcomes: Sequence[tuple[int, int, bytes]]) -> None:
        self._journal = link(self._journal, entry)
        self._merkle = appended(self._merkle, leaf_hash(entry))
        for n, shard, data in outcomes:
            self._outcomes[shard] = link_numbered(self._outcomes[shard], n, data)
