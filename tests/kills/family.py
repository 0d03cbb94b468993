# SPDX-License-Identifier: Apache-2.0
"""The processes of a run, by their purpose, and those that remain after the run.

While a ``Reaper`` is active, the tests adopt each process that loses its parent, so they find all
processes of a trial, also those in another session or process group.
"""

import contextlib
import ctypes
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

import psutil

from bsdgate.harness.cloud.service import SERVICES
from kills.schedule import PAIR, Trial

GUARD = "guard.py"
_SUPERVISOR = "bsdgate.harness.cloud.supervisor"

# From <sys/prctl.h> of Linux and <sys/procctl.h> and <sys/wait.h> of FreeBSD.
_PR_SET_CHILD_SUBREAPER = 36
_P_PID, _PROC_REAP_ACQUIRE, _PROC_REAP_RELEASE = 0, 2, 3


def adopt_orphans(wanted: bool) -> None:
    """Adopt the orphaned descendants of this process; if not ``wanted``, leave them to init.

    :raises OSError: the system refuses.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if sys.platform.startswith("freebsd"):
        command = _PROC_REAP_ACQUIRE if wanted else _PROC_REAP_RELEASE
        failed = libc.procctl(_P_PID, ctypes.c_int64(os.getpid()), command, None)
    else:
        failed = libc.prctl(_PR_SET_CHILD_SUBREAPER, ctypes.c_ulong(wanted), 0, 0, 0)
    if failed:
        raise OSError(ctypes.get_errno(), "cannot adopt orphans")


class Reaper:
    """Finds all descendants started since it was entered, also those with ended parents."""

    def __enter__(self) -> Self:
        adopt_orphans(True)
        self._before = {each.pid for each in psutil.Process().children(recursive=True)}
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        adopt_orphans(False)

    def living(self) -> list[psutil.Process]:
        """Return the running processes; reap orphans that have ended."""
        family = psutil.Process().children(recursive=True)
        mine = [each for each in family if each.pid not in self._before]
        return psutil.wait_procs(mine, 0)[1] if mine else []

    def left(self, patience: float) -> list[str]:
        """Wait up to ``patience`` seconds for the end of all; describe those still running."""
        deadline = time.monotonic() + patience
        while (living := self.living()) and time.monotonic() < deadline:
            psutil.wait_procs(living, 0.1)
        return [_described(each) for each in living]

    def kill(self) -> None:
        """Kill all running processes, and those that they start meanwhile."""
        deadline = time.monotonic() + 20
        while (living := self.living()) and time.monotonic() < deadline:
            for each in living:
                with contextlib.suppress(psutil.Error):
                    each.kill()
            psutil.wait_procs(living, 1)


def _described(each: psutil.Process) -> str:
    try:
        words = " ".join(each.cmdline()).split()
        return f"{each.pid} ({each.status()}) {' '.join(words)[:120]}"
    except psutil.Error:
        return f"{each.pid}"


# The processes of a run ------------------------------------------------------------------------


def find(trial: Trial, harness: psutil.Process) -> list[psutil.Process]:
    """Return the processes that get the signal of a trial; none if one of them does not exist."""
    with contextlib.suppress(psutil.Error):
        if trial.target == PAIR:
            guard = _called(harness, GUARD)[:1]
            # The guard gets the signal first: it ends all other processes after the harness.
            return [*guard, harness] if guard else []
        return _FINDERS[trial.target](harness, trial.service)[:1]
    return []


def _called(harness: psutil.Process, *names: str) -> list[psutil.Process]:
    """Return descendants with one of these names in the command line, oldest first."""
    found = []
    for each in harness.children(recursive=True):
        with contextlib.suppress(psutil.Error):
            words = {Path(word).name for word in each.cmdline()}
            # The command line of a guard includes that of its command.
            if set(names) & words and (GUARD in names) == (GUARD in words):
                found.append(each)
    return sorted(found, key=_age)


def _age(process: psutil.Process) -> tuple[float, int]:
    return process.create_time(), process.pid


def _supervisor(harness: psutil.Process, _service: str = "") -> list[psutil.Process]:
    # A preloaded parent is forked, so its command line is the supervisor's.
    return _called(harness, _SUPERVISOR)[:1]


def _parent(harness: psutil.Process, service: str) -> list[psutil.Process]:
    # The supervisor forks them in this order, and before any other child.
    place = SERVICES.index(service)
    parents = [child for each in _supervisor(harness) for child in each.children()]
    return sorted(parents, key=_age)[place : place + 1]


def _service(harness: psutil.Process, service: str) -> list[psutil.Process]:
    return [child for each in _parent(harness, service) for child in each.children()]


_FINDERS: dict[str, Callable[[psutil.Process, str], list[psutil.Process]]] = {
    "harness": lambda harness, _: [harness],
    "guard": lambda harness, _: _called(harness, GUARD),
    "supervisor": _supervisor,
    "preloaded parent": _parent,
    "service": _service,
    "pytest": lambda harness, _: _called(harness, "pytest"),
    "runner": lambda harness, _: _called(harness, "tempest", "discover-tempest-config"),
    "worker": lambda harness, _: _called(harness, "stestr.subunit_runner.run"),
}
