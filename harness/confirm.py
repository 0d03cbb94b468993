# SPDX-License-Identifier: Apache-2.0
"""The step that finds whose failures are: they are run again, with the change and without it.

Which, how often and on what is ``results.attribution``'s to say. Each time is an attempt of its
own among the evidence. What cannot be run again in time confirms nothing and stays a failure.
"""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Final

from bsdgate.harness import folders, places
from bsdgate.harness.nodes import environment
from bsdgate.harness.steps import (
    OutOfTimeError,
    Run,
    cleanup,
    collect,
    configure,
    deploy,
    lines,
    looking_after,
    run_tempest,
    see_base_unaltered,
)
from bsdgate.results import judge as results
from bsdgate.results.attribution import SECONDS_BOUND, Rerun
from bsdgate.results.expectations import listed, load
from bsdgate.results.model import Side
from bsdgate.results.problems import Problem

BASE: Final = "base"
"""The folder, in the run directory, of the cloud without the change."""


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
    deadline = time.monotonic() + SECONDS_BOUND
    try:
        _rerun(run, [rerun for rerun in plan if rerun.side is Side.CHANGE], deadline)
        if without := [rerun for rerun in plan if rerun.side is Side.BASE]:
            _rerun_without(run, without, deadline)
    except OutOfTimeError:
        run.listener.say(f"no more is run again: {SECONDS_BOUND:g} s are over")
    if plan:
        collect(run)
    see_base_unaltered(run)


def _rerun_without(run: Run, reruns: Sequence[Rerun], deadline: float) -> None:
    """Run failures on the base, once nothing of the change runs and the base is what it was."""
    if run.keep:
        run.listener.say("nothing is run on the base: --keep leaves the change's cloud running")
        return
    see_base_unaltered(run)
    with _base(run) as base:
        _rerun(base, reruns, deadline)


@contextlib.contextmanager
def _base(run: Run) -> Iterator[Run]:
    """Bring up a cloud like the run's, without the change under test."""
    run.listener.say("bringing up the base, without the change")
    released = environment.prepare((), run.profile.release, places.cache(), run.listener.say)
    base = replace(run, environment=released, cloud=None, keep=False, site=run.site / BASE)
    folders.make(base.logs)
    try:
        deploy(base)
        configure(base)
        yield base
        collect(base)
    finally:
        cleanup(base)


def _rerun(run: Run, reruns: Sequence[Rerun], deadline: float) -> None:
    where = "on the base" if run.site.name == BASE else "with the change"
    for rerun in reruns:
        for number in range(rerun.times):
            run.listener.say(f"again, {where}, {number + 1} of {rerun.times}")
            look = _until(deadline, looking_after(run))
            look()
            attempt = run.folder.begin_attempt(
                "tempest", "subunit", lines(rerun.ids), side=rerun.side, confirms=rerun.attempt
            )
            run_tempest(run, rerun.ids, attempt, look)


def _until(deadline: float, look: Callable[[], list[Problem]]) -> Callable[[], list[Problem]]:
    def late() -> list[Problem]:
        if time.monotonic() > deadline:
            raise OutOfTimeError
        return look()

    return late
