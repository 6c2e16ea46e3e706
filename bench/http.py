"""The gateway over a real broker: trades from an exchange's HTTP request to margins known, and how long one waits.

The broker, the worker, the gateway and this program share the machine's cores. Every request is signed and checked.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory
from time import perf_counter, sleep
from typing import Any, Final

import httpx
import numpy as np

from bench.fold import entries
from bench.system import ACCOUNTS, JARS, PATIENCE, System, bare, listener, running
from services.broker import Broker, fetched
from services.client import Client
from services.gateway.keys import ready_keys
from services.up import free_port
from services.workers.parts import WHOLE

BATCH: Final = 16
"""entries in a request"""
PER_ENTRY: Final = 500
"""trades in an entry"""
BATCHES: Final = 100
RATE: Final = 50_000
"""trades a second where latency is measured"""
TOGETHER: Final = 4
"""entries in a request then"""
SECONDS: Final = 12.0


@contextmanager
def gateway(system: System, folder: Path) -> Iterator[Client]:
    """The gateway of a deployment, and a client of it."""
    port = free_port()
    command = [
        sys.executable, "-m", "services.cli", "gateway", "--out", str(folder), "--kafka", system.address,
        "--prefix", system.prefix, "--port", str(port),
    ]  # fmt: skip
    folder.mkdir(parents=True)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        address = f"http://127.0.0.1:{port}"
        deadline = perf_counter() + PATIENCE
        while not _ready(address):
            if perf_counter() > deadline or process.poll() is not None:
                raise RuntimeError(f"the gateway does not answer\n{(folder / 'log').read_text()[-2000:]}")
            sleep(0.1)
        with Client(address, ready_keys(folder)["local"]) as client:
            yield client
    finally:
        process.terminate()
        process.wait()


def _ready(address: str) -> bool:
    try:
        return httpx.get(f"{address}/health").status_code == 200
    except httpx.TransportError:
        return False


def throughput(system: System, client: Client) -> float:
    """Trades a second from the first request to the last outcome, one request after the other."""
    ready = entries(np.random.default_rng(5), ACCOUNTS, system.sent + 1, BATCHES * BATCH, PER_ENTRY)
    before = system.outcomes[0].end()
    begun = perf_counter()
    for at in range(0, len(ready), BATCH):
        client.append_many(ready[at : at + BATCH])
    system.sent += len(ready)
    return len(ready) * PER_ENTRY / (system.await_outcomes(before + len(ready)) - begun)


def latencies(system: System, client: Client) -> tuple[list[float], list[float]]:
    """Seconds to the receipts, and to having read the outcomes, of requests of TOGETHER entries at RATE trades a
    second, one request after the other."""
    requests = int(SECONDS * RATE / PER_ENTRY / TOGETHER)
    count = requests * TOGETHER
    ready = entries(np.random.default_rng(6), ACCOUNTS, system.sent + 1, count, PER_ENTRY)
    n = system.sent
    listening, heard = listener(system, count)
    begun = perf_counter()
    due: list[float] = []
    receipts: list[float] = []
    for at in range(requests):
        due.append(begun + at * TOGETHER * PER_ENTRY / RATE)
        if (rest := due[at] - perf_counter()) > 0:
            sleep(rest)
        client.append_many(ready[at * TOGETHER : (at + 1) * TOGETHER])
        receipts.append(perf_counter() - due[at])
    system.sent += count
    listening.join()
    skip = requests // 6
    outcomes = [heard[n + (at + 1) * TOGETHER] - due[at] for at in range(skip, requests)]
    return receipts[skip:], outcomes


def run() -> list[dict[str, Any]]:
    """The gateway's figures."""
    jars = fetched(JARS)
    with TemporaryDirectory() as name:
        folder = Path(name)
        with Broker(folder / "broker", jars) as broker:
            written, read = bare(broker)
            with running(broker, "http", folder, 1, [WHOLE]) as system, gateway(system, folder / "gateway") as client:
                rate = median(throughput(system, client) for _ in range(3))
                receipts, outcomes = latencies(system, client)
    receipt, outcome = quantiles(receipts, n=100), quantiles(outcomes, n=100)
    return [
        {
            "name": f"HTTP to outcomes, requests of {BATCH} entries of {PER_ENTRY} trades, margins known",
            "value": rate,
            "unit": "trades/s",
            "peers": {"bare produce, trades/s": written, "bare consume, trades/s": read, "part": rate / written},
        },
        {
            "name": f"HTTP to outcomes read, at {RATE:,} trades/s in requests of {TOGETHER} entries of {PER_ENTRY}",
            "value": outcome[98] * 1000,
            "unit": "ms, p99",
            "goal": "< 50",
            "peers": {
                "p50, ms": outcome[49] * 1000,
                "receipt p50, ms": receipt[49] * 1000,
                "receipt p99, ms": receipt[98] * 1000,
            },
        },
    ]
