# SPDX-License-Identifier: Apache-2.0
"""A run as a list of steps, each a function of the run.

What a step does and finds is in the run directory. A run that was stopped is
resumed from its evidence: only the tests without an outcome are run again, on
a new cloud.
"""

import contextlib
import hashlib
import random
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bsdgate.harness import history, places
from bsdgate.harness.confirm import added_failures, confirm
from bsdgate.harness.environments import changes, environment, facts
from bsdgate.harness.errors import InfrastructureError, Interrupted, UsageError
from bsdgate.harness.identity import Settings
from bsdgate.harness.manifest import Manifest
from bsdgate.harness.profiles import load as profiles
from bsdgate.harness.run_dir import RunDir
from bsdgate.harness.runners import table as runners
from bsdgate.harness.steps import (
    Listener,
    Run,
    check,
    cleanup,
    collect,
    configure,
    deploy,
    test,
)
from bsdgate.harness.suites import model as suites
from bsdgate.results.errors import BsdgateError
from bsdgate.results.evidence import EXPECTATIONS
from bsdgate.results.model import Level, Verdict
from bsdgate.results.policy import DEVELOPER, POLICIES


@dataclass(frozen=True)
class Options:
    """What the user asks for.

    ``suite`` is by default the profile's. ``changes`` are texts as ``--with`` takes them,
    ``history`` is the URL of a shared history, ``expectations`` are files and folders of known
    failures beside those of bsdgate.
    """

    profile: str = "embedded"
    suite: str | None = None
    tests: str | None = None
    concurrency: int | None = None
    timeout_factor: float | None = None
    keep: bool = False
    changes: tuple[str, ...] = ()
    policy: str = DEVELOPER.name
    history: str | None = None
    expectations: tuple[Path, ...] = ()


# Before the steps: a run directory, made or found ------------------------------------------


def begin(options: Options, listener: Listener) -> Run:
    """Prepare a new run: everything that can be wrong with what was asked is said here.

    :raises UsageError: an unknown profile, suite, project or an unusable pattern.
    :raises ConfigurationError: the profile, the suite or the change does not fit.
    :raises StoreError: the policy needs a history, and it cannot be read.
    :raises ExpectationsError: something is wrong with the known failures.
    """
    listener.step("prepare")
    known = added_failures(options.expectations)
    profile = profiles.load_local(options.profile, options.timeout_factor)
    suite = suites.load(options.suite or profile.suite)
    runners.check_services(suite, profile)
    suites.check_pattern(options.tests)
    _check_policy(options)
    history.see(options.history, POLICIES[options.policy])
    concurrency = runners.concurrency(
        suite, options.tests, options.concurrency, profile.concurrency
    )
    asked = changes.parse_all(options.changes, profile.release)
    found = environment.prepare(asked, profile.release, places.cache(), listener.say)
    manifest = Manifest(
        profile=options.profile,
        suite=suite.name,
        release=profile.release,
        evidence=("hostchecks", suite.runner),
        selection=options.tests,
        concurrency=concurrency,
        seed=random.SystemRandom().randrange(2**32),
        changes=found.changes,
        changed_files=changes.changed_files(asked),
        policy=options.policy,
        facts=facts.local(),
        features=tuple(profile.skip_reasons()),
        expectations={name: hashlib.sha256(each).hexdigest() for name, each in known.items()},
        versions=found.versions(),
        profile_settings=Settings.of(profile),
        suite_settings=Settings.of(suite),
    )
    folder = RunDir.create(places.state() / "runs", manifest)
    for name, content in known.items():
        folder.write(f"{EXPECTATIONS}/{name}", content.decode())
    return Run(
        folder,
        profile,
        suite,
        found,
        listener,
        keep=options.keep,
        history=options.history,
    )


def _check_policy(options: Options) -> None:
    if options.tests and POLICIES[options.policy].narrowed is Level.ERROR:
        lenient = [name for name, policy in POLICIES.items() if policy.narrowed is not Level.ERROR]
        raise UsageError(
            f"--tests {options.tests!r} narrows the suite, and the policy {options.policy} gives"
            " no verdict on a part of one",
            f"run the whole suite, or choose --policy {' or '.join(lenient)}",
        )


def resume(path: Path, listener: Listener, *, keep: bool = False, url: str | None = None) -> Run:
    """Open a run that was stopped, to run what it has not; ``url`` is that of a shared history.

    :raises UsageError: it is no run, is in use, or was of another bsdgate, version or change.
    :raises ConfigurationError: its profile or suite is not what it was.
    """
    listener.step("prepare")
    places.check(path, "move the run directory to another folder")
    folder = RunDir.open(path)
    try:
        manifest = folder.manifest
        history.see(url, POLICIES[manifest.policy])
        profile = profiles.load(manifest.profile, factor_of(manifest))
        suite = suites.load(manifest.suite)
        manifest.refuse_other_settings(path, profile, suite)
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
    return Run(folder, profile, suite, found, listener, keep=keep, resumed=True, history=url)


def factor_of(manifest: Manifest) -> float:
    """Return the factor of time limits that a run has, from wherever it came."""
    return float(manifest.profile_settings.content["timeouts"]["factor"])


STEPS: Final[tuple[Callable[[Run], None], ...]] = (
    deploy,
    check,
    configure,
    test,
    collect,
    confirm,
)


def carry_out(run: Run) -> tuple[Verdict, BsdgateError | None]:
    """Take the steps, clean up, judge what came of it all, write the reports.

    Returns the verdict, and the error that kept a step from its end, if there was one.

    :raises Interrupted: the user stopped the run; it can be resumed.
    """
    try:
        # The cloud ends before the judge, who weighs what it has left behind.
        failed = _take_all(run)
        not_removed = _clean_up(run)
        verdict = _judge(run)
    except KeyboardInterrupt:
        run.folder.record("run", "interrupt")
        raise Interrupted(
            f"stopped; what was found is in {run.folder.path}",
            f"go on with `bsdgate run --resume {shlex.quote(str(run.folder.path))}`",
        ) from None
    finally:
        _clean_up(run)
        run.folder.close()
    return verdict, failed or not_removed


def _take_all(run: Run) -> InfrastructureError | None:
    try:
        for step in STEPS:
            _take(step, run)
    except InfrastructureError as error:
        # What kept the step from its end, such as a full disk, may keep the logs from here.
        with contextlib.suppress(BsdgateError):
            collect(run)
        return error
    return None


def _clean_up(run: Run) -> BsdgateError | None:
    """End the run's cloud, once; whatever goes wrong with that comes after the verdict."""
    if run.cloud is None:
        return None
    try:
        run.listener.step("cleanup")
        cleanup(run)
    except BsdgateError as error:
        return error
    return None


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
    policy = POLICIES[run.folder.manifest.policy]
    verdict = history.judge(run.folder.path, policy, run.history, run.listener.say)
    run.folder.record("judge", "end", result=str(verdict.result))
    return verdict
