# SPDX-License-Identifier: Apache-2.0
"""A headless Chromium, controlled by its DevTools protocol over two pipes."""

import base64
import contextlib
import itertools
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
TIMEOUT = 60.0
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--disable-background-networking",
    "--no-first-run",
    "--mute-audio",
    "--window-size=1280,900",
    "--remote-debugging-pipe",
)

# Chromium reads commands on descriptor 3 and writes answers to 4, which may be in use here.
LAUNCHER = """
import fcntl, os, sys
pipes = [fcntl.fcntl(int(each), fcntl.F_DUPFD, 10) for each in sys.argv[1:3]]
for pipe, wanted in zip(pipes, (3, 4)):
    os.dup2(pipe, wanted)
    os.close(pipe)
os.execv(sys.argv[3], sys.argv[3:])
"""


def find() -> str | None:
    """Return the path of a Chromium on PATH, by any of its names."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class Browser:
    """Chromium with one page. ``events`` are all events that it has sent, oldest first."""

    def __init__(self, program: str, home: Path) -> None:
        self.events: list[dict[str, Any]] = []
        self._numbers = itertools.count(1)
        self._pending = b""
        to_read, self._write = os.pipe()
        self._read, to_write = os.pipe()
        argv = [program, *FLAGS, f"--user-data-dir={home / 'profile'}", "about:blank"]
        self._popen = subprocess.Popen(
            [sys.executable, "-c", LAUNCHER, str(to_read), str(to_write), *argv],
            pass_fds=(to_read, to_write),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "HOME": str(home), "TMPDIR": str(home)},
            start_new_session=True,
        )
        os.close(to_read)
        os.close(to_write)
        self._session: str | None = None
        targets = self("Target.getTargets")["targetInfos"]
        page = next(target["targetId"] for target in targets if target["type"] == "page")
        self._session = self("Target.attachToTarget", targetId=page, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            self(f"{domain}.enable")

    def __call__(self, method: str, **params: Any) -> dict[str, Any]:
        """Send a command; return its result."""
        number = next(self._numbers)
        command: dict[str, Any] = {"id": number, "method": method, "params": params}
        if self._session:
            command["sessionId"] = self._session
        os.write(self._write, json.dumps(command).encode() + b"\0")
        while (answer := self._next()).get("id") != number:
            self.events.append(answer)
        assert "error" not in answer, f"{method}: {answer['error']}"
        result: dict[str, Any] = answer["result"]
        return result

    def wait(self, method: str) -> dict[str, Any]:
        """Return the next event ``method``: one that was not returned yet, or a new one."""
        while (event := self._next()).get("method") != method:
            self.events.append(event)
        self.events.append(event)
        return event

    def events_called(self, method: str) -> list[dict[str, Any]]:
        """Return the parameters of the events ``method``."""
        return [event["params"] for event in self.events if event.get("method") == method]

    def open(self, page: Path) -> float:
        """Open a file, and wait until it is painted; return the duration in seconds."""
        self("Page.navigate", url="about:blank")
        self.settle()
        self.events.clear()
        began = time.monotonic()
        self("Page.navigate", url=page.as_uri())
        loaded = "Page.loadEventFired"
        if not self.events_called(loaded):
            self.wait(loaded)
        self.settle()
        return time.monotonic() - began

    def settle(self) -> None:
        """Wait until the visible part of the page is drawn."""
        # The second frame is requested after the first one is drawn.
        self.evaluate(
            "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
        )

    def evaluate(self, expression: str) -> Any:
        """Return the value of a JavaScript expression in the page, awaited if it is a promise."""
        answer = self(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def screenshot(self, path: Path, *, whole: bool = False) -> None:
        """Write a PNG of the page: the part in the window, or the whole page."""
        image = self("Page.captureScreenshot", captureBeyondViewport=whole, **self._clip(whole))
        path.write_bytes(base64.b64decode(image["data"]))

    def _clip(self, whole: bool) -> dict[str, Any]:
        if not whole:
            return {}
        size = self("Page.getLayoutMetrics")["cssContentSize"]
        return {
            "clip": {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        }

    def _next(self) -> dict[str, Any]:
        deadline = time.monotonic() + TIMEOUT
        while b"\0" not in self._pending:
            left = deadline - time.monotonic()
            assert left > 0, f"Chromium sent nothing for {TIMEOUT:g} s"
            if select.select([self._read], [], [], left)[0]:
                data = os.read(self._read, 1 << 16)
                assert data, f"Chromium ended with status {self._popen.wait()}"
                self._pending += data
        message, _, self._pending = self._pending.partition(b"\0")
        answer: dict[str, Any] = json.loads(message)
        return answer

    def close(self) -> None:
        """End Chromium and all its processes."""
        os.close(self._write)
        os.close(self._read)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._popen.pid, signal.SIGKILL)
        self._popen.wait()


@contextlib.contextmanager
def started(program: str, home: Path) -> Iterator[Browser]:
    """Run a browser with its profile in ``home``."""
    browser = Browser(program, home)
    try:
        yield browser
    finally:
        browser.close()
