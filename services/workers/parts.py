"""What a worker can run: which topic's partitions a group shares out, and how the fold over one of them is made."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from services.lockstep import Settings
from services.processors.clearing import Shard
from services.processors.deciders import Liquidating, Paying, Pricing
from services.processors.records import Processor, Topic
from services.processors.sequencer import Sequencer
from services.processors.service import Service
from services.processors.whole import Whole
from services.projector import URL, Feeding, Measured, Projecting


class Part(NamedTuple):
    """A part: each partition of `shared` is one worker's of the group; `make(settings, partition, snapshot)`."""

    name: str
    shared: Topic
    make: Callable[[Settings, int, bytes | None], Processor]


def _sequencer(settings: Settings, _partition: int, snapshot: bytes | None) -> Processor:
    return Sequencer(settings, snapshot)


def _whole(settings: Settings, _partition: int, snapshot: bytes | None) -> Processor:
    return Whole(settings, snapshot)


def _pricer(settings: Settings, _partition: int, snapshot: bytes | None) -> Processor:
    return Service(settings, Pricing(), snapshot)


def _fund(settings: Settings, _partition: int, snapshot: bytes | None) -> Processor:
    return Service(settings, Paying(settings.shards), snapshot)


def _liquidator(settings: Settings, _partition: int, snapshot: bytes | None) -> Processor:
    return Service(settings, Liquidating(settings.shards), snapshot)


def _projector(settings: Settings, _partition: int, snapshot: bytes | None) -> Processor:
    """Raises KeyError where the environment does not say where the store is."""
    return Projecting(settings, Feeding(os.environ[URL], Measured()), snapshot)


SEQUENCER: Final = "sequencer"
CLEARING: Final = "clearing"
WHOLE: Final = "whole"
"""in the place of the sequencer and of clearing, where there is one shard"""
PRICER: Final = "pricer"
FUND: Final = "fund"
LIQUIDATOR: Final = "liquidator"
PROJECTOR: Final = "projector"

PARTS: Final[Mapping[str, Part]] = {
    part.name: part
    for part in (
        Part(SEQUENCER, Topic.JOURNAL, _sequencer),
        Part(CLEARING, Topic.SHARDS, Shard),
        Part(WHOLE, Topic.JOURNAL, _whole),
        Part(PRICER, Topic.FACTS, _pricer),
        Part(FUND, Topic.FACTS, _fund),
        Part(LIQUIDATOR, Topic.FACTS, _liquidator),
        Part(PROJECTOR, Topic.FACTS, _projector),
    )
}
"""The parts by name"""

KEEPS_BOOKS: Final = frozenset({CLEARING, WHOLE})
"""the parts that can be asked about accounts"""
