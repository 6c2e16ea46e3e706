"""A seed's own mix of faults: each kind is switched on or off, and given its own rate (swarm testing)."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from random import Random

from simulation.course import COURSES, SHARDS

FAULTS = (
    "crash",
    "zombie",
    "pause",
    "reorder",
    "repeat",
    "poison",
    "stranger",
    "damage",
    "broker",
    "client crash",
    "client retry",
    "client reorder",
)
"""What may go wrong. `crash` ends a part's instance between any two of take, write, acknowledgement and snapshot; a
`zombie` is a second instance beside one that lives; `pause` stops one for a while; `reorder` and `repeat` are a derived
topic's writes of a producer that is not idempotent; `poison` puts what no part wrote into a topic; `stranger` sends
entries that are numbered and cannot be read or are absurd; `damage` flips, cuts or swaps a kept snapshot; `broker`
stops the broker, which then has what it acknowledged; a client forgets what it was not told,
sends again, or too early."""


@dataclass(frozen=True)
class Mix:
    """One seed's world and faults."""

    course: int
    shards: int
    lockstep: bool
    """clients send only when everything is answered, and nothing that is numbered is added: the journal is known"""
    steps: int
    """after so many steps no more faults happen"""
    window: int
    """entries that a client has on the way at most"""
    forget: float
    """of restarts, the part that begins with nothing instead of a snapshot"""
    batch: int
    """records that an instance takes at once at most"""
    uneven: bool
    """some instances are much slower than others: they see history late"""
    rates: dict[str, float]
    """chance of each fault at a step; 0 where it is switched off"""

    @staticmethod
    def drawn(draw: Random) -> Mix:
        """The mix of a seed."""
        lockstep = draw.random() < 0.35
        rates = {name: draw.choice((0.0, 0.002, 0.006, 0.02)) * (draw.random() < 0.75) for name in FAULTS}
        rates["crash"] *= 2
        if lockstep:
            rates["stranger"] = 0.0
        return Mix(
            course=draw.randrange(COURSES),
            shards=draw.choices(SHARDS, (4, 5, 2))[0],
            lockstep=lockstep,
            steps=draw.choice((300, 800, 1500)),
            window=draw.choice((1, 3, 8)),
            forget=draw.choice((0.0, 0.2, 0.7)),
            batch=draw.choice((1, 3, 12)),
            uneven=draw.random() < 0.5,
            rates=rates,
        )

    def only(self, *faults: str) -> Mix:
        """The same world with these faults alone, and many of them; instances go on from their snapshots."""
        return replace(self, steps=1_500, forget=0.0, batch=1, rates={name: 0.04 * (name in faults) for name in FAULTS})

    def told(self) -> str:
        """The mix as a line."""
        plain = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "rates"}
        on = {name: rate for name, rate in self.rates.items() if rate}
        return f"{plain} {on}"
