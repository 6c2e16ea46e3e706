"""How an event or an outcome is defined: a frozen dataclass whose annotations carry the wire types.

From a definition follow the numpy dtype, the SBE schema, the JSON Schema and the readable JSON; nothing about a
layout is written down a second time. A message is fixed in width, so that `numpy.frombuffer` reads a batch of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from enum import IntEnum
from inspect import cleandoc
from typing import Annotated, Any, TypeVar, dataclass_transform, get_args, get_origin, get_type_hints

import numpy as np

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Wire:
    """A fixed-width little-endian wire type.

    `code` is the numpy type string, `sbe` the SBE primitive, `length` the number of repetitions (1 = a scalar; text and
    bytes count their characters), `form` how people read it: int, text, bytes, time or array.
    """

    code: str
    sbe: str
    length: int = 1
    form: str = "int"


U8 = Annotated[int, Wire("<u1", "uint8")]
U16 = Annotated[int, Wire("<u2", "uint16")]
U32 = Annotated[int, Wire("<u4", "uint32")]
U64 = Annotated[int, Wire("<u8", "uint64")]
I64 = Annotated[int, Wire("<i8", "int64")]
Time = Annotated[int, Wire("<i8", "int64", form="time")]
"""Microseconds since 1970-01-01T00:00:00Z."""
Text8 = Annotated[str, Wire("S8", "char", 8, "text")]
Text24 = Annotated[str, Wire("S24", "char", 24, "text")]
Bytes32 = Annotated[bytes, Wire("V32", "uint8", 32, "bytes")]
Text128 = Annotated[str, Wire("S128", "char", 128, "text")]
I64x16 = Annotated[tuple[int, ...], Wire("<i8", "int64", 16, "array")]


@dataclass(frozen=True, slots=True)
class Field:
    """One column of a message: its name, its wire type and, where its values have names, their enum."""

    name: str
    wire: Wire
    enum: type[IntEnum] | None

    @property
    def dtype(self) -> tuple[Any, ...]:
        """The field as numpy spells it."""
        if self.wire.form == "array":
            return (self.name, self.wire.code, (self.wire.length,))
        return (self.name, self.wire.code)


@dataclass(frozen=True, slots=True)
class Message:
    """A message's definition: its class, its template number on the wire and its columns in order."""

    template: int
    name: str
    cls: type[Any]
    doc: str
    fields: tuple[Field, ...]
    dtype: np.dtype[Any]
    linkable: bool

    def offset(self, field: str) -> int:
        """Where a field begins in a row, bytes."""
        assert self.dtype.fields is not None
        return self.dtype.fields[field][1]


def _wire(hint: Any) -> tuple[Wire, type[IntEnum] | None]:
    if isinstance(hint, type) and issubclass(hint, IntEnum):
        return Wire("<u1", "uint8"), hint
    if get_origin(hint) is Annotated:
        kind, *marks = get_args(hint)
        enum = kind if isinstance(kind, type) and issubclass(kind, IntEnum) else None
        for mark in marks:
            if isinstance(mark, Wire):
                return mark, enum
    raise TypeError(f"{hint!r} carries no wire type")


class Catalogue:
    """The messages of one direction (events or outcomes), by template and by class. It fills while its module loads."""

    def __init__(self) -> None:
        self.by_template: dict[int, Message] = {}
        self.by_class: dict[type[Any], Message] = {}

    def define(self, template: int, *, linkable: bool = False) -> Callable[[type[T]], type[T]]:
        """`define` with this catalogue."""
        return define(self, template, linkable=linkable)


# a function and no method: type checkers see a dataclass transform on functions alone
@dataclass_transform(kw_only_default=True, frozen_default=True)
def define(catalogue: Catalogue, template: int, *, linkable: bool = False) -> Callable[[type[T]], type[T]]:
    """Decorate a class as the catalogue's message of this template number. ValueError where the number is taken."""

    def defining(cls: type[T]) -> type[T]:
        made = dataclass(frozen=True, slots=True, kw_only=True)(cls)
        if template in catalogue.by_template:
            raise ValueError(f"template {template} is taken by {catalogue.by_template[template].name}")
        hints = get_type_hints(made, include_extras=True)
        columns = tuple(Field(f.name, *_wire(hints[f.name])) for f in fields(made))  # type: ignore[arg-type]
        dtype = np.dtype([column.dtype for column in columns])
        message = Message(template, made.__name__, made, cleandoc(made.__doc__ or ""), columns, dtype, linkable)
        catalogue.by_template[template] = message
        catalogue.by_class[made] = message
        return made

    return defining
