"""API keys: who holds which, what each may do, and the file they lie in. A secret never shows in text of any kind."""

from __future__ import annotations

import os
import re
import secrets
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, StrEnum
from pathlib import Path
from tempfile import mkstemp
from typing import Any, Final

from schemas.sources import SOURCES_PER_ROLE, Role, source

KEYS: Final = "keys.toml"
SECRET_BYTES: Final = 32
_ID: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_SECRET: Final = re.compile(r"[0-9a-f]{64}")
_FIELDS: Final = {"id", "secret", "roles", "sources", "member"}


class Access(StrEnum):
    """What a key's holder is. The first six speak as sources, and a source's number must be of one of its key's."""

    EXCHANGE = "exchange"
    ORACLE = "oracle"
    COUNCIL = "council"
    CUSTODIAN = "custodian"
    REGISTRAR = "registrar"
    LIQUIDATOR = "liquidator"
    MEMBER = "member"
    REGULATOR = "regulator"
    AUDITOR = "auditor"


SPEAKS: Final[Mapping[Access, Role]] = {
    Access.EXCHANGE: Role.EXCHANGE,
    Access.ORACLE: Role.ORACLE,
    Access.COUNCIL: Role.COUNCIL,
    Access.CUSTODIAN: Role.CUSTODIAN,
    Access.REGISTRAR: Role.REGISTRAR,
    Access.LIQUIDATOR: Role.LIQUIDATOR,
}
"""As what a holder may send. The pricer, the desk and the fund are the clearinghouse's own and send no requests."""


class Right(Enum):
    """What a holder may ask."""

    ACCOUNTS = "read accounts"
    PREVIEW = "preview orders"
    NOTICES = "hear notices"
    AUCTIONS = "hear of auctions"


RIGHTS: Final[Mapping[Access, frozenset[Right]]] = {
    Access.EXCHANGE: frozenset(Right),
    Access.ORACLE: frozenset(),
    Access.COUNCIL: frozenset({Right.ACCOUNTS, Right.NOTICES, Right.AUCTIONS}),
    Access.CUSTODIAN: frozenset({Right.ACCOUNTS, Right.NOTICES}),
    Access.REGISTRAR: frozenset({Right.ACCOUNTS}),
    Access.LIQUIDATOR: frozenset({Right.AUCTIONS}),
    Access.MEMBER: frozenset({Right.ACCOUNTS, Right.PREVIEW, Right.NOTICES}),
    Access.REGULATOR: frozenset(Right),
    Access.AUDITOR: frozenset(Right),
}
READS_SOURCES: Final = frozenset({Access.REGULATOR, Access.AUDITOR})
"""who may ask for the numbers of sources that are not its own"""


class KeysWrong(ValueError):  # noqa: N818 - named for what is found
    """A keys file that cannot be used: where, and what is wrong. No secret is told."""

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(f"{path}: {what}")


class Secret:
    """A secret that shows itself to nobody but who asks for its bytes."""

    __slots__ = ("_value",)

    def __init__(self, value: bytes) -> None:
        self._value = value

    def reveal(self) -> bytes:
        """The bytes."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(...)"

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError("a secret is not written anywhere")


@dataclass(frozen=True, slots=True)
class Key:
    """A key: whose, its secret, what it may do. `member`: it sees that member's accounts and no other's."""

    id: str
    secret: Secret
    roles: frozenset[Access]
    sources: frozenset[int]
    member: int | None = None

    def may(self, right: Right) -> bool:
        """Whether one of its roles has this right."""
        return any(right in RIGHTS[role] for role in self.roles)


Keys = Mapping[str, Key]


def read_keys(path: Path) -> Keys:
    """The keys of a file (docs/api.md tells its form) by id.

    Raises FileNotFoundError, KeysWrong: also where others than its owner may read the file.
    """
    if path.stat().st_mode & 0o077:
        raise KeysWrong(path, "others than its owner can read it: chmod 600")
    try:
        told = tomllib.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise KeysWrong(path, f"no TOML at {str(error).rpartition('(')[2].rstrip(')')}") from None
    if set(told) != {"key"} or not isinstance(told["key"], list):
        raise KeysWrong(path, "a list of [[key]] tables is needed, and nothing else")
    keys: dict[str, Key] = {}
    for place, one in enumerate(told["key"], 1):
        key = _key(path, place, one)
        if key.id in keys:
            raise KeysWrong(path, f"key {place}: {key.id} is there twice")
        keys[key.id] = key
    return keys


def _key(path: Path, place: int, told: object) -> Key:
    if not isinstance(told, dict) or not {"id", "secret", "roles"} <= set(told) <= _FIELDS:
        raise KeysWrong(path, f"key {place}: id, secret and roles are needed, sources and member are possible")
    name, secret, member = told["id"], told["secret"], told.get("member")
    if not isinstance(name, str) or not _ID.fullmatch(name):
        raise KeysWrong(path, f"key {place}: its id is not 1 to 64 of a-z 0-9 . _ -")
    if not isinstance(secret, str) or not _SECRET.fullmatch(secret):
        raise KeysWrong(path, f"key {name}: its secret is not {2 * SECRET_BYTES} hex digits")
    try:
        roles = frozenset(Access(one) for one in told["roles"])
    except (ValueError, TypeError):
        raise KeysWrong(path, f"key {name}: its roles are not among {', '.join(Access)}") from None
    sources = told.get("sources", [])
    if not roles or not isinstance(sources, list) or not all(type(one) is int for one in sources):
        raise KeysWrong(path, f"key {name}: a role is needed, and sources are whole numbers")
    speaks = {SPEAKS[role] for role in roles if role in SPEAKS}
    for one in sources:
        if one // SOURCES_PER_ROLE not in speaks:
            raise KeysWrong(path, f"key {name}: source {one} is of none of its roles")
    if member is not None and (type(member) is not int or not 0 <= member < 2**32):
        raise KeysWrong(path, f"key {name}: its member is no number of one")
    if Access.MEMBER in roles and member is None:
        raise KeysWrong(path, f"key {name}: a member's key names its member")
    return Key(name, Secret(bytes.fromhex(secret)), roles, frozenset(sources), member)


def ready_keys(directory: Path) -> Keys:
    """The keys of a run's directory; where it has no file one is made (mode 600): a key for every role that speaks, as
    its first source, a `regulator`, an `auditor`, and `local`, which may do all of it. Of several processes that come
    at once one makes it, and all have the same keys. Raises as `read_keys`, OSError.
    """
    path = directory / KEYS
    if not path.exists():
        _write_new(path)
    return read_keys(path)


def _write_new(path: Path) -> None:
    speaking = {access.value: [source(role)] for access, role in SPEAKS.items()}
    reading: dict[str, list[int]] = {Access.REGULATOR.value: [], Access.AUDITOR.value: []}
    parts = ["# Keys of this directory's gateway. Whoever can read a secret can send what its key may send.\n"]
    parts += [_table(name, [name], sources) for name, sources in (speaking | reading).items()]
    parts.append(_table("local", [*speaking, *reading], [one for sources in speaking.values() for one in sources]))
    descriptor, name = mkstemp(".part", path.name + ".", path.parent)  # mode 600, a name that nobody else has
    unfinished = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write("\n".join(parts))
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):  # another process was sooner: its keys are the directory's
            path.hardlink_to(unfinished)
    finally:
        unfinished.unlink()


def _table(name: str, roles: list[str], sources: list[int]) -> str:
    quoted = ", ".join(f'"{role}"' for role in roles)
    secret = secrets.token_hex(SECRET_BYTES)
    return f'[[key]]\nid = "{name}"\nsecret = "{secret}"\nroles = [{quoted}]\nsources = {sources}\n'
