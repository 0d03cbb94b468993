# SPDX-License-Identifier: Apache-2.0
"""A run as a list of steps, each a function of the run.

What a step does and finds is in the run directory. A run that was stopped is
resumed from its evidence: only the tests without an outcome are run again, on
a new cloud.
"""

import contextlib
import random
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Final, Protocol

import yaml

from bsdgate.harness import files, places
from bsdgate.harness.cloud.client import Cloud
from bsdgate.harness.errors import InfrastructureError, Interrupted, UsageError
from bsdgate.harness.nodes import changes, environment
from bsdgate.harness.profiles import load as profiles
from bsdgate.harness.profiles.model import Profile
from bsdgate.harness.run_dir import Attempt, Manifest, RunDir
from bsdgate.harness.suites import hostchecks, rally
from bsdgate.harness.suites import model as suites
from bsdgate.harness.suites.rally import RallyWorkspace
from bsdgate.harness.suites.tempest import Workspace
from bsdgate.harness.suites.watch import complaints, watch
from bsdgate.results import judge as results
from bsdgate.results import reporters
from bsdgate.results.errors import BsdgateError
from bsdgate.results.model import Kind, Verdict
from bsdgate.results.parsers.subunit import StatusEvent, StreamReader

CLOUD: Final = "bsdgate"
"""The name of a run's cloud in the clouds.yaml of the run."""


@dataclass(frozen=True)
class Options:
    """What the user asks for. ``changes`` are texts as ``--with`` takes them."""

    profile: str = "embedded"
    suite: str = "smoke"
    tests: str | None = None
    concurrency: int | None = None
    keep: bool = False
    changes: tuple[str, ...] = ()


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
    """A run under way."""

    folder: RunDir
    profile: Profile
    suite: suites.Suite
    environment: environment.Environment
    listener: Listener
    keep: bool = False
    resumed: bool = False
    cloud: Cloud | None = None

    @property
    def workspace(self) -> Workspace:
        """The run's Tempest workspace."""
        path = self.folder.path
        return Workspace(
            path / "tempest", self.environment.bin, path / "clouds.yaml", self.folder.logs
        )

    @property
    def rally(self) -> RallyWorkspace:
        """The run's Rally workspace."""
        path, python = self.folder.path, self.environment.python
        return RallyWorkspace(path / "rally", python, path / "clouds.yaml", self.folder.logs)


# Before the steps: a run directory, made or found ------------------------------------------


def begin(options: Options, listener: Listener) -> Run:
    """Prepare a new run: everything that can be wrong with what was asked is said here.

    :raises UsageError: an unknown profile, suite, project or an unusable pattern.
    :raises ConfigurationError: the profile, the suite or the change does not fit.
    """
    listener.step("prepare")
    profile, suite = profiles.load_local(options.profile), suites.load(options.suite)
    suites.check_pattern(options.tests)
    concurrency = options.concurrency or profile.concurrency
    if suite.task is not None:
        concurrency = rally.check(suite, options.tests, options.concurrency)
    found = environment.prepare(
        changes.parse_all(options.changes, profile.release),
        profile.release,
        places.cache(),
        listener.say,
    )
    manifest = Manifest(
        profile=options.profile,
        suite=suite.name,
        release=profile.release,
        evidence=("hostchecks", suite.runner),
        selection=options.tests,
        concurrency=concurrency,
        seed=random.SystemRandom().randrange(2**32),
        changes=found.changes,
        versions=found.versions(),
    )
    folder = RunDir.create(places.state() / "runs", manifest)
    return Run(folder, profile, suite, found, listener, keep=options.keep)


def resume(path: Path, listener: Listener, *, keep: bool = False) -> Run:
    """Open a run that was stopped, to run what it has not.

    :raises UsageError: it is no run, is in use, or was of another version or change.
    """
    listener.step("prepare")
    folder = RunDir.open(path)
    try:
        manifest = folder.manifest
        profile, suite = profiles.load(manifest.profile), suites.load(manifest.suite)
        texts = [f"{each.project}={each.source}" for each in manifest.changes]
        found = environment.prepare(
            changes.parse_all(texts, profile.release),
            profile.release,
            places.cache(),
            listener.say,
        )
        if found.changes != manifest.changes or found.versions() != manifest.versions:
            raise UsageError(
                f"what is installed, or the change under test, is not what {path} ran with",
                "bring that back, or start a new run",
            )
    except BaseException:
        folder.close()
        raise
    return Run(folder, profile, suite, found, listener, keep=keep, resumed=True)


# The steps ---------------------------------------------------------------------------------


def deploy(run: Run) -> None:
    """Start the cloud, and name it in the run's own clouds.yaml."""
    run.cloud = Cloud.start(
        run.folder.cloud,
        name=CLOUD,
        python=run.environment.python,
        templates=places.cache() / "templates",
        options=run.profile.service_options(),
        timeout=run.profile.timeouts.start,
        on_event=run.listener.cloud,
    )
    entry = yaml.safe_dump({"clouds": {CLOUD: run.cloud.clouds_yaml_entry()}})
    run.folder.write("clouds.yaml", entry)


def check(run: Run) -> None:
    """Check the host side of the cloud: processes, sockets, files.

    The cloud of a resumed run is checked too, but what was asked once has its answer.
    """
    facts = {"BSDGATE_CLOUD_DIR": str(run.folder.cloud)}
    asked = _unreported(run, Kind.HOSTCHECKS)
    if asked is None:
        asked = hostchecks.list_checks(facts, run.folder.logs)
    elif not asked:
        hostchecks.require(facts, run.folder.logs)
        return
    attempt = run.folder.begin_attempt("hostchecks", "junit", _lines(asked))
    with _interruptible(attempt):
        status, report = hostchecks.run(facts, run.folder.logs)
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
    run.listener.tests_begin(ids, run.folder.manifest.concurrency)
    try:
        (_run_rally if kind is Kind.RALLY else _run_tempest)(run, ids)
    finally:
        run.listener.tests_end()


def collect(run: Run) -> None:
    """Keep the services' logs, wherever the cloud goes."""
    shutil.copytree(run.folder.cloud / "logs", run.folder.logs / "services", dirs_exist_ok=True)


def cleanup(run: Run) -> None:
    """End the cloud and remove it, or leave it to the user who asked for that."""
    if run.cloud is None:
        return
    if run.keep and run.cloud.alive():
        run.cloud.detach()
        variables = f"OS_CLIENT_CONFIG_FILE={run.folder.path / 'clouds.yaml'} OS_CLOUD={CLOUD}"
        run.listener.say(f"the cloud was kept: {variables} openstack server list")
    else:
        run.cloud.stop()
        run.cloud.clean()


STEPS: Final[tuple[Callable[[Run], None], ...]] = (deploy, check, configure, test, collect)


def carry_out(run: Run) -> tuple[Verdict, BsdgateError | None]:
    """Take the steps, judge what came of them, write the reports, clean up.

    Returns the verdict, and the error that kept a step from its end, if there was one.

    :raises Interrupted: the user stopped the run; it can be resumed.
    """
    failure = None
    try:
        try:
            for step in STEPS:
                _take(step, run)
        except InfrastructureError as error:
            failure = error
            # What kept the step from its end, such as a full disk, may keep the logs from here.
            with contextlib.suppress(OSError):
                collect(run)
        verdict = _judge(run)
    except KeyboardInterrupt:
        run.folder.record("run", "interrupt")
        raise Interrupted(
            f"stopped; what was found is in {run.folder.path}",
            f"go on with `bsdgate run --resume {run.folder.path}`",
        ) from None
    finally:
        run.listener.step("cleanup")
        cleanup(run)
        run.folder.close()
    return verdict, failure


def _take(step: Callable[[Run], None], run: Run) -> None:
    name = step.__name__
    run.listener.step(name)
    run.folder.record(name, "begin")
    try:
        step(run)
    except BsdgateError as error:
        run.folder.record(name, "fail", message=str(error))
        raise
    run.folder.record(name, "end")


def _judge(run: Run) -> Verdict:
    run.listener.step("judge")
    known = Path(str(resources.files("bsdgate"))) / "expectations"
    verdict = results.judge_run(run.folder.path, [known])
    run.listener.step("report")
    with files.explained(run.folder.report):
        reporters.write_all(verdict, run.folder.path)
    run.folder.record("judge", "end", result=str(verdict.result))
    return verdict


# What the steps are made of ----------------------------------------------------------------


def _lines(ids: Sequence[str]) -> bytes:
    return "".join(f"{each}\n" for each in ids).encode()


@contextlib.contextmanager
def _interruptible(attempt: Attempt) -> Iterator[None]:
    """Mark the attempt as interrupted if the user stops it."""
    try:
        yield
    except KeyboardInterrupt:
        attempt.interrupt()
        raise


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
    run.folder.write("excluded.yaml", yaml.safe_dump(dict(selection.excluded)))
    return selection.ids


def _run_tempest(run: Run, ids: Sequence[str]) -> None:
    attempt = run.folder.begin_attempt("tempest", "subunit", _lines(ids))
    reader = StreamReader()

    def take(chunk: bytes) -> None:
        attempt.stream.write(chunk)
        for event in reader.feed(chunk):
            run.listener.test(event)

    with _interruptible(attempt):
        with run.workspace.running(ids, run.folder.manifest.concurrency) as running:
            status, problems = watch(running, take, _looking_after(run))
        for event in reader.close():
            run.listener.test(event)
        attempt.stream.write(reader.make_seal(run.folder.manifest.run_id, attempt.name))
    attempt.end(status, problems)


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
            with run.rally.running(workloads, CLOUD) as running:
                status, problems = watch(running, take, _looking_after(run))
        finally:
            attempt.stream.write(run.rally.report())
    attempt.end(status, problems or reader.problems(running))


def _looking_after(run: Run) -> Callable[[], list[str]]:
    """Return what says why going on is pointless: a service is gone, or time is up."""
    assert run.cloud is not None
    cloud, limit = run.cloud, run.profile.timeouts.run
    deadline = time.monotonic() + limit

    def look() -> list[str]:
        late = time.monotonic() > deadline
        problems = [f"the tests did not end within {limit:g} s"] if late else []
        return problems + complaints(cloud.status())

    return look
