# SPDX-License-Identifier: Apache-2.0
"""Carries out many trials at once on one Gerrit: most of their time is waiting."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from queue import SimpleQueue

from functional.gerrit import Gerrit
from votes.forking import Forker

from listening.plan import plan
from listening.trial import Trial, forker


class Campaign:
    """Trials on a server, each in a folder of its own below ``folder``.

    ``report`` gets a line about each problem, and about the whole.
    """

    def __init__(
        self, server: Gerrit, folder: Path, at_once: int, report: Callable[[str], None]
    ) -> None:
        self._server = server
        self._folder = folder
        self._at_once = at_once
        self._report = report
        self._forkers: SimpleQueue[Forker] = SimpleQueue()
        self._counts = Counter[str]()
        self._durations: list[float] = []

    def run(self, seeds: Sequence[int]) -> list[str]:
        """Carry out the trials of these seeds; return what is wrong."""
        began = time.monotonic()
        self._report(f"\n{len(seeds)} schedules from seed {seeds[0]}, {self._at_once} at once")
        with ExitStack() as stack:
            for _ in range(min(self._at_once, len(seeds))):
                self._forkers.put(stack.enter_context(forker()))
            pool = stack.enter_context(ThreadPoolExecutor(self._at_once))
            # Pydantic makes its types at the first use, which several threads must not do together.
            problems = self._trial(seeds[0])
            problems += [each for found in pool.map(self._trial, seeds[1:]) for each in found]
        mean, longest = sum(self._durations) / len(seeds), max(self._durations)
        seconds = time.monotonic() - began
        self._report(f"{dict(self._counts)} in {seconds:.0f} s; problems: {len(problems)}")
        self._report(f"a schedule takes {mean:.1f} s on average and at most {longest:.1f} s")
        return problems

    def _trial(self, seed: int) -> list[str]:
        folder = self._folder / str(seed)
        folder.mkdir()
        own, began = self._forkers.get(), time.monotonic()
        trial = Trial(plan(seed), self._server, folder, own)
        problems = trial.run()
        self._forkers.put(own)
        self._durations.append(time.monotonic() - began)
        for problem in problems:
            self._report(problem)
        self._counts["changes"] += len(trial.changes)
        self._counts["buildsets"] += len(trial.buildsets)
        self._counts["starts"] += trial.starts
        self._counts["faults"] += sum(map(len, trial.plan.faults.values()))
        self._counts["events"] += len(trial.plan.events)
        self._counts["races"] += sum(len(change.raced) for change in trial.changes)
        self._counts["reviews"] += trial.reviews
        return problems
