"""The running system's parts in one process over topics in memory, each given every record at once and in order."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from services.lockstep import Settings
from services.processors.clearing import Shard
from services.processors.deciders import Liquidating, Paying, Pricing
from services.processors.records import Place, Processor, Record, Topic, Write
from services.processors.sequencer import Sequencer
from services.processors.service import Service
from services.processors.whole import Whole


def parts(settings: Settings, *, whole: bool = False) -> dict[str, Processor]:
    """One of each part; `whole`: sequencer and clearing in one."""
    apart = {"sequencer": Sequencer(settings)} | {
        f"shard {shard}": Shard(settings, shard) for shard in range(settings.shards)
    }
    return {
        **({"whole": Whole(settings)} if whole else apart),
        "pricer": Service(settings, Pricing()),
        "fund": Service(settings, Paying(settings.shards)),
        "liquidator": Service(settings, Liquidating(settings.shards)),
    }


@dataclass
class Topology:
    """Topics as lists, the parts, and how far each has read."""

    parts: dict[str, Processor]
    topics: defaultdict[Place, list[bytes]] = field(default_factory=lambda: defaultdict(list))
    read: defaultdict[tuple[str, Place], int] = field(default_factory=lambda: defaultdict(int))

    def write(self, writes: Sequence[Write]) -> None:
        for one in writes:
            self.topics[one.topic, one.partition].append(one.value)

    def settle(self) -> None:
        """Until no part has anything to read or to say."""
        moved = True
        while moved:
            moved = False
            for name, part in self.parts.items():
                for place in part.places():
                    topic = self.topics[place]
                    while (offset := self.read[name, place]) < len(topic):
                        self.read[name, place] = offset + 1
                        self.write(part.take(Record(place[0], place[1], offset, topic[offset])))
                        moved = True
                writes = part.live()
                moved = moved or bool(writes)
                self.write(writes)

    def journal(self, entry: bytes) -> None:
        self.topics[Topic.JOURNAL, 0].append(entry)
        self.settle()
