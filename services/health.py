"""A small HTTP server in a thread of its own: a service's health, its metrics, and the questions it answers."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

log: Final = logging.getLogger("novate.health")

MOST_BYTES: Final = 1 << 20
"""of a question"""
_SECONDS: Final = 10.0
"""that a client has to send its question"""


class Page(NamedTuple):
    """An answer: HTTP status, media type, body."""

    status: int
    kind: str
    body: bytes


class HealthServer:
    """Serves `answer(method, path, body)` on host and port (0: a free one) while it is open; several threads may call
    it at once. What it raises is a 500 that says no more than the error's name, and a line in the log."""

    def __init__(self, host: str, port: int, answer: Callable[[str, str, bytes], Page]) -> None:
        self._server = ThreadingHTTPServer((host, port), _handler(answer))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="health", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self._server.server_address[1])

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _handler(answer: Callable[[str, str, bytes], Page]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        """One connection; several requests may come over it."""

        protocol_version = "HTTP/1.1"
        timeout = _SECONDS

        def handle(self) -> None:
            """All requests of the connection, until it ends; a client may hang up at any moment."""
            try:
                super().handle()
            except ConnectionError as error:
                log.info("client hung up", extra={"what": type(error).__name__})

        def do_GET(self) -> None:
            self._answered(b"")

        def do_POST(self) -> None:
            length = self.headers.get("Content-Length", "")
            if not length.isdecimal() or int(length) > MOST_BYTES:
                self.close_connection = True
                self._send(Page(413, "text/plain", f"a body of at most {MOST_BYTES} bytes, its length told".encode()))
                return
            self._answered(self.rfile.read(int(length)))

        def _answered(self, body: bytes) -> None:
            try:
                page = answer(self.command, self.path, body)
            except Exception as error:
                log.exception("no answer", extra={"path": self.path})
                page = Page(500, "text/plain", type(error).__name__.encode())
            self._send(page)

        def _send(self, page: Page) -> None:
            self.send_response(page.status)
            self.send_header("Content-Type", page.kind)
            self.send_header("Content-Length", str(len(page.body)))
            self.end_headers()
            self.wfile.write(page.body)

        def log_message(self, *_: Any) -> None:
            """Requests are not logged."""

    return Handler
