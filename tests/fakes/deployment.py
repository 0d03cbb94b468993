# SPDX-License-Identifier: Apache-2.0
"""A deployment without a cloud."""

from collections.abc import Sequence
from pathlib import Path

from bsdgate.harness.deployments.base import (
    Access,
    ForRunner,
    HostCheckTarget,
    Installed,
    ReportEvent,
    ReportLine,
)
from bsdgate.harness.errors import InfrastructureError
from bsdgate.harness.manifest import ChangedProject
from bsdgate.results.problems import Finding, Problem


class FakeDeployment:
    """Records its calls in ``events``.

    ``changes`` are the changes under test. ``problems`` is returned by ``health``, ``left`` by
    ``end``, ``found`` by ``close``. ``failing`` maps the name of a method to the error that it
    raises. ``second`` is whether there can be other deployments.
    """

    def __init__(
        self,
        events: list[str] | None = None,
        changes: tuple[ChangedProject, ...] = (),
        name: str = "first",
    ) -> None:
        self.events = [] if events is None else events
        self.changes = changes
        self.name = name
        self.problems: list[Problem] = []
        self.left: list[str] = []
        self.found: list[Finding] = []
        self.failing: dict[str, BaseException] = {}
        self.second = True
        self.checks: HostCheckTarget | None = None
        self.accounts: list[dict[str, str]] | None = None
        self.up = False
        self.kept = False

    @property
    def changed(self) -> bool:
        """Whether there are changes."""
        return bool(self.changes)

    def install(self, report_line: ReportLine) -> Installed:
        """Install nothing."""
        self._fail("install")
        report_line(f"installing {self.name}")
        return Installed({"keystone": "30.0.0"}, self.changes)

    def start(self, report: ReportEvent) -> Access:
        """Start."""
        self._fail("start")
        self.events.append(f"{self.name} begins, changed: {self.changed}")
        report({"event": "ready"})
        self.up = True
        return Access({"auth": {"auth_url": "http://127.0.0.1:1/v3"}}, self.accounts)

    def health(self) -> Sequence[Problem]:
        """Return the problems."""
        return self.problems

    def host_checks(self) -> HostCheckTarget | None:
        """Return the target of the host checks, if the test has set it."""
        return self.checks

    def for_runner(self) -> ForRunner:
        """Return the default."""
        return ForRunner()

    def collect_logs(self, folder: Path) -> None:
        """Write a log."""
        self._fail("collect_logs")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "keystone.log").write_text(f"of {self.name}\n")

    def without_change(self, name: str) -> "FakeDeployment | None":
        """Return another one without changes."""
        return self._another(name, ()) if self.second else None

    def again(self, name: str) -> "FakeDeployment | None":
        """Return another one with the same changes."""
        return self._another(name, self.changes) if self.second else None

    def check_base(self) -> None:
        """Record the check."""
        self._fail("check_base")

    def keep(self) -> bool:
        """Return whether it is up."""
        self.events.append(f"{self.name} is kept")
        self.kept = self.up
        return self.up

    def end(self) -> Sequence[str]:
        """End, once."""
        self._fail("end")
        left = self.left if self.up else []
        if self.up:
            self.events.append(f"{self.name} ends")
        self.up = False
        return left

    def close(self) -> Sequence[Finding]:
        """End, and return ``found``."""
        self.end()
        self._fail("close")
        return self.found

    def lose(self) -> None:
        """Make all later calls fail."""
        error = InfrastructureError("the node fake does not answer")
        self.failing = dict.fromkeys(("collect_logs", "end", "close", "check_base"), error)

    def _another(self, name: str, changes: tuple[ChangedProject, ...]) -> "FakeDeployment":
        return FakeDeployment(self.events, changes, name)

    def _fail(self, method: str) -> None:
        if method in self.failing:
            raise self.failing[method]
