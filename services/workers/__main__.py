"""`python -m services.workers PART`: one worker of a part, until SIGTERM or until something fails (exit status 1)."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Final

from ledger.journal.topics import PREFIX
from services.health import HealthServer
from services.lockstep import Settings
from services.pauses import keep_now_and_warm
from services.workers.logs import to_json_lines
from services.workers.measures import Measures
from services.workers.parts import PARTS
from services.workers.runner import Deployment, Worker
from services.workers.settings import awaited
from services.workers.telling import Telling

log: Final = logging.getLogger("novate.worker")


def main() -> int:
    """Run it; returns the exit status."""
    options = _arguments()
    to_json_lines(part=options.part)
    where = Deployment(
        options.kafka, options.prefix, options.snapshots, options.session, options.heartbeat, options.linger
    )
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    signal.signal(signal.SIGINT, lambda *_: stopping.set())
    try:
        settings = awaited(where.address, where.prefix, goes_on=lambda: not stopping.is_set())
        if settings is not None:
            asyncio.run(_run(options, settings, where, stopping))
    except Exception as error:
        log.error("failed", extra={"error": type(error).__name__, "what": str(error)})
        return 1
    log.info("stopped")
    return 0


async def _run(options: argparse.Namespace, settings: Settings, where: Deployment, stopping: threading.Event) -> None:
    measures = Measures(options.part)
    worker = Worker(PARTS[options.part], settings, where, measures)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, worker.stop)
    if stopping.is_set():
        worker.stop()
    with HealthServer(options.host, options.port, Telling(worker, measures).page) as health:
        url = options.announce or f"http://{options.host}:{health.port}"
        log.info("serving", extra={"url": url})
        keep_now_and_warm()
        await worker.run(url)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m services.workers", description=__doc__)
    parser.add_argument("part", choices=sorted(PARTS))
    parser.add_argument("--kafka", required=True, metavar="HOST:PORT")
    parser.add_argument("--prefix", default=PREFIX, help="what the topics' names begin with")
    parser.add_argument("--snapshots", type=Path, required=True, metavar="DIR", help="read and written by all workers")
    parser.add_argument("--host", default="127.0.0.1", help="where health, metrics and questions are served")
    parser.add_argument(
        "--announce", default="", metavar="URL", help="how others reach that; http://HOST:PORT if not given"
    )
    parser.add_argument("--port", type=int, default=0, help="health and metrics; 0: any free one")
    parser.add_argument("--session", type=float, default=1.5, help="seconds until a silent worker is given up")
    parser.add_argument("--heartbeat", type=float, default=0.3, help="seconds between two signs of life")
    parser.add_argument("--linger", type=int, default=0, metavar="MS", help="how long a record waits for company")
    return parser.parse_args()


if __name__ == "__main__":
    status = main()
    logging.shutdown()
    sys.stderr.flush()
    os._exit(status)  # a thread in a long fold must not hold up the end: nothing it does counts any more
