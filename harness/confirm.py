# SPDX-License-Identifier: Apache-2.0
"""The step that finds the cause of failures: it runs them again, with and without the change.

``results.attribution`` decides which tests run again, how often and on which side. Each re-run is
an attempt in the evidence. A failure that cannot be run again in time stays a failure.
"""

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Final

from bsdgate.harness import folders, paths
from bsdgate.harness.environments import environment
from bsdgate.harness.steps import (
    OutOfTimeError,
    Run,
    check_base_unaltered,
    cleanup,
    collect,
    configure,
    deploy,
    run_attempt,
    shown,
    stop_check,
)
from bsdgate.results import judge as results
from bsdgate.results.attribution import SECONDS_BOUND, Rerun
from bsdgate.results.expectations import listed, load
from bsdgate.results.model import Side
from bsdgate.results.problems import Problem

BASE: Final = "base"
"""The directory of the cloud without the change, in the run directory."""
AGAIN: Final = "again"
"""The directory of another cloud with the change, for tests that hung, in the run directory."""
SET_UP_SECONDS: Final = 20.0
"""The maximum number of seconds for the start and the end of a re-run, beside its tests."""


def known_failures() -> Path:
    """Return the directory of the known failures that come with bsdgate."""
    return Path(str(resources.files("bsdgate"))) / "expectations"


def added_failures(paths: Sequence[Path]) -> dict[str, bytes]:
    """Return the contents of files of known failures, by their names in the run directory.

    :raises ExpectationsError: a file cannot be read or is wrong.
    """
    load(paths)
    files = enumerate(listed(paths), 1)
    return {f"{number:03}-{file.name}": file.read_bytes() for number, file in files}


def confirm(run: Run) -> None:
    """Run failed tests again, if there are any, to find the cause of each failure."""
    plan = results.to_confirm(run.folder.path, [known_failures()])
    failed = [rerun for rerun in plan if not rerun.hung]
    bound = SECONDS_BOUND * run.profile.factor
    deadline = time.monotonic() + bound
    try:
        _rerun(run, [rerun for rerun in failed if rerun.side is Side.CHANGE], deadline)
        if without := [rerun for rerun in failed if rerun.side is Side.BASE]:
            _rerun_without(run, without, deadline)
    except OutOfTimeError:
        run.listener.report(f"no more tests are run again: the time limit of {bound:g} s is over")
    if hung := [rerun for rerun in plan if rerun.hung]:
        _rerun_hung(run, hung)
    if plan:
        collect(run)
    check_base_unaltered(run)


def _rerun_without(run: Run, reruns: Sequence[Rerun], deadline: float) -> None:
    """Run failures on the base, after the change's cloud has ended and the base was checked."""
    if run.keep:
        run.listener.report("no test is run on the base: --keep leaves the change's cloud running")
        return
    check_base_unaltered(run)
    base = _base(run)
    if base is None:
        run.listener.report(
            "no test is run on the base: there is no second cloud without the change"
        )
        return
    with base as without:
        _rerun(without, reruns, deadline)


def _rerun_hung(run: Run, reruns: Sequence[Rerun]) -> None:
    """Run tests that hung again, each time on a new cloud: a cloud that hangs may not recover."""
    if run.keep:
        run.listener.report(
            "tests that hung are not run again: --keep leaves the change's cloud running"
        )
        return
    check_base_unaltered(run)
    for rerun in reruns:
        limit = hung_seconds(run, len(rerun.ids))
        bring_up = _base if rerun.side is Side.BASE else _again
        for number in range(rerun.times):
            cloud = bring_up(run)
            if cloud is None:
                run.listener.report("tests that hung are not run again: there is no second cloud")
                return
            with cloud as fresh:
                _run_once(fresh, rerun, number, stop_check(fresh, limit))


def hung_seconds(run: Run, tests: int) -> float:
    """Return the maximum number of seconds for a re-run of ``tests`` tests, which may all hang.

    The fixtures of a test that hung may need the same time again.
    """
    waves = math.ceil(tests / run.folder.manifest.concurrency)
    set_up = SET_UP_SECONDS * run.profile.factor
    return set_up + 2 * waves * run.profile.limits.test


def _base(run: Run) -> AbstractContextManager[Run] | None:
    """Return a context with a cloud without the change; None: the deployment has no such cloud."""
    without = run.deployment.without_change(BASE)
    if without is None:
        return None
    run.listener.report("starting the base: a cloud without the change")
    released = environment.prepare((), run.profile.release, paths.cache(), run.listener.report)
    return _cloud(
        replace(run, deployment=without, environment=released, site=run.site / BASE, deployed=False)
    )


def _again(run: Run) -> AbstractContextManager[Run] | None:
    """Return a context with another cloud with the change; None: there is no such cloud."""
    another = run.deployment.again(AGAIN)
    if another is None:
        return None
    run.listener.report("starting another cloud")
    site = run.site / AGAIN
    return _cloud(replace(run, deployment=another, site=site, deployed=False, base_checked=False))


@contextlib.contextmanager
def _cloud(run: Run) -> Iterator[Run]:
    folders.make(run.logs)
    try:
        run.deployment.install(run.listener.report)
        deploy(run)
        configure(run)
        yield run
        collect(run)
    finally:
        cleanup(run)


def _rerun(run: Run, reruns: Sequence[Rerun], deadline: float) -> None:
    for rerun in reruns:
        for number in range(rerun.times):
            look = _until(deadline, stop_check(run))
            look()
            _run_once(run, rerun, number, look)


def _run_once(run: Run, rerun: Rerun, number: int, look: Callable[[], Sequence[Problem]]) -> None:
    where = "on the base" if rerun.side is Side.BASE else "with the change"
    run.listener.report(f"again, {where}, {number + 1} of {rerun.times}")
    with shown(run, rerun.ids):
        run_attempt(run, run.runner, rerun.ids, look, side=rerun.side, confirms=rerun.attempt)


def _until(deadline: float, look: Callable[[], list[Problem]]) -> Callable[[], list[Problem]]:
    def late() -> list[Problem]:
        if time.monotonic() > deadline:
            raise OutOfTimeError
        return look()

    return late
