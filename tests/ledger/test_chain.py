"""The hash chain: written out once by hand, and no two different histories with one link."""

import hashlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.chain import JOURNAL_GENESIS, OUTCOMES_GENESIS, first_break, link, link_numbered, outcomes_genesis


def chained(entries: list[bytes]) -> list[tuple[bytes, bytes]]:
    rows, previous = [], JOURNAL_GENESIS
    for data in entries:
        previous = link(previous, data)
        rows.append((data, previous))
    return rows


def test_a_link_is_the_hash_of_tag_previous_length_and_data() -> None:
    told = b"novate/chain/plain/1" + JOURNAL_GENESIS + struct.pack("<Q", 3) + b"abc"
    assert link(JOURNAL_GENESIS, b"abc") == hashlib.sha256(told).digest()
    told = b"novate/chain/numbered/1" + JOURNAL_GENESIS + struct.pack("<QQ", 7, 3) + b"abc"
    assert link_numbered(JOURNAL_GENESIS, 7, b"abc") == hashlib.sha256(told).digest()


def test_the_geneses_are_fixed() -> None:
    assert JOURNAL_GENESIS.hex() == "36b256306f43f1f1deadca9da26971e0718902936139780436723c39c404bb49"
    assert OUTCOMES_GENESIS.hex() == "6c5a218d46ff375e11c6ea1ed4843a5569e653640ce340d60bcfb747460dcf6f"


def test_every_chain_begins_elsewhere() -> None:
    starts = [JOURNAL_GENESIS, OUTCOMES_GENESIS, *(outcomes_genesis(shard) for shard in range(300))]
    assert len(set(starts)) == len(starts)
    assert link(starts[0], b"x") != link(starts[1], b"x")
    assert link_numbered(starts[0], 1, b"x") != link_numbered(starts[0], 2, b"x")


@pytest.mark.parametrize("previous", [b"", b"\0" * 31, b"\0" * 33])
def test_a_link_of_another_width_is_refused(previous: bytes) -> None:
    with pytest.raises(ValueError, match=f"{len(previous)} bytes"):
        link(previous, b"")
    with pytest.raises(ValueError, match=f"{len(previous)} bytes"):
        link_numbered(previous, 1, b"")


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=12), st.data())
def test_the_first_break_is_where_a_byte_changed(entries: list[bytes], data: st.DataObject) -> None:
    rows = chained(entries)
    assert first_break(rows, JOURNAL_GENESIS) is None
    place = data.draw(st.integers(0, len(rows) - 1))
    column = data.draw(st.sampled_from([0, 1] if rows[place][0] else [1]))
    changed = bytearray(rows[place][column])
    changed[data.draw(st.integers(0, len(changed) - 1))] ^= data.draw(st.integers(1, 255))
    row = (bytes(changed), rows[place][1]) if column == 0 else (rows[place][0], bytes(changed))
    assert first_break([*rows[:place], row, *rows[place + 1 :]], JOURNAL_GENESIS) == place


@given(st.lists(st.binary(max_size=4), max_size=8), st.lists(st.binary(max_size=4), max_size=8))
def test_other_entries_give_another_last_link(one: list[bytes], other: list[bytes]) -> None:
    ends = [([(b"", JOURNAL_GENESIS), *chained(entries)])[-1][1] for entries in (one, other)]
    assert (ends[0] == ends[1]) == (one == other)


@given(st.lists(st.binary(max_size=8), min_size=2, max_size=8, unique=True))
def test_a_row_left_out_or_moved_breaks(entries: list[bytes]) -> None:
    rows = chained(entries)
    assert first_break(rows[1:], JOURNAL_GENESIS) == 0
    assert first_break([rows[1], rows[0], *rows[2:]], JOURNAL_GENESIS) == 0
