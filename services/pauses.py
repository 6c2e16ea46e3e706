"""Pauses of Python's garbage collector: what a process has read in stays, so a full collection need not walk it.

Modules and compiled kernels are hundreds of thousands of objects that live as long as the process; to walk them stops
every thread for a tenth of a second, several times a minute under load.
"""

from __future__ import annotations

import gc
import threading
from typing import Final

WARM: Final = 5.0
"""seconds after which a process under load has read in and compiled what it needs"""


def keep() -> None:
    """Collect once, and pass over all that is left in every later collection."""
    gc.collect()
    gc.freeze()


def keep_now_and_warm() -> None:
    """`keep` at once, and again WARM seconds later, from a thread of its own that does not hold up the end."""
    keep()
    later = threading.Timer(WARM, keep)
    later.daemon = True
    later.start()
