# SPDX-License-Identifier: Apache-2.0
"""The virtual hardware of a guest, and the arguments of QEMU for it.

The working directory of QEMU is the directory of the guest, and all paths are relative. An absolute
path could contain characters that are special in QEMU's options.
"""

import os
import platform
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bsdgate.harness.errors import InfrastructureError
from bsdgate.harness.images.model import Image
from bsdgate.harness.nodes.facts import ARCHITECTURES
from bsdgate.harness.nodes.qemu import PROGRAMS

DISK: Final = "disk.qcow2"
SEED: Final = "seed.iso"
CONSOLE_LOG: Final = "console.log"
DISK_NODE: Final = "disk"
"""The name of the disk in QMP."""

FIRMWARE: Final = (
    "/usr/share/qemu-efi-aarch64/QEMU_EFI.fd",  # Debian, Ubuntu
    "/usr/share/edk2/aarch64/QEMU_EFI.fd",  # Fedora, Arch
    "/usr/share/AAVMF/AAVMF_CODE.fd",  # Fedora, older
    "/usr/share/qemu/aavmf-aarch64-code.bin",  # SUSE
    "/usr/share/qemu/edk2-aarch64-code.fd",  # QEMU's own
    "/usr/local/share/qemu/edk2-aarch64-code.fd",  # FreeBSD
    "/usr/local/share/edk2-qemu/QEMU_UEFI-aarch64.fd",  # FreeBSD
)
"""The paths of the UEFI firmware for arm64 guests. An amd64 guest uses the BIOS of QEMU."""

_MAC_PREFIX: Final = "52:54:00"
_BLOCK: Final = 512
"""The number of bytes in a block of ``st_blocks``."""


def native() -> str:
    """Return the architecture of this machine, with the name that FreeBSD uses."""
    return ARCHITECTURES.get(platform.machine(), platform.machine())


def default_architecture() -> str:
    """Return the architecture of this machine if a guest can have it, else amd64."""
    return native() if native() in PROGRAMS else "amd64"


@dataclass(frozen=True)
class Machine:
    """The size and the architecture of a guest."""

    architecture: str = "amd64"
    cpus: int = 2
    memory_mib: int = 2048

    @property
    def program(self) -> str:
        """The name of the QEMU program."""
        return PROGRAMS[self.architecture]


@dataclass(frozen=True)
class Wiring:
    """The connections between a guest and this machine.

    ``port`` is the port of this machine that is forwarded to sshd on the guest, ``mac`` the address
    of the guest's network card. ``console`` and ``monitor`` are descriptors of listening sockets.
    bhyve has no monitor. With ``snapshot``, QEMU restores it and does not boot the guest.
    """

    port: int
    mac: str
    console: int
    monitor: int
    snapshot: str | None = None


def new_mac() -> str:
    """Return a random MAC address for the network card of a guest."""
    return ":".join([_MAC_PREFIX, *(f"{each:02x}" for each in secrets.token_bytes(3))])


def firmware(paths: Sequence[str] = FIRMWARE) -> str:
    """Return the path of the UEFI firmware for arm64.

    :raises InfrastructureError: there is no firmware that this user can read.
    """
    for path in paths:
        if os.access(path, os.R_OK):
            return path
    raise InfrastructureError(
        "there is no UEFI firmware for an arm64 guest. None of these files can be read:\n"
        + "\n".join(f"  {path}" for path in paths),
        "install the package qemu-efi-aarch64 (Debian), edk2-aarch64 (Fedora) or qemu (FreeBSD)",
    )


def check(machine: Machine) -> None:
    """Check that this machine has the firmware for a guest.

    :raises InfrastructureError: the firmware is missing.
    """
    if machine.architecture == "arm64":
        firmware()


def programs(machine: Machine) -> Sequence[str]:
    """Return the names of the programs that start a guest."""
    return machine.program, "qemu-img"


def disk_command(image: Image) -> Sequence[str]:
    """Return the command that makes the disk of a guest in the working directory.

    The disk is an overlay with the differences to the image. The image is not changed.
    """
    base = ("-b", str(image.path.absolute()), "-F", image.format.value)
    return "qemu-img", "create", "-q", "-f", "qcow2", *base, DISK


def disk_space(image: Image) -> int:
    """Return the number of bytes that a new disk needs."""
    del image
    return 0


def allocated(file: Path) -> int:
    """Return the number of bytes that a file uses on the disk; a sparse file uses fewer."""
    return file.stat().st_blocks * _BLOCK


def command(machine: Machine, accelerator: str, wiring: Wiring) -> Sequence[str]:
    """Return the command that starts QEMU in the directory of the guest."""
    restored = ["-loadvm", wiring.snapshot] if wiring.snapshot else []
    return [
        machine.program,
        *_board(machine, accelerator),
        *("-smp", str(machine.cpus), "-m", str(machine.memory_mib)),
        *("-nodefaults", "-no-user-config", "-display", "none", "-rtc", "base=utc"),
        *_disks(),
        *_network(wiring),
        *("-device", "virtio-rng-pci"),
        *_console(wiring),
        *_monitor(wiring),
        *restored,
    ]


def _board(machine: Machine, accelerator: str) -> list[str]:
    if machine.architecture == "arm64":
        # Some versions of FreeBSD do not boot with emulated pointer authentication.
        cpu = "host" if accelerator == "kvm" else "cortex-a72"
        board = ["-machine", "virt", "-bios", firmware()]
    else:
        cpu = "host" if accelerator == "kvm" else "max,la57=off"
        board = ["-machine", "q35"]
    return [*board, "-accel", accelerator, "-cpu", cpu]


def _disks() -> list[str]:
    return [
        *("-blockdev", f"qcow2,node-name={DISK_NODE},discard=unmap,{_file(DISK)}"),
        *("-device", f"virtio-blk-pci,drive={DISK_NODE},bootindex=0"),
        *("-blockdev", f"raw,node-name=seed,read-only=on,{_file(SEED)}"),
        *("-device", "virtio-blk-pci,drive=seed"),
    ]


def _file(name: str) -> str:
    return f"file.driver=file,file.filename={name}"


def _network(wiring: Wiring) -> list[str]:
    forward = f"hostfwd=tcp:127.0.0.1:{wiring.port}-:22"
    card = f"virtio-net-pci,netdev=net,mac={wiring.mac},romfile="
    return ["-netdev", f"user,id=net,{forward}", "-device", card]


def _console(wiring: Wiring) -> list[str]:
    # QEMU waits until the harness is connected. So the harness receives the output from the start.
    chardev = f"socket,id=console,fd={wiring.console},server=on,wait=on"
    log = f"logfile={CONSOLE_LOG},logappend=on"
    return ["-chardev", f"{chardev},{log}", "-serial", "chardev:console"]


def _monitor(wiring: Wiring) -> list[str]:
    chardev = f"socket,id=monitor,fd={wiring.monitor},server=on,wait=off"
    return ["-chardev", chardev, "-mon", "chardev=monitor,mode=control"]
