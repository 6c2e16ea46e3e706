"""What is there when a process is warm is passed over by later collections; what nobody needs is collected before."""

from __future__ import annotations

import subprocess
import sys
from typing import Final

PROGRAM: Final = """
import gc, weakref
from services.pauses import keep

class Thing: ...

def circle():
    one = Thing()
    one.itself = one
    return weakref.ref(one)

gc.disable()
garbage = circle()
needed = [Thing() for _ in range(1000)]
keep()
assert garbage() is None, "what nobody needs is frozen"
assert gc.get_freeze_count() > 1000, gc.get_freeze_count()
assert not any(one is needed[0] for one in gc.get_objects()), "what stays is walked again"
"""


def test_what_stays_is_passed_over_and_garbage_is_collected_before() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
