# SPDX-License-Identifier: Apache-2.0
"""A node in QEMU: a guest that boots when the node connects. Its commands are run over ssh."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from bsdgate.harness import paths
from bsdgate.harness.images.cache import Cache
from bsdgate.harness.images.client import Client
from bsdgate.harness.images.model import Format, Image, Variant
from bsdgate.harness.images.progress import Listener, Silent
from bsdgate.harness.images.resolve import Resolver
from bsdgate.harness.images.settings import Limits, Settings
from bsdgate.harness.nodes.address import Address
from bsdgate.harness.nodes.base import NodeLostError
from bsdgate.harness.nodes.bootstrap.bootstrap import Progress
from bsdgate.harness.nodes.bootstrap.plan import Needs
from bsdgate.harness.nodes.kernel import Messages
from bsdgate.harness.nodes.qemu import accelerator as accelerators
from bsdgate.harness.nodes.qemu import boot as boots
from bsdgate.harness.nodes.qemu import machine as hardware
from bsdgate.harness.nodes.qemu.accelerator import Accelerator, Choice
from bsdgate.harness.nodes.qemu.boot import BootRequest, RunningGuest
from bsdgate.harness.nodes.qemu.console import Report, Stage, read_log
from bsdgate.harness.nodes.qemu.guest import LOOPBACK, Guest
from bsdgate.harness.nodes.qemu.machine import CONSOLE_LOG, Machine
from bsdgate.harness.nodes.specs import QemuSpec, SavedGuest
from bsdgate.harness.nodes.ssh import SshNode
from bsdgate.harness.profiles import matrix


def ignore_stage(stage: Stage, seconds: float) -> None:
    """Receive a stage of a boot, and do nothing."""
    del stage, seconds


def default_machine() -> Machine:
    """Return a guest with the architecture of this machine, or amd64, and with the default size."""
    return Machine(hardware.default_architecture())


def settings() -> Settings:
    """Return the settings for images, with the values in the environment."""
    tree = os.environ.get("BSDGATE_IMAGE_TREE")
    keyring = os.environ.get("BSDGATE_IMAGE_KEYRING")
    found = Settings(tree) if tree else Settings()
    return replace(found, keyring=Path(keyring)) if keyring else found


@dataclass(frozen=True)
class Options:
    """The options for the boot of a guest.

    ``port`` is the port of this machine that is forwarded to sshd on the guest; None selects a free
    port. ``filesystem`` is for an image that is named by a version. ``factor`` multiplies the time
    limits; None: the time limits of the boot are not multiplied. If the boot fails, the logs of the
    guest are copied to the directory ``logs``. ``settings`` are for images; ``listener`` receives
    the progress of a download, ``report`` the stages of the boot.
    """

    machine: Machine = field(default_factory=default_machine)
    accelerator: Choice = field(default_factory=accelerators.choice)
    port: int | None = None
    filesystem: str = "ufs"
    factor: float | None = None
    logs: Path | None = None
    settings: Settings = field(default_factory=settings)
    listener: Listener = field(default_factory=Silent)
    report: Report = ignore_stage


def boot(name: str, spec: QemuSpec, options: Options) -> RunningGuest:
    """Boot a guest from the image of ``spec``, or start a copy of a guest from its snapshot.

    :raises UsageError: the image, the guest or the snapshot does not exist.
    :raises InfrastructureError: a program is missing, or the guest does not boot.
    """
    if isinstance(spec.image, SavedGuest):
        return _boot_copy(name, spec.image, options)
    accelerator = check_host(options)
    cache = _cache(options)
    image = _image(spec.image or matrix.default(), options, accelerator, cache)
    with cache.hold(image) as lock:
        request = _request(image, options.machine, accelerator, options, lock)
        return boots.boot(name, request, options.report)


def check_host(options: Options) -> Accelerator:
    """Check that this machine can boot a guest; return the accelerator of the guest.

    :raises InfrastructureError: a program or the firmware is missing.
    """
    accelerator = accelerators.choose(options.machine, options.accelerator, paths.state())
    boots.check_programs(options.machine, accelerator.kind)
    return accelerator


def _boot_copy(name: str, saved: SavedGuest, options: Options) -> RunningGuest:
    """Start a copy of a guest from a snapshot; the machine of the guest is used."""
    source = Guest.named(saved.guest)
    record = source.require_record()
    boots.check_programs(record.machine, record.accelerator)
    image = Image(Path(record.base), Format.QCOW2, record.sha256, record.image)
    accelerator = Accelerator(record.accelerator, f"as the guest {source.name}")
    with _cache(options).hold(image) as lock:
        request = _request(image, record.machine, accelerator, options, lock)
        return boots.boot_copy(name, source, saved.snapshot, request, options.report)


def _request(
    image: Image, machine: Machine, accelerator: Accelerator, options: Options, lock: int | None
) -> BootRequest:
    factor, port, logs = options.factor or 1.0, options.port, options.logs
    return BootRequest(image, machine, accelerator, factor, port, lock, logs)


def _cache(options: Options) -> Cache:
    return Cache(paths.cache() / "images", options.listener)


def _image(name: str, options: Options, accelerator: Accelerator, cache: Cache) -> Image:
    client = Client(Limits())
    disk_format = Format.RAW if accelerator.kind == "bhyve" else Format.QCOW2
    variant = Variant(options.machine.architecture, options.filesystem, format=disk_format)
    resolver = Resolver(options.settings, cache, client)
    return cache.get(resolver.resolve(name, variant), client)


class QemuNode(SshNode):
    """A guest that is booted for a run, and then a node over ssh.

    ``run`` is the run directory on this machine, ``logs`` the directory for the logs of ssh, QEMU
    and the console.
    """

    def __init__(
        self,
        spec: QemuSpec,
        run: Path,
        logs: Path,
        options: Options | None = None,
        *,
        needs: Needs | None = None,
        progress: Progress = lambda _: None,
    ) -> None:
        self.spec: Final = spec
        self.options: Final = replace(options or Options(), logs=logs)
        # The boot chooses the port.
        factor = self.options.factor
        super().__init__(
            Address(LOOPBACK), run, logs, factor=factor, needs=needs, progress=progress
        )
        self.name = f"qemu-{_name_part(str(spec.image or matrix.default()))}"
        self._guest: RunningGuest | None = None
        self._kept = False
        self._console_size: int | None = None

    @property
    def running(self) -> RunningGuest:
        """The guest and its QEMU process.

        :raises NodeLostError: the guest is not booted.
        """
        if self._guest is None:
            raise NodeLostError(f"the node {self.name} is not booted")
        return self._guest

    def reach(self) -> None:
        """Boot the guest, and connect to its sshd.

        :raises BsdgateError: the guest does not boot, or does not accept the connection.
        """
        if self._guest is None:
            name = _name_part(f"{self.name}-{self._run.name}").lower()[-63:].lstrip(".-")
            self._guest = boot(name, self.spec, self.options)
        try:
            self.set_address(self._guest.guest.address)
            super().reach()
        except BaseException:
            self.close()
            raise

    def facts(self) -> Mapping[str, str]:
        """Return the properties of the node, with its image and its accelerator."""
        record = self.running.guest.require_record()
        own = {"image": record.image, "accelerator": record.accelerator, "url": str(self.spec)}
        return {**super().facts(), **own}

    def kernel_messages(self) -> Messages:
        """Return the new messages in the kernel's buffer, and the new lines on the console."""
        log = self.running.guest.path(CONSOLE_LOG)
        before = self._console_size
        lines, self._console_size = read_log(log, before or 0)
        return replace(super().kernel_messages(), console=() if before is None else lines)

    def _may_answer(self) -> bool:
        """Return whether QEMU runs."""
        return self._guest is not None and self._guest.runs

    def keep(self) -> None:
        """Let the guest and the connection outlive this process."""
        super().keep()
        self.running.keep()
        self._kept = True

    def close(self) -> None:
        """Disconnect. If the guest is not kept, end and remove it. A second call is harmless."""
        try:
            super().close()
        finally:
            if self._guest is not None and not self._kept:
                boots.copy_logs(self._guest.guest, self._logs)
                self._guest.close()
                self._guest = None


def _name_part(text: str) -> str:
    """Return the last part of a path, a URL or a name, with hyphens for special characters."""
    last = text.rstrip("/").rpartition("/")[2]
    return re.sub(r"[^A-Za-z0-9.-]", "-", last)
