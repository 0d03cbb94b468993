# SPDX-License-Identifier: Apache-2.0
"""The command ``bsdgate listen`` as a process, with its files in a folder."""

import queue
import signal
import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from functional.place import BIN

WAIT = 60.0
CONNECTED = "connected to the broker"


class Listener:
    """A listener that can be started several times with the same folder.

    ``settings`` is the content of its file; ``accounts`` are the name and the password for each
    file with credentials that the settings name.
    """

    def __init__(
        self, folder: Path, settings: dict[str, Any], accounts: Mapping[str, tuple[str, str]]
    ) -> None:
        self.folder = folder
        self.settings = settings
        self.lines: queue.Queue[str] = queue.Queue()
        self.output: list[str] = []
        self._popen: subprocess.Popen[str] | None = None
        for name, (user, password) in accounts.items():
            path = folder / name
            path.touch(mode=0o600)
            path.write_text(f"machine 127.0.0.1 login {user} password {password}\n")

    def start(self) -> None:
        (self.folder / "listen.yaml").write_text(yaml.safe_dump(self.settings))
        pipe, both = subprocess.PIPE, subprocess.STDOUT
        self._popen = subprocess.Popen(self._command(), stdout=pipe, stderr=both, text=True)
        self._reader = threading.Thread(target=self._read, args=[self._popen])
        self._reader.start()

    def _command(self, *options: str) -> list[str | Path]:
        return [BIN / "bsdgate", "listen", *options, "--config", self.folder / "listen.yaml"]

    def _read(self, popen: subprocess.Popen[str]) -> None:
        assert popen.stdout is not None
        for line in popen.stdout:
            self.output.append(line)
            self.lines.put(line)
        popen.stdout.close()
        self.lines.put("")

    def until(self, text: str) -> str:
        """Wait for a line with a text; return it."""
        while line := self.lines.get(timeout=WAIT):
            if text in line:
                return line
        raise AssertionError(f"it ended without {text!r}: {''.join(self.output)}")

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal; return the status with which the process ended."""
        assert self._popen is not None
        self._popen.send_signal(number)
        status = self._popen.wait(WAIT)
        self._reader.join()
        self._popen = None
        while not self.lines.empty():
            self.lines.get()
        return status

    def check(self) -> tuple[int, str]:
        """Return the exit code and the output of the health command."""
        command = self._command("--check")
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    def close(self) -> None:
        if self._popen is not None:
            self.end(signal.SIGKILL)
