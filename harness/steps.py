# SPDX-License-Identifier: Apache-2.0
"""The steps of a run, each a function of the run. What they do and find is in its directory."""

import contextlib
import json
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

import yaml

from bsdgate.harness import files, places
from bsdgate.harness.cloud.client import Cloud
from bsdgate.harness.cloud.service import example
from bsdgate.harness.cloud.spec import Limits, checked_name
from bsdgate.harness.environments import environment
from bsdgate.harness.errors import InfrastructureError
from bsdgate.harness.profiles import boards
from bsdgate.harness.profiles.load import service_options
from bsdgate.harness.profiles.model import Profile
from bsdgate.harness.run_dir import Attempt, RunDir
from bsdgate.harness.runners import table as runners
from bsdgate.harness.runners.base import Look, Runner, Site
from bsdgate.harness.runners.hostchecks import HostChecks
from bsdgate.harness.runners.watch import complaints
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
    def runner(self) -> Runner:
        """What runs the tests of the suite."""
        site = Site(self.site, self.logs, self.environment.python, self.clouds_yaml, CLOUD)
        return runners.make(site, self.profile, self.suite, self.folder.manifest.concurrency)


def deploy(run: Run) -> None:
    """Start the cloud, and name it in the run's own clouds.yaml."""
    run.cloud = Cloud.start(
        run.site / "cloud",
        name=CLOUD,
        python=run.environment.python,
        templates=places.cache() / "templates",
        services=run.profile.services,
        options=service_options(run.profile),
        nodes=boards.nodes(run.profile.boards),
        limits=Limits(run.profile.limits.start, run.profile.limits.stop),
        on_event=run.listener.cloud,
    )
    entry = yaml.safe_dump({"clouds": {CLOUD: run.cloud.clouds_yaml_entry()}})
    files.write_atomically(run.clouds_yaml, entry.encode())


def check(run: Run) -> None:
    """Check the host side of the cloud: processes, sockets, files.

    The cloud of a resumed run is checked too, but what was asked once has its answer.
    """
    facts = {
        "BSDGATE_CLOUD_DIR": str(run.folder.cloud),
        "BSDGATE_CLOUD_SERVICES": ",".join(run.profile.services),
        "BSDGATE_NODE_PYTHON": sys.executable,
    }
    checks = HostChecks(facts, run.logs, run.profile.limits.configure)
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
        command = f"openstack {example(run.profile.services)}"
        run.listener.say(f"the cloud was kept: {variables} {command}")
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
    assert run.cloud is not None
    cloud, limit = run.cloud, seconds or run.profile.limits.run
    deadline = time.monotonic() + limit

    def look() -> list[Problem]:
        late = time.monotonic() > deadline
        text = f"the tests did not end within {limit:g} s"
        problems = [Problem(Code.TIME_LIMIT, text)] if late else []
        return problems + complaints(cloud.status())

    return look
