# SPDX-License-Identifier: Apache-2.0
"""The directory of a guest: its disk, seed, keys, console log, sockets and record.

The directories of all guests are in the state directory. Two locks show the state of a guest: QEMU
holds ``lock`` while it runs, and the command that uses the guest holds ``owner``. The next boot
removes a guest that has no owner and was not kept.
"""

import json
import os
import shutil
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, Self

import psutil

from bsdgate.harness import files, folders, paths, process
from bsdgate.harness.errors import InfrastructureError, UsageError
from bsdgate.harness.nodes.address import Address
from bsdgate.harness.nodes.qemu import bhyve
from bsdgate.harness.nodes.qemu.accelerator import Kind
from bsdgate.harness.nodes.qemu.machine import Machine, allocated
from bsdgate.harness.nodes.qemu.names import check_guest_name

RECORD: Final = "guest.json"
LOCK: Final = "lock"
OWNER: Final = "owner"
KEY: Final = "key"
KNOWN_HOSTS: Final = "known_hosts"
SSH_CONFIG: Final = "ssh_config"
CONSOLE: Final = "console.sock"
MONITOR: Final = "monitor.sock"
LOG: Final = "qemu.log"
HOST_KEY_ALIAS: Final = "bsdgate-guest"
LOOPBACK: Final = "127.0.0.1"
FREE_SPACE: Final = 512 << 20
"""The minimum free space for a new guest, in bytes."""

_ROOT_LOCK: Final = ".lock"
# Not multiplied by the factor for slow machines: a process holds the lock only to make or remove
# directories, and a killed QEMU ends at once.
_LOCK_SECONDS: Final = 60.0
_END_SECONDS: Final = 30.0

_SSH_CONFIG: Final = """\
Host *
  HostName 127.0.0.1
  Port {port}
  User {user}
  IdentityFile "{folder}/key"
  IdentitiesOnly yes
  IdentityAgent none
  PreferredAuthentications publickey
  HostKeyAlias {alias}
  UserKnownHostsFile "{folder}/known_hosts"
  GlobalKnownHostsFile /dev/null
  StrictHostKeyChecking yes
  UpdateHostKeys no
"""


class State(StrEnum):
    """The state of a guest."""

    IN_USE = "in use"
    """A running command uses the guest."""
    RUNNING = "running"
    """The guest was kept, and QEMU runs."""
    STOPPED = "stopped"
    """The guest was kept, and QEMU has ended: the guest was shut down, or QEMU was killed."""
    LEFT = "left behind"
    """The command that used the guest was killed."""


@dataclass(frozen=True)
class Record:
    """The properties of a guest.

    ``image`` is the name of the image, ``base`` its path. ``pid`` and ``created`` are the process
    id and the creation time of QEMU's guard.
    """

    name: str
    image: str
    sha256: str
    base: str
    machine: Machine
    accelerator: Kind
    user: str
    port: int
    mac: str
    kept: bool = False
    pid: int | None = None
    created: float | None = None

    @classmethod
    def load(cls, path: Path) -> Self | None:
        """Return the record in a file; None if the file is missing or damaged."""
        try:
            fields: dict[str, Any] = json.loads(path.read_bytes())
            return cls(**{**fields, "machine": Machine(**fields["machine"])})
        except (OSError, ValueError, TypeError, KeyError):
            return None


class Guest:
    """A guest, with its directory ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.folder: Final = folder
        self._owner: int | None = None

    @classmethod
    def make(cls, name: str) -> Self:
        """Make the directory of a new guest, with this process as the owner.

        Guests that a killed command left behind are removed first.

        :raises UsageError: the name is not valid, or in use.
        """
        check_guest_name(name)
        folders.tighten(*paths.by_default())
        with files.explain_errors(root()):
            folders.make(root())
        with files.exclusive(root() / _ROOT_LOCK, _LOCK_SECONDS):
            for old in every():
                if old.state is State.LEFT:
                    old.remove()
            guest = cls(root() / name)
            if guest.folder.exists():
                raise _name_in_use(name)
            with files.explain_errors(guest.folder):
                folders.make_marked(guest.folder)
            guest.take()
        return guest

    @classmethod
    def named(cls, name: str) -> Self:
        """Return the existing guest with this name.

        :raises UsageError: there is no guest with this name.
        """
        check_guest_name(name)
        guest = cls(root() / name)
        if not guest.folder.is_dir():
            names = ", ".join(each.name for each in every())
            existing = f"the guests are: {names}" if names else "there are no guests"
            raise UsageError(
                f"there is no guest {name!r} ({existing})", "boot a guest with `bsdgate node boot`"
            )
        return guest

    @property
    def name(self) -> str:
        """The name of the guest."""
        return self.folder.name

    @property
    def record(self) -> Record | None:
        """The record; None if the guest is not complete."""
        return Record.load(self.folder / RECORD)

    def require_record(self) -> Record:
        """Return the record.

        :raises UsageError: there is no record, because the guest is not complete.
        """
        record = self.record
        if record is None:
            raise UsageError(
                f"the guest {self.name} is not complete",
                f"remove the guest with `bsdgate node destroy {self.name}`",
            )
        return record

    @property
    def state(self) -> State:
        """The state of the guest."""
        if self._owner is not None or files.is_locked(self.folder / OWNER):
            return State.IN_USE
        record = self.record
        if record is None or not record.kept:
            return State.LEFT
        return State.RUNNING if files.is_locked(self.folder / LOCK) else State.STOPPED

    def require_state(self, *states: State) -> None:
        """Check the state of the guest.

        :raises UsageError: the guest is not in one of these states.
        """
        state = self.state
        if state in states:
            return
        if state is State.IN_USE:
            hint = "wait until the command that uses the guest ends"
        else:
            hint = (
                f"`bsdgate node destroy {self.name}` removes this guest; `bsdgate node boot` boots"
                " a new guest"
            )
        raise UsageError(f"the guest {self.name} is {state}", hint)

    @property
    def address(self) -> Address:
        """The address of the guest's sshd, with the configuration of ssh."""
        record = self.require_record()
        config = self.folder / SSH_CONFIG
        return Address(LOOPBACK, record.user, record.port, config)

    def path(self, name: str) -> Path:
        """Return the path of a file of the guest."""
        return self.folder / name

    def write(self, record: Record) -> None:
        """Write the record."""
        files.write_atomically(self.path(RECORD), json.dumps(asdict(record)).encode())

    def configure_ssh(self) -> None:
        """Write the configuration of ssh. ssh uses only the key of the guest."""
        record = self.require_record()
        text = _SSH_CONFIG.format(
            port=record.port, user=record.user, folder=self.folder, alias=HOST_KEY_ALIAS
        )
        files.write_atomically(self.path(SSH_CONFIG), text.encode())

    def take(self) -> None:
        """Make this process the owner.

        :raises UsageError: another command uses the guest.
        """
        self._owner = files.take_lock(self.path(OWNER))
        if self._owner is None:
            holder = files.holder(self.path(OWNER)) or "unknown"
            raise UsageError(
                f"the guest {self.name} is in use by process {holder}",
                "wait until this process ends, or end the process",
            )

    def release(self, *, kept: bool) -> None:
        """End the ownership of this process.

        The next boot removes a guest that is not kept.
        """
        if kept:
            self.write(replace(self.require_record(), kept=True))
        if self._owner is not None:
            os.close(self._owner)
            self._owner = None

    def end(self) -> None:
        """End QEMU. A second call is harmless.

        :raises InfrastructureError: QEMU does not end.
        """
        record = self.record
        guard = _guard(record) if record else None
        if guard is not None:
            _terminate(guard)
        lock = self.path(LOCK)
        if lock.exists():
            self._wait_until_free(lock, _END_SECONDS if guard else process.GRACE)
        if record is not None and record.accelerator == "bhyve":
            bhyve.destroy_rest(bhyve.machine_name(record.mac), self.path(LOG))

    def _wait_until_free(self, lock: Path, seconds: float) -> None:
        try:
            with files.exclusive(lock, seconds):
                pass
        except UsageError as error:
            raise InfrastructureError(
                f"QEMU of the guest {self.name} does not end: {error.message}",
                "end this process, then repeat the command",
            ) from error

    def remove(self) -> None:
        """End QEMU, and remove the directory. A second call is harmless."""
        if self.folder.exists():
            self.end()
        folders.remove_tree(self.folder, inside=root())
        self.release(kept=False)

    def disk_usage(self) -> int:
        """Return the number of bytes that the files of the guest use on the disk."""
        return sum(allocated(each) for each in self.folder.iterdir() if each.is_file())


def root() -> Path:
    """Return the directory with the directories of all guests."""
    return paths.state() / "guests"


def every() -> list[Guest]:
    """Return all guests, in the order of their names."""
    return [Guest(folder) for folder in sorted(root().glob("*")) if _is_guest(folder)]


def _is_guest(folder: Path) -> bool:
    # A killed command may leave an empty directory.
    return folder.is_dir() and (folders.is_marked(folder) or not any(folder.iterdir()))


def check_free_space(folder: Path, needed: int) -> None:
    """Check that the disk of a directory has ``needed`` bytes of free space.

    :raises InfrastructureError: the disk has less free space.
    """
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise InfrastructureError(
            f"{folder} has {free >> 20} MiB of free space, and a guest needs {needed >> 20} MiB",
            f"remove files, or {files.ELSEWHERE}",
        )


def _name_in_use(name: str) -> UsageError:
    return UsageError(
        f"there is already a guest {name!r}",
        f"remove the guest with `bsdgate node destroy {name}`, or give another name (--name)",
    )


def _guard(record: Record) -> psutil.Process | None:
    """Return the guard of QEMU; None if the guard has ended, also if its id was used again."""
    if record.pid is None:
        return None
    try:
        guard = psutil.Process(record.pid)
        same = guard.create_time() == record.created
        return guard if same and guard.status() != psutil.STATUS_ZOMBIE else None
    except psutil.NoSuchProcess:
        return None


def _terminate(guard: psutil.Process) -> None:
    try:
        guard.terminate()
        guard.wait(_END_SECONDS)
    except psutil.NoSuchProcess:
        pass
    except psutil.TimeoutExpired:
        guard.kill()
