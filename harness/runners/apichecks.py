# SPDX-License-Identifier: Apache-2.0
"""Checks of an API through openstacksdk, for clouds without Keystone, which Tempest needs."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import ClassVar, Self

from bsdgate.harness import files, folders
from bsdgate.harness.errors import InfrastructureError, UsageError
from bsdgate.harness.manifest import RunnerKind
from bsdgate.harness.profiles.model import Profile, ServiceName
from bsdgate.harness.run_dir import Attempt, Format
from bsdgate.harness.runners.base import Ended, Events, Look, Site
from bsdgate.harness.runners.checks import Checks, asked
from bsdgate.harness.suites.model import Suite
from bsdgate.results.model import Case
from bsdgate.results.parsers import junit
from bsdgate.results.parsers.subunit import StatusEvent


@dataclass(frozen=True)
class ApiChecks:
    """Runs the checks of Ironic's API by pytest.

    ``timeout`` is the maximum number of seconds of a preparation, ``home`` the home directory.
    """

    NEEDS: ClassVar[ServiceName] = "ironic"

    checks: Checks
    home: Path
    timeout: float
    test_timeout: float | None = None
    kind: RunnerKind = "apichecks"
    form: Format = "junit"

    @staticmethod
    def concurrency_of(suite: Suite, _only: str | None, asked: int | None, _default: int) -> int:
        """Return the number of checks that run at the same time: 1.

        :raises UsageError: ``asked`` is another number.
        """
        if asked not in {None, 1}:
            raise UsageError(
                f"suite {suite.name} runs one check at a time, not {asked}",
                "leave out --concurrency",
            )
        return 1

    @classmethod
    def make(cls, site: Site, profile: Profile, _suite: Suite, _concurrency: int) -> Self:
        """Return the runner for a cloud with this profile."""
        home = site.folder / "apichecks-home"
        variables = {
            "HOME": str(home),
            "OS_CLIENT_CONFIG_FILE": str(site.clouds_yaml),
            "OS_CLOUD": site.cloud,
            "BSDGATE_CHECK_TIMEOUT": str(profile.limits.test),
        }
        checks = Checks("test_ironic_api.py", "apichecks", site.python, variables, site.logs)
        return cls(checks, home, profile.limits.configure)

    def prepare(self) -> None:
        """Make the home directory, and check that the cloud accepts the user.

        :raises InfrastructureError: the cloud refuses the user.
        """
        with files.explain_errors(self.home):
            folders.make(self.home)
        access = dataclasses.replace(self.checks, module="test_access.py", name="access")
        if access.run("access", self.timeout):
            variables = self.checks.variables
            raise InfrastructureError(
                f"the cloud does not accept the user and password of the entry"
                f" {variables['OS_CLOUD']} in {variables['OS_CLIENT_CONFIG_FILE']}",
                f"see {access.log}",
            )

    def list_ids(self) -> Sequence[str]:
        """Return the node ids of all checks."""
        return self.checks.list_ids(self.timeout)

    def asked(self, ids: Sequence[str]) -> bytes:
        """Return asked.txt: a node id per line."""
        return asked(ids)

    def run(self, ids: Sequence[str], attempt: Attempt, events: Events, look: Look) -> Ended:
        """Run these checks; pytest's JUnit XML is the evidence."""
        ended = self.checks.execute(ids, attempt, look)
        for found in junit.parse(BytesIO(self.checks.report()), ids):
            if isinstance(found, Case):
                events.test(StatusEvent(found.id, found.outcome, reason=found.reason))
        return ended
