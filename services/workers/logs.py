"""Structured logs: a line of JSON for each message, on standard error."""

from __future__ import annotations

import json
import logging
import sys
from collections import Counter
from datetime import UTC, datetime
from typing import Any, Final

SELDOM: Final = 5.0
"""seconds between two lines of one kind of others' loggers"""

_OURS: Final = "novate"
_OWN: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class _Lines(logging.Formatter):
    """A record, and what was given with it in `extra`, as one line."""

    def __init__(self, always: dict[str, Any]) -> None:
        super().__init__()
        self._always = always

    def format(self, record: logging.LogRecord) -> str:
        told: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **self._always,
            **{name: value for name, value in vars(record).items() if name not in _OWN},
        }
        if record.exc_info:
            told["trace"] = self.formatException(record.exc_info)
        return json.dumps(told, default=str)


class _Seldom:
    """Lets others' line of a kind through once in SELDOM seconds and tells how many were left out: a client whose
    broker is away says so a hundred times a second."""

    def __init__(self) -> None:
        self._last: dict[tuple[str, str], float] = {}
        self._left_out: Counter[tuple[str, str]] = Counter()

    def filter(self, record: logging.LogRecord) -> bool:
        """See logging.Filter."""
        if record.name.startswith(_OURS):
            return True
        kind = (record.name, str(record.msg))
        if record.created < self._last.get(kind, -SELDOM) + SELDOM:
            self._left_out[kind] += 1
            return False
        self._last[kind] = record.created
        if left_out := self._left_out.pop(kind, 0):
            record.left_out = left_out
        return True


def to_json_lines(**always: Any) -> None:
    """Have the process's logs written as lines of JSON, each with `always`: ours from INFO on, others' from WARNING."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Lines(always))
    handler.addFilter(_Seldom())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger(_OURS).setLevel(logging.INFO)
