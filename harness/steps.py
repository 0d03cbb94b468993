# SPDX-License-Identifier: Apache-2.0
"""The steps of a run, each a function of the run. What they do and find is in its directory."""

import contextlib
import json
import shlex
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

import yaml

from bsdgate.harness import files, places
from bsdgate.harness.cloud.client import Cloud
from bsdgate.harness.cloud.spec import checked_name
from bsdgate.harness.environments import environment
from bsdgate.harness.errors import InfrastructureError
from bsdgate.harness.profiles.model import Profile
from bsdgate.harness.run_dir import Attempt, RunDir
from bsdgate.harness.runners import hostchecks, rally
from bsdgate.harness.runners.rally import RallyWorkspace
from bsdgate.harness.runners.tempest import Workspace
from bsdgate.harness.runners.watch import complaints, watch
from bsdgate.harness.suites import model as suites
from bsdgate.results import crosscheck
from bsdgate.results import judge as results
from bsdgate.results.codes import Code
from bsdgate.results.model import Kind
from bsdgate.results.parsers.subunit import StatusEvent, StreamReader
from bsdgate.results.problems import Problem

CLOUD: Final = checked_name("bsdgate")
"""The name of a run's cloud in the clouds.yaml of the run."""
ALTERED: Final = "base-altered"
"""What the journal calls it if a change altered what runs without it; the judge reads it."""


LEFT: Final = "left-behind"
"""What the journal calls processes that outlived a step and were killed; the judge reads it."""


class Listener(Protocol):
    """Who is told what goes on."""

    def step(self, name: str) -> None:
        """Hear that a step begins."""

    def say(self, text: str) -> None:
        """Hear a line that a person should read."""

    def cloud(self, event: dict[str, Any]) -> None:
        """Hear an event of the cloud's supervisor."""

    def tests_begin(self, ids: Sequence[str], concurrency: int) -> None:
        """Hear which tests are about to run."""

    def test(self, event: StatusEvent) -> None:
        """Hear of one test."""

    def tests_end(self) -> None:
        """Hear that no more tests will be told of."""


@dataclass
class Run:
    """A run under way.

    ``site`` is where its cloud and what tests it keep their files, by default the run directory;
    ``history`` is the URL of the history that it is judged by and kept in, if it is not this
    machine's own.
    """

    folder: RunDir
    profile: Profile
    suite: suites.Suite
    environment: environment.Environment
    listener: Listener
    keep: bool = False
    resumed: bool = False
    cloud: Cloud | None = None
    site: Path = field(default_factory=Path)
    history: str | None = None
    base_seen: bool = False
    """Whether the base was compared since the change's code had its last chance to write there."""

    def __post_init__(self) -> None:
        self.site = self.folder.path / self.site

    @property
    def logs(self) -> Path:
        """The folder of the logs."""
        return self.site / "logs"

    @property
    def clouds_yaml(self) -> Path:
        """The file that names the run's cloud."""
        return self.site / "clouds.yaml"

    @property
    def workspace(self) -> Workspace:
        """The run's Tempest workspace."""
        folder = self.site / "tempest"
        return Workspace(folder, self.environment.bin, self.clouds_yaml, self.logs)

    @property
    def rally(self) -> RallyWorkspace:
        """The run's Rally workspace."""
        folder = self.site / "rally"
        return RallyWorkspace(folder, self.environment.python, self.clouds_yaml, self.logs)


def deploy(run: Run) -> None:
    """Start the cloud, and name it in the run's own clouds.yaml."""
    run.cloud = Cloud.start(
        run.site / "cloud",
        name=CLOUD,
        python=run.environment.python,
        templates=places.cache() / "templates",
        options=run.profile.service_options(),
        timeout=run.profile.timeouts.start,
        on_event=run.listener.cloud,
    )
    entry = yaml.safe_dump({"clouds": {CLOUD: run.cloud.clouds_yaml_entry()}})
    files.write_atomically(run.clouds_yaml, entry.encode())


def check(run: Run) -> None:
    """Check the host side of the cloud: processes, sockets, files.

    The cloud of a resumed run is checked too, but what was asked once has its answer.
    """
    facts = {"BSDGATE_CLOUD_DIR": str(run.folder.cloud)}
    asked = _unreported(run, Kind.HOSTCHECKS)
    if asked is None:
        asked = hostchecks.list_checks(facts, run.logs)
    elif not asked:
        hostchecks.require(facts, run.logs)
        return
    attempt = run.folder.begin_attempt("hostchecks", "junit", lines(asked))
    with _interruptible(attempt):
        status, report = hostchecks.run(facts, run.logs, attempt.mark)
        attempt.stream.write(report)
    attempt.end(status)


def configure(run: Run) -> None:
    """Make the workspace and configuration of what runs the tests."""
    if run.suite.runner == "rally":
        run.rally.create()
        return
    run.workspace.create()
    run.workspace.configure(CLOUD, run.profile.overrides(), run.profile.timeouts.configure)


def test(run: Run) -> None:
    """Run the suite's tests, or in a resumed run those that have no outcome yet."""
    kind = Kind(run.suite.runner)
    ids = _unreported(run, kind)
    if ids is None:
        ids = _select(run)
    elif not ids:
        run.listener.say("no test was left to run")
        return
    if kind is Kind.RALLY:
        _run_rally(run, ids)
    else:
        attempt = begin_tempest(run, ids)
        run_tempest(run, ids, attempt, looking_after(run))


def collect(run: Run) -> None:
    """Keep the services' logs, wherever the cloud goes."""
    files.copy_tree(run.site / "cloud" / "logs", run.logs / "services")


def see_base_unaltered(run: Run) -> None:
    """End the cloud of a change, unless it is kept, and see that it altered nothing of the base.

    :raises InfrastructureError: something was altered; the journal keeps that for the judge.
    """
    if not run.environment.changes:
        return
    if run.cloud is not None and not run.keep:
        _report_left(run, "the cloud", run.cloud.stop())
    run.base_seen = not run.keep
    try:
        run.environment.see_base_unaltered(run.logs / "base.log")
    except InfrastructureError as error:
        run.folder.record(ALTERED, "fail", message=error.message)
        raise


def cleanup(run: Run) -> None:
    """End the cloud and remove it, or leave it to the user who asked for that."""
    if run.cloud is None:
        return
    if run.keep and run.cloud.alive():
        run.cloud.detach()
        file = shlex.quote(str(run.clouds_yaml))
        variables = f"OS_CLIENT_CONFIG_FILE={file} OS_CLOUD={CLOUD}"
        run.listener.say(f"the cloud was kept: {variables} openstack server list")
        run.listener.say(f"`bsdgate down {shlex.quote(str(run.folder.path))}` ends it")
    else:
        _remove(run, run.cloud)
    run.cloud = None
    # A run that was stopped or failed has not come to this yet.
    if not run.base_seen:
        try:
            see_base_unaltered(run)
        except InfrastructureError as error:
            run.listener.say(str(error))


def _remove(run: Run, cloud: Cloud) -> None:
    """End a cloud and remove it; what went wrong with that is the judge's to weigh."""
    left: list[str] = []
    try:
        left = cloud.stop()
        cloud.clean()
    except Exception as error:  # noqa: BLE001 - no defect here may keep a verdict from being given
        _report(run, f"the cloud could not be removed: {type(error).__name__}: {error}")
    _report_left(run, "the cloud", left)


# What the steps are made of ----------------------------------------------------------------


def lines(ids: Sequence[str]) -> bytes:
    """Return what an attempt's list of asked tests holds."""
    return "".join(f"{each}\n" for each in ids).encode()


class OutOfTimeError(Exception):
    """An attempt may go on no longer, and nothing else is wrong with it."""


@contextlib.contextmanager
def _interruptible(attempt: Attempt) -> Iterator[None]:
    """Mark the attempt as interrupted if the user or the clock stops it."""
    try:
        yield
    except (KeyboardInterrupt, OutOfTimeError):
        attempt.interrupt()
        raise


def _report_left(run: Run, what: str, left: Sequence[str]) -> None:
    """Write down the processes that outlived ``what`` and were killed, if there were any."""
    if left:
        _report(run, f"{what} left processes behind, which were killed: {'; '.join(left)}")


def _report(run: Run, message: str) -> None:
    """Write down what was left behind; the base's is not the change's doing and is only said."""
    if run.site == run.folder.path or run.environment.changes:
        run.folder.record(LEFT, "fail", message=message)
    else:
        run.listener.say(message)


def _unreported(run: Run, kind: Kind) -> Sequence[str] | None:
    """Return what was asked before and has no outcome yet; None if nothing was asked before."""
    asked_before = any(run.folder.evidence.glob(f"*-{kind}"))
    return results.remaining(run.folder.path, kind) if asked_before else None


def _select(run: Run) -> Sequence[str]:
    task = run.suite.task
    selection = suites.select(
        run.suite,
        run.workspace.list_tests() if task is None else rally.load(task).names,
        cannot=run.profile.excludes,
        only=run.folder.manifest.selection,
    )
    for area, (chosen, left_out) in selection.counts().items():
        run.listener.say(f"{area:10} {chosen:5} tests, {left_out} left out")
    run.folder.write("excluded.json", json.dumps(dict(selection.excluded), indent=1))
    return selection.ids


def begin_tempest(
    run: Run, ids: Sequence[str], side: str = "change", confirms: str = ""
) -> Attempt:
    """Begin an attempt at these tests, each within the time that the profile gives a test."""
    return run.folder.begin_attempt(
        "tempest",
        "subunit",
        lines(ids),
        side=side,
        confirms=confirms,
        test_timeout=run.profile.timeouts.test,
    )


def run_tempest(
    run: Run, ids: Sequence[str], attempt: Attempt, look: Callable[[], Sequence[Problem]]
) -> None:
    """Run these tests as an attempt that has begun, while ``look`` finds nothing to end it for."""
    reader = StreamReader()

    def take(chunk: bytes) -> None:
        attempt.stream.write(chunk)
        for event in reader.feed(chunk):
            run.listener.test(event)

    concurrency = min(run.folder.manifest.concurrency, len(ids))
    before = len(run.workspace.records())
    with _interruptible(attempt):
        timeout = run.profile.timeouts.test
        with _shown(run, ids), run.workspace.running(ids, concurrency, timeout) as running:
            status, problems = watch(running, take, look)
        _report_left(run, "the test runner", running.left)
        for event in reader.close():
            run.listener.test(event)
        attempt.stream.write(reader.make_seal(run.folder.manifest.run_id, attempt.name))
    record = None
    try:
        for path in run.workspace.records()[before:]:
            with path.open("rb") as file:
                record = crosscheck.record(file)
    except ValueError as error:
        problems.append(Problem(Code.RECORD_UNREADABLE, str(error)))
    if record is None and not problems:
        text = "stestr record missing: the stream cannot be cross-checked"
        problems.append(Problem(Code.RECORD_MISSING, text))
    attempt.end(status, problems, record)


@contextlib.contextmanager
def _shown(run: Run, ids: Sequence[str]) -> Iterator[None]:
    run.listener.tests_begin(ids, run.folder.manifest.concurrency)
    try:
        yield
    finally:
        run.listener.tests_end()


def _run_rally(run: Run, ids: Sequence[str]) -> None:
    assert run.suite.task is not None
    workloads = rally.load(run.suite.task).choose(ids)
    attempt = run.folder.begin_attempt("rally", "rally", rally.asked(workloads))
    reader = rally.Reader()

    def take(chunk: bytes) -> None:
        for event in reader.feed(chunk):
            run.listener.test(StatusEvent(event.id, event.status, reason=event.text))
            if event.text and event.status != "fail":
                run.listener.say(f"{event.id}: {event.text}")

    with _interruptible(attempt):
        try:
            with _shown(run, ids), run.rally.running(workloads, CLOUD, attempt.mark) as running:
                status, problems = watch(running, take, looking_after(run))
            _report_left(run, "Rally", running.left)
        finally:
            attempt.stream.write(run.rally.report())
    attempt.end(status, problems or reader.problems(running))


def looking_after(run: Run, seconds: float | None = None) -> Callable[[], list[Problem]]:
    """Return what says why going on is pointless: a service is gone, or time is up.

    The time is ``seconds``, by default what the profile gives all tests.
    """
    assert run.cloud is not None
    cloud, limit = run.cloud, seconds or run.profile.timeouts.run
    deadline = time.monotonic() + limit

    def look() -> list[Problem]:
        late = time.monotonic() > deadline
        text = f"the tests did not end within {limit:g} s"
        problems = [Problem(Code.TIME_LIMIT, text)] if late else []
        return problems + complaints(cloud.status())

    return look
