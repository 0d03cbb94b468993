# SPDX-License-Identifier: Apache-2.0
"""The runner for Rally: it checks the task first, then runs it in a process."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, ClassVar, Final, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from bsdgate.harness import files, folders, process
from bsdgate.harness.errors import UsageError
from bsdgate.harness.manifest import RunnerKind
from bsdgate.harness.profiles import settings
from bsdgate.harness.profiles.model import Part, Profile, ServiceName
from bsdgate.harness.run_dir import Attempt, Format
from bsdgate.harness.runners.base import Ended, Events, Look, Site
from bsdgate.harness.runners.watch import watch
from bsdgate.harness.suites.model import Suite, select
from bsdgate.results.codes import Code
from bsdgate.results.parsers.subunit import StatusEvent
from bsdgate.results.problems import Problem

# By default Rally waits a second or two before it polls, which would be most of the measured time.
_CONF: Final = """\
[database]
connection = sqlite:///{database}
[openstack]
ironic_node_create_poll_interval = 0.1
ironic_node_poll_interval = 0.1
nova_server_boot_poll_interval = 0.1
nova_server_boot_prepoll_delay = 0
nova_server_delete_poll_interval = 0.1
nova_server_delete_prepoll_delay = 0
"""


COMPLETED_STATUSES: Final = (0, 2)
"""The exit statuses after which all workloads ran: all SLAs passed, or at least one failed."""


class Load(Part):
    """The repetition of a workload: a fixed number, so that a lost iteration is detected."""

    model_config = ConfigDict(extra="allow")

    times: int = Field(ge=1, strict=True)


class Hook(Part):
    """An action during a workload, and its trigger."""

    description: str = Field(min_length=1)
    """Required, because Rally accepts a hook without it but then cannot write a report."""
    action: dict[str, Any] = Field(min_length=1, max_length=1)
    trigger: dict[str, dict[str, Any]] = Field(min_length=1, max_length=1)

    @model_validator(mode="after")
    def _ends(self) -> Self:
        if "end" not in self.trigger.get("periodic", {"end": None}):
            # Rally writes the default end to its report: Infinity, which is not valid JSON.
            raise ValueError("periodic has no end; add the last iteration or second")
        return self


class Workload(Part):
    """One scenario under load: a subtask of Rally with a single workload."""

    title: str = Field(min_length=1)
    description: str | None = None
    scenario: dict[str, Any] = Field(min_length=1, max_length=1)
    """The arguments, by the name of the scenario."""
    runner: dict[str, Load] = Field(min_length=1, max_length=1)
    """The load, by the name of the runner."""
    contexts: dict[str, Any] | None = None
    hooks: tuple[Hook, ...] = ()
    sla: dict[str, Any] | None = None

    @property
    def name(self) -> str:
        """The name of the scenario, which is the id of the workload."""
        return next(iter(self.scenario))

    @property
    def iterations(self) -> int:
        """The number of iterations to run."""
        return next(iter(self.runner.values())).times


class Task(Part):
    """A task file in version 2 of Rally's format."""

    version: Literal[2]
    title: str = Field(min_length=1)
    description: str | None = None
    subtasks: tuple[Workload, ...] = Field(min_length=1)

    @property
    def names(self) -> list[str]:
        """The ids of the workloads, in the task's order."""
        return [workload.name for workload in self.subtasks]

    def choose(self, names: Sequence[str]) -> list[Workload]:
        """Return the workloads of these names, in the order of the names.

        :raises UsageError: the task has no such workload.
        """
        by_name = {workload.name: workload for workload in self.subtasks}
        if unknown := [name for name in names if name not in by_name]:
            raise UsageError(
                f"the task {self.title!r} has no workload {', '.join(unknown)}", "start a new run"
            )
        return [by_name[name] for name in names]

    @model_validator(mode="after")
    def _names_are_ids(self) -> Self:
        twice = sorted(name for name, count in Counter(self.names).items() if count > 1)
        if twice:
            # A resumed run could not distinguish them.
            raise ValueError(
                f"more than one subtask runs {', '.join(twice)}; put it into a second file"
            )
        return self


def load(name: str) -> Task:
    """Return a task of bsdgate, by its file name.

    :raises ConfigurationError: there is no such task, or it is wrong; with a line per problem.
    """
    return read(Path(str(resources.files("bsdgate"))) / "rally_tasks" / name)


def read(path: Path) -> Task:
    """Read a task file.

    :raises ConfigurationError: the file cannot be read or is wrong; with a line per problem.
    """
    return settings.read(path, Task)


def check(suite: Suite, only: str | None, concurrency: int | None) -> int:
    """Check the options for a suite; return the number of workloads that run at the same time: 1.

    :raises ConfigurationError: the task is wrong.
    :raises UsageError: ``only`` selects nothing, or ``concurrency`` is given.
    """
    assert suite.task is not None
    select(suite, load(suite.task).names, only=only)
    if concurrency is not None:
        raise UsageError(
            "--concurrency is only for Tempest: the task sets the load of Rally",
            f"leave it out, or change the runners in rally_tasks/{suite.task}",
        )
    return 1


def asked(workloads: Sequence[Workload]) -> bytes:
    """Return the content of asked.json: these workloads, as the task file describes them."""
    entries = [
        {
            "name": each.name,
            "position": position,
            "iterations": each.iterations,
            "hooks": [hook.model_dump() for hook in each.hooks],
        }
        for position, each in enumerate(workloads)
    ]
    return json.dumps(entries, indent=1).encode() + b"\n"


@dataclass(frozen=True)
class RallyMessage:
    """A message of rally_worker about a workload; ``text`` has its durations or its failure."""

    id: str
    status: Literal["inprogress", "success", "fail", "refused"]
    text: str = ""


class MessageReader:
    """Reads the messages in the output of the process, and collects problems."""

    def __init__(self) -> None:
        self._rest = b""
        self._refused: list[RallyMessage] = []

    def feed(self, data: bytes) -> list[RallyMessage]:
        """Add some output; return the messages that are complete now."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        events = [RallyMessage(**json.loads(line)) for line in lines]
        self._refused += [event for event in events if event.status == "refused"]
        return events

    def problems(self, running: process.Running) -> list[Problem]:
        """Return why workloads have no outcome. Only after the end of the process."""
        if self._refused:
            refused = (f"Rally refused {event.id}: {event.text}" for event in self._refused)
            return [Problem(Code.RUNNER_REFUSED, text) for text in refused]
        if running.exit_status in COMPLETED_STATUSES:
            return []
        failure = running.failure(f"ended with status {running.exit_status}")
        return [Problem(Code.RUNNER_FAILED, f"Rally's process: {failure.message}")]


@dataclass(frozen=True)
class RallyWorkspace:
    """The directory for all files of Rally: home, settings, database and report.

    ``python`` is the interpreter of Rally's environment, ``clouds_yaml`` the file with the cloud.
    """

    path: Path
    python: Path
    clouds_yaml: Path
    logs: Path

    def create(self) -> None:
        """Make a new directory, with Rally's settings."""
        with files.explain_errors(self.path):
            folders.remove_tree(self.path, inside=self.path.parent)
            folders.make_marked(self.path)
        settings = _CONF.format(database=self.path / "rally.sqlite")
        files.write_atomically(self.path / "rally.conf", settings.encode())

    @contextmanager
    def running(
        self, workloads: Sequence[Workload], cloud: str, mark: str
    ) -> Iterator[process.Running]:
        """Run the workloads one after another; the process writes messages to its output.

        Rally's tasks have the tag ``mark``.
        """
        chosen = [each.model_dump(exclude_unset=True) for each in workloads]
        files.write_atomically(self.path / "task.json", json.dumps(chosen, indent=1).encode())
        argv: list[str | Path] = [self.python, "-m", "bsdgate.harness.runners.rally_worker"]
        argv += [cloud, self.path, mark]
        # Rally would load plugins from the user's home directory.
        variables = {"HOME": str(self.path), "OS_CLIENT_CONFIG_FILE": str(self.clouds_yaml)}
        with process.start(
            argv,
            log=self.logs / "rally.log",
            cwd=self.path,
            env=process.environment(**variables),
            stdout=process.PIPE,
        ) as running:
            yield running

    def report(self) -> bytes:
        """Return Rally's report of the workloads that have ended; empty if there is none."""
        path = self.path / "report.json"
        return path.read_bytes() if path.exists() else b""


@dataclass(frozen=True)
class RallyRunner:
    """Runs the workloads of a task; the ids are the names of their scenarios."""

    NEEDS: ClassVar[ServiceName] = "keystone"

    workspace: RallyWorkspace
    task: Task
    cloud: str
    test_timeout: float | None = None
    kind: RunnerKind = "rally"
    form: Format = "rally"

    @staticmethod
    def concurrency_of(suite: Suite, only: str | None, asked: int | None, _default: int) -> int:
        """Return the number of workloads that run at the same time: 1.

        :raises ConfigurationError: the task of the suite is wrong.
        :raises UsageError: ``only`` selects no workload, or ``asked`` is not None.
        """
        return check(suite, only, asked)

    @classmethod
    def make(cls, site: Site, _profile: Profile, suite: Suite, _concurrency: int) -> Self:
        """Return the runner for the task of the suite."""
        assert suite.task is not None  # checked by the model of suites
        folder = site.folder / "rally"
        workspace = RallyWorkspace(folder, site.python, site.clouds_yaml, site.logs)
        return cls(workspace, load(suite.task), site.cloud)

    def prepare(self) -> None:
        """Make the workspace, with Rally's settings."""
        self.workspace.create()

    def list_ids(self) -> Sequence[str]:
        """Return the ids of the workloads, in the order of the task."""
        return self.task.names

    def asked(self, ids: Sequence[str]) -> bytes:
        """Return asked.json: the iterations and hooks of each workload."""
        return asked(self.task.choose(ids))

    def run(self, ids: Sequence[str], attempt: Attempt, events: Events, look: Look) -> Ended:
        """Run these workloads; Rally's report of those that ended is the evidence."""
        reader = MessageReader()

        def take(chunk: bytes) -> None:
            for event in reader.feed(chunk):
                events.test(StatusEvent(event.id, event.status, reason=event.text))
                if event.text and event.status != "fail":
                    events.report(f"{event.id}: {event.text}")

        workloads = self.task.choose(ids)
        # Rally cannot use a database in which an earlier attempt has made its environment.
        self.workspace.create()
        try:
            with self.workspace.running(workloads, self.cloud, attempt.mark) as running:
                status, problems = watch(running, take, look)
        finally:
            attempt.stream.write(self.workspace.report())
        return Ended(status, problems or reader.problems(running), None, running.left)
