# SPDX-License-Identifier: Apache-2.0
"""The contract of runners. Tempest, Rally and pytest run here without a cloud."""

import dataclasses
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, get_args

import pytest
import yaml
from fakes.runner import FakeRunner
from unit.harness.manifests import manifest, with_node

from bsdgate.harness import folders
from bsdgate.harness.errors import UsageError
from bsdgate.harness.manifest import RunnerKind
from bsdgate.harness.profiles import load as profiles
from bsdgate.harness.run_dir import Format, RunDir
from bsdgate.harness.runners import checks
from bsdgate.harness.runners.apichecks import ApiChecks
from bsdgate.harness.runners.base import Ended, Runner, Site
from bsdgate.harness.runners.hostchecks import HostChecks
from bsdgate.harness.runners.rally import RallyRunner, RallyWorkspace, Task
from bsdgate.harness.runners.tempest import TempestRunner
from bsdgate.harness.suites import model as suites
from bsdgate.results import evidence, ledger
from bsdgate.results.codes import Code, State
from bsdgate.results.judge import remaining
from bsdgate.results.ledger import Ledger
from bsdgate.results.model import Attempt, Kind, Outcome
from bsdgate.results.parsers.subunit import TERMINAL, StatusEvent
from bsdgate.results.problems import Problem

DIED = Problem(Code.SERVICE_DIED, "a service died")
PATIENCE = 60
"""The number of seconds after which a test that waits ends, so that a wrong runner ends too."""


@dataclass
class Recorder:
    """Records the tests that ended."""

    ended: list[str] = field(default_factory=list)

    def test(self, event: StatusEvent) -> None:
        """Record the end of a test."""
        if event.status in TERMINAL:
            self.ended.append(event.id)

    def report(self, text: str) -> None:
        """Ignore the line."""


@dataclass(frozen=True)
class Subject:
    """A prepared runner of three tests: one passes, one fails, one waits until it is ended.

    ``waiting`` is the file that this one makes when it begins; None: when it begins, the end of the
    test before it was reported.
    """

    runner: Runner
    passes: str
    fails: str
    waits: str
    waiting: Path | None = field(default=None, kw_only=True)

    def is_waiting(self, events: Recorder) -> bool:
        """Return whether the test before the one that waits has ended."""
        if self.waiting is None:
            return self.passes in events.ended
        return self.waiting.exists()


@dataclass(frozen=True)
class Ran:
    """An attempt as the judge reads it. ``ended`` is None if it was interrupted."""

    ended: Ended | None
    attempt: Attempt
    ledger: Ledger
    events: Recorder

    @property
    def reported(self) -> list[tuple[str, Outcome]]:
        """The ids and the outcomes in the stream, sorted."""
        return sorted((report.id, report.outcome) for report in self.attempt.reports)

    @property
    def missing(self) -> list[str]:
        """The requested tests without an outcome."""
        return [case.id for case in self.ledger.cases if case.outcome is Outcome.MISSING]


def stay(_: Recorder) -> Sequence[Problem]:
    return ()


class Bench:
    """Runs the tests of a subject, each time as a new attempt of one run."""

    def __init__(self, subject: Subject, folder: Path) -> None:
        self.runner = subject.runner
        found = manifest(evidence=(subject.runner.kind,))
        self.folder = with_node(RunDir.create(folder, found))

    def run(self, ids: Sequence[str], look: Callable[[Recorder], Sequence[Problem]] = stay) -> Ran:
        """Run these tests as the step ``test`` does; read the evidence."""
        ended, events = None, Recorder()
        attempt = self.folder.begin_attempt(
            self.runner.kind,
            self.runner.form,
            self.runner.asked(ids),
            test_timeout=self.runner.test_timeout,
        )
        try:
            ended = self.runner.run(ids, attempt, events, lambda: look(events))
            attempt.end(ended.exit_status, ended.problems, ended.record)
        except KeyboardInterrupt:
            attempt.interrupt()
        attempts = {one.name: one for one in evidence.load(self.folder.path).attempts}
        read = attempts[attempt.name]
        return Ran(ended, read, ledger.reconcile([read]), events)


@pytest.fixture(scope="class")
def patch() -> Iterator[pytest.MonkeyPatch]:
    """Return a patch for the tests of a class."""
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.fixture(scope="class")
def site(tmp_path_factory: pytest.TempPathFactory, patch: pytest.MonkeyPatch) -> Site:
    """Return the files and settings of a runner, for a cloud that is not there."""
    folder = tmp_path_factory.mktemp("site")
    patch.setattr("bsdgate.harness.runners.watch.TICK", 0.01)
    folders.make(folder / "logs")
    auth = {"auth_url": "http://127.0.0.1:9/v3", "username": "x", "password": "x"}
    clouds_yaml = folder / "clouds.yaml"
    clouds_yaml.write_text(yaml.safe_dump({"clouds": {"one": {"auth": auth}}}))
    return Site(folder, folder / "logs", Path(sys.executable), clouds_yaml, "one")


@pytest.fixture(scope="class")
def bench(subject: Subject, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """Yield a bench for the runner of a class."""
    bench = Bench(subject, tmp_path_factory.mktemp("runs"))
    yield bench
    bench.folder.close()


@pytest.fixture(scope="class")
def complete(bench: Bench, subject: Subject) -> Ran:
    """Run two of the three tests to their end."""
    return bench.run([subject.fails, subject.passes])


class RunnerContract:
    """The tests; a subclass has the fixture ``subject`` of scope class."""

    SHOWS: ClassVar[bool] = True
    """Whether the runner reports the tests while or after they run."""

    def test_it_lists_each_test_once(self, subject: Subject) -> None:
        expected = [subject.passes, subject.fails, subject.waits]
        assert sorted(subject.runner.list_ids()) == sorted(expected)

    def test_the_attempt_has_the_kind_and_the_limit_of_the_runner(
        self, subject: Subject, complete: Ran
    ) -> None:
        runner = subject.runner
        assert runner.kind in get_args(RunnerKind)
        assert runner.form in get_args(Format)
        assert complete.attempt.kind is Kind(runner.kind)
        assert complete.attempt.test_timeout == (runner.test_timeout or 0)

    def test_the_requested_tests_are_read_back(self, subject: Subject, complete: Ran) -> None:
        assert complete.attempt.asked == (subject.fails, subject.passes)

    def test_each_requested_test_has_its_outcome_and_no_other_test_has_one(
        self, subject: Subject, complete: Ran
    ) -> None:
        expected = [(subject.passes, Outcome.SUCCESS), (subject.fails, Outcome.FAIL)]
        assert complete.reported == sorted(expected)

    def test_the_evidence_is_complete_and_without_contradiction(self, complete: Ran) -> None:
        assert complete.ended is not None
        assert (list(complete.ended.problems), list(complete.ended.left)) == ([], [])
        assert complete.attempt.state is State.ENDED
        assert complete.ledger.reasons == ()

    def test_the_end_of_each_test_is_shown(self, subject: Subject, complete: Ran) -> None:
        expected = [subject.passes, subject.fails] if self.SHOWS else []
        assert sorted(complete.events.ended) == sorted(expected)

    def test_a_problem_stops_the_tests_and_the_outcomes_before_it_count(
        self, bench: Bench, subject: Subject
    ) -> None:
        ran = bench.run(
            [subject.passes, subject.waits],
            lambda events: [DIED] if subject.is_waiting(events) else [],
        )
        assert ran.ended is not None
        assert list(ran.ended.problems) == [DIED]
        assert Code.SERVICE_DIED in {one.code for one in ran.attempt.problems}
        assert ran.reported == [(subject.passes, Outcome.SUCCESS)]
        assert remaining(bench.folder.path, ran.attempt.kind) == (subject.waits,)

    def test_an_interrupted_attempt_has_the_outcomes_before_the_interruption(
        self, bench: Bench, subject: Subject
    ) -> None:
        def interrupt(events: Recorder) -> Sequence[Problem]:
            if subject.is_waiting(events):
                raise KeyboardInterrupt
            return ()

        ran = bench.run([subject.passes, subject.waits], interrupt)
        assert ran.ended is None
        assert ran.attempt.state is State.INTERRUPTED
        assert ran.reported == [(subject.passes, Outcome.SUCCESS)]

    def test_a_test_that_is_not_in_the_list_gets_no_outcome(
        self, bench: Bench, subject: Subject
    ) -> None:
        unknown = f"{subject.passes}_of_another_version"
        ran = bench.run([subject.passes, unknown])
        assert unknown in ran.missing
        assert Code.LOST_TEST in {reason.code for reason in ran.ledger.reasons}


class TestFakeRunner(RunnerContract):
    @pytest.fixture(scope="class")
    @classmethod
    def subject(cls) -> Subject:
        outcomes = {"m.A.passes": "success", "m.A.fails": "fail", "m.A.waits": "success"}
        return Subject(FakeRunner(outcomes), *outcomes)


# Tempest ------------------------------------------------------------------------------------

TESTS = f"""\
import threading, unittest

class Tests(unittest.TestCase):
    def test_fails(self):
        self.fail("as it must")

    def test_passes(self):
        pass

    def test_waits(self):
        threading.Event().wait({PATIENCE})
"""
STESTR = "[DEFAULT]\ntest_path=./\ntop_dir=./\n"
# Instead of a tempest.conf for a cloud, it makes other tests in the workspace.
TEMPESTCONF = """\
cp {tests}/. . -R
while [ "$1" != --out ]; do shift; done
: > "$2"
"""


def write_program(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(["#!/bin/sh", *lines, ""]))
    path.chmod(0o755)
    return path


def programs(folder: Path) -> Path:
    """Make a directory of programs: those of Tempest, and another python-tempestconf."""
    made, tests = folder / "bin", folder / "tests"
    made.mkdir()
    tests.mkdir()
    (tests / "test_runner.py").write_text(TESTS)
    (tests / ".stestr.conf").write_text(STESTR)
    for name, path in {
        "python": Path(sys.executable),
        "stestr": Path(sys.executable).with_name("stestr"),
    }.items():
        write_program(made / name, f'exec {shlex.quote(str(path))} "$@"')
    write_program(
        made / "discover-tempest-config", TEMPESTCONF.format(tests=shlex.quote(str(tests)))
    )
    return made


class TestTempestRunner(RunnerContract):
    @pytest.fixture(scope="class")
    @classmethod
    def subject(cls, site: Site) -> Subject:
        python = programs(site.folder) / "python"
        own = Site(site.folder, site.logs, python, site.clouds_yaml, site.cloud)
        made = TempestRunner.make(own, profiles.load("embedded"), suites.load("smoke"), 2)
        # The cache would compare all installed files.
        runner = dataclasses.replace(made, lists=None)
        runner.prepare()
        tests = [f"test_runner.Tests.test_{name}" for name in ("passes", "fails", "waits")]
        return Subject(runner, *tests)


# Rally --------------------------------------------------------------------------------------

# The process of the runner, but it makes no user in a cloud, and no workload needs a cloud.
RALLY = """\
import contextlib, sys
from pathlib import Path
from types import SimpleNamespace
from bsdgate.harness.runners import rally_worker

create = rally_worker.EnvManager.create
rally_worker.EnvManager = SimpleNamespace(create=lambda name, _spec: create(name, {}))
rally_worker._user = lambda _cloud: contextlib.nullcontext({})
sys.exit(rally_worker.main(sys.argv[1], Path(sys.argv[2]), sys.argv[3]))
"""
WORKLOADS: Mapping[str, Mapping[str, int]] = {
    "Dummy.dummy": {},
    "Dummy.dummy_exception": {"sleep": 0},
    "Dummy.failure": {"sleep": PATIENCE},
}


@dataclass(frozen=True)
class RallySubject(Subject):
    """A task. The report has a workload before its end is shown: then Rally may be stopped."""

    def is_waiting(self, events: Recorder) -> bool:
        """Return whether the workload before the one that waits has ended."""
        waiting = super().is_waiting(events)
        assert isinstance(self.runner, RallyRunner)
        assert not waiting or self.passes.encode() in self.runner.workspace.report()
        return waiting


class TestRallyRunner(RunnerContract):
    @pytest.fixture(scope="class")
    @classmethod
    def subject(cls, site: Site) -> Subject:
        worker = site.folder / "worker.py"
        worker.write_text(RALLY)
        words = shlex.join([sys.executable, str(worker)])
        # The first two arguments are the module of the process.
        python = write_program(site.folder / "python", "shift 2", f'exec {words} "$@"')
        subtasks = [
            {
                "title": name,
                "scenario": {name: arguments},
                "runner": {"serial": {"times": 1}},
                "sla": {"failure_rate": {"max": 0}},
            }
            for name, arguments in WORKLOADS.items()
        ]
        task = Task.model_validate({"version": 2, "title": "contract", "subtasks": subtasks})
        workspace = RallyWorkspace(site.folder / "rally", python, site.clouds_yaml, site.logs)
        runner = RallyRunner(workspace, task, site.cloud)
        runner.prepare()
        return RallySubject(runner, *WORKLOADS)

    def test_a_test_that_is_not_in_the_list_gets_no_outcome(
        self, bench: Bench, subject: Subject
    ) -> None:
        """The file of the requested tests has their iterations, which are not known."""
        with pytest.raises(UsageError, match=r"no workload Nova\.boot"):
            bench.run([subject.passes, "Nova.boot"])


# pytest -------------------------------------------------------------------------------------

CHECKS = """\
import pathlib, threading

def test_passes():
    pass

def test_fails():
    assert False

def test_waits():
    pathlib.Path({waiting!r}).touch()
    threading.Event().wait({patience})
"""


@pytest.fixture(scope="class")
def waiting(site: Site, patch: pytest.MonkeyPatch) -> Path:
    """Replace the modules of checks; return the file by which a check shows that it waits."""
    modules = site.folder / "modules"
    modules.mkdir()
    found = site.folder / "waiting"
    for name in ("test_embedded_cloud.py", "test_ironic_api.py"):
        (modules / name).write_text(CHECKS.format(waiting=str(found), patience=PATIENCE))
    (modules / "test_access.py").write_text("def test_access():\n    pass\n")
    patch.setattr(checks, "FOLDER", modules)
    return found


def ids_in(module: str) -> list[str]:
    return [f"{module}::test_{name}" for name in ("passes", "fails", "waits")]


@pytest.fixture
def forgotten(waiting: Path) -> None:
    """Remove the file that another test of the class has left."""
    waiting.unlink(missing_ok=True)


@pytest.mark.usefixtures("forgotten")
class TestHostChecks(RunnerContract):
    SHOWS = False

    @pytest.fixture(scope="class")
    @classmethod
    def subject(cls, site: Site, waiting: Path) -> Subject:
        runner = HostChecks({}, site.logs, 3 * PATIENCE)
        return Subject(runner, *ids_in("test_embedded_cloud.py"), waiting=waiting)

    def test_checks_that_do_not_end_in_time_are_stopped(
        self, subject: Subject, site: Site, tmp_path: Path
    ) -> None:
        limited = Subject(HostChecks({}, site.logs, 0.1), *ids_in("test_embedded_cloud.py"))
        bench = Bench(limited, tmp_path)
        with bench.folder:
            ran = bench.run([subject.waits])
        assert ran.ended is not None
        assert [one.code for one in ran.ended.problems] == [Code.TIME_LIMIT]
        assert "did not end within 0.1 s" in ran.ended.problems[0].text
        assert ran.missing == [subject.waits]


@pytest.mark.usefixtures("forgotten")
class TestApiChecks(RunnerContract):
    @pytest.fixture(scope="class")
    @classmethod
    def subject(cls, site: Site, waiting: Path) -> Subject:
        profile, suite = profiles.load("ironic-standalone"), suites.load("ironic-api")
        runner = ApiChecks.make(site, profile, suite, 1)
        runner.prepare()
        return Subject(runner, *ids_in("test_ironic_api.py"), waiting=waiting)
