# SPDX-License-Identifier: Apache-2.0
"""A server of another project as a child process: it reports its start in its output."""

import os
import queue
import shutil
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

START = 120.0
"""The maximum time of a start or an end in seconds, on a busy machine."""


class ServerProcess:
    """A running server. Its output is copied to a log; a line with ``ready`` reports the start.

    The server ends with the process of the tests, also if that is killed.
    """

    def __init__(
        self,
        argv: Sequence[str | Path],
        log: Path,
        ready: str,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.log = log
        self._name = Path(argv[0]).name
        self._ready = ready.encode()
        self._reports: queue.Queue[bool] = queue.Queue()
        dies = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
        pipe, both = subprocess.PIPE, subprocess.STDOUT
        given = {**os.environ, **(env or {})}
        self.popen = subprocess.Popen(
            [*dies, *argv], stdin=subprocess.DEVNULL, stdout=pipe, stderr=both, env=given
        )
        self._terminated = False
        self._copying = threading.Thread(target=self._copy_output)
        self._copying.start()

    def wait_until_ready(self) -> None:
        """Wait for the start, only once; fail with the log if the server ends."""
        try:
            ready = self._reports.get(timeout=START)
        except queue.Empty:
            ready = False
        what = f"{self._name} did not start within {START:g} s, or it ended"
        assert ready, f"{what}:\n{self.log.read_text(errors='replace')}"

    def terminate(self) -> None:
        """Tell the server to end, only once: a second signal can block Zuul's executor."""
        if not self._terminated:
            self._terminated = True
            self.popen.terminate()

    def end(self, timeout: float = START) -> None:
        """End the server, by force after the timeout."""
        self.terminate()
        try:
            self.popen.wait(timeout)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()
        self._copying.join()

    def _copy_output(self) -> None:
        """Copy the output to the log. Report True when the server is ready, False at its end."""
        assert self.popen.stdout is not None, "the output is a pipe"
        with self.popen.stdout as output, self.log.open("wb", buffering=0) as file:
            for line in output:
                file.write(line)
                if self._ready in line:
                    self._reports.put(True)
        self._reports.put(False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()
