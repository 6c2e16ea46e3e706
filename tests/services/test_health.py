"""The small server beside every worker: what a client that hangs up leaves behind."""

from __future__ import annotations

import logging
import socket
import struct
import threading

import httpx
import pytest

from services.health import HealthServer, Page


def test_a_client_that_hangs_up_leaves_a_line_and_no_traceback(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    gone, asked = threading.Event(), threading.Event()

    def answer(_method: str, path: str, _body: bytes) -> Page:
        if path == "/slow":
            asked.set()
            assert gone.wait(10)
        return Page(200, "text/plain", bytes(8 << 20))

    with HealthServer("127.0.0.1", 0, answer) as server, caplog.at_level(logging.INFO, logger="novate.health"):
        client = socket.create_connection(("127.0.0.1", server.port))
        client.sendall(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        assert asked.wait(10)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # its end is a reset
        client.close()
        threads = [one for one in threading.enumerate() if "process_request_thread" in one.name]
        gone.set()
        for one in threads:
            one.join(10)
        assert [record.message for record in caplog.records] == ["client hung up"]
        assert httpx.get(f"http://127.0.0.1:{server.port}/").status_code == 200
    assert "Traceback" not in capfd.readouterr().err
