"""Messages as people read them: JSON in both directions, and the JSON Schema (2020-12) that describes it.

Enums are lower-case names, times ISO 8601 in UTC with microseconds, bytes hex, numbers JSON integers in smallest units.
A field with a default (`flags`) is left out where it has it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import MISSING, fields
from enum import Enum, IntEnum
from inspect import cleandoc
from typing import Any, Final

from schemas.message import Catalogue, Field, Message
from schemas.units import UnitError, format_time, parse_time
from schemas.wire import SCHEMA_ID, SCHEMA_VERSION

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
TYPE: Final = "type"
_TIME_PATTERN: Final = r"^([0-9]{4}|[+-][0-9]{6})-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?Z$"


class Fault(Enum):
    """What is wrong with a JSON message."""

    UNKNOWN_TYPE = "no message of this name"
    UNKNOWN_KEY = "a key the message does not have"
    MISSING_KEY = "a key the message needs"
    WRONG_TYPE = "a value of another kind"
    UNKNOWN_NAME = "a name the enum does not have"
    OUT_OF_RANGE = "a value its field cannot hold"


class FormError(ValueError):
    """JSON that is no message: the fault, the path to it (`$.losses[3]`) and what was found there."""

    def __init__(self, fault: Fault, path: str, what: str) -> None:
        super().__init__(f"{fault.name} at {path}: {what}")
        self.fault = fault
        self.path = path
        self.what = what


def to_json(catalogue: Catalogue, message: Any) -> dict[str, Any]:
    """A message as a JSON object, its `type` first and its fields in order.

    Raises KeyError where the catalogue does not define its class.
    """
    definition = catalogue.by_class[type(message)]
    defaults = _defaults(definition)
    form: dict[str, Any] = {TYPE: definition.name}
    for field in definition.fields:
        value = getattr(message, field.name)
        if field.name not in defaults or value != defaults[field.name]:
            form[field.name] = _form(field, value)
    return form


def from_json(catalogue: Catalogue, form: object) -> Any:
    """A message of the catalogue from its JSON object. Raises FormError with the path of the first fault."""
    if not isinstance(form, Mapping):
        raise FormError(Fault.WRONG_TYPE, "$", f"{_kind(form)}, an object is needed")
    definition = _definition(catalogue, form)
    defaults = _defaults(definition)
    names = {field.name for field in definition.fields}
    for key in form:
        if key != TYPE and key not in names:
            raise FormError(Fault.UNKNOWN_KEY, f"$.{key}", f"{definition.name} has no {_shown(key)}")
    values: dict[str, Any] = {}
    for field in definition.fields:
        if field.name in form:
            values[field.name] = _value(field, form[field.name], f"$.{field.name}")
        elif field.name not in defaults:
            raise FormError(Fault.MISSING_KEY, f"$.{field.name}", f"{definition.name} needs it")
    return definition.cls(**values)


def _definition(catalogue: Catalogue, form: Mapping[Any, Any]) -> Message:
    if TYPE not in form:
        raise FormError(Fault.MISSING_KEY, f"$.{TYPE}", "the message's name is needed")
    name = form[TYPE]
    if not isinstance(name, str):
        raise FormError(Fault.WRONG_TYPE, f"$.{TYPE}", f"{_kind(name)}, a string is needed")
    for message in catalogue.by_template.values():
        if message.name == name:
            return message
    raise FormError(Fault.UNKNOWN_TYPE, f"$.{TYPE}", _shown(name))


def _defaults(definition: Message) -> dict[str, Any]:
    return {field.name: field.default for field in fields(definition.cls) if field.default is not MISSING}


def _form(field: Field, value: Any) -> Any:
    if field.enum is not None:
        return field.enum(value).name.lower()
    match field.wire.form:
        case "time":
            return format_time(value, field.name)
        case "bytes":
            return bytes(value).hex()
        case "array":
            return [int(one) for one in value]
        case "text":
            return str(value)
        case _:
            return int(value)


def _value(field: Field, form: object, path: str) -> Any:
    if field.enum is not None:
        return _member(field.enum, form, path)
    match field.wire.form:
        case "time":
            return _time(form, path)
        case "text":
            return _text(field, form, path)
        case "bytes":
            return _bytes(field, form, path)
        case "array":
            return _array(field, form, path)
        case _:
            return _integer(field, form, path)


def _integer(field: Field, form: object, path: str) -> int:
    # True is an int to the interpreter and 1.0 an integer to JSON Schema; neither is one here
    if not isinstance(form, int) or isinstance(form, bool):
        raise FormError(Fault.WRONG_TYPE, path, f"{_kind(form)}, an integer is needed")
    low, high = _bounds(field)
    if not low <= form <= high:
        raise FormError(Fault.OUT_OF_RANGE, path, f"{_shown(form)} is not within {low} to {high}")
    return int(form)


def _member(enum: type[IntEnum], form: object, path: str) -> IntEnum:
    name = _string(form, path)
    # upper() alone would take other spellings of a name, Open or OPEN
    if name != name.lower() or name.upper() not in enum.__members__:
        raise FormError(Fault.UNKNOWN_NAME, path, f"{_shown(name)} is no {enum.__name__}")
    return enum[name.upper()]


def _time(form: object, path: str) -> int:
    text = _string(form, path)
    try:
        return parse_time(text, path)
    except UnitError as error:
        raise FormError(Fault.OUT_OF_RANGE, path, error.what) from None


def _text(field: Field, form: object, path: str) -> str:
    text = _string(form, path)
    try:
        size = len(text.encode("utf-8"))
    except UnicodeEncodeError as error:
        raise FormError(Fault.OUT_OF_RANGE, path, f"half a character at {error.start}") from None
    if size > field.wire.length:
        raise FormError(Fault.OUT_OF_RANGE, path, f"{size} bytes of UTF-8, at most {field.wire.length} fit")
    if "\0" in text:
        raise FormError(Fault.OUT_OF_RANGE, path, f"a NUL at {text.index(chr(0))}")
    return text


def _bytes(field: Field, form: object, path: str) -> bytes:
    text = _string(form, path)
    if re.fullmatch(f"[0-9a-f]{{{2 * field.wire.length}}}", text) is None:
        raise FormError(
            Fault.OUT_OF_RANGE, path, f"{_shown(text)} is not {2 * field.wire.length} lower-case hex digits"
        )
    return bytes.fromhex(text)


def _array(field: Field, form: object, path: str) -> tuple[int, ...]:
    if not isinstance(form, list | tuple):
        raise FormError(Fault.WRONG_TYPE, path, f"{_kind(form)}, an array is needed")
    if len(form) != field.wire.length:
        raise FormError(Fault.OUT_OF_RANGE, path, f"{len(form)} values, {field.wire.length} are needed")
    return tuple(_integer(field, one, f"{path}[{place}]") for place, one in enumerate(form))


def _string(form: object, path: str) -> str:
    if not isinstance(form, str):
        raise FormError(Fault.WRONG_TYPE, path, f"{_kind(form)}, a string is needed")
    return form


def _kind(form: object) -> str:
    return "null" if form is None else type(form).__name__


def _shown(value: object) -> str:
    if isinstance(value, int) and value.bit_length() > 128:
        return f"a number of {value.bit_length()} bits"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _bounds(field: Field) -> tuple[int, int]:
    bits = 8 * int(field.wire.code[-1])
    return (0, 2**bits - 1) if field.wire.sbe.startswith("u") else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def schema_of(message: Message) -> dict[str, Any]:
    """The JSON Schema of one message's JSON object."""
    defaults = _defaults(message)
    properties = {field.name: _schema(field) for field in message.fields}
    for name, value in defaults.items():
        properties[name]["default"] = value
    return {
        "$schema": DIALECT,
        "$id": f"urn:novate:{SCHEMA_ID}:{SCHEMA_VERSION}:{message.name}",
        "title": message.name,
        "description": message.doc,
        "type": "object",
        "properties": {TYPE: {"const": message.name}, **properties},
        "required": [TYPE, *(field.name for field in message.fields if field.name not in defaults)],
        "additionalProperties": False,
    }


def schema_of_catalogue(catalogue: Catalogue, name: str) -> dict[str, Any]:
    """The JSON Schema of any message of a catalogue, told apart by `type`."""
    messages = [catalogue.by_template[template] for template in sorted(catalogue.by_template)]
    definitions = {}
    for message in messages:
        schema = schema_of(message)
        # one document has one dialect and one address
        definitions[message.name] = {key: value for key, value in schema.items() if key not in ("$schema", "$id")}
    return {
        "$schema": DIALECT,
        "$id": f"urn:novate:{SCHEMA_ID}:{SCHEMA_VERSION}:{name}",
        "title": name,
        "oneOf": [{"$ref": f"#/$defs/{message.name}"} for message in messages],
        "$defs": definitions,
    }


def _schema(field: Field) -> dict[str, Any]:
    if field.enum is not None:
        members = [member.name.lower() for member in field.enum]
        return {"description": cleandoc(field.enum.__doc__ or ""), "enum": members}
    low, high = _bounds(field)
    integer: dict[str, Any] = {"type": "integer", "minimum": low, "maximum": high}
    length = field.wire.length
    match field.wire.form:
        case "time":
            return {"type": "string", "description": "UTC, to the microsecond", "pattern": _TIME_PATTERN}
        case "text":
            told = f"at most {length} bytes of UTF-8"
            return {"type": "string", "description": told, "maxLength": length, "pattern": "^[^\\u0000]*$"}
        case "bytes":
            return {"type": "string", "description": f"{length} bytes in hex", "pattern": f"^[0-9a-f]{{{2 * length}}}$"}
        case "array":
            return {"type": "array", "items": integer, "minItems": length, "maxItems": length}
        case _:
            return integer
