"""Floats propose, exact numbers decide: how a float becomes a fact, and in which numbers a model then reckons.

A model is one function over `Number`. In exact form every float it takes goes through `fact`, which rounds to the
quantum and gives a Fraction; all that follows (sums, maxima, rates) is exact, only the answer is rounded, against the
account. In float form `fact` changes nothing, and the same function is the float model. The two agree to the quantum.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from fractions import Fraction
from typing import Final

Number = Fraction | float
Fact = Callable[[float], Number]

QUANTUM: Final = 10**12
"""facts are whole multiples of 1 / QUANTUM"""
ANSWER: Final = 10**6
"""requirements are whole multiples of 1 / ANSWER of the settlement asset; 10**9 where that is a coin"""


class NotFinite(ValueError):  # noqa: N818 - named for what is found
    """A float that is no number where a fact is made of it."""


def exactly(value: float) -> Fraction:
    """The fact: `value` rounded to the quantum, halves to even. Raises NotFinite."""
    if not math.isfinite(value):
        raise NotFinite(f"{value} is no number")
    return Fraction(round(Fraction(value) * QUANTUM), QUANTUM)


def as_float(value: float) -> float:
    """The float model's fact: the value itself."""
    return float(value)


def finely(fact: Fact, value: float) -> Number:
    """A fact a million times finer: of a rate with no end of digits, which is multiplied by millions."""
    return fact(value * 10**6) / 10**6


def total(values: Iterable[Number]) -> Number:
    """The sum; of nothing, zero."""
    return sum(values, Fraction(0))


def up(value: Number, quantum: int = ANSWER) -> Fraction:
    """Rounded up to the answer's quantum: a requirement."""
    return Fraction(math.ceil(Fraction(value) * quantum), quantum)


def down(value: Number, quantum: int = ANSWER) -> Fraction:
    """Rounded down to the answer's quantum: what is credited."""
    return Fraction(math.floor(Fraction(value) * quantum), quantum)
