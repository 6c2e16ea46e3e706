"""A real browser for tests of pages: Chromium without a window, spoken to over a pipe in its own debugging protocol."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

NAMES: Final = ("chromium", "chromium-browser", "google-chrome")
FLAGS: Final = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--remote-debugging-pipe",
)


def found() -> str | None:
    """Where the browser is, if there is one."""
    return next((path for path in map(shutil.which, NAMES) if path), None)


class Tab:
    """A page that is open. `said` is what it wrote on the console, errors of the browser about it included."""

    def __init__(self, write: Any, read: Any) -> None:
        self.said: list[str] = []
        self._write = write
        self._read = read
        self._rest = b""
        self._sent = 0
        self._happened: list[str] = []
        self._session: dict[str, str] = {}
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = {"sessionId": attached["sessionId"]}
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **asked: Any) -> dict[str, Any]:
        """Ask the browser for something of its protocol and wait for the answer."""
        self._sent += 1
        told = {"id": self._sent, "method": method, "params": asked, **self._session}
        self._write.write(json.dumps(told).encode() + b"\0")
        self._write.flush()
        while True:
            heard = self._hear()
            if heard.get("id") == self._sent:
                assert "error" not in heard, f"{method}: {heard['error']}"
                return dict(heard["result"])

    def _hear(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            part = self._read.read1(1 << 20)
            assert part, "the browser ended"
            self._rest += part
        heard, _, rest = self._rest.partition(b"\0")
        self._rest = rest
        told: dict[str, Any] = json.loads(heard)
        match told.get("method"):
            case "Log.entryAdded":
                entry = told["params"]["entry"]
                self.said.append(f"{entry['level']}: {entry['text']}")
            case "Runtime.consoleAPICalled":
                self.said.append(f"{told['params']['type']}: {told['params']['args']}")
            case "Runtime.exceptionThrown":
                self.said.append(f"exception: {told['params']['exceptionDetails']['text']}")
            case "Network.requestWillBeSent":
                self._happened.append(f"request {told['params']['request']['url'][:80]}")
            case str(other):
                self._happened.append(other)
        return told

    def open(self, path: Path, width: int, *, dark: bool = False) -> None:
        """Show a file in a window so many pixels wide and wait until it is there."""
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 600
        )
        theme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[theme])
        self._happened.clear()
        self.call("Page.navigate", url=path.resolve().as_uri())
        while "Page.loadEventFired" not in self._happened:
            self._hear()

    @property
    def requests(self) -> list[str]:
        """What was asked for since the page was opened, itself included."""
        return [one.removeprefix("request ") for one in self._happened if one.startswith("request ")]

    def value(self, script: str) -> Any:
        """What an expression comes to on the page."""
        told = self.call("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in told, told["exceptionDetails"]
        return told["result"].get("value")

    def press(self, key: str, code: int) -> None:
        """Press a key where the focus is."""
        text = {"text": "\r"} if key == "Enter" else {}
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, **text)

    def picture(self, path: Path) -> None:
        """A picture of the whole page."""
        told = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(told["data"]))


@contextmanager
def browsing(profile: Path) -> Iterator[Tab]:
    """A browser with a profile of its own; it ends with the block."""
    command = found()
    assert command is not None, "no Chromium here"
    to_read, to_write = os.pipe()
    from_read, from_write = os.pipe()

    def placed() -> None:
        # the protocol's pipes are the descriptors 3 and 4, whatever numbers they had before
        inward, outward = os.dup(to_read), os.dup(from_write)
        os.dup2(inward, 3)
        os.dup2(outward, 4)

    process = subprocess.Popen(
        [command, *FLAGS, f"--user-data-dir={profile}"],
        preexec_fn=placed,
        close_fds=False,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(to_read)
    os.close(from_write)
    with os.fdopen(to_write, "wb") as write, os.fdopen(from_read, "rb") as read:
        try:
            yield Tab(write, read)
        finally:
            process.kill()
            process.wait()
