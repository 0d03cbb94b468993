# SPDX-License-Identifier: Apache-2.0
"""Checks of the host: pytest with testinfra, on the checks in ``bsdgate.hostchecks``."""

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from bsdgate.harness import process
from bsdgate.harness.errors import InfrastructureError
from bsdgate.harness.manifest import Kind
from bsdgate.harness.run_dir import Attempt, Format
from bsdgate.harness.runners.base import Ended, Events, Look


@dataclass(frozen=True)
class HostChecks:
    """Runs all checks of the host.

    ``facts`` are the environment variables that describe it, and ``testinfra`` the arguments that
    name it to pytest-testinfra. ``timeout`` is how many seconds all of them may take.
    """

    facts: Mapping[str, str]
    logs: Path
    timeout: float
    testinfra: Sequence[str] = ("--hosts=local://",)
    test_timeout: float | None = None
    kind: Kind = "hostchecks"
    form: Format = "junit"

    def prepare(self) -> None:
        """Do nothing: the checks need no workspace."""

    def list_ids(self) -> Sequence[str]:
        """Return the node ids of all checks."""
        output = self.logs / "hostchecks-list.txt"
        output.unlink(missing_ok=True)
        process.run(
            self._pytest("--collect-only", "-q", "--no-header", "--no-summary"),
            log=self.logs / "hostchecks-list.log",
            timeout=self.timeout,
            env=self._environment(),
            stdout=output,
        )
        return [line for line in output.read_text().splitlines() if "::" in line]

    def asked(self, ids: Sequence[str]) -> bytes:
        """Return asked.txt: a node id per line."""
        return "".join(f"{each}\n" for each in ids).encode()

    def run(self, _ids: Sequence[str], attempt: Attempt, _events: Events, look: Look) -> Ended:
        """Run all checks; pytest's JUnit XML is the evidence."""
        status, report = self._run(attempt.mark)
        attempt.stream.write(report)
        return Ended(status, look())

    def require(self) -> None:
        """Run all checks; raise InfrastructureError, naming the log, if one fails."""
        status, _ = self._run("required")
        if status:
            raise InfrastructureError(
                f"the host checks of the cloud ended with status {status}",
                f"see {self.logs / 'hostchecks.log'}",
            )

    def _run(self, mark: str) -> tuple[int, bytes]:
        """Run all checks; return pytest's exit status and its JUnit XML.

        The report's test suite is called ``mark``, so that a report of another run is recognised.
        """
        report = self.logs / "hostchecks.xml"
        report.unlink(missing_ok=True)
        completed = process.run(
            self._pytest("-q", f"--junitxml={report}", "-o", f"junit_suite_name={mark}"),
            log=self.logs / "hostchecks.log",
            timeout=self.timeout,
            env=self._environment(),
            check=False,
        )
        return completed.exit_status, report.read_bytes() if report.exists() else b""

    def _pytest(self, *arguments: str | Path) -> list[str | Path]:
        # Nothing of a checkout or a user changes the checks, and none of it is written to.
        folder = Path(str(resources.files("bsdgate.hostchecks")))
        fixed: list[str | Path] = ["-p", "no:cacheprovider", "--strict-markers"]
        fixed += ["--rootdir", folder, "-c", os.devnull, *self.testinfra]
        return [sys.executable, "-m", "pytest", *fixed, *arguments, folder]

    def _environment(self) -> dict[str, str]:
        # pytest writes byte code under a name of its own, which the comparison of the base refuses.
        return process.environment(**self.facts, PYTHONDONTWRITEBYTECODE="1")
