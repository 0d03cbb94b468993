# SPDX-License-Identifier: Apache-2.0
"""A run in two halves, with the run directory between them.

``execute`` carries out the steps of a run, which write to the run directory. ``judge`` reads a run
directory and returns the verdict. A resumed run runs only the tests without an outcome, on a new
cloud.
"""

import contextlib
import hashlib
import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bsdgate.harness import history, paths
from bsdgate.harness.confirm import added_failures, confirm
from bsdgate.harness.deployments import ownership
from bsdgate.harness.deployments import table as deployments
from bsdgate.harness.deployments.base import Deployment
from bsdgate.harness.environments import changes, environment
from bsdgate.harness.environments.changes import Change
from bsdgate.harness.errors import InfrastructureError, Interrupted, UsageError
from bsdgate.harness.identity import Settings
from bsdgate.harness.inspection import inspect, inspect_again
from bsdgate.harness.manifest import AskedCloud, Manifest
from bsdgate.harness.nodes.base import Node, NodeLostError
from bsdgate.harness.profiles import load as profiles
from bsdgate.harness.profiles.model import Profile
from bsdgate.harness.run_dir import SPLIT, RunDir
from bsdgate.harness.runners import accounts
from bsdgate.harness.runners import table as runners
from bsdgate.harness.runners.split import Split
from bsdgate.harness.steps import (
    Listener,
    Run,
    check,
    cleanup,
    collect,
    configure,
    deploy,
    provision,
    test,
)
from bsdgate.harness.suites import model as suites
from bsdgate.results import evidence
from bsdgate.results.codes import Code
from bsdgate.results.errors import BsdgateError
from bsdgate.results.evidence import EXPECTATIONS
from bsdgate.results.model import Level, Verdict
from bsdgate.results.policy import DEVELOPER, POLICIES

NODE_LOST: Final = "node-lost"
"""The journal's step for a lost node; the judge reads it."""


@dataclass(frozen=True)
class Options:
    """The options of ``bsdgate run``.

    ``suite`` is by default the suite of the profile. ``changes`` are values of ``--with``,
    ``history`` is the URL of a shared history, ``expectations`` are files and directories of
    additional known failures. ``review`` is the change on the review server and its
    patchset. ``on`` is the URL of the node; None: this machine. ``cloud`` is the name of a standing
    cloud in clouds.yaml; ``accounts``, ``prefix`` and ``allow_disruptive`` (whether the suite may
    disturb other users) are only for standing clouds. ``split`` has the ids of the tests of each
    worker of Tempest; if it is empty, the tests are split by their durations.
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
    review: tuple[str, str] | None = None
    cloud: str | None = None
    accounts: Path | None = None
    prefix: str | None = None
    allow_disruptive: bool = False
    on: str | None = None
    split: Split = ()


# Before the steps: a new or an existing run directory --------------------------------------


def begin(options: Options, listener: Listener) -> Run:
    """Check all options, and make the directory of a new run.

    :raises UsageError: a profile, suite or project is unknown, or an option is wrong.
    :raises ConfigurationError: the profile, the suite or the change is wrong.
    :raises StoreError: the policy needs a history, and it cannot be read.
    :raises ExpectationsError: the known failures are wrong.
    """
    listener.step("prepare")
    known = added_failures(options.expectations)
    cloud = _cloud(options)
    profile = deployments.load_profile(options.profile, cloud, options.timeout_factor)
    suite = suites.load(options.suite or profile.suite)
    runners.check_services(suite, profile)
    if cloud is not None:
        deployments.check_cloud(cloud, suite, disruptive=options.allow_disruptive)
    suites.check_pattern(options.tests)
    deployments.check(options.on, cloud, profile)
    if options.keep:
        deployments.check_keep(options.on)
    _check_policy(options)
    history.check(options.history, POLICIES[options.policy])
    concurrency = runners.concurrency(
        suite, options.tests, options.concurrency, profile.concurrency
    )
    asked = changes.parse_all(options.changes, profile.release)
    tools = _prepare_runners(asked, profile, listener)
    folder = RunDir.create(
        paths.state() / "runs",
        _manifest(options, profile, suite, asked, cloud, concurrency=concurrency, known=known),
    )
    for name, content in known.items():
        folder.write(f"{EXPECTATIONS}/{name}", content.decode())
    if options.split:
        folder.write(SPLIT, json.dumps(options.split, indent=1))
    node, deployment = _target(folder, profile, asked, listener)
    return Run(
        folder,
        profile,
        suite,
        node,
        deployment,
        tools,
        listener,
        keep=options.keep,
        history=options.history,
    )


def _manifest(
    options: Options,
    profile: Profile,
    suite: suites.Suite,
    asked: Sequence[Change],
    cloud: AskedCloud | None,
    *,
    concurrency: int,
    known: Mapping[str, bytes],
) -> Manifest:
    """Return the manifest of a new run; ``known`` are the added known failures."""
    resolved = environment.resolve(asked, paths.cache())
    change, patchset = options.review or (None, None)
    return Manifest(
        profile=options.profile,
        suite=suite.name,
        release=profile.release,
        evidence=deployments.evidence(suite, cloud),
        selection=options.tests,
        concurrency=concurrency,
        changes=tuple(each.asked for each in resolved),
        change=change,
        patchset=patchset,
        changed_files=changes.changed_files(asked),
        on=options.on,
        policy=options.policy,
        features=tuple(profile.skip_reasons()),
        cloud=cloud,
        expectations={name: hashlib.sha256(each).hexdigest() for name, each in known.items()},
        profile_settings=Settings.of(profile),
        suite_settings=Settings.of(suite),
    )


def _prepare_runners(
    asked: Sequence[Change], profile: Profile, listener: Listener
) -> environment.Environment:
    """Make the Python environment of the runners on this machine."""
    changed = [change for change in asked if runners.has(change.distribution)]
    return environment.prepare(
        changed, profile.release, paths.cache(), listener.report, profile.factor
    )


def _target(
    folder: RunDir, profile: Profile, asked: Sequence[Change], listener: Listener
) -> tuple[Node, Deployment]:
    """Return the node, and the deployment, which installs the changes that no runner uses."""
    others = [str(change) for change in asked if not runners.has(change.distribution)]
    return deployments.make(profile, folder, others, listener.report)


def _cloud(options: Options) -> AskedCloud | None:
    """Return the standing cloud of ``--cloud``; None without that option.

    :raises UsageError: an option cannot be used with ``--cloud``, or only with it.
    """
    if options.cloud is None:
        alone = {
            "--accounts": options.accounts is not None,
            "--prefix": options.prefix is not None,
            "--allow-disruptive": options.allow_disruptive,
        }
        for name in (name for name, given in alone.items() if given):
            raise UsageError(f"{name} can only be used with --cloud", "add --cloud NAME")
        return None
    refused = {
        "--with": bool(options.changes),
        "--keep": options.keep,
        "--on": options.on is not None,
    }
    for option in (option for option, given in refused.items() if given):
        raise UsageError(
            f"{option} cannot be used with --cloud: bsdgate neither builds nor starts that cloud",
            f"leave out {option}, or --cloud",
        )
    if options.accounts is not None:
        accounts.check(options.accounts)
    return AskedCloud(
        name=options.cloud,
        prefix=options.prefix or ownership.default_prefix(),
        accounts=options.accounts and options.accounts.absolute(),
    )


def _check_policy(options: Options) -> None:
    if options.tests and POLICIES[options.policy].narrowed is Level.ERROR:
        lenient = [name for name, policy in POLICIES.items() if policy.narrowed is not Level.ERROR]
        raise UsageError(
            f"--tests {options.tests!r} selects a part of the suite, and the policy"
            f" {options.policy} judges whole suites only",
            f"run the whole suite, or choose --policy {' or '.join(lenient)}",
        )


def resume(path: Path, listener: Listener, *, keep: bool = False, url: str | None = None) -> Run:
    """Open a stopped run, to run the remaining tests; ``url`` is the URL of a shared history.

    :raises UsageError: ``path`` is no run, is in use, or began with another bsdgate or change.
    :raises ConfigurationError: the profile or the suite differs from the one in the manifest.
    """
    listener.step("prepare")
    paths.check(path, "move the run directory to another parent directory")
    folder = RunDir.open(path)
    try:
        manifest = folder.manifest
        if keep:
            deployments.check_keep(manifest.on)
        history.check(url, POLICIES[manifest.policy])
        profile = profiles.load(manifest.profile, factor_of(manifest))
        suite = suites.load(manifest.suite)
        manifest.refuse_other_settings(path, profile, suite)
        texts = [f"{each.project}={each.source}" for each in manifest.changes]
        asked = changes.parse_all(texts, profile.release)
        resolved = environment.resolve(asked, paths.cache())
        if tuple(each.asked for each in resolved) != manifest.changes:
            raise UsageError(
                f"the change under test differs from the change of the run {path}",
                "use the same change, or start a new run",
            )
        tools = _prepare_runners(asked, profile, listener)
        node, deployment = _target(folder, profile, asked, listener)
    except BaseException:
        folder.close()
        raise
    return Run(folder, profile, suite, node, deployment, tools, listener, keep=keep, history=url)


def factor_of(manifest: Manifest) -> float | None:
    """Return the factor for time limits with which a run began; None: it is measured."""
    factor: float | None = manifest.profile_settings.content["timeouts"]["factor"]
    return factor


STEPS: Final[tuple[Callable[[Run], None], ...]] = (
    provision,
    deploy,
    check,
    configure,
    test,
    collect,
    confirm,
    inspect,
)


def execute(run: Run) -> BsdgateError | None:
    """Carry out the steps, then end and remove the cloud; all results are in the run directory.

    Return the error that stopped the steps, if there was one.

    :raises Interrupted: the user stopped the run; it can be resumed.
    """
    try:
        # First the clean-up: the judge reads what the cloud left behind.
        failed = _take_all(run)
        return failed or _clean_up(run)
    except KeyboardInterrupt:
        run.folder.record("run", "interrupt")
        raise Interrupted(
            f"stopped; the results so far are in {run.folder.path}",
            f"resume it with `bsdgate run --resume {shlex.quote(str(run.folder.path))}`",
        ) from None
    finally:
        _clean_up(run)
        run.node.close()
        run.folder.close()


def judge(path: Path, url: str | None, listener: Listener) -> Verdict:
    """Judge a run by the policy in its manifest, write its reports, and add it to the history.

    ``url`` is the URL of a shared history.
    """
    listener.step("judge")
    return history.judge(path, evidence.policy_of(path), url, listener.report)


def _take_all(run: Run) -> InfrastructureError | None:
    try:
        for step in STEPS:
            _take(step, run)
    except InfrastructureError as error:
        # The same error, such as a full disk, may prevent the copy of the logs.
        with contextlib.suppress(BsdgateError):
            collect(run)
        found = _find_cause(run, error)
        with contextlib.suppress(BsdgateError):
            inspect_again(run, lost=isinstance(found, NodeLostError))
        return found
    return None


def _find_cause(run: Run, error: InfrastructureError) -> InfrastructureError:
    """Return the cause of an error: a lost node, which is recorded too, or the error itself."""
    if not isinstance(error, NodeLostError) and run.deployed:
        with contextlib.suppress(BsdgateError):
            lost = [one for one in run.deployment.health() if one.code is Code.NODE_LOST]
            error = NodeLostError(lost[0].text) if lost else error
    if isinstance(error, NodeLostError):
        run.folder.record(NODE_LOST, "fail", message=error.message)
    return error


def _clean_up(run: Run) -> BsdgateError | None:
    """End the run's cloud, once; return an error, for the caller to raise after the verdict."""
    if not run.deployed:
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
