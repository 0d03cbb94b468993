# SPDX-License-Identifier: Apache-2.0
"""The step that finds the cause of failures: runs them again, with the change and without it.

Which, how often and on what is ``results.attribution``'s to say. Each time is an attempt of its
own among the evidence. What cannot be run again in time confirms nothing and stays a failure.
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
    cleanup,
    collect,
    configure,
    deploy,
    looking_after,
    run_attempt,
    see_base_unaltered,
    shown,
)
from bsdgate.results import judge as results
from bsdgate.results.attribution import SECONDS_BOUND, Rerun
from bsdgate.results.expectations import listed, load
from bsdgate.results.model import Side
from bsdgate.results.problems import Problem

BASE: Final = "base"
"""The folder, in the run directory, of the cloud without the change."""
AGAIN: Final = "again"
"""The folder of another cloud with it, for what hung on the first."""
SET_UP_SECONDS: Final = 20.0
"""What it may take to begin and end the tests that are run again, beside their own time."""


def known_failures() -> Path:
    """Return the folder of the known failures that come with bsdgate."""
    return Path(str(resources.files("bsdgate"))) / "expectations"


def added_failures(paths: Sequence[Path]) -> dict[str, bytes]:
    """Read the known failures that a run is given: what its directory keeps, by name.

    :raises ExpectationsError: something is wrong in them, or a file cannot be read.
    """
    load(paths)
    files = enumerate(listed(paths), 1)
    return {f"{number:03}-{file.name}": file.read_bytes() for number, file in files}


def confirm(run: Run) -> None:
    """Run failures again, so that each finds its cause; nothing, where nothing failed."""
    plan = results.to_confirm(run.folder.path, [known_failures()])
    failed = [rerun for rerun in plan if not rerun.hung]
    bound = SECONDS_BOUND * run.profile.timeouts.factor
    deadline = time.monotonic() + bound
    try:
        _rerun(run, [rerun for rerun in failed if rerun.side is Side.CHANGE], deadline)
        if without := [rerun for rerun in failed if rerun.side is Side.BASE]:
            _rerun_without(run, without, deadline)
    except OutOfTimeError:
        run.listener.say(f"no more is run again: {bound:g} s are over")
    if hung := [rerun for rerun in plan if rerun.hung]:
        _rerun_hung(run, hung)
    if plan:
        collect(run)
    see_base_unaltered(run)


def _rerun_without(run: Run, reruns: Sequence[Rerun], deadline: float) -> None:
    """Run failures on the base, once nothing of the change runs and the base is what it was."""
    if run.keep:
        run.listener.say("nothing is run on the base: --keep leaves the change's cloud running")
        return
    see_base_unaltered(run)
    base = _base(run)
    if base is None:
        run.listener.say("nothing is run on the base: there is no second cloud without the change")
        return
    with base as without:
        _rerun(without, reruns, deadline)


def _rerun_hung(run: Run, reruns: Sequence[Rerun]) -> None:
    """Run again what a time limit ended, each time on a new cloud: one that hangs may stay so."""
    if run.keep:
        run.listener.say("what hung is not run again: --keep leaves the change's cloud running")
        return
    see_base_unaltered(run)
    for rerun in reruns:
        limit = hung_seconds(run, len(rerun.ids))
        bring_up = _base if rerun.side is Side.BASE else _again
        for number in range(rerun.times):
            cloud = bring_up(run)
            if cloud is None:
                run.listener.say("what hung is not run again: there is no second cloud")
                return
            with cloud as fresh:
                _run_once(fresh, rerun, number, looking_after(fresh, limit))


def hung_seconds(run: Run, tests: int) -> float:
    """Return how long the re-run of so many tests may take, each of which may hang.

    What is to be ended after a test that hung, such as its class, may take as long again.
    """
    waves = math.ceil(tests / run.folder.manifest.concurrency)
    set_up = SET_UP_SECONDS * run.profile.timeouts.factor
    return set_up + 2 * waves * run.profile.limits.test


def _base(run: Run) -> AbstractContextManager[Run] | None:
    """Bring up a cloud like the run's, without the change under test; None: there cannot be one."""
    without = run.deployment.without_change(BASE)
    if without is None:
        return None
    run.listener.say("bringing up the base, without the change")
    released = environment.prepare((), run.profile.release, paths.cache(), run.listener.say)
    return _cloud(
        replace(run, deployment=without, environment=released, site=run.site / BASE, deployed=False)
    )


def _again(run: Run) -> AbstractContextManager[Run] | None:
    """Bring up another cloud with the change under test; None: there cannot be one."""
    another = run.deployment.again(AGAIN)
    if another is None:
        return None
    run.listener.say("bringing up another cloud")
    site = run.site / AGAIN
    return _cloud(replace(run, deployment=another, site=site, deployed=False, base_seen=False))


@contextlib.contextmanager
def _cloud(run: Run) -> Iterator[Run]:
    folders.make(run.logs)
    try:
        run.deployment.install(run.listener.say)
        deploy(run)
        configure(run)
        yield run
        collect(run)
    finally:
        cleanup(run)


def _rerun(run: Run, reruns: Sequence[Rerun], deadline: float) -> None:
    for rerun in reruns:
        for number in range(rerun.times):
            look = _until(deadline, looking_after(run))
            look()
            _run_once(run, rerun, number, look)


def _run_once(run: Run, rerun: Rerun, number: int, look: Callable[[], Sequence[Problem]]) -> None:
    where = "on the base" if rerun.side is Side.BASE else "with the change"
    run.listener.say(f"again, {where}, {number + 1} of {rerun.times}")
    with shown(run, rerun.ids):
        run_attempt(run, run.runner, rerun.ids, look, side=rerun.side, confirms=rerun.attempt)


def _until(deadline: float, look: Callable[[], list[Problem]]) -> Callable[[], list[Problem]]:
    def late() -> list[Problem]:
        if time.monotonic() > deadline:
            raise OutOfTimeError
        return look()

    return late
