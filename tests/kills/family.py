# SPDX-License-Identifier: Apache-2.0
"""The processes of a run: each by what it is for, and those that are left when the run has ended.

While a ``Reaper`` is there, a process that loses its parent becomes a child of the tests, so none
of a trial's processes is missed, whatever session or process group it has moved to.
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
    """Make this process the parent of all its orphaned descendants, or let init have them again.

    :raises OSError: the system refuses.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if sys.platform.startswith("freebsd"):
        order = _PROC_REAP_ACQUIRE if wanted else _PROC_REAP_RELEASE
        failed = libc.procctl(_P_PID, ctypes.c_int64(os.getpid()), order, None)
    else:
        failed = libc.prctl(_PR_SET_CHILD_SUBREAPER, ctypes.c_ulong(wanted), 0, 0, 0)
    if failed:
        raise OSError(ctypes.get_errno(), "cannot adopt orphans")


class Reaper:
    """Knows every process that has been started since it was made, also below ended parents."""

    def __enter__(self) -> Self:
        adopt_orphans(True)
        self._before = {each.pid for each in psutil.Process().children(recursive=True)}
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        adopt_orphans(False)

    def living(self) -> list[psutil.Process]:
        """Return the living processes; orphans that have ended are reaped."""
        family = psutil.Process().children(recursive=True)
        mine = [each for each in family if each.pid not in self._before]
        return psutil.wait_procs(mine, 0)[1] if mine else []

    def left(self, patience: float) -> list[str]:
        """Wait up to ``patience`` seconds for the end of all; describe those that live on."""
        deadline = time.monotonic() + patience
        while (living := self.living()) and time.monotonic() < deadline:
            psutil.wait_procs(living, 0.1)
        return [_described(each) for each in living]

    def kill(self) -> None:
        """Kill what lives, and what it may start meanwhile."""
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


# Who is who in a run ---------------------------------------------------------------------------


def find(trial: Trial, harness: psutil.Process) -> list[psutil.Process]:
    """Return the processes that a trial's signal is for, none if one of them is not there."""
    with contextlib.suppress(psutil.Error):
        if trial.target == PAIR:
            guard = _called(harness, GUARD)[:1]
            # Of the two this one first: it ends the rest as soon as it sees the harness gone.
            return [*guard, harness] if guard else []
        return _FINDERS[trial.target](harness, trial.service)[:1]
    return []


def _called(harness: psutil.Process, *names: str) -> list[psutil.Process]:
    """Return descendants of which a word of the command line names one of these, oldest first."""
    found = []
    for each in harness.children(recursive=True):
        with contextlib.suppress(psutil.Error):
            words = {Path(word).name for word in each.cmdline()}
            # The command line of a guard has that of its command in it.
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
