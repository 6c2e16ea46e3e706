"""Reading ahead: a thread fetches what comes next while this one works on what is here."""

from __future__ import annotations

from collections.abc import Iterator
from queue import Empty, Full, Queue
from threading import Event, Thread
from typing import Final, TypeVar

Item = TypeVar("Item")
DEPTH: Final = 4
"""items fetched and not yet asked for, at most"""
_PATIENCE: Final = 0.1
"""seconds between two looks whether anybody still wants items"""


class _End:
    """What follows the last item: nothing, or the error that ended it."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


def ahead(items: Iterator[Item], depth: int = DEPTH) -> Iterator[Item]:
    """The same items in the same order, fetched by another thread. An error comes where the item would have come.

    The thread ends with the items, or soon after the iterator that is returned is closed.
    """
    waiting: Queue[Item | _End] = Queue(depth)
    left = Event()

    def put(item: Item | _End) -> bool:
        while not left.is_set():
            try:
                waiting.put(item, timeout=_PATIENCE)
            except Full:
                continue
            return True
        return False

    def fetch() -> None:
        try:
            for item in items:
                if not put(item):
                    return
        except BaseException as error:
            put(_End(error))
        else:
            put(_End())

    thread = Thread(target=fetch, name="ahead", daemon=True)
    thread.start()
    try:
        while True:
            item = waiting.get()
            if isinstance(item, _End):
                if item.error is not None:
                    raise item.error
                return
            yield item
    finally:
        left.set()
        while thread.is_alive():
            try:
                waiting.get_nowait()
            except Empty:
                thread.join(_PATIENCE)
