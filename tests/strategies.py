"""Hypothesis strategies of messages, built from their definitions, so that a new event is tested by being defined."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from schemas.message import Catalogue, Field, Message


def integers(field: Field) -> SearchStrategy[int]:
    """The whole range of a field's integers, its ends more often than chance."""
    bits = 8 * int(field.wire.code[-1])
    low, high = (0, 2**bits - 1) if field.wire.sbe.startswith("u") else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    return st.one_of(st.sampled_from([low, low + 1, 0, high - 1, high]), st.integers(low, high))


def texts(length: int) -> SearchStrategy[str]:
    """Text that fits a number of bytes, of any alphabet."""
    characters = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
    return st.text(characters, max_size=length).filter(lambda text: len(text.encode()) <= length)


def values(field: Field) -> SearchStrategy[Any]:
    """Every value a field can hold."""
    if field.enum is not None:
        return st.sampled_from(list(field.enum))
    if field.wire.form == "text":
        return texts(field.wire.length)
    if field.wire.form == "bytes":
        return st.binary(min_size=field.wire.length, max_size=field.wire.length)
    if field.wire.form == "array":
        return st.lists(integers(field), min_size=field.wire.length, max_size=field.wire.length).map(tuple)
    return integers(field)


def messages(definition: Message) -> SearchStrategy[Any]:
    """Every message of one definition."""
    return st.builds(definition.cls, **{field.name: values(field) for field in definition.fields})


def any_messages(catalogue: Catalogue) -> SearchStrategy[Any]:
    """Every message of a catalogue."""
    return st.sampled_from(sorted(catalogue.by_template)).flatmap(lambda one: messages(catalogue.by_template[one]))
