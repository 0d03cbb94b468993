# SPDX-License-Identifier: Apache-2.0
"""The trials: the signal, the process and the step of the run, all chosen by a seed.

Any 40 consecutive seeds hit each target of each step once; any 160, with each signal.
"""

import random
import signal
from dataclasses import dataclass
from typing import Final

from bsdgate.harness.cloud.service import SERVICES

STEP_LINE: Final = r"^ *[\d.]+ s  {}$"
ANY_STEP: Final = STEP_LINE.format(r"\w+")
_BATCH: Final = r"^ +\d+ tests, \d+ at a time$"


@dataclass(frozen=True)
class Moment:
    """A part of a run, with the lines that the run prints at its begin and at its end.

    ``seconds`` is its usual duration, which a campaign measures. ``fails`` means that only a run
    with a failed test reaches this moment.
    """

    name: str
    begin: str
    end: str
    seconds: float
    targets: tuple[str, str, str, str]
    fails: bool = False


def _step(name: str, seconds: float, *targets: str) -> Moment:
    first, second, third, fourth = targets
    return Moment(name, STEP_LINE.format(name), ANY_STEP, seconds, (first, second, third, fourth))


HARNESS: Final = "harness"
PAIR: Final = "harness and guard"
MOMENTS: Final = (
    _step("deploy", 5, "supervisor", "preloaded parent", "service", "harness"),
    _step("check", 1.5, "pytest", "harness", "guard", "service"),
    _step("configure", 3, "runner", "supervisor", "service", PAIR),
    Moment(
        "select",
        STEP_LINE.format("test"),
        _BATCH,
        3,
        ("runner", "preloaded parent", "harness", "guard"),
    ),
    Moment("test", _BATCH, ANY_STEP, 5, ("worker", "runner", "service", "harness")),
    Moment("test", _BATCH, ANY_STEP, 5, ("supervisor", "guard", "preloaded parent", PAIR)),
    _step("collect", 0.01, "harness", "supervisor", "guard", "service"),
    Moment(
        "confirm",
        r"^ +again, with the change, 1 of",
        ANY_STEP,
        5,
        ("runner", "worker", "harness", "preloaded parent"),
        fails=True,
    ),
    _step("judge", 0.2, "harness", "guard", "supervisor", "service"),
    _step("cleanup", 0.3, "harness", PAIR, "supervisor", "preloaded parent"),
)
SIGNALS: Final = (signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGSTOP)


@dataclass(frozen=True)
class Trial:
    """One trial: ``target`` gets ``signal`` after this fraction of the moment has passed.

    ``service`` is the name of the service of which the preloaded parent or the worker is hit.
    A stopped harness is continued after ``pause`` seconds.
    """

    seed: int
    moment: Moment
    target: str
    signal: signal.Signals
    fraction: float
    service: str
    pause: float

    @property
    def ends_harness(self) -> bool:
        """Whether the harness itself gets the signal."""
        return self.target in {HARNESS, PAIR}

    @property
    def stays_stopped(self) -> bool:
        """Whether a process stays stopped, so that only a time limit ends the wait for it."""
        return self.signal == signal.SIGSTOP and not self.ends_harness

    def __str__(self) -> str:
        of = f" of {self.service}" if self.target in {"preloaded parent", "service"} else ""
        return f"seed {self.seed:3} {self.moment.name}: {self.signal.name} to {self.target}{of}"


def plan(seed: int) -> Trial:
    """Return the trial of a seed (0 or more)."""
    quarter, row = divmod(seed, len(MOMENTS))
    rng = random.Random(seed)
    return Trial(
        seed,
        MOMENTS[row],
        MOMENTS[row].targets[quarter % 4],
        SIGNALS[(quarter + quarter // 4 + row) % 4],
        fraction=rng.random(),
        service=rng.choice(SERVICES),
        pause=rng.uniform(0.5, 3),
    )
