# SPDX-License-Identifier: Apache-2.0
"""The commands for guests in QEMU: boot, list, ssh, snapshot, destroy."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.text import Text

from bsdgate.harness import process
from bsdgate.harness.commands.image_display import ImageDisplay, size
from bsdgate.harness.errors import UsageError
from bsdgate.harness.nodes import specs
from bsdgate.harness.nodes.qemu import guest as guests
from bsdgate.harness.nodes.qemu import machine as hardware
from bsdgate.harness.nodes.qemu import node, snapshots
from bsdgate.harness.nodes.qemu.accelerator import Choice
from bsdgate.harness.nodes.qemu.console import Report, Stage
from bsdgate.harness.nodes.qemu.guest import Guest, State
from bsdgate.harness.nodes.qemu.machine import Machine
from bsdgate.harness.nodes.qemu.names import check_guest_name
from bsdgate.harness.nodes.specs import QemuSpec, SavedGuest
from bsdgate.results.reporters.text import plain

NO_GUESTS = "there are no guests: `bsdgate node boot` boots a guest"

_TITLES = ("name", "state", "image", "machine", "port", "disk", "snapshots")


@dataclass(frozen=True)
class BootOptions:
    """The options of ``bsdgate node boot``."""

    name: str
    architecture: str | None
    cpus: int
    memory: int
    filesystem: str
    accelerator: Choice
    port: int | None
    timeout_factor: float


def boot(image: str | None, options: BootOptions, machine: Sequence[str], console: Console) -> None:
    """Boot a guest that outlives this command.

    ``machine`` are the names of the options for the machine that the user gave.
    """
    spec = specs.parse(f"{specs.QEMU}:{image}" if image else specs.QEMU)
    assert isinstance(spec, QemuSpec)
    if machine and isinstance(spec.image, SavedGuest):
        raise UsageError(
            f"--{machine[0]} cannot be used with {image}",
            f"leave out --{machine[0]}: a copy has the machine of its guest",
        )
    check_guest_name(options.name)
    architecture = options.architecture or hardware.default_architecture()
    started = time.monotonic()
    with ImageDisplay(console) as display:
        node_options = node.Options(
            machine=Machine(architecture, options.cpus, options.memory),
            accelerator=options.accelerator,
            port=options.port,
            filesystem=options.filesystem,
            factor=options.timeout_factor,
            settings=node.settings(),
            listener=display,
            report=stage_reporter(console),
        )
        running = node.boot(options.name, spec, node_options)
    running.keep()
    record = running.guest.require_record()
    seconds = time.monotonic() - started
    details = f"{record.image}, {record.accelerator}: {running.reason}"
    _print(console, f"ready in {seconds:.1f} s: {record.name} ({details})")
    _print(console, f"`bsdgate node ssh {record.name}` logs in as {record.user}.")
    _print(console, f"`bsdgate node destroy {record.name}` ends and removes the guest.")


def stage_reporter(console: Console) -> Report:
    """Return a function that prints a stage of a boot and its time."""

    def report(stage: Stage, seconds: float) -> None:
        _print(console, f"  {stage:10} {seconds:6.1f} s")

    return report


def show(console: Console) -> None:
    """Print a table of the guests."""
    rows = [_row(guest) for guest in guests.every()]
    if not rows:
        _print(console, NO_GUESTS)
        return
    rows.insert(0, _TITLES)
    widths = [max(len(row[column]) for row in rows) for column in range(len(_TITLES))]
    for number, row in enumerate(rows):
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        console.print(Text("  ".join(cells).rstrip(), "" if number else "dim"), soft_wrap=True)


def _row(guest: Guest) -> tuple[str, ...]:
    record, state = guest.record, guest.state
    if record is None:
        return (guest.name, state.value, "", "", "", size(guest.disk_usage()), "")
    machine = record.machine
    hardware_text = f"{machine.architecture} {machine.cpus} CPU {machine.memory_mib} MiB"
    return (
        guest.name,
        state.value,
        plain(record.image),
        f"{hardware_text} {record.accelerator}",
        str(record.port),
        size(guest.disk_usage()),
        " ".join(snapshots.names(guest)) if state is State.RUNNING else "",
    )


def ssh(name: str, command: Sequence[str]) -> None:
    """Replace this process by ssh to a guest."""
    guest = Guest.named(name)
    guest.require_state(State.RUNNING, State.IN_USE)
    process.become(["ssh", *guest.address.options, *command])


def save(name: str, snapshot: str, factor: float, console: Console) -> None:
    """Save a snapshot of a guest."""
    started = time.monotonic()
    snapshots.save(Guest.named(name), snapshot, factor)
    _print(console, f"saved {snapshot} of {name} in {time.monotonic() - started:.1f} s")


def restore(name: str, snapshot: str, factor: float, console: Console) -> None:
    """Restore a snapshot of a guest."""
    started = time.monotonic()
    ahead = snapshots.restore(Guest.named(name), snapshot, factor)
    seconds = time.monotonic() - started
    _print(console, f"restored {snapshot} of {name} in {seconds:.1f} s")
    late_or_early = "behind" if ahead < 0 else "ahead"
    _print(console, f"the clock of {name} was {abs(ahead):.0f} s {late_or_early}, and is set now")


def destroy(names: Sequence[str], console: Console) -> None:
    """End and remove guests, also those that another command uses."""
    for guest in [Guest.named(name) for name in names]:
        state = guest.state
        guest.remove()
        _print(console, f"{guest.name} was {state}, and is removed now")


def destroy_all(console: Console) -> None:
    """End and remove all guests that no command uses."""
    found = guests.every()
    for guest in found:
        if guest.state is State.IN_USE:
            _print(console, f"{guest.name} is not removed, because a command uses it")
        else:
            destroy([guest.name], console)
    if not found:
        _print(console, NO_GUESTS)


def _print(console: Console, line: str) -> None:
    console.print(line, markup=False, highlight=False, soft_wrap=True)
