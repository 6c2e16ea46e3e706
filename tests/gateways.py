"""A gateway on a real port over an embedded system, with keys for every role, for tests."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from world import START, listing, profile_events, shipped_profile

from schemas import events as e
from schemas.kinds import Segregation
from schemas.sources import Role, source
from services.client import Client
from services.embedded import Embedded
from services.gateway.app import create_app
from services.gateway.keys import Access, Key, Keys, Secret, ready_keys
from services.gateway.server import serving
from services.lockstep import Settings

SETTINGS = Settings(shards=2, accounts=64, snapshot_every=20)
MEMBER, OTHER = 7, 8
MINE, THEIRS = 20, 21
"""an account of MEMBER, and one of OTHER"""


def keys_of(directory: Path) -> dict[str, Key]:
    """The keys `novate up` makes, and `member`: MEMBER's."""
    mine = Key("member", Secret(bytes(32)), frozenset({Access.MEMBER}), frozenset(), MEMBER)
    return {**ready_keys(directory), "member": mine}


@contextmanager
def gateway(directory: Path, settings: Settings = SETTINGS) -> Iterator[tuple[str, Keys, Embedded]]:
    """(address, keys, the system) of a gateway over a directory."""
    keys = keys_of(directory)
    core = Embedded(directory, settings)
    try:
        with serving(create_app(core, keys)) as address:
            yield address, keys, core
    finally:
        core.close()


def until(reached: Callable[[], bool], seconds: float = 20.0) -> None:
    ends = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < ends, "not reached in time"
        time.sleep(0.002)


def quiet(core: Embedded) -> None:
    """Wait until everything appended is folded and no service has anything more to say."""

    def done() -> bool:
        told = core.health()
        assert told["ok"], told
        return bool(told["quiet"])

    until(done)


def opened(account: int, member: int) -> e.AccountOpened:
    return e.AccountOpened(
        account=account, segregation=Segregation.INDIVIDUAL, liquidator=0, profile=3, member=member, owner=account,
        time=START, name=f"A-{account}",
    )  # fmt: skip


def oracle(at: int, btc: float, eth: float = 200.0) -> list[Any]:
    micro = {0: int(btc * 10**6), 1: int(eth * 10**6)}
    events: list[Any] = []
    for u, price in micro.items():
        events.append(e.OraclePrice(underlying=u, source=1, round=at, time=at, price=price, bid=price, ask=price))
        events.append(e.OracleForward(underlying=u, round=at, time=at, expiry=0, price=price))
    for asset, price in ((1, 10**6), (2, micro[0]), (3, micro[1]), (4, 2 * 10**6)):
        events.append(e.OracleAssetPrice(asset=asset, round=at, time=at, price=price))
    return events


def established(client: Client, *, deposit: int = 100_000 * 10**6) -> None:
    """Listings, profiles, prices, two accounts with money, and marks that price the perps."""
    council, custodian = source(Role.COUNCIL), source(Role.CUSTODIAN)
    profiles = [
        one
        for number, name in ((1, "isolated"), (2, "delta_netting"), (3, "span"))
        for one in profile_events(number, shipped_profile(name))
    ]
    client.send(council, [*listing(), *profiles])
    client.send(source(Role.REGISTRAR), [opened(MINE, MEMBER), opened(THEIRS, OTHER)])
    client.send(source(Role.ORACLE), oracle(START + 60 * 10**6, 8000.0))
    client.send(
        custodian,
        [
            e.Deposited(asset=0, account=account, deposit=account, time=START, amount=deposit)
            for account in (MINE, THEIRS)
        ],
    )


def trade(number: int, instrument: int = 3, quantity: int = 10, price: int = 800_000) -> e.Trade:
    return e.Trade(
        venue=1, instrument=instrument, buyer=MINE, seller=THEIRS, time=START, trade=number, quantity=quantity,
        price=price, buyer_fee=0, seller_fee=0,
    )  # fmt: skip
