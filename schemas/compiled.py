"""How kernels are compiled: once, cached on disk, without the interpreter's lock and without fast-math."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

Kernel = TypeVar("Kernel", bound=Callable[..., Any])


def compiled(function: Kernel) -> Kernel:
    """The function as a native kernel with the same signature. Integer division is Python's; overflow wraps unchecked,
    so a kernel states the bounds that keep it from happening."""
    return cast(Kernel, numba.njit(cache=True, nogil=True, error_model="numpy", boundscheck=False)(function))


def inlined(function: Kernel) -> Kernel:
    """A small piece of a kernel, always built into its callers."""
    return cast(Kernel, numba.njit(inline="always", nogil=True, error_model="numpy", boundscheck=False)(function))


def kernel(function: Kernel) -> Kernel:
    """The function as a native kernel that borrows its arrays and may not make any.

    Tables come as tuples of dozens of arrays. Counting a reference to each at every use is what would take nine tenths
    of the time (measured: 4,500 ns an account with it, 600 without). What it calls is of the same kind or inlined.
    """
    borrowing: Any = {"_nrt": False}
    native: Any = numba.njit(cache=True, nogil=True, error_model="numpy", boundscheck=False, **borrowing)(function)
    return cast(Kernel, native)
