# SPDX-License-Identifier: Apache-2.0
"""bhyve, which runs the guests on a FreeBSD host: its requirements and its arguments.

The arguments are those of bhyve(8) in FreeBSD 15.1. They were tested with a simulated bhyve only.
``bhyve_loop.py`` runs the command, because bhyve ends when the guest reboots.
"""

import os
import platform
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from bsdgate.harness import process
from bsdgate.harness.errors import InfrastructureError, UsageError
from bsdgate.harness.images.model import Format, Image
from bsdgate.harness.nodes.qemu import machine as hardware
from bsdgate.harness.nodes.qemu.machine import SEED, Machine, Wiring

DISK: Final = "disk.raw"
CONTROL: Final = Path("/dev/vmmctl")
"""The device that creates virtual machines: see vmm(4). In FreeBSD 15.1 only root can use it."""
MACHINES: Final = Path("/dev/vmm")
"""The directory with a device for each virtual machine that exists."""
LIBSLIRP: Final = Path("/usr/local/lib/libslirp.so.0")
"""The library of the network that needs no configuration of the host."""
BOOT_ROM: Final[Mapping[str, Path]] = {
    "amd64": Path("/usr/local/share/uefi-firmware/BHYVE_UEFI.fd"),
    "arm64": Path("/usr/local/share/u-boot/u-boot-bhyve-arm64/u-boot.bin"),
}
"""The boot ROM for each architecture of bhyve(8)."""
PACKAGES: Final[Mapping[str, str]] = {"amd64": "edk2-bhyve", "arm64": "u-boot-bhyve-arm64"}
"""The packages with the boot ROMs."""

_LOOP: Final = "bsdgate.harness.nodes.qemu.bhyve_loop"
_DESTROY_SECONDS: Final = 60.0


def problem(machine: Machine) -> str | None:
    """Return the first reason why bhyve cannot run a guest; None if it can."""
    return next(_problems(machine), None)


def _problems(machine: Machine) -> Iterator[str]:
    native, wanted = hardware.native(), machine.architecture
    if platform.system() != "FreeBSD":
        yield "this machine is not FreeBSD"
    if wanted != native:
        yield f"this machine is {native}, and the guest is {wanted}"
    if not CONTROL.exists():
        yield f"there is no {CONTROL}: load the kernel module with `kldload vmm`"
    if os.geteuid() != 0:
        yield f"only root can use {CONTROL}"
    if not BOOT_ROM[wanted].exists():
        yield f"there is no {BOOT_ROM[wanted]}: `pkg install {PACKAGES[wanted]}`"
    if not LIBSLIRP.exists():
        yield f"there is no {LIBSLIRP}: `pkg install libslirp`"


def programs(machine: Machine) -> Sequence[str]:
    """Return the names of the programs that start a guest."""
    del machine
    return "bhyve", "bhyvectl", "cp"


def check(machine: Machine) -> None:
    """Check that bhyve can run a guest.

    :raises InfrastructureError: bhyve cannot run the guest.
    """
    reason = problem(machine)
    if reason is not None:
        raise InfrastructureError(
            f"bhyve cannot be used: {reason}",
            "correct this, or let bsdgate choose the accelerator: BSDGATE_ACCELERATOR=auto",
        )


def disk_command(image: Image) -> Sequence[str]:
    """Return the command that makes the disk of a guest in the working directory.

    cp(1) uses copy_file_range(2): on ZFS the copy shares the blocks of the image (block cloning).

    :raises UsageError: the image is not raw; bhyve supports no other format.
    """
    if image.format is not Format.RAW:
        raise UsageError(
            f"the image {image.name} has the format {image.format}, and bhyve needs raw",
            f"give the raw image that `qemu-img convert -O raw {image.path} NEW.raw` makes"
            " (package qemu-tools)",
        )
    return "cp", str(image.path.absolute()), DISK


def disk_space(image: Image) -> int:
    """Return the number of bytes that a new disk can need."""
    return hardware.allocated(image.path)


def command(machine: Machine, accelerator: str, wiring: Wiring) -> Sequence[str]:
    """Return the command that starts bhyve in the directory of the guest.

    The options that only amd64 has are in ``_board``. ``-s`` adds a PCI device: the backend slirp
    forwards the port to sshd on the guest, and with ``open`` the guest can connect to others.
    """
    del accelerator
    name = machine_name(wiring.mac)
    forward = f"hostfwd=tcp:127.0.0.1:{wiring.port}-:22"
    bhyve = [
        "bhyve",
        *("-c", str(machine.cpus), "-m", f"{machine.memory_mib}M"),
        *("-s", "0,hostbridge"),
        *("-s", f"1,virtio-blk,{DISK}", "-s", f"2,virtio-blk,{SEED},ro"),
        *("-s", f"3,virtio-net,slirp,open,{forward},mac={wiring.mac}"),
        *("-s", "4,virtio-rnd"),
        *_board(machine.architecture),
        name,
    ]
    return [sys.executable, "-P", "-m", _LOOP, str(wiring.console), name, *bhyve]


def _board(architecture: str) -> Sequence[str]:
    """Return the options for the boot ROM and for the serial console on stdin and stdout.

    On amd64, ``-H`` lets an idle virtual CPU sleep, and ``-u`` sets the clock to UTC.
    """
    rom = BOOT_ROM[architecture]
    if architecture == "arm64":
        return "-o", f"bootrom={rom}", "-o", "console=stdio"
    return "-H", "-u", "-s", "31,lpc", "-l", "com1,stdio", "-l", f"bootrom,{rom}"


def machine_name(mac: str) -> str:
    """Return the name of the virtual machine; it is unique among those of all users."""
    return f"bsdgate-{mac.replace(':', '')}"


def destroy(name: str, log: Path) -> None:
    """Destroy a virtual machine. It keeps its memory after bhyve has ended."""
    argv = ["bhyvectl", f"--vm={name}", "--destroy"]
    process.run(argv, log=log, timeout=_DESTROY_SECONDS, check=False)


def destroy_rest(name: str, log: Path) -> None:
    """Destroy the virtual machine of a killed ``bhyve_loop.py``, if it exists.

    :raises InfrastructureError: the virtual machine still exists.
    """
    device = MACHINES / name
    if device.exists():
        destroy(name, log)
    if device.exists():
        raise InfrastructureError(
            f"the virtual machine {name} is not destroyed: {device} exists",
            f"run `bhyvectl --vm={name} --destroy` as root, then repeat the command",
        )
