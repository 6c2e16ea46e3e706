"""A `World` whose services answer every entry, as in the embedded form; they may crash in between."""

from __future__ import annotations

import json
from typing import Any

from world import World

from ledger.conservation import books, check_books, house_balances, net_positions
from schemas.outcomes import OUTCOMES, MemberPart
from schemas.wire import EntryHeader, OutcomeHeader, Run, decode, decode_header, encode_entry, messages_of
from services.answers import Answers

MOST = 5_000
"""entries that the services may say before somebody else speaks: past that they talk to themselves"""


class Managed(World):
    """Entries are folded as they are sent; what the services say to them waits for `answer` (or for `say`, one at a
    time), so that others may speak in between, as in the running system."""

    def __init__(self, shards: int = 1, accounts: int = 64, snapshot_every: int = 0, *, ready: bool = True) -> None:
        self.answers = Answers(shards)
        super().__init__(shards, accounts, snapshot_every, ready=ready)
        self.answer()

    def bytes(self, data: bytes) -> list[Any]:
        self.entries.append(data)
        before = self.clearing.sequence.n
        runs: list[Run] = []
        for _, outcomes in self.clearing.take(self.offset, data):
            runs.extend(decode(outcomes, OutcomeHeader, OUTCOMES).runs)
        self.offset += 1
        told = list(messages_of(runs))
        self.said.extend(told)
        if self.clearing.sequence.n > before:
            self.answers.hear(decode_header(data, EntryHeader)[0]["source"], runs, self.state)
        return told

    def say(self) -> bool:
        """Append the next thing that a service has to say; False where there is none."""
        if self.answers.following() is None:
            self.answers.idle(self.state)
        told = self.answers.following()
        if told is None:
            return False
        source, runs = told
        self.sequences[source] += 1
        self.bytes(encode_entry(source, self.sequences[source], runs))
        return True

    def answer(self) -> None:
        """Until the services have nothing more to say."""
        for _ in range(MOST):
            if not self.say():
                return
        raise AssertionError(f"the services have not come to an end after {MOST} entries")

    def crash(self) -> None:
        """The services begin again from what they kept; it must be plain JSON."""
        kept = json.dumps(self.answers.exported())
        self.answers = Answers(self.clearing.settings.shards)
        self.answers.restore(json.loads(kept))

    def check(self) -> None:
        """Over all shards everything sums to zero, now and not only at a mark. Raises ConservationBroken."""
        told: list[Any] = [
            one for state in self.clearing.states for one in (*net_positions(state, 0), *house_balances(state, 0))
        ]
        told += [
            MemberPart(index=0, asset=asset, member=member, mark=0, amount=amount)
            for (member, asset), amount in self.state.facts.parts.items()
        ]
        assets = {number: listed.settlement_asset for number, listed in self.state.facts.instruments.items()}
        check_books(self.clearing.sequence.n, books(told, assets))
