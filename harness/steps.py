# SPDX-License-Identifier: Apache-2.0
"""The steps of a run: functions with a Run as argument. They write to the run directory."""

import contextlib
import json
import shlex
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Protocol

import yaml

from bsdgate import harness
from bsdgate.harness import files
from bsdgate.harness.cloud.service import example
from bsdgate.harness.cloud.spec import checked_name
from bsdgate.harness.deployments.base import Deployment
from bsdgate.harness.environments import environment
from bsdgate.harness.errors import InfrastructureError, UsageError
from bsdgate.harness.manifest import AskedProject, NodeDocument
from bsdgate.harness.nodes import specs
from bsdgate.harness.nodes.base import Node, report_factor
from bsdgate.harness.profiles import matrix
from bsdgate.harness.profiles.model import Profile
from bsdgate.harness.run_dir import Attempt, RunDir
from bsdgate.harness.runners import durations
from bsdgate.harness.runners import table as runners
from bsdgate.harness.runners.base import Look, Runner, Site
from bsdgate.harness.runners.hostchecks import HostChecks
from bsdgate.harness.suites import model as suites
from bsdgate.results import judge as results
from bsdgate.results.codes import Code
from bsdgate.results.model import Kind
from bsdgate.results.parsers.subunit import StatusEvent
from bsdgate.results.problems import Problem

CLOUD: Final = checked_name("bsdgate")
"""The name of a run's cloud in the clouds.yaml of the run."""
ALTERED: Final = "base-altered"
"""The journal's step for a change that altered the base; the judge reads it."""
CLOSE: Final = "close"
"""The journal's step for the end of a deployment, with its problems; the judge reads it."""
MATRIX: Final = "matrix"
"""The journal's step for the problems of the versions; the judge reads it."""
NODE: Final = "node"
"""The journal's step for the problems of the node; the judge reads it."""
LEFT: Final = "left-behind"
"""The journal's step for processes that outlived a step and were killed; the judge reads it."""


class Listener(Protocol):
    """Receives the progress of a run."""

    def step(self, name: str) -> None:
        """A step begins."""

    def report(self, text: str) -> None:
        """Receive a line for the user."""

    def cloud(self, event: Mapping[str, Any]) -> None:
        """Receive an event of the deployment while it starts."""

    def tests_begin(self, ids: Sequence[str], concurrency: int) -> None:
        """These tests are about to run."""

    def test(self, event: StatusEvent) -> None:
        """Receive the status of one test."""

    def tests_end(self) -> None:
        """The tests have ended."""


@dataclass
class Run:
    """A run in progress.

    ``environment`` contains the runners; a deployment has an environment of its own. ``site`` is
    the directory for the files of the runners, by default the run directory. ``history`` is the URL
    of a shared history to use in place of the history of this machine.
    """

    folder: RunDir
    profile: Profile
    suite: suites.Suite
    node: Node
    deployment: Deployment
    environment: environment.Environment
    listener: Listener
    keep: bool = False
    site: Path = field(default_factory=Path)
    history: str | None = None
    deployed: bool = False
    """Whether the deployment was started and is not closed yet."""
    base_checked: bool = False
    """Whether the base was checked after the last process with code of the change had ended."""

    def __post_init__(self) -> None:
        self.site = self.folder.path / self.site

    @property
    def logs(self) -> Path:
        """The directory of the logs."""
        return self.site / "logs"

    @property
    def clouds_yaml(self) -> Path:
        """The clouds.yaml of the run."""
        return self.site / "clouds.yaml"

    @property
    def accounts(self) -> Path:
        """The accounts file for Tempest; it exists if the cloud has accounts for tests."""
        return self.site / "accounts.yaml"

    @cached_property
    def durations(self) -> Mapping[str, float]:
        """The seconds that each test of the suite took in an earlier run, by id."""
        return durations.newest(self.folder.path.parent, self.suite.name)

    @property
    def changed(self) -> bool:
        """Whether the deployment or the runners contain a change under test."""
        return self.deployment.changed or bool(self.environment.changes)

    @property
    def runner(self) -> Runner:
        """The runner for the tests of the suite."""
        given = self.deployment.for_runner()
        site = Site(
            self.site,
            self.logs,
            self.environment.python,
            self.clouds_yaml,
            CLOUD,
            self.accounts if self.accounts.exists() else None,
            self.durations,
            given.options,
            given.tempestconf,
            given.requests,
            self.folder.read_split(),
        )
        return runners.make(site, self.profile, self.suite, self.folder.manifest.concurrency)


def provision(run: Run) -> None:
    """Connect to the node, install the deployment on it and inspect it; write ``node.json``.

    :raises UsageError: the run is resumed, and the installed versions or changes differ.
    :raises InfrastructureError: the node does not have the requested version of FreeBSD.
    """
    run.node.connect()
    factor = run.node.factor
    report_factor(factor, run.listener.report)
    run.profile = run.profile.with_factor(factor.value)
    installed = run.deployment.install(run.listener.report)
    inspection = run.node.inspect(run.folder.manifest.run_id)
    facts = {**inspection.facts, **factor.facts()}
    found = NodeDocument(
        run_id=run.folder.manifest.run_id,
        name=run.node.name,
        facts=facts,
        versions={**run.environment.versions(), **installed.versions, **_own_version(run)},
        changes=(*installed.changes, *run.environment.changes),
    )
    _refuse_another_change(run.folder.manifest.changes, found.changes)
    _refuse_other_version(run, facts)
    _check_versions(run, facts)
    before = run.folder.read_node()
    if before is None:
        run.folder.write_node(found)
    elif (before.versions, before.changes) != (found.versions, found.changes):
        raise UsageError(
            "the installed versions or the change under test differ from those in"
            f" {run.folder.path}/node.json",
            "install the versions in this file again, or start a new run",
        )
    run.folder.write_inspection("begin", inspection)
    # Only later messages of the kernel are about the run.
    run.node.kernel_messages()


def _refuse_other_version(run: Run, facts: Mapping[str, str]) -> None:
    """Raise InfrastructureError if the node does not have the version of FreeBSD in ``--on``."""
    on = run.folder.manifest.on
    found = None if on is None else specs.other_version(on, facts)
    if found is not None:
        run.folder.record(NODE, "fail", code=Code.NODE_NOT_AS_ASKED, message=found)
        raise InfrastructureError(
            f"the node {run.node.name} does not have the requested version: {found}",
            "remove the image (`bsdgate image list`, `bsdgate image prune NAME`) and run again, or"
            " request the version that the node has",
        )


def _check_versions(run: Run, facts: Mapping[str, str]) -> None:
    """Write the problems of the node's and the run's versions to the journal for the judge.

    The day is the day on which the run began: a later verdict on the same run is the same.
    """
    began = run.folder.manifest.created.date()
    for found in matrix.problems(facts, run.profile.release, began):
        run.folder.record(MATRIX, "fail", code=found.code, message=found.text)
        run.listener.report(found.text)


def _own_version(run: Run) -> dict[str, str]:
    """Return bsdgate's version with the digest of its files.

    bsdgate has tests of its own. A commit may rename them without a new version, and a test that is
    missing with the same versions makes the run an ERROR (``fewer-ran``).
    """
    digest = run.folder.manifest.bsdgate_sha256
    return {"bsdgate": f"{harness.version()} sha256:{digest:.12}"}


def _refuse_another_change(asked: Sequence[AskedProject], built: Sequence[AskedProject]) -> None:
    """Raise UsageError if the node built a project from other code than was requested."""
    wanted = {each.project: each.identity for each in asked}
    for each in built:
        if each.identity != wanted.get(each.project, each.identity):
            raise UsageError(
                f"{each.project} was {wanted[each.project]} when the run began, but the node built"
                f" {each.identity} from {each.source}",
                "start a new run, and do not change the source during the run",
            )


def deploy(run: Run) -> None:
    """Start the cloud, and write the run's clouds.yaml and accounts file."""
    access = run.deployment.start(run.listener.cloud)
    run.deployed = True
    document = yaml.safe_dump({"clouds": {CLOUD: dict(access.entry)}})
    files.write_atomically(run.clouds_yaml, document.encode())
    if access.accounts is not None:
        accounts = yaml.safe_dump([dict(each) for each in access.accounts], sort_keys=False)
        files.write_atomically(run.accounts, accounts.encode())


def check(run: Run) -> None:
    """Run the host checks: processes, sockets and files of the cloud.

    A resumed run has a new cloud, so its host is checked again, but a check with an outcome gets
    no second outcome.
    """
    target = run.deployment.host_checks()
    if target is None:
        return
    checks = HostChecks(target.variables, run.logs, run.profile.limits.configure, target.testinfra)
    asked = _unreported(run, Kind.HOSTCHECKS)
    if asked is None:
        run_attempt(run, checks, checks.list_ids(), stop_check(run))
    elif not asked:
        checks.require()
    else:
        run_attempt(run, checks, asked, stop_check(run))


def configure(run: Run) -> None:
    """Make the workspace and the configuration of the runner."""
    run.runner.prepare()


def test(run: Run) -> None:
    """Run the tests of the suite; in a resumed run, only those without an outcome."""
    ids = _unreported(run, Kind(run.runner.kind))
    if ids is None:
        ids = _select(run)
    elif not ids:
        run.listener.report("no test was left to run")
        return
    with shown(run, ids):
        run_attempt(run, run.runner, ids, stop_check(run))


def collect(run: Run) -> None:
    """Copy the services' logs to the run directory before the cloud is removed."""
    run.deployment.collect_logs(run.logs / "services")


def check_base_unaltered(run: Run) -> None:
    """End the cloud with the change, unless it is kept; check that the change altered no base file.

    :raises InfrastructureError: a file was altered; the error is also in the journal.
    """
    if not run.changed:
        return
    if run.deployed and not run.keep:
        _report_left(run, "the cloud", run.deployment.end())
    run.base_checked = not run.keep
    try:
        run.deployment.check_base()
        run.environment.check_base_unaltered(run.logs / "base.log")
    except InfrastructureError as error:
        run.folder.record(ALTERED, "fail", message=error.message)
        raise


def cleanup(run: Run) -> None:
    """End and remove the cloud; with ``--keep``, leave it running and print how to use it."""
    if not run.deployed:
        return
    if run.keep and run.deployment.keep():
        file = shlex.quote(str(run.clouds_yaml))
        variables = f"OS_CLIENT_CONFIG_FILE={file} OS_CLOUD={CLOUD}"
        command = f"openstack {example(run.profile.services)}"
        run.listener.report(f"the cloud was kept: {variables} {command}")
        run.listener.report(f"`bsdgate down {shlex.quote(str(run.folder.path))}` ends the cloud")
    else:
        _remove(run)
    run.deployed = False
    # A run that was stopped or has failed did not check the base.
    if not run.base_checked:
        try:
            check_base_unaltered(run)
        except InfrastructureError as error:
            run.listener.report(str(error))


def _remove(run: Run) -> None:
    """End and remove a cloud; write its problems to the journal for the judge."""
    left: Sequence[str] = ()
    try:
        left = run.deployment.end()
        for found in run.deployment.close():
            run.folder.record(CLOSE, "fail", code=found.code, message=found.text)
        if run.site == run.folder.path:
            run.folder.record(CLOSE, "end")
    except Exception as error:  # noqa: BLE001 - a defect here must not prevent the verdict
        _report(run, f"the cloud could not be removed: {type(error).__name__}: {error}")
    _report_left(run, "the cloud", left)


# Parts of the steps ------------------------------------------------------------------------


class OutOfTimeError(Exception):
    """The time for the re-runs is over; the attempt has no other problem."""


@contextlib.contextmanager
def _interruptible(attempt: Attempt) -> Iterator[None]:
    """Mark the attempt as interrupted if the user or the time limit stops it."""
    try:
        yield
    except (KeyboardInterrupt, OutOfTimeError):
        attempt.interrupt()
        raise


def _report_left(run: Run, what: str, left: Sequence[str]) -> None:
    """Record the processes that outlived ``what`` and were killed, if there were any."""
    if left:
        _report(run, f"{what} left processes behind, which were killed: {'; '.join(left)}")


def _report(run: Run, message: str) -> None:
    """Write a message to the journal; only show a message about the cloud without the change."""
    if run.site == run.folder.path or run.changed:
        run.folder.record(LEFT, "fail", message=message)
    else:
        run.listener.report(message)


def _unreported(run: Run, kind: Kind) -> Sequence[str] | None:
    """Return the ids without an outcome in earlier attempts; None if there was no attempt."""
    asked_before = any(run.folder.evidence.glob(f"*-{kind}"))
    return results.remaining(run.folder.path, kind) if asked_before else None


def _select(run: Run) -> Sequence[str]:
    selection = suites.select(
        run.suite,
        run.runner.list_ids(),
        cannot=run.profile.excludes,
        only=run.folder.manifest.selection,
    )
    for area, (chosen, left_out) in selection.counts().items():
        run.listener.report(f"{area:10} {chosen:5} tests, {left_out} left out")
    run.folder.write("excluded.json", json.dumps(dict(selection.excluded), indent=1))
    return selection.ids


def run_attempt(
    run: Run,
    runner: Runner,
    ids: Sequence[str],
    look: Look,
    *,
    side: str = "change",
    confirms: str = "",
) -> None:
    """Run these tests as a new attempt, until ``look`` returns a reason to stop."""
    attempt = run.folder.begin_attempt(
        runner.kind,
        runner.form,
        runner.asked(ids),
        side=side,
        confirms=confirms,
        test_timeout=runner.test_timeout,
    )
    with _interruptible(attempt):
        ended = runner.run(ids, attempt, run.listener, look)
        _report_left(run, f"the runner ({runner.kind})", ended.left)
    attempt.end(ended.exit_status, ended.problems, ended.record)


@contextlib.contextmanager
def shown(run: Run, ids: Sequence[str]) -> Iterator[None]:
    """Report the begin and the end of these tests to the listener."""
    run.listener.tests_begin(ids, run.folder.manifest.concurrency)
    try:
        yield
    finally:
        run.listener.tests_end()


def stop_check(run: Run, seconds: float | None = None) -> Callable[[], list[Problem]]:
    """Return a function that returns the reasons to stop: a service died, or the time is over.

    The time limit is ``seconds``, by default the profile's limit for all tests.
    """
    limit = seconds or run.profile.limits.run
    deadline = time.monotonic() + limit

    def look() -> list[Problem]:
        late = time.monotonic() > deadline
        text = f"the tests did not end within {limit:g} s"
        problems = [Problem(Code.TIME_LIMIT, text)] if late else []
        return [*problems, *run.deployment.health()]

    return look
