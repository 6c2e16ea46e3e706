"""Merkle proofs of a journal's entries: the log of leaf hashes beside it, made further when a proof is asked for."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Final

from ledger.journal import JournalReader
from ledger.merkle import HASH_BYTES, MerkleLog, leaf_hash
from services.gateway.core import Proof, ProofUnknown
from services.heads import Head, HeadDiffers

LEAVES: Final = "leaves.sha256"


class Proofs:
    """Leaf hashes in a file, which can always be made again from the journal. May be asked from several threads.

    `reader` opens the journal to read. The first proof after a start reads the file; what the file lacks is read from
    the journal, checked by its hash chain.
    """

    def __init__(self, directory: Path, reader: Callable[[], JournalReader]) -> None:
        self._path = directory / LEAVES
        self._reader = reader
        self._lock = threading.Lock()
        self._log: MerkleLog | None = None

    def proof(self, offset: int, head: Head) -> Proof:
        """The proof of an entry under a head. Raises ProofUnknown, JournalBroken, HeadDiffers where the journal is not
        the one that the head was published for."""
        if not 0 <= offset < head.entries:
            raise ProofUnknown(offset, head.entries)
        with self._lock:
            log = self._known(head)
            path = log.inclusion(offset, head.entries)
            return Proof(offset, log.leaf(offset), path, head)

    def _known(self, head: Head) -> MerkleLog:
        if self._log is None:
            self._log = _read(self._path)
        self._extend(self._log, head.entries)
        if self._log.root(head.entries).hex() != head.merkle:  # the file is nobody's truth: again, from the journal
            self._path.unlink(missing_ok=True)
            self._log = MerkleLog()
            self._extend(self._log, head.entries)
            if self._log.root(head.entries).hex() != head.merkle:
                raise HeadDiffers("the journal", head.entries)
        return self._log

    def _extend(self, log: MerkleLog, entries: int) -> None:
        if len(log) >= entries:
            return
        with closing(self._reader()) as journal, self._path.open("ab") as file:
            file.truncate(HASH_BYTES * len(log))
            for _, data in journal.read(len(log), entries - len(log)):
                leaf = leaf_hash(data)
                log.append(leaf)
                file.write(leaf)
        if len(log) < entries:
            raise HeadDiffers("the journal", entries)


def _read(path: Path) -> MerkleLog:
    log = MerkleLog()
    data = path.read_bytes() if path.exists() else b""
    for at in range(0, len(data) - HASH_BYTES + 1, HASH_BYTES):  # a last leaf that was torn is made again
        log.append(data[at : at + HASH_BYTES])
    return log
