"""Refusals: each has a name, a status and words that say what to do, in one JSON form."""

from __future__ import annotations

from typing import Any, Final

from ledger.journal import JournalUnreachable
from schemas.jsonform import FormError
from schemas.wire import WireError
from services.asking import AccountNotHere
from services.explain import AccountUnknown
from services.gateway.core import (
    AccountElsewhere,
    Overloaded,
    ProofUnknown,
    SequenceGap,
    SequenceTaken,
    Stopped,
)


class Refused(Exception):  # noqa: N818 - named for what it is
    """A request refused: HTTP status, name, what to do, and what else a program wants to know."""

    def __init__(self, status: int, name: str, message: str, **details: Any) -> None:
        super().__init__(f"{name}: {message}")
        self.status = status
        self.name = name
        self.message = message
        self.details = details

    def body(self) -> dict[str, Any]:
        """The JSON form."""
        return {"error": self.name, "message": self.message, **self.details}


KNOWN: Final[tuple[type[Exception], ...]] = (
    Refused,
    SequenceGap,
    SequenceTaken,
    Overloaded,
    Stopped,
    JournalUnreachable,
    AccountElsewhere,
    AccountNotHere,
    AccountUnknown,
    ProofUnknown,
    FormError,
    WireError,
)
"""what `refused` has an answer to"""


def refused(error: Exception) -> Refused | None:
    """What the gateway answers to a known error; None to one that nobody foresaw."""
    told = str(error)
    match error:
        case Refused():
            return error
        case SequenceGap():
            return Refused(409, "SequenceGap", told, expected=error.expected)
        case SequenceTaken():
            return Refused(409, "SequenceTaken", told, offset=error.offset)
        case Overloaded():
            return Refused(429, "Overloaded", told, retry_seconds=error.retry_seconds)
        case Stopped() | JournalUnreachable():
            return Refused(503, "Stopped", f"nothing is taken now ({told}): send again, with the same number, later")
        case AccountElsewhere():
            return Refused(503, "AccountElsewhere", told, retry_seconds=1.0)
        case AccountNotHere():
            return Refused(503, "AccountElsewhere", f"{told}: ask again in a moment", retry_seconds=1.0)
        case AccountUnknown():
            return Refused(404, "AccountUnknown", "no account of this number is open, or none that this key may see")
        case ProofUnknown():
            return Refused(404, "ProofUnknown", told, entries=error.entries)
        case FormError():
            return Refused(422, "FormWrong", told, fault=error.fault.name, path=error.path)
        case WireError():
            return Refused(422, "EntryUnreadable", told, reason=error.reason.name, position=error.position)
    return None
