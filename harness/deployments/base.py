# SPDX-License-Identifier: Apache-2.0
"""The interface of a deployment: the cloud that a run tests."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from bsdgate.harness.manifest import ChangedProject
from bsdgate.results.problems import Finding, Problem

ReportEvent = Callable[[Mapping[str, Any]], None]
"""Receives events of a deployment while it starts, such as those of the supervisor."""
ReportLine = Callable[[str], None]
"""Receives a line for the user."""


@dataclass(frozen=True)
class Installed:
    """The distributions that a deployment installed, with versions, and the changed projects."""

    versions: Mapping[str, str]
    changes: tuple[ChangedProject, ...] = ()


@dataclass(frozen=True)
class Access:
    """The data that clients need to use the cloud.

    ``entry`` is the entry for clouds.yaml. ``accounts`` are the accounts of the cloud for tests, in
    the format of Tempest's accounts file; None if the cloud has none.
    """

    entry: Mapping[str, Any]
    accounts: Sequence[Mapping[str, Any]] | None = None


@dataclass(frozen=True)
class HostCheckTarget:
    """The target of the host checks.

    ``variables`` are environment variables that describe the deployment, ``testinfra`` are the
    arguments of pytest-testinfra for the node.
    """

    variables: Mapping[str, str]
    testinfra: Sequence[str]


@dataclass(frozen=True)
class ForRunner:
    """The settings of the deployment for the runner of the tests.

    ``options`` are options of tempest.conf; they override those of the profile. ``tempestconf`` are
    arguments for python-tempestconf. ``requests`` is the file for the log of requests that can
    alter the cloud; None: no log.
    """

    options: Mapping[str, str] = field(default_factory=dict)
    tempestconf: Sequence[str] = ("--create",)
    requests: Path | None = None


class Deployment(Protocol):
    """A cloud. ``install`` is called first, then ``start``; ``end`` and ``close`` at any time."""

    @property
    def changed(self) -> bool:
        """Whether the change under test runs in the cloud."""

    def install(self, report_line: ReportLine) -> Installed:
        """Install the services, with the change under test, on the node.

        :raises BsdgateError: the installation failed.
        """

    def start(self, report: ReportEvent) -> Access:
        """Start the cloud, wait until it is ready, and return the access to it.

        :raises InfrastructureError: the cloud does not start.
        """

    def health(self) -> Sequence[Problem]:
        """Return the problems of the cloud and its node, such as a service that died."""

    def host_checks(self) -> HostCheckTarget | None:
        """Return the target of the host checks; None: the host is not checked."""

    def for_runner(self) -> ForRunner:
        """Return the settings for the runner of the tests. Only after ``start``."""

    def collect_logs(self, folder: Path) -> None:
        """Copy the logs of the services into a directory of this machine.

        :raises InfrastructureError: the copy failed.
        """

    def without_change(self, name: str) -> "Deployment | None":
        """Return another deployment without the change; None if that is not possible.

        ``name`` is the directory for its files, relative to the directory of this deployment.
        """

    def again(self, name: str) -> "Deployment | None":
        """Return another deployment with the same change; None if that is not possible."""

    def check_base(self) -> None:
        """Check that the change has altered no file of the base.

        :raises InfrastructureError: a file was altered.
        """

    def keep(self) -> bool:
        """Let the cloud outlive this process; return whether the cloud still runs."""

    def end(self) -> Sequence[str]:
        """End the cloud, but keep its logs; return the processes that outlived it and were killed.

        Ending it again is harmless.
        """

    def close(self) -> Sequence[Finding]:
        """End and remove the cloud; return the findings for the judge.

        Closing it again is harmless.

        :raises BsdgateError: the cloud cannot be removed.
        """
