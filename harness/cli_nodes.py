# SPDX-License-Identifier: Apache-2.0
"""The options and arguments of the commands ``bsdgate node``."""

from typing import Any

import click
from click.core import ParameterSource
from rich.console import Console

from bsdgate.harness.nodes.qemu import PROGRAMS
from bsdgate.harness.parameters import FactorParameter

_FACTOR = click.option(
    "--timeout-factor",
    type=FactorParameter(),
    default=1.0,
    envvar="BSDGATE_TIMEOUT_FACTOR",
    help="Multiply all time limits by this factor, for a slow machine.",
)
_MACHINE = ("architecture", "cpus", "memory", "filesystem", "accelerator")
"""The options that a copy of a guest cannot have."""
_GUEST = click.argument("name", metavar="NAME")


@click.group()
def node() -> None:
    """Boot, use and destroy guests in QEMU."""


@node.command("boot")
@click.option("--name", default="guest", help="The name of the guest, which is also its host name.")
@click.option(
    "--architecture",
    type=click.Choice(list(PROGRAMS)),
    help="The architecture of the guest.",
    show_default="the architecture of this machine",
)
@click.option("--cpus", type=click.IntRange(1, 64), default=2, help="The number of virtual CPUs.")
@click.option(
    "--memory", type=click.IntRange(min=128), default=2048, metavar="MIB", help="The memory in MiB."
)
@click.option(
    "--filesystem",
    type=click.Choice(["ufs", "zfs"]),
    default="ufs",
    help="The root file system, for an image that is named by a version.",
)
@click.option(
    "--accelerator",
    type=click.Choice(["auto", "kvm", "bhyve", "tcg"]),
    default="auto",
    envvar="BSDGATE_ACCELERATOR",
    help="Use KVM, bhyve or emulation (TCG); auto uses KVM if a probe shows that KVM works, and"
    " bhyve on FreeBSD.",
)
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    help="The port of this machine that is forwarded to sshd on the guest.",
    show_default="any free port",
)
@_FACTOR
@click.argument("image", metavar="[VERSION|PATH|URL|@GUEST/SNAPSHOT]", required=False)
def node_boot(image: str | None, **options: Any) -> None:
    """Boot a guest that outlives this command, and print the commands to use the guest.

    Without an image, the default version of FreeBSD is booted.

    @GUEST/SNAPSHOT starts a copy of another guest from one of its snapshots.
    """
    from bsdgate.harness.commands import guests

    source = click.get_current_context().get_parameter_source
    given = [option for option in _MACHINE if source(option) is ParameterSource.COMMANDLINE]
    guests.boot(image, guests.BootOptions(**options), given, Console())


@node.command("list")
def node_list() -> None:
    """List the guests with their state, image and port."""
    from bsdgate.harness.commands import guests

    guests.show(Console())


@node.command("ssh", context_settings={"ignore_unknown_options": True})
@_GUEST
@click.argument("command", metavar="[COMMAND]...", nargs=-1, type=click.UNPROCESSED)
def node_ssh(name: str, command: tuple[str, ...]) -> None:
    """Log in to a guest, or run a command on a guest."""
    from bsdgate.harness.commands import guests

    guests.ssh(name, command)


@node.command("console")
@click.option("-n", "--lines", default=20, type=click.IntRange(min=0), help="The number of lines.")
@click.option("--attach", is_flag=True, help="Connect this terminal too; Ctrl-] disconnects.")
@_GUEST
def node_console(name: str, lines: int, attach: bool) -> None:
    """Show the last lines of the serial console of a guest."""
    from bsdgate.harness.commands import guest_console

    guest_console.show(name, lines, Console())
    if attach:
        guest_console.attach(name)


@node.command("snapshot")
@click.option(
    "--restore", is_flag=True, help="Restore the snapshot, and set the clock of the guest."
)
@_FACTOR
@_GUEST
@click.argument("snapshot", metavar="SNAPSHOT")
def node_snapshot(name: str, snapshot: str, restore: bool, timeout_factor: float) -> None:
    """Save the memory and the disk of a guest as SNAPSHOT, or restore SNAPSHOT."""
    from bsdgate.harness.commands import guests

    save_or_restore = guests.restore if restore else guests.save
    save_or_restore(name, snapshot, timeout_factor, Console())


@node.command("destroy")
@click.option("--all", "everything", is_flag=True, help="Remove all guests that no command uses.")
@click.argument("names", metavar="[NAME]...", nargs=-1)
def node_destroy(names: tuple[str, ...], everything: bool) -> None:
    """End guests and remove their files, also guests that a killed command left behind."""
    from bsdgate.harness.commands import guests

    if everything == bool(names):
        raise click.UsageError("give NAME or --all")
    if everything:
        guests.destroy_all(Console())
    else:
        guests.destroy(names, Console())
