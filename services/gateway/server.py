"""The gateway on a port."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import uvicorn
from starlette.types import ASGIApp

from services.pauses import keep_now_and_warm

MOST_CONNECTIONS: Final = 2048
HEADER_BYTES: Final = 16 << 10
STOPPING_SECONDS: Final = 5
"""for requests under way when it is stopped; listeners are cut off then"""


def serve(app: ASGIApp, host: str, port: int, *, certificate: Path | None = None, key: Path | None = None) -> None:
    """Serve until the process is told to stop (SIGINT, SIGTERM). With a certificate and its key, over TLS.

    A line of JSON for each request goes to standard error. Raises SystemExit where the port cannot be had.
    """
    log = logging.getLogger("novate.gateway")
    if not log.handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("%(message)s"))
        log.addHandler(handler)
        log.setLevel(logging.INFO)
        log.propagate = False
    keep_now_and_warm()
    _server(app, host, port, certificate, key).run()


@contextmanager
def serving(app: ASGIApp, host: str = "127.0.0.1", port: int = 0) -> Iterator[str]:
    """The gateway in a thread of its own while the context lasts; gives its address (port 0: one that is free).

    Raises OSError where the port cannot be had.
    """
    server = _server(app, host, port, None, None)
    socket = server.config.bind_socket()
    address = f"http://{host}:{socket.getsockname()[1]}"
    thread = threading.Thread(target=server.run, kwargs={"sockets": [socket]}, name="gateway", daemon=True)
    thread.start()
    try:
        yield address
    finally:
        server.should_exit = True
        thread.join()
        socket.close()


def _server(app: ASGIApp, host: str, port: int, certificate: Path | None, key: Path | None) -> uvicorn.Server:
    return uvicorn.Server(
        uvicorn.Config(
            app,
            host=host,
            port=port,
            log_config=None,
            access_log=False,
            server_header=False,
            limit_concurrency=MOST_CONNECTIONS,
            h11_max_incomplete_event_size=HEADER_BYTES,
            timeout_graceful_shutdown=STOPPING_SECONDS,
            ssl_certfile=certificate,
            ssl_keyfile=key,
        )
    )
