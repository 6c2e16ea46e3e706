"""The notices as listeners get them: the latest from memory, older ones read again, each entry once and in order."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final

from services.gateway.core import Notice

MOST_HELD: Final = 4096
"""notices kept in memory"""
AT_ONCE: Final = 256
"""older notices read again at a time"""

Older = Callable[[int, int, int], Sequence[Notice]]
"""(after, up to, at most): notices of entries after < n <= up to, read from where they are stored, in order"""


class Feed:
    """Told by one thread, heard on any number of event loops. `last` is the entry up to which all has been told."""

    def __init__(self, older: Older, last: int = 0) -> None:
        self._older = older
        self._held: deque[Notice] = deque()
        self._floor = last
        self._last = last
        self._lock = threading.Lock()
        self._waiting: dict[asyncio.Event, asyncio.AbstractEventLoop] = {}
        self._closed = False

    def tell(self, notices: Sequence[Notice], last: int) -> None:
        """These are the notices up to entry `last`, none left out."""
        with self._lock:
            self._held.extend(notices)
            while len(self._held) > MOST_HELD:
                self._floor = self._held.popleft().n
            self._last = last
            if notices:
                self._wake()

    def close(self) -> None:
        """No more will be told: listeners hear what there is and end."""
        with self._lock:
            self._closed = True
            self._wake()

    async def after(self, n: int) -> AsyncIterator[Notice]:
        """The notices past entry n, those to come too, until the feed is closed."""
        heard = asyncio.Event()
        with self._lock:
            self._waiting[heard] = asyncio.get_running_loop()
        try:
            while True:
                heard.clear()
                with self._lock:
                    floor, closed = self._floor, self._closed
                    ready = [one for one in self._held if one.n > n] if n >= floor else []
                if n < floor:
                    ready = list(await asyncio.to_thread(self._older, n, floor, AT_ONCE))
                    if not ready:
                        n = floor
                for one in ready:
                    n = one.n
                    yield one
                if not ready and n >= floor:
                    if closed:
                        return
                    await heard.wait()
        finally:
            with self._lock:
                del self._waiting[heard]

    def _wake(self) -> None:
        for event, loop in self._waiting.items():
            if not loop.is_closed():
                loop.call_soon_threadsafe(event.set)
