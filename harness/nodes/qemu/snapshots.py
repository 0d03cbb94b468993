# SPDX-License-Identifier: Apache-2.0
"""Snapshots of a guest. The disk image of the guest contains the memory and the disk."""

import shutil
from dataclasses import replace
from typing import Final

from bsdgate.harness import files
from bsdgate.harness.errors import UsageError
from bsdgate.harness.nodes.qemu import accelerator, clock, monitor
from bsdgate.harness.nodes.qemu import guest as guests
from bsdgate.harness.nodes.qemu import machine as hardware
from bsdgate.harness.nodes.qemu.guest import Guest, State
from bsdgate.harness.nodes.qemu.monitor import Monitor
from bsdgate.harness.nodes.qemu.names import check_snapshot_name

_COPIED: Final = (
    hardware.DISK,
    hardware.SEED,
    guests.KEY,
    f"{guests.KEY}.pub",
    guests.KNOWN_HOSTS,
)


def save(guest: Guest, name: str, factor: float = 1.0) -> None:
    """Save a snapshot of a guest that runs. A snapshot with the same name is replaced.

    :raises UsageError: the name is not valid, or the guest does not run, or runs in bhyve.
    """
    _check_supported(guest)
    check_snapshot_name(name)
    guest.require_state(State.RUNNING)
    guests.check_free_space(guest.folder, guest.require_record().machine.memory_mib << 20)
    with monitor.connected(guest.path(guests.MONITOR), factor) as control:
        if name in control.snapshots():
            control.delete(name)
        control.save(name)


def restore(guest: Guest, name: str, factor: float = 1.0) -> float:
    """Restore a snapshot of a guest that runs, and set its clock.

    Return the seconds by which the clock was ahead.

    :raises UsageError: the guest does not run, or does not have this snapshot.
    :raises InfrastructureError: the clock cannot be set.
    """
    _check_supported(guest)
    check_snapshot_name(name)
    guest.require_state(State.RUNNING)
    with monitor.connected(guest.path(guests.MONITOR), factor) as control:
        _check_exists(guest, name, control)
        control.restore(name)
    return clock.set_clock(guest.address, guest.path(guests.LOG), factor)


def copy(source: Guest, name: str, target: Guest, factor: float = 1.0) -> None:
    """Copy the disk, which contains the snapshot ``name``, the seed and the keys of a guest.

    ``source`` runs, and is paused during the copy. ``target`` is not started.

    :raises UsageError: ``source`` does not run, or does not have this snapshot.
    """
    _check_supported(source)
    check_snapshot_name(name)
    source.require_state(State.RUNNING)
    needed = hardware.allocated(source.path(hardware.DISK)) + guests.FREE_SPACE
    guests.check_free_space(target.folder, needed)
    with monitor.connected(source.path(guests.MONITOR), factor) as control:
        _check_exists(source, name, control)
        # QEMU writes all data of the disk to the file when the guest is paused.
        control.execute("stop")
        try:
            for each in _COPIED:
                with files.explain_errors(target.folder):
                    shutil.copy(source.path(each), target.path(each))
        finally:
            control.execute("cont")
    target.write(
        replace(source.require_record(), name=target.name, kept=False, pid=None, created=None)
    )


def names(guest: Guest) -> list[str]:
    """Return the names of the snapshots of a guest that runs."""
    if guest.require_record().accelerator == "bhyve":
        return []
    with monitor.connected(guest.path(guests.MONITOR)) as control:
        return control.snapshots()


def _check_supported(guest: Guest) -> None:
    """Check that the guest can have snapshots.

    :raises UsageError: the guest runs in bhyve.
    """
    if guest.require_record().accelerator == "bhyve":
        raise UsageError(
            f"the guest {guest.name} runs in bhyve, which saves no snapshots of the memory: FreeBSD"
            " is built without BHYVE_SNAPSHOT, which is experimental",
            f"boot the guest again, or boot it with {accelerator.VARIABLE}=tcg",
        )


def _check_exists(guest: Guest, name: str, control: Monitor) -> None:
    existing = control.snapshots()
    if name not in existing:
        listed = f"the snapshots are: {', '.join(existing)}" if existing else "there are none"
        raise UsageError(
            f"the guest {guest.name} has no snapshot {name!r} ({listed})",
            f"save a snapshot with `bsdgate node snapshot {guest.name} NAME`",
        )
