# SPDX-License-Identifier: Apache-2.0
"""Runs a module of checks in ``bsdgate.hostchecks`` by pytest."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from bsdgate.harness import process


@dataclass(frozen=True)
class Checks:
    """A module of checks, and the settings of pytest for it.

    ``variables`` are environment variables that the checks read. ``testinfra`` are the arguments
    of pytest-testinfra for the node. ``name`` is the name of the logs.
    """

    module: str
    name: str
    python: Path
    variables: Mapping[str, str]
    logs: Path
    testinfra: Sequence[str] = ("--hosts=local://",)

    @property
    def log(self) -> Path:
        """The file for pytest's output."""
        return self.logs / f"{self.name}.log"

    def list_ids(self, timeout: float) -> Sequence[str]:
        """Return the node ids of all checks."""
        output = self.logs / f"{self.name}-list.txt"
        output.unlink(missing_ok=True)
        process.run(
            self._command(["--collect-only", "-q", "--no-header", "--no-summary"], ()),
            log=self.logs / f"{self.name}-list.log",
            timeout=timeout,
            env=self._environment(),
            stdout=output,
        )
        return [line for line in output.read_text().splitlines() if "::" in line]

    def start(
        self, mark: str, ids: Sequence[str] = (), stdout: int | None = None
    ) -> process.Running:
        """Start these checks, all by default; pytest writes a report in JUnit's format.

        The test suite in the report is named ``mark``, so that a report of another run is detected.
        """
        self._report.unlink(missing_ok=True)
        arguments = ["-q", f"--junitxml={self._report}", "-o", f"junit_suite_name={mark}"]
        command = self._command(arguments, ids)
        return process.start(command, log=self.log, env=self._environment(), stdout=stdout)

    def run(self, mark: str, timeout: float) -> int:
        """Run all checks to their end; return pytest's exit status."""
        with self.start(mark) as running:
            return running.finish(timeout, check=False).exit_status

    def report(self) -> bytes:
        """Return the report; empty if pytest has written none."""
        return self._report.read_bytes() if self._report.exists() else b""

    @property
    def _report(self) -> Path:
        return self.logs / f"{self.name}.xml"

    def _command(self, arguments: Sequence[str], ids: Sequence[str]) -> list[str | Path]:
        # pytest reads no configuration of a checkout or a user, and writes nothing beside it.
        folder = Path(str(resources.files("bsdgate.hostchecks")))
        fixed: list[str | Path] = ["-p", "no:cacheprovider", "--strict-markers"]
        fixed += ["--rootdir", folder, "-c", os.devnull, *self.testinfra]
        chosen = [f"{folder}/{each}" for each in ids or (self.module,)]
        return [self.python, "-m", "pytest", *fixed, *arguments, *chosen]

    def _environment(self) -> dict[str, str]:
        # pytest writes byte code with other file names, which the check of the base refuses.
        return process.environment(**self.variables, PYTHONDONTWRITEBYTECODE="1")


def asked(ids: Sequence[str]) -> bytes:
    """Return the content of asked.txt: a node id per line."""
    return "".join(f"{each}\n" for each in ids).encode()
