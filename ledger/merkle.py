"""A Merkle log in the shape of RFC 6962: growing roots, inclusion and consistency proofs, and their checks.

The checks need no log: an auditor holds a root and is shown a proof. Sizes and indices count leaves from 0.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

HASH_BYTES: Final = 32
EMPTY_ROOT: Final = hashlib.sha256(b"").digest()
"""The root over no leaves."""


class NoSuchProof(ValueError):  # noqa: N818 - named for what is found
    """A proof was asked for leaves or sizes that the log does not have."""


def leaf_hash(data: bytes) -> bytes:
    """The hash of a leaf; its prefix keeps a leaf from passing as a node."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of a node over two subtrees."""
    return hashlib.sha256(b"\x01" + left + right).digest()


@dataclass(frozen=True, slots=True)
class Frontier:
    """All a growing log needs to keep for its root: its size and the roots of its whole subtrees, largest first."""

    size: int = 0
    peaks: tuple[bytes, ...] = ()


def appended(frontier: Frontier, leaf: bytes) -> Frontier:
    """The frontier with one more leaf, given as its hash."""
    peaks = list(frontier.peaks)
    size = frontier.size
    while size & 1:
        leaf = node_hash(peaks.pop(), leaf)
        size >>= 1
    return Frontier(frontier.size + 1, (*peaks, leaf))


def root(frontier: Frontier) -> bytes:
    """The root over all leaves appended so far."""
    return _folded(frontier.peaks)


class MerkleLog:
    """The hashes of every whole subtree, so that any root and any proof takes as many steps as the tree is high.

    Keeps 64 bytes a leaf in memory and can always be made again from what the leaves are made of.
    """

    def __init__(self) -> None:
        self._levels: list[bytearray] = [bytearray()]

    def __len__(self) -> int:
        return len(self._levels[0]) // HASH_BYTES

    def append(self, leaf: bytes) -> int:
        """Append a leaf, given as its hash, and return its index. Raises ValueError where it is not 32 bytes."""
        if len(leaf) != HASH_BYTES:
            raise ValueError(f"a leaf hash of {len(leaf)} bytes, {HASH_BYTES} are needed")
        index = place = len(self)
        self._levels[0] += leaf
        level = 0
        while place & 1:
            left, right = self._node(level, place - 1), self._node(level, place)
            level, place = level + 1, place >> 1
            if level == len(self._levels):
                self._levels.append(bytearray())
            self._levels[level] += node_hash(left, right)
        return index

    def leaf(self, index: int) -> bytes:
        """The hash of leaf `index`. Raises NoSuchProof past the end."""
        if not 0 <= index < len(self):
            raise NoSuchProof(f"leaf {index} of {len(self)} leaves")
        return self._node(0, index)

    def root(self, size: int | None = None) -> bytes:
        """The root over the first `size` leaves (None: all). Raises NoSuchProof past the end."""
        size = len(self) if size is None else size
        self._within(size, "a root")
        return self._over(0, size)

    def inclusion(self, index: int, size: int) -> tuple[bytes, ...]:
        """The proof that leaf `index` lies under the root over `size` leaves, leaf end first. Raises NoSuchProof."""
        self._within(size, "an inclusion proof")
        if not 0 <= index < size:
            raise NoSuchProof(f"leaf {index} of {size} leaves")
        first, proof = 0, []
        while size > 1:
            split = _split(size)
            if index < split:
                proof.append(self._over(first + split, size - split))
                size = split
            else:
                proof.append(self._over(first, split))
                first, index, size = first + split, index - split, size - split
        return tuple(reversed(proof))

    def consistency(self, earlier: int, later: int) -> tuple[bytes, ...]:
        """The proof that the log over `later` leaves begins with the `earlier` ones. Raises NoSuchProof."""
        self._within(later, "a consistency proof")
        if not 0 < earlier <= later:
            raise NoSuchProof(f"from {earlier} to {later} leaves")
        first, size, known, proof = 0, later, True, []
        while earlier != size:
            split = _split(size)
            if earlier <= split:
                proof.append(self._over(first + split, size - split))
                size = split
            else:
                proof.append(self._over(first, split))
                first, earlier, size, known = first + split, earlier - split, size - split, False
        if not known:
            proof.append(self._over(first, size))
        return tuple(reversed(proof))

    def _node(self, level: int, place: int) -> bytes:
        return bytes(self._levels[level][place * HASH_BYTES : (place + 1) * HASH_BYTES])

    def _over(self, first: int, size: int) -> bytes:
        """The root over leaves `first` ... `first + size - 1`; `first` is where a subtree begins."""
        peaks = []
        while size > 0:
            level = size.bit_length() - 1
            peaks.append(self._node(level, first >> level))
            first, size = first + (1 << level), size - (1 << level)
        return _folded(peaks)

    def _within(self, size: int, what: str) -> None:
        if not 0 <= size <= len(self):
            raise NoSuchProof(f"{what} over {size} leaves, the log has {len(self)}")


def includes(root: bytes, size: int, index: int, leaf: bytes, proof: Sequence[bytes]) -> bool:
    """Whether the proof shows that the leaf (its hash) is number `index` of the `size` leaves under the root."""
    if not 0 <= index < size:
        return False
    last = size - 1
    found = leaf
    for beside in proof:
        if last == 0:
            return False
        if index & 1 or index == last:
            found = node_hash(beside, found)
            while not index & 1 and index:
                index, last = index >> 1, last >> 1
        else:
            found = node_hash(found, beside)
        index, last = index >> 1, last >> 1
    return last == 0 and found == root


def extends(earlier_root: bytes, earlier: int, later_root: bytes, later: int, proof: Sequence[bytes]) -> bool:
    """Whether the proof shows that the log of `later` leaves begins with the log of `earlier` leaves (at least one)."""
    if not 0 < earlier <= later:
        return False
    if earlier == later:
        return not proof and earlier_root == later_root
    path = list(proof)
    if earlier & (earlier - 1) == 0:
        path.insert(0, earlier_root)  # the earlier log is one whole subtree: its root is not sent a second time
    if not path:
        return False
    index, last = earlier - 1, later - 1
    while index & 1:
        index, last = index >> 1, last >> 1
    old = new = path[0]
    for beside in path[1:]:
        if last == 0:
            return False
        if index & 1 or index == last:
            old, new = node_hash(beside, old), node_hash(beside, new)
            while not index & 1 and index:
                index, last = index >> 1, last >> 1
        else:
            new = node_hash(new, beside)
        index, last = index >> 1, last >> 1
    return last == 0 and old == earlier_root and new == later_root


def _split(size: int) -> int:
    """The largest power of two below the size: how many leaves lie in the left subtree."""
    return 1 << ((size - 1).bit_length() - 1)


def _folded(peaks: Sequence[bytes]) -> bytes:
    if not peaks:
        return EMPTY_ROOT
    found = peaks[-1]
    for peak in reversed(peaks[:-1]):
        found = node_hash(peak, found)
    return found
