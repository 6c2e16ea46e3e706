"""The client: sends again under the same number, past a gateway that dies and comes back, and resumes its notices."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from gateways import SETTINGS, established, keys_of, quiet, trade

from schemas.events import EVENTS
from schemas.sources import Role, source
from schemas.wire import encode_entry, runs_of
from services.client import Client, GatewayRefused, GatewayUnreachable, Heard
from services.embedded import Embedded
from services.gateway.app import create_app
from services.gateway.server import serving

EXCHANGE = source(Role.EXCHANGE)


def test_through_a_restart_everything_is_there_once(tmp_path: Path) -> None:
    keys = keys_of(tmp_path)
    core = Embedded(tmp_path, SETTINGS)
    heard: list[Heard] = []
    with serving(create_app(core, keys)) as address, Client(address, keys["local"], patience=20) as client:
        port = int(address.rpartition(":")[2])
        established(client)
        client.append_many([_entry(number) for number in range(1, 30)])
        quiet(core)
        everything = list(client.notices(0, seconds=0))

        def listen() -> None:
            with Client(address, keys["auditor"], patience=20) as other:
                for one in other.notices(0, seconds=60):
                    heard.append(one)
                    if one.n > 40:
                        return

        listener = threading.Thread(target=listen)
        listener.start()
    core.close()
    core = Embedded(tmp_path, SETTINGS)
    with serving(create_app(core, keys), port=port), Client(address, keys["local"], patience=20) as client:
        receipts = [client.append(_entry(number)) for number in range(25, 60)]
        assert [one.repeated for one in receipts] == [True] * 5 + [False] * 30
        client.send(EXCHANGE, [trade(1000, instrument=999)])  # rejected: something to hear of past entry 40
        listener.join(20)
    core.close()
    assert not listener.is_alive()
    assert [one.n for one in heard] == sorted({one.n for one in heard})
    assert heard[: len(everything)] == everything


def _entry(number: int) -> bytes:
    return encode_entry(EXCHANGE, number, runs_of(EVENTS, [trade(number)]))


def test_who_is_away_is_told_so(tmp_path: Path) -> None:
    with Client("http://127.0.0.1:9", keys_of(tmp_path)["local"], patience=0.1) as client:
        with pytest.raises(GatewayUnreachable):
            client.append(_entry(1))
        with pytest.raises(GatewayUnreachable):
            list(client.notices(0))


def test_a_refused_entry_leaves_the_count_right(tmp_path: Path) -> None:
    keys = keys_of(tmp_path)
    core = Embedded(tmp_path, SETTINGS)
    with serving(create_app(core, keys)) as address, Client(address, keys["local"]) as client:
        client.send(EXCHANGE, [trade(1)])
        with pytest.raises(GatewayRefused, match="EntryEmpty"):
            client.send(EXCHANGE, [])
        assert client.send(EXCHANGE, [trade(2)]).sequence == 2
    core.close()
