# SPDX-License-Identifier: Apache-2.0
"""The seam between a run and what runs its tests.

A runner is made for one deployment. It lists the ids that it could run, runs those that it is asked
to run, and writes its evidence into an attempt. The steps of a run do not ask which one they have.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from bsdgate.harness.manifest import Kind
from bsdgate.harness.run_dir import Attempt, Format
from bsdgate.results.parsers.subunit import StatusEvent
from bsdgate.results.problems import Problem

Look = Callable[[], Sequence[Problem]]
"""Returns why the run must stop; nothing while it need not."""


@dataclass(frozen=True)
class Site:
    """Where a runner works.

    ``folder`` takes its workspace, ``logs`` its logs. ``python`` is the interpreter that has it,
    ``clouds_yaml`` the file that names the cloud, and ``cloud`` the name there. ``accounts`` is the
    file of the accounts that the cloud has for tests, as Tempest reads it; None if it has none.
    ``options`` are options of tempest.conf for this cloud, ``tempestconf`` are arguments of
    python-tempestconf. ``requests`` takes the log of the requests that can alter the cloud; None:
    none is kept.
    ``seconds`` is how long tests took in an earlier run, by id.
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


@dataclass(frozen=True)
class Ended:
    """How a runner ended.

    ``problems`` are why tests have no outcome. ``record`` is what the runner itself recorded
    (results.crosscheck.record), if it keeps a record. ``left`` are the processes that outlived it
    and were killed.
    """

    exit_status: int
    problems: Sequence[Problem] = ()
    record: bytes | None = None
    left: Sequence[str] = ()


class Events(Protocol):
    """Receives what a runner reports while it runs."""

    def test(self, event: StatusEvent) -> None:
        """Receive the status of one test."""

    def say(self, text: str) -> None:
        """Receive a line for a person."""


class Runner(Protocol):
    """Runs tests against one deployment."""

    @property
    def kind(self) -> Kind:
        """The kind of its evidence."""

    @property
    def form(self) -> Format:
        """The format of its evidence."""

    @property
    def test_timeout(self) -> float | None:
        """The seconds that it gives each test; None if it has no such limit."""

    def prepare(self) -> None:
        """Make its workspace and configuration; an earlier workspace is replaced.

        :raises InfrastructureError: that failed.
        """

    def list_ids(self) -> Sequence[str]:
        """Return the ids of all tests that it could run.

        :raises InfrastructureError: there are none, or they cannot be listed.
        """

    def asked(self, ids: Sequence[str]) -> bytes:
        """Return the content of an attempt's list of asked tests, for these ids."""

    def run(self, ids: Sequence[str], attempt: Attempt, events: Events, look: Look) -> Ended:
        """Run these tests, while ``look`` finds nothing; write the evidence to the attempt.

        If it is interrupted, the evidence of the tests that ended is in the attempt.
        """
