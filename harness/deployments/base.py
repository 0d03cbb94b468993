# SPDX-License-Identifier: Apache-2.0
"""The seam between a run and the cloud that it tests."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from bsdgate.harness.manifest import ChangedProject
from bsdgate.results.problems import Finding, Problem

Report = Callable[[Mapping[str, Any]], None]
"""Takes what a deployment reports while it starts, such as the events of the supervisor."""
Say = Callable[[str], None]
"""Takes a line for a person."""


@dataclass(frozen=True)
class Installed:
    """What a deployment installed: each distribution's version, and the changed projects."""

    versions: Mapping[str, str]
    changes: tuple[ChangedProject, ...] = ()


@dataclass(frozen=True)
class Access:
    """How clients reach the cloud.

    ``entry`` is its entry for clouds.yaml. ``accounts`` are entries of Tempest's accounts file:
    the accounts that the cloud has for tests; None if it has none.
    """

    entry: Mapping[str, Any]
    accounts: Sequence[Mapping[str, Any]] | None = None


@dataclass(frozen=True)
class HostChecks:
    """How the host checks reach the deployment.

    ``variables`` are environment variables that describe it, ``testinfra`` are arguments that name
    the node to pytest-testinfra.
    """

    variables: Mapping[str, str]
    testinfra: Sequence[str]


@dataclass(frozen=True)
class ForRunner:
    """What the deployment has for the runner of the tests.

    ``options`` are options of tempest.conf, over those of the profile. ``tempestconf`` are
    arguments for python-tempestconf. ``requests`` takes the log of the requests that can alter the
    cloud; None: there is no need for one.
    """

    options: Mapping[str, str] = field(default_factory=dict)
    tempestconf: Sequence[str] = ("--create",)
    requests: Path | None = None


class Deployment(Protocol):
    """A cloud. ``install`` comes first, then ``start``; ``end`` and ``close`` at any time."""

    @property
    def changed(self) -> bool:
        """Whether the change under test runs in it."""

    def install(self, say: Say) -> Installed:
        """Bring what the cloud runs to the node: the services, and the change under test.

        :raises BsdgateError: that failed.
        """

    def start(self, report: Report) -> Access:
        """Start the cloud; return how to reach it once it is ready.

        :raises InfrastructureError: it does not start.
        """

    def health(self) -> Sequence[Problem]:
        """Return what is wrong with the cloud or its node; nothing while both are well."""

    def host_checks(self) -> HostChecks | None:
        """Return how the host checks reach it; None: the host is not ours to check."""

    def for_runner(self) -> ForRunner:
        """Return what the runner of the tests needs to know of this cloud; it is started."""

    def collect_logs(self, folder: Path) -> None:
        """Copy the logs of the services into a folder of this machine.

        :raises InfrastructureError: that failed.
        """

    def without_change(self, name: str) -> "Deployment | None":
        """Return another deployment without the change; None: there cannot be one.

        ``name`` is the folder of its files, relative to the folder of this one.
        """

    def again(self, name: str) -> "Deployment | None":
        """Return another deployment with the same change; None: there cannot be one."""

    def check_base(self) -> None:
        """Check that the change has altered nothing of what runs without it.

        :raises InfrastructureError: something was altered.
        """

    def keep(self) -> bool:
        """Leave the cloud running, whatever ends; return whether it still runs."""

    def end(self) -> Sequence[str]:
        """End the cloud; its logs stay. Return the processes that outlived it and were killed.

        Ending it again is harmless.
        """

    def close(self) -> Sequence[Finding]:
        """End the cloud and remove it; return what the judge has to know of that.

        Closing it again is harmless.

        :raises BsdgateError: it cannot be removed.
        """
