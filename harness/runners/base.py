# SPDX-License-Identifier: Apache-2.0
"""The interface of a runner, which runs tests against one deployment.

A runner lists the ids of all tests, runs the requested tests, and writes the evidence to an
attempt. The steps of a run use all runners in the same way.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from bsdgate.harness.manifest import RunnerKind
from bsdgate.harness.run_dir import Attempt, Format
from bsdgate.results.parsers.subunit import StatusEvent
from bsdgate.results.problems import Problem

Look = Callable[[], Sequence[Problem]]
"""Returns the problems for which the run must stop, or an empty list."""


@dataclass(frozen=True)
class Site:
    """The files and settings of a runner.

    ``folder`` is the directory for the workspace, ``logs`` the directory for logs. ``python`` is
    the interpreter of the runner's environment, ``clouds_yaml`` a file with an entry ``cloud``.
    ``accounts`` is the file of the cloud's accounts for tests; None if the cloud has none.
    ``options`` are options of tempest.conf for this cloud, ``tempestconf`` are arguments of
    python-tempestconf. ``requests`` is the file for the log of requests that can alter the cloud;
    None: no log. ``seconds`` are the durations of tests in an earlier run, by id. ``split`` has the
    ids of the tests of each worker in an earlier run that is reproduced.
    """

    folder: Path
    logs: Path
    python: Path
    clouds_yaml: Path
    cloud: str
    accounts: Path | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)
    tempestconf: Sequence[str] = ("--create",)
    requests: Path | None = None
    split: Sequence[Sequence[str]] = ()


@dataclass(frozen=True)
class Ended:
    """The result of a runner that has ended.

    ``problems`` are the reasons for tests without an outcome. ``record`` has the outcomes in the
    runner's own database (results.crosscheck.record), if it has one. ``left`` are the processes
    that outlived the runner and were killed.
    """

    exit_status: int
    problems: Sequence[Problem] = ()
    record: bytes | None = None
    left: Sequence[str] = ()


class Events(Protocol):
    """Receives the events of a runner while it runs."""

    def test(self, event: StatusEvent) -> None:
        """Receive the status of one test."""

    def report(self, text: str) -> None:
        """Receive a line for the user."""


class Runner(Protocol):
    """Runs tests against one deployment."""

    @property
    def kind(self) -> RunnerKind:
        """The kind of the evidence."""

    @property
    def form(self) -> Format:
        """The format of the evidence."""

    @property
    def test_timeout(self) -> float | None:
        """The time limit of each test in seconds; None: the runner has no such limit."""

    def prepare(self) -> None:
        """Make the workspace and the configuration; an earlier workspace is replaced.

        :raises InfrastructureError: the preparation failed.
        """

    def list_ids(self) -> Sequence[str]:
        """Return the ids of all tests.

        :raises InfrastructureError: there are no tests, or they cannot be listed.
        """

    def asked(self, ids: Sequence[str]) -> bytes:
        """Return the content of the file that lists the tests of an attempt.

        :raises UsageError: a test is not in ``list_ids``, and the file must have more than its id.
        """

    def run(self, ids: Sequence[str], attempt: Attempt, events: Events, look: Look) -> Ended:
        """Run these tests until ``look`` returns a problem; write the evidence to the attempt.

        After a problem or an interruption, the attempt has the evidence of the tests that ended. A
        test that is not in ``list_ids`` gets no outcome.
        """
