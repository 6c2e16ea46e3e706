"""The Merkle log against the reference vectors of certificate transparency and against the RFC's own recursion."""

import hashlib

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ledger.merkle import EMPTY_ROOT, Frontier, MerkleLog, NoSuchProof, appended, extends, includes, leaf_hash, root

LEAVES = [bytes.fromhex(x) for x in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657")]
LEAVES.append(bytes.fromhex("606162636465666768696a6b6c6d6e6f"))

ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
PATHS = [
    (
        0,
        8,
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7"
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e"
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ),
    (
        5,
        8,
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0"
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ),
    (2, 3, "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"),
]
CONSISTENCIES = [
    (1, 1, ""),
    (
        1,
        8,
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7"
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e"
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ),
    (
        6,
        8,
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a"
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0"
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ),
    (
        2,
        5,
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e"
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ),
]


def hashes(text: str) -> tuple[bytes, ...]:
    data = bytes.fromhex(text)
    return tuple(data[i : i + 32] for i in range(0, len(data), 32))


def log_of(leaves: list[bytes]) -> MerkleLog:
    log = MerkleLog()
    for leaf in leaves:
        log.append(leaf_hash(leaf))
    return log


def tree_hash(leaves: list[bytes]) -> bytes:
    """MTH of RFC 6962, section 2.1, word for word."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    k = split_of(len(leaves))
    return hashlib.sha256(b"\x01" + tree_hash(leaves[:k]) + tree_hash(leaves[k:])).digest()


def split_of(n: int) -> int:
    k = 1
    while k * 2 < n:
        k *= 2
    return k


def path_of(m: int, leaves: list[bytes]) -> list[bytes]:
    """PATH of RFC 6962, section 2.1.1."""
    if len(leaves) == 1:
        return []
    k = split_of(len(leaves))
    if m < k:
        return [*path_of(m, leaves[:k]), tree_hash(leaves[k:])]
    return [*path_of(m - k, leaves[k:]), tree_hash(leaves[:k])]


def subproof(m: int, leaves: list[bytes], whole: bool) -> list[bytes]:
    """SUBPROOF of RFC 6962, section 2.1.2."""
    if m == len(leaves):
        return [] if whole else [tree_hash(leaves)]
    k = split_of(len(leaves))
    if m <= k:
        return [*subproof(m, leaves[:k], whole), tree_hash(leaves[k:])]
    return [*subproof(m - k, leaves[k:], False), tree_hash(leaves[:k])]


def test_the_reference_roots() -> None:
    log, frontier = MerkleLog(), Frontier()
    assert log.root() == root(frontier) == EMPTY_ROOT
    for size, (leaf, expected) in enumerate(zip(LEAVES, ROOTS, strict=True), 1):
        assert log.append(leaf_hash(leaf)) == size - 1
        frontier = appended(frontier, leaf_hash(leaf))
        assert log.root().hex() == root(frontier).hex() == expected
        assert len(log) == frontier.size == size
    assert [log.root(size).hex() for size in range(1, 9)] == ROOTS


@pytest.mark.parametrize(("index", "size", "expected"), PATHS)
def test_the_reference_paths(index: int, size: int, expected: str) -> None:
    assert log_of(LEAVES).inclusion(index, size) == hashes(expected)
    assert includes(bytes.fromhex(ROOTS[size - 1]), size, index, leaf_hash(LEAVES[index]), hashes(expected))


@pytest.mark.parametrize(("earlier", "later", "expected"), CONSISTENCIES)
def test_the_reference_consistency_proofs(earlier: int, later: int, expected: str) -> None:
    assert log_of(LEAVES).consistency(earlier, later) == hashes(expected)
    roots = [bytes.fromhex(x) for x in ROOTS]
    assert extends(roots[earlier - 1], earlier, roots[later - 1], later, hashes(expected))


leaves_lists = st.lists(st.binary(max_size=3), min_size=1, max_size=70)


@given(leaves_lists, st.data())
def test_every_root_and_proof_is_the_recursion_s(leaves: list[bytes], data: st.DataObject) -> None:
    log = log_of(leaves)
    size = data.draw(st.integers(1, len(leaves)))
    index = data.draw(st.integers(0, size - 1))
    earlier = data.draw(st.integers(1, size))
    frontier = Frontier()
    for leaf in leaves[:size]:
        frontier = appended(frontier, leaf_hash(leaf))
    assert log.root(size) == root(frontier) == tree_hash(leaves[:size])
    assert list(log.inclusion(index, size)) == path_of(index, leaves[:size])
    assert list(log.consistency(earlier, size)) == subproof(earlier, leaves[:size], True)


@pytest.mark.parametrize("size", [*range(1, 34), 63, 64, 65, 127, 128, 129])
def test_every_proof_of_a_log_holds_and_only_there(size: int) -> None:
    log = log_of([b"%d" % i for i in range(size)])
    whole = log.root(size)
    for index in range(size):
        proof, leaf = log.inclusion(index, size), leaf_hash(b"%d" % index)
        assert includes(whole, size, index, leaf, proof)
        assert not includes(whole, size, index, leaf_hash(b"another"), proof)
        for elsewhere in {index - 1, index + 1, index ^ 1, size, -1}:
            assert not includes(whole, size, elsewhere, leaf, proof)
    for earlier in range(1, size + 1):
        proof = log.consistency(earlier, size)
        assert extends(log.root(earlier), earlier, whole, size, proof)
        for wrong in {earlier - 1, earlier + 1}:
            assert not extends(log.root(earlier), wrong, whole, size, proof)


@given(leaves_lists, st.data())
def test_a_changed_proof_fails(leaves: list[bytes], data: st.DataObject) -> None:
    log, size = log_of(leaves), len(leaves)
    index = data.draw(st.integers(0, size - 1))
    earlier = data.draw(st.integers(1, size))
    leaf, whole, before = leaf_hash(leaves[index]), log.root(), log.root(earlier)
    for proof, holds in (
        (log.inclusion(index, size), lambda changed: includes(whole, size, index, leaf, changed)),
        (log.consistency(earlier, size), lambda changed: extends(before, earlier, whole, size, changed)),
    ):
        assert holds(proof)
        assert not holds((*proof, whole))
        assert not holds((whole, *proof))
        if proof:
            place = data.draw(st.integers(0, len(proof) - 1))
            changed = bytes([proof[place][0] ^ 1]) + proof[place][1:]
            assert not holds((*proof[:place], changed, *proof[place + 1 :]))
            assert not holds(proof[:-1])
            assert not holds(proof[1:])


@given(leaves_lists, st.data())
def test_a_rewritten_past_is_no_extension(leaves: list[bytes], data: st.DataObject) -> None:
    earlier = data.draw(st.integers(1, len(leaves)))
    place = data.draw(st.integers(0, earlier - 1))
    assume(leaves[place] != b"rewritten")
    rewritten = log_of([*leaves[:place], b"rewritten", *leaves[place + 1 :]])
    before = log_of(leaves).root(earlier)
    proof = rewritten.consistency(earlier, len(leaves))
    assert not extends(before, earlier, rewritten.root(), len(leaves), proof)


def test_what_the_log_does_not_have_cannot_be_proved() -> None:
    log = log_of(LEAVES)
    for asking in (
        lambda: log.root(9),
        lambda: log.root(-1),
        lambda: log.inclusion(0, 9),
        lambda: log.inclusion(8, 8),
        lambda: log.inclusion(-1, 8),
        lambda: log.consistency(0, 8),
        lambda: log.consistency(5, 4),
        lambda: log.consistency(8, 9),
    ):
        with pytest.raises(NoSuchProof):
            asking()
    with pytest.raises(ValueError, match="31 bytes"):
        log.append(b"\0" * 31)
