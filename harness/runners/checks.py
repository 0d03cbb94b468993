# SPDX-License-Identifier: Apache-2.0
"""Runs a module of checks in ``bsdgate.hostchecks`` by pytest."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Final

from bsdgate.harness import files, process
from bsdgate.harness.run_dir import Attempt
from bsdgate.harness.runners.base import Ended, Look
from bsdgate.harness.runners.watch import watch

FOLDER: Final = Path(str(resources.files("bsdgate.hostchecks")))
"""The directory of the modules."""


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

    def execute(self, ids: Sequence[str], attempt: Attempt, look: Look) -> Ended:
        """Run these checks until ``look`` returns a problem; write the report to the attempt."""
        try:
            with self._start(attempt.mark, ids, process.PIPE) as running:
                status, problems = watch(running, self._keep, look)
        finally:
            attempt.stream.write(self.report())
        return Ended(status, problems, None, running.left)

    def run(self, mark: str, timeout: float) -> int:
        """Run all checks to their end; return pytest's exit status."""
        with self._start(mark) as running:
            return running.finish(timeout, check=False).exit_status

    def report(self) -> bytes:
        """Return the report; empty if pytest has written none."""
        return self._report.read_bytes() if self._report.exists() else b""

    def _start(
        self, mark: str, ids: Sequence[str] = (), stdout: int | None = None
    ) -> process.Running:
        """Start these checks, all by default; pytest writes a report in JUnit's format.

        The test suite in the report is named ``mark``, so that a report of another run is detected.
        """
        self._report.unlink(missing_ok=True)
        arguments = ["-q", f"--junitxml={self._report}", "-o", f"junit_suite_name={mark}"]
        # With the durations of fixtures, an interrupted check would be a case without a name.
        arguments += ["-p", "bsdgate.hostchecks.interruption", "-o", "junit_duration_report=call"]
        command = self._command(arguments, ids)
        return process.start(command, log=self.log, env=self._environment(), stdout=stdout)

    def _keep(self, output: bytes) -> None:
        with files.explain_errors(self.log), self.log.open("ab") as log:
            log.write(output)

    @property
    def _report(self) -> Path:
        return self.logs / f"{self.name}.xml"

    def _command(self, arguments: Sequence[str], ids: Sequence[str]) -> list[str | Path]:
        # pytest reads no configuration of a checkout or a user, and writes nothing beside it.
        fixed: list[str | Path] = ["-p", "no:cacheprovider", "--strict-markers"]
        fixed += ["--rootdir", FOLDER, "-c", os.devnull, *self.testinfra]
        chosen = [f"{FOLDER}/{each}" for each in ids or (self.module,)]
        return [self.python, "-m", "pytest", *fixed, *arguments, *chosen]

    def _environment(self) -> dict[str, str]:
        # pytest writes byte code with other file names, which the check of the base refuses.
        return process.environment(**self.variables, PYTHONDONTWRITEBYTECODE="1")


def asked(ids: Sequence[str]) -> bytes:
    """Return the content of asked.txt: a node id per line."""
    return "".join(f"{each}\n" for each in ids).encode()
