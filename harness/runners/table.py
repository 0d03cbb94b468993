# SPDX-License-Identifier: Apache-2.0
"""The runners, by their names in suites."""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from bsdgate.harness.errors import UsageError
from bsdgate.harness.profiles.model import Profile
from bsdgate.harness.runners.apichecks import ApiChecks
from bsdgate.harness.runners.base import Runner, Site
from bsdgate.harness.runners.rally import RallyRunner
from bsdgate.harness.runners.tempest import TempestRunner
from bsdgate.harness.suites.model import Suite

_RUNNERS: Final[Mapping[str, type[TempestRunner] | type[RallyRunner] | type[ApiChecks]]] = (
    MappingProxyType({"tempest": TempestRunner, "rally": RallyRunner, "apichecks": ApiChecks})
)


_DISTRIBUTIONS: Final = re.compile(
    r"tempest|.*-tempest-plugin|python-tempestconf|stestr|rally|rally-openstack"
)


def has(distribution: str) -> bool:
    """Return whether a distribution belongs to the runners, and not to the cloud."""
    return _DISTRIBUTIONS.fullmatch(distribution) is not None


def check_services(suite: Suite, profile: Profile) -> None:
    """Raise UsageError if the profile lacks the service that the suite's runner needs."""
    needed = _RUNNERS[suite.runner].NEEDS
    if needed not in profile.services:
        raise UsageError(
            f"the runner {suite.runner} of suite {suite.name} needs {needed}, but profile"
            f" {profile.name} has only {', '.join(profile.services)}",
            f"leave out --suite: the suite of this profile is {profile.suite}"
            if profile.suite != suite.name
            else "choose another suite or profile",
        )


def make(site: Site, profile: Profile, suite: Suite, concurrency: int) -> Runner:
    """Return the runner of a suite."""
    return _RUNNERS[suite.runner].make(site, profile, suite, concurrency)


def concurrency(suite: Suite, only: str | None, asked: int | None, default: int) -> int:
    """Return the number of tests of the suite that run at the same time.

    :raises ConfigurationError: the task of the suite is wrong.
    :raises UsageError: ``only`` selects nothing, or the runner refuses ``asked``.
    """
    return _RUNNERS[suite.runner].concurrency_of(suite, only, asked, default)
