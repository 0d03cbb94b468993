# SPDX-License-Identifier: Apache-2.0
"""The steps of a run, each a function of the run. What they do and find is in its directory."""

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

from bsdgate.harness import files
from bsdgate.harness.cloud.service import example
from bsdgate.harness.cloud.spec import checked_name
from bsdgate.harness.deployments.base import Deployment
from bsdgate.harness.environments import environment
from bsdgate.harness.errors import InfrastructureError, UsageError
from bsdgate.harness.manifest import AskedProject, NodeDocument
from bsdgate.harness.nodes.base import Node
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
"""What the journal calls it if a change altered what runs without it; the judge reads it."""


CLOSE: Final = "close"
"""What the journal calls the end of a deployment, and what was found there; the judge reads it."""
LEFT: Final = "left-behind"
"""What the journal calls processes that outlived a step and were killed; the judge reads it."""


class Listener(Protocol):
    """Receives the progress of a run."""

    def step(self, name: str) -> None:
        """A step begins."""

    def say(self, text: str) -> None:
        """Receive a line for a person."""

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
    """A run under way.

    ``environment`` has the runners of the tests; what the deployment runs is its own. ``site`` is
    where the runners keep their files, by default the run directory; ``history`` is the URL of the
    history that it is judged by and kept in, if it is not this machine's own.
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
    def accounts(self) -> Path:
        """The file of the accounts that the cloud has for tests, if it has any."""
        return self.site / "accounts.yaml"

    @cached_property
    def durations(self) -> Mapping[str, float]:
        """How many seconds the tests of the suite took in an earlier run, by id."""
        return durations.newest(self.folder.path.parent, self.suite.name)

    @property
    def changed(self) -> bool:
        """Whether a change under test runs here."""
        return self.deployment.changed or bool(self.environment.changes)

    @property
    def runner(self) -> Runner:
        """What runs the tests of the suite."""
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
        )
        return runners.make(site, self.profile, self.suite, self.folder.manifest.concurrency)


def provision(run: Run) -> None:
    """Connect to the node, and install there what the deployment runs; write down both.

    :raises UsageError: a resumed run would go on with another installation.
    """
    run.node.connect()
    facts, installed = run.node.facts(), run.deployment.install(run.listener.say)
    found = NodeDocument(
        run_id=run.folder.manifest.run_id,
        name=run.node.name,
        facts=dict(facts),
        versions={**run.environment.versions(), **installed.versions},
        changes=(*installed.changes, *run.environment.changes),
    )
    _refuse_another_change(run.folder.manifest.changes, found.changes)
    before = run.folder.read_node()
    if before is None:
        run.folder.write_node(found)
    elif (before.versions, before.changes) != (found.versions, found.changes):
        raise UsageError(
            f"what is installed, or the change under test, is not what {run.folder.path} ran with",
            "bring that back, or start a new run",
        )


def _refuse_another_change(asked: Sequence[AskedProject], built: Sequence[AskedProject]) -> None:
    """Raise UsageError if the node built another state of a project than the one asked for."""
    wanted = {each.project: each.identity for each in asked}
    for each in built:
        if each.identity != wanted.get(each.project, each.identity):
            raise UsageError(
                f"{each.project} was {wanted[each.project]} here, and what was built from"
                f" {each.source} is {each.identity}",
                "start a new run while the source does not change",
            )


def deploy(run: Run) -> None:
    """Start the cloud, and name it in the run's own clouds.yaml."""
    access = run.deployment.start(run.listener.cloud)
    run.deployed = True
    document = yaml.safe_dump({"clouds": {CLOUD: dict(access.entry)}})
    files.write_atomically(run.clouds_yaml, document.encode())
    if access.accounts is not None:
        accounts = yaml.safe_dump([dict(each) for each in access.accounts], sort_keys=False)
        files.write_atomically(run.accounts, accounts.encode())


def check(run: Run) -> None:
    """Check the host side of the cloud: processes, sockets, files.

    The cloud of a resumed run is checked too, but what was asked once has its answer.
    """
    target = run.deployment.host_checks()
    if target is None:
        return
    checks = HostChecks(target.variables, run.logs, run.profile.limits.configure, target.testinfra)
    asked = _unreported(run, Kind.HOSTCHECKS)
    if asked is None:
        run_attempt(run, checks, checks.list_ids(), looking_after(run))
    elif not asked:
        checks.require()
    else:
        run_attempt(run, checks, asked, looking_after(run))


def configure(run: Run) -> None:
    """Make the workspace and configuration of what runs the tests."""
    run.runner.prepare()


def test(run: Run) -> None:
    """Run the suite's tests, or in a resumed run those that have no outcome yet."""
    ids = _unreported(run, Kind(run.runner.kind))
    if ids is None:
        ids = _select(run)
    elif not ids:
        run.listener.say("no test was left to run")
        return
    with shown(run, ids):
        run_attempt(run, run.runner, ids, looking_after(run))


def collect(run: Run) -> None:
    """Keep the services' logs, wherever the cloud goes."""
    run.deployment.collect_logs(run.logs / "services")


def see_base_unaltered(run: Run) -> None:
    """End the cloud of a change, unless it is kept, and see that it altered nothing of the base.

    :raises InfrastructureError: something was altered; the journal keeps that for the judge.
    """
    if not run.changed:
        return
    if run.deployed and not run.keep:
        _report_left(run, "the cloud", run.deployment.end())
    run.base_seen = not run.keep
    try:
        run.deployment.check_base()
        run.environment.see_base_unaltered(run.logs / "base.log")
    except InfrastructureError as error:
        run.folder.record(ALTERED, "fail", message=error.message)
        raise


def cleanup(run: Run) -> None:
    """End the cloud and remove it, or leave it to the user who asked for that."""
    if not run.deployed:
        return
    if run.keep and run.deployment.keep():
        file = shlex.quote(str(run.clouds_yaml))
        variables = f"OS_CLIENT_CONFIG_FILE={file} OS_CLOUD={CLOUD}"
        command = f"openstack {example(run.profile.services)}"
        run.listener.say(f"the cloud was kept: {variables} {command}")
        run.listener.say(f"`bsdgate down {shlex.quote(str(run.folder.path))}` ends it")
    else:
        _remove(run)
    run.deployed = False
    # A run that was stopped or failed has not come to this yet.
    if not run.base_seen:
        try:
            see_base_unaltered(run)
        except InfrastructureError as error:
            run.listener.say(str(error))


def _remove(run: Run) -> None:
    """End a cloud and remove it; what went wrong with that is the judge's to weigh."""
    left: Sequence[str] = ()
    try:
        left = run.deployment.end()
        for found in run.deployment.close():
            run.folder.record(CLOSE, "fail", code=found.code, message=found.text)
        if run.site == run.folder.path:
            run.folder.record(CLOSE, "end")
    except Exception as error:  # noqa: BLE001 - no defect here may keep a verdict from being given
        _report(run, f"the cloud could not be removed: {type(error).__name__}: {error}")
    _report_left(run, "the cloud", left)


# What the steps are made of ----------------------------------------------------------------


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
    if run.site == run.folder.path or run.changed:
        run.folder.record(LEFT, "fail", message=message)
    else:
        run.listener.say(message)


def _unreported(run: Run, kind: Kind) -> Sequence[str] | None:
    """Return what was asked before and has no outcome yet; None if nothing was asked before."""
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
        run.listener.say(f"{area:10} {chosen:5} tests, {left_out} left out")
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
    """Run these tests as a new attempt, while ``look`` finds nothing to end it for."""
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
    """Show the progress of these tests."""
    run.listener.tests_begin(ids, run.folder.manifest.concurrency)
    try:
        yield
    finally:
        run.listener.tests_end()


def looking_after(run: Run, seconds: float | None = None) -> Callable[[], list[Problem]]:
    """Return what says why going on is pointless: a service is gone, or time is up.

    The time is ``seconds``, by default what the profile gives all tests.
    """
    limit = seconds or run.profile.limits.run
    deadline = time.monotonic() + limit

    def look() -> list[Problem]:
        late = time.monotonic() > deadline
        text = f"the tests did not end within {limit:g} s"
        problems = [Problem(Code.TIME_LIMIT, text)] if late else []
        return [*problems, *run.deployment.health()]

    return look
