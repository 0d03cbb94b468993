# SPDX-License-Identifier: Apache-2.0
"""Chooses between the processor's virtualization (KVM, bhyve) and emulation (TCG).

In some virtual machines the device of KVM exists, but a kernel does not run under KVM. So a probe
boots a tiny kernel, once for each boot of this machine. On a FreeBSD host bhyve is used if it has
what it needs (``bhyve.problem``); there is no probe.
"""

import json
import os
import platform
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal, get_args

import psutil

from bsdgate.harness import files, folders, process
from bsdgate.harness.errors import InfrastructureError, UsageError
from bsdgate.harness.nodes.qemu import bhyve, probe
from bsdgate.harness.nodes.qemu import machine as hardware
from bsdgate.harness.nodes.qemu.machine import Machine

DEVICE: Final = Path("/dev/kvm")
PROBE_SECONDS: Final = 10.0
"""The time limit of the probe. A working probe needs less than a second."""

Kind = Literal["kvm", "bhyve", "tcg"]
Choice = Literal["auto", "kvm", "bhyve", "tcg"]

VARIABLE: Final = "BSDGATE_ACCELERATOR"
"""The environment variable with the choice of the user."""

_CACHE: Final = "accelerator.json"
# psutil computes the time of the boot from the clock, and the clock may be corrected.
_BOOT_TIME_TOLERANCE: Final = 60.0
_PROBE_ARCHITECTURE: Final = "amd64"
"""The architecture of the probe."""


@dataclass(frozen=True)
class Accelerator:
    """KVM, bhyve or TCG, and the reason for this choice."""

    kind: Kind
    reason: str


@dataclass(frozen=True)
class ProbeResult:
    """The result of a probe with one QEMU program in one boot of this machine.

    ``modified`` is the modification time of the program, ``boot_time`` the time of the boot.
    ``problem`` is the reason why KVM does not work; None if KVM works.
    """

    program: str
    modified: float
    boot_time: float
    problem: str | None = None

    def is_valid_for(self, other: "ProbeResult") -> bool:
        """Return whether the other result is for the same program in the same boot."""
        if (self.program, self.modified) != (other.program, other.modified):
            return False
        return abs(self.boot_time - other.boot_time) < _BOOT_TIME_TOLERANCE


def choice() -> Choice:
    """Return the choice in the environment, by default ``auto``.

    :raises UsageError: the value is not valid.
    """
    value = os.environ.get(VARIABLE) or "auto"
    for each in get_args(Choice):
        if value == each:
            found: Choice = each
            return found
    raise UsageError(
        f"{VARIABLE}={value}: this is not a valid accelerator",
        f"use {', '.join(get_args(Choice))}",
    )


def choose(machine: Machine, choice: Choice, state: Path, device: Path = DEVICE) -> Accelerator:
    """Return the accelerator for a guest. ``state`` is the directory for the result of the probe.

    :raises InfrastructureError: the choice is ``kvm``, and KVM cannot be used.
    """
    if choice in {"bhyve", "tcg"}:
        return Accelerator(choice, "selected by the user")
    if choice == "auto" and platform.system() == "FreeBSD":
        problem = bhyve.problem(machine)
        return Accelerator("tcg", problem) if problem else Accelerator("bhyve", "it can be used")
    problem = _problem(machine, state, device)
    if problem is None:
        return Accelerator("kvm", "the probe has booted")
    if choice == "kvm":
        raise InfrastructureError(
            f"KVM cannot be used: {problem}",
            f"correct this, or use {VARIABLE}=auto: then bsdgate chooses the accelerator",
        )
    return Accelerator("tcg", problem)


def _problem(machine: Machine, state: Path, device: Path) -> str | None:
    """Return the reason why KVM cannot be used; None if it can be used."""
    if machine.architecture != hardware.native():
        return f"this machine is {hardware.native()}, and the guest is {machine.architecture}"
    if not device.exists():
        return f"there is no {device}"
    if not os.access(device, os.R_OK | os.W_OK):
        return f"no permission to use {device}: add this user to its group (often kvm)"
    if machine.architecture != _PROBE_ARCHITECTURE:
        return f"there is no probe of KVM for {machine.architecture}"
    problem = _cached_probe(machine.program, state).problem
    return f"{device} exists, but {problem}" if problem else None


def _cached_probe(program: str, state: Path) -> ProbeResult:
    """Return the result of the probe; run the probe if the cache does not have a valid result."""
    path = Path(process.find(program))
    new = ProbeResult(str(path), path.stat().st_mtime, psutil.boot_time())
    cached = _load(state / _CACHE)
    if cached is not None and cached.is_valid_for(new):
        return cached
    new = replace(new, problem=_probe(program))
    folders.make(state)
    files.write_atomically(state / _CACHE, json.dumps(asdict(new)).encode())
    return new


def _load(path: Path) -> ProbeResult | None:
    try:
        fields: Mapping[str, Any] = json.loads(path.read_bytes())
        return ProbeResult(**fields)
    except (OSError, ValueError, TypeError):
        return None


def _probe(program: str) -> str | None:
    """Boot the kernel of the probe under KVM; return the failure, or None if KVM works."""
    with tempfile.TemporaryDirectory(prefix="bsdgate-") as name:
        folder = Path(name)
        (folder / "kernel").write_bytes(probe.KERNEL)
        output, log = folder / "output", folder / "log"
        with process.start(_command(program), cwd=folder, log=log, stdout=output) as running:
            ended = running.wait(PROBE_SECONDS) is not None
        if output.read_bytes().strip() == probe.ANSWER:
            return None
        lines = log.read_text(errors="replace").splitlines()
    how = "ended without an answer" if ended else f"gave no answer within {PROBE_SECONDS:g} s"
    return f"a tiny kernel {how}" + (f" ({lines[0]})" if lines else "")


def _command(program: str) -> list[str]:
    return [
        program,
        *("-machine", "q35", "-accel", "kvm", "-cpu", "host", "-m", "64"),
        *("-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"),
        *("-device", "isa-debug-exit,iobase=0xf4,iosize=4"),
        *("-kernel", "kernel", "-serial", "stdio"),
    ]
