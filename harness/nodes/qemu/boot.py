# SPDX-License-Identifier: Apache-2.0
"""Boots a guest: makes its disk and seed, starts its hypervisor, and waits for the stages and sshd.

The hypervisor is QEMU, or bhyve on a FreeBSD host.
"""

import contextlib
import math
import os
import re
import secrets
import shutil
import socket
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Protocol

import psutil

from bsdgate.harness import files, process
from bsdgate.harness.errors import InfrastructureError
from bsdgate.harness.images.model import Image
from bsdgate.harness.nodes.connection import environment
from bsdgate.harness.nodes.qemu import accelerator, bhyve, clock, monitor, snapshots, sockets
from bsdgate.harness.nodes.qemu import guest as guests
from bsdgate.harness.nodes.qemu import machine as hardware
from bsdgate.harness.nodes.qemu import seed as seeds
from bsdgate.harness.nodes.qemu.accelerator import Accelerator, Kind
from bsdgate.harness.nodes.qemu.console import BootLimits, Console, Report, Stage, Watch
from bsdgate.harness.nodes.qemu.guest import Guest, Record
from bsdgate.harness.nodes.qemu.machine import Machine, Wiring

USER: Final = "freebsd"
"""The user that the guest creates from its seed."""
LOGS: Final = (hardware.CONSOLE_LOG, guests.LOG)
"""The logs of a guest."""

_PORT_TRIES: Final = 5
"""The maximum number of free ports that are tried; another process can take a port meanwhile."""
_TOOL_SECONDS: Final = 60.0
_DISK_SECONDS: Final = 600.0
"""The time limit to make a disk; it may be a copy of the image."""
_POLL: Final = 0.25
_BANNER_SECONDS: Final = 10.0
_SCAN_SECONDS: Final = 15.0
_BANNER: Final = b"SSH-"
_PORT_TAKEN: Final = re.compile(r"Could not set up host forwarding|Address already in use")


class Hypervisor(Protocol):
    """A program that runs guests: a module with these functions."""

    def programs(self, machine: Machine) -> Sequence[str]:
        """Return the names of the programs that start a guest."""

    def check(self, machine: Machine) -> None:
        """Raise InfrastructureError if this machine cannot run the guest."""

    def disk_command(self, image: Image) -> Sequence[str]:
        """Return the command that makes a disk; raise UsageError if the image is not supported."""

    def disk_space(self, image: Image) -> int:
        """Return the number of bytes that a new disk needs."""

    def command(self, machine: Machine, accelerator: str, wiring: Wiring) -> Sequence[str]:
        """Return the command that starts a guest."""


HYPERVISORS: Final[Mapping[Kind, Hypervisor]] = {
    "kvm": hardware,
    "tcg": hardware,
    "bhyve": bhyve,
}
"""The hypervisor of each accelerator."""


class PortTakenError(InfrastructureError):
    """Another process uses the port of this machine that QEMU must forward to the guest."""


@dataclass(frozen=True)
class BootRequest:
    """The guest to boot.

    ``factor`` multiplies the time limits. ``port`` is the port of this machine that is forwarded to
    sshd on the guest; None selects a free port. ``image_lock`` is the descriptor that keeps the
    image in the cache; None if the image is not in the cache. If the boot fails, the logs of the
    guest are copied to the directory ``logs``.
    """

    image: Image
    machine: Machine
    accelerator: Accelerator
    factor: float = 1.0
    port: int | None = None
    image_lock: int | None = None
    logs: Path | None = None
    limits: BootLimits = field(default_factory=BootLimits)


def check_programs(machine: Machine, kind: Kind) -> None:
    """Check that this machine can boot a guest; call this function before an image is downloaded.

    :raises InfrastructureError: a program or the firmware is missing.
    """
    hypervisor = HYPERVISORS[kind]
    hypervisor.check(machine)
    for program in (*hypervisor.programs(machine), "ssh", "ssh-keygen", "ssh-keyscan"):
        process.find(program)


class RunningGuest:
    """A guest and its QEMU process; the process ends with the harness unless it is kept."""

    def __init__(self, guest: Guest, qemu: process.Running, console: Console, reason: str) -> None:
        """Use a guest that QEMU runs; ``reason`` is the reason for its accelerator."""
        self.guest: Final = guest
        self.reason: Final = reason
        self.console: Final = console
        self._qemu = qemu

    @property
    def runs(self) -> bool:
        """Whether QEMU runs."""
        return self._qemu.exit_status is None

    def failure(self, what: str) -> process.ProcessError:
        """Return an error with the text ``what`` and the last messages of QEMU."""
        return self._qemu.failure(what)

    def keep(self) -> None:
        """Let QEMU and the guest outlive this process."""
        self.console.close()
        with self._qemu:
            self._qemu.detach()
        self.guest.release(kept=True)

    def end(self) -> None:
        """End QEMU. A second call is harmless."""
        self.console.close()
        with self._qemu:
            self._qemu.terminate()

    def close(self) -> None:
        """End QEMU, and remove the guest. A second call is harmless."""
        self.end()
        self.guest.remove()


def boot(name: str, request: BootRequest, report: Report) -> RunningGuest:
    """Boot a new guest from an image; return the guest when its sshd answers.

    If the boot fails, the guest is removed.

    :raises UsageError: the name is not valid, or in use.
    :raises InfrastructureError: the guest has not reached a stage of the boot.
    """
    guest = Guest.make(name)
    with _removed_on_failure(guest, request.logs):
        _prepare(guest, request)
        return _start(guest, request, report)


def boot_copy(
    name: str, source: Guest, snapshot: str, request: BootRequest, report: Report
) -> RunningGuest:
    """Start a copy of ``source`` from a snapshot, and set the clock of the copy.

    If the start fails, the copy is removed.

    :raises UsageError: ``source`` does not run, or does not have this snapshot.
    """
    guest = Guest.make(name)
    with _removed_on_failure(guest, request.logs):
        snapshots.copy(source, snapshot, guest, request.factor)
        return _start(guest, request, report, snapshot)


@contextlib.contextmanager
def _removed_on_failure(guest: Guest, logs: Path | None) -> Iterator[None]:
    """Remove a guest if the block fails; first copy its logs to the directory ``logs``."""
    try:
        yield
    except BaseException:
        if logs is not None:
            copy_logs(guest, logs)
        guest.remove()
        raise


def copy_logs(guest: Guest, folder: Path) -> None:
    """Copy the logs of the console and of QEMU that exist to a directory, if it exists."""
    for name in LOGS:
        if guest.path(name).exists() and folder.is_dir():
            shutil.copyfile(guest.path(name), folder / name)


def _prepare(guest: Guest, request: BootRequest) -> None:
    """Make the disk, the key, the seed and the record of a new guest."""
    hypervisor = HYPERVISORS[request.accelerator.kind]
    make_disk = hypervisor.disk_command(request.image)
    needed = guests.FREE_SPACE + hypervisor.disk_space(request.image)
    guests.check_free_space(guest.folder, needed)
    record = Record(
        guest.name,
        request.image.name,
        request.image.sha256,
        str(request.image.path.absolute()),
        request.machine,
        request.accelerator.kind,
        USER,
        request.port or 0,
        hardware.new_mac(),
    )
    guest.write(record)
    _run(guest, *make_disk, seconds=_DISK_SECONDS)
    _run(guest, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", guest.name, "-f", guests.KEY)
    key = guest.path(f"{guests.KEY}.pub").read_text().strip()
    instance = f"{guest.name}-{secrets.token_hex(4)}"
    seed = seeds.Seed(guest.name, instance, record.user, key, record.mac)
    seeds.write(guest.path(hardware.SEED), seed)


def _start(
    guest: Guest, request: BootRequest, report: Report, snapshot: str | None = None
) -> RunningGuest:
    """Start QEMU, and wait until sshd on the guest answers.

    A guest that starts from a snapshot prints no stages on its console, and its clock is set.
    """
    for tries_left in reversed(range(1 if request.port else _PORT_TRIES)):
        try:
            running = _launch(guest, request, snapshot)
            break
        except PortTakenError:
            if not tries_left:
                raise
    try:
        limits = request.limits.scaled(request.factor)
        restored = snapshot is not None
        watch = Watch(running.console, guest.name, limits, report, restored=restored)
        _await_boot(running, watch, request.factor)
        # If the console is connected and nothing reads its output, QEMU stops the guest.
        running.console.close()
        if restored:
            clock.set_clock(guest.address, guest.path(guests.LOG), request.factor)
    except BaseException:
        running.end()
        raise
    return running


def _run(guest: Guest, *argv: str, seconds: float = _TOOL_SECONDS) -> None:
    process.run(argv, log=guest.path(guests.LOG), timeout=seconds, cwd=guest.folder)


def _launch(guest: Guest, request: BootRequest, snapshot: str | None) -> RunningGuest:
    """Start QEMU with its sockets; return when the console is connected.

    :raises PortTakenError: the port is in use.
    """
    record = replace(guest.require_record(), port=request.port or free_port())
    hypervisor = HYPERVISORS[record.accelerator]
    _check_port(record.port)
    with contextlib.ExitStack() as stack:
        console = stack.enter_context(sockets.listen(guest.path(guests.CONSOLE)))
        control = stack.enter_context(sockets.listen(guest.path(guests.MONITOR)))
        lock = files.take_lock(guest.path(guests.LOCK))
        assert lock is not None, "only the owner of a guest starts QEMU, and only once"
        stack.callback(os.close, lock)
        image_lock = [] if request.image_lock is None else [request.image_lock]
        wiring = Wiring(record.port, record.mac, console.fileno(), control.fileno(), snapshot)
        qemu = process.start(
            hypervisor.command(record.machine, record.accelerator, wiring),
            log=guest.path(guests.LOG),
            cwd=guest.folder,
            pass_fds=[console.fileno(), control.fileno(), lock, *image_lock],
        )
        created = psutil.Process(qemu.pid).create_time()
        guest.write(replace(record, pid=qemu.pid, created=created))
        guest.configure_ssh()
        source = sockets.connect(guest.path(guests.CONSOLE), _TOOL_SECONDS)
    running = RunningGuest(guest, qemu, Console(source), request.accelerator.reason)
    if record.accelerator != "bhyve":  # it has no monitor; the console shows whether it started
        _check_started(running, request.factor)
    return running


def _check_started(running: RunningGuest, factor: float) -> None:
    """Wait until QEMU answers on its monitor.

    :raises PortTakenError: QEMU has ended because the port is in use.
    :raises InfrastructureError: QEMU has ended, or does not answer.
    """
    try:
        with monitor.connected(running.guest.path(guests.MONITOR), factor):
            return
    except InfrastructureError:
        error = running.failure("did not start")
        running.end()
    if _PORT_TAKEN.search(error.message):
        raise _port_taken(running.guest.require_record().port) from error
    raise error


def _check_port(port: int) -> None:
    """Raise PortTakenError if the port is in use. bhyve does not report this."""
    with socket.socket() as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind((guests.LOOPBACK, port))
        except OSError as error:
            raise _port_taken(port) from error


def _port_taken(port: int) -> PortTakenError:
    return PortTakenError(
        f"the port {port} of this machine is in use: it cannot be forwarded to the guest",
        "end the process that uses this port, or give another port (--port)",
    )


def free_port() -> int:
    """Return a port that no process uses on the loopback interface at this moment."""
    with socket.socket() as made:
        made.bind((guests.LOOPBACK, 0))
        port: int = made.getsockname()[1]
    return port


def _await_boot(running: RunningGuest, watch: Watch, factor: float) -> None:
    try:
        watch.wait_for_login()
        _await_ssh(running, watch, factor)
    except InfrastructureError as error:
        if running.console.ended:
            raise running.failure(f"ended: {error.message}") from error
        kind = running.guest.require_record().accelerator
        if kind != "tcg":
            hint = f"{error.hint}; to boot without {kind} set {accelerator.VARIABLE}=tcg"
            raise InfrastructureError(error.message, hint) from error
        raise


def _await_ssh(running: RunningGuest, watch: Watch, factor: float) -> None:
    """Wait until sshd answers and its host key is saved, then log in once."""
    guest = running.guest
    port = guest.require_record().port
    while not (_sshd_answers(port, watch) and _save_host_key(guest, _SCAN_SECONDS * factor)):
        if watch.seconds_left(Stage.SSH) <= 0:
            raise watch.timeout_error(Stage.SSH)
        watch.check_for(_POLL)
    _log_in(guest, watch)
    watch.reach(Stage.SSH)


def _sshd_answers(port: int, watch: Watch) -> bool:
    """Return whether sshd sends its banner. QEMU accepts connections before sshd runs."""
    try:
        with socket.create_connection((guests.LOOPBACK, port), _BANNER_SECONDS) as connection:
            connection.settimeout(max(1.0, min(_BANNER_SECONDS, watch.seconds_left(Stage.SSH))))
            return connection.recv(64).startswith(_BANNER)
    except OSError:
        return False


def _log_in(guest: Guest, watch: Watch) -> None:
    """Log in with the key of the guest: sshd also answers in a guest that did not read the seed."""
    argv = ["ssh", "-T", "-o", "BatchMode=yes", *guest.address.options, "true"]
    limit = max(1.0, watch.seconds_left(Stage.SSH))
    try:
        process.run(argv, log=guest.path(guests.LOG), timeout=limit, env=environment())
    except process.ProcessError as error:
        if error.exit_status is None:
            raise watch.timeout_error(Stage.SSH) from error
        raise watch.login_error() from error


def _save_host_key(guest: Guest, seconds: float) -> bool:
    """Save the host key of a guest in the guest's file of known hosts; return whether it is saved.

    A key that is saved already is not replaced. The key can be trusted: the connection does not
    leave this machine, and QEMU listens on the port.
    """
    saved = guest.path(guests.KNOWN_HOSTS)
    if not saved.exists():
        keys = [line.split(" ", 1)[1] for line in _scan(guest, seconds)]
        text = "".join(f"{guests.HOST_KEY_ALIAS} {key}\n" for key in keys)
        if keys:
            files.write_atomically(saved, text.encode())
    return saved.exists()


def _scan(guest: Guest, seconds: float) -> list[str]:
    """Return the lines that ssh-keyscan prints: the host and a key."""
    with tempfile.TemporaryDirectory(dir=guest.folder) as folder:
        output = Path(folder) / "keys"
        limit = math.ceil(seconds)
        options = ["-T", str(limit), "-t", "ed25519", "-p", str(guest.require_record().port)]
        process.run(
            ["ssh-keyscan", *options, guests.LOOPBACK],
            log=guest.path(guests.LOG),
            timeout=limit + process.GRACE,
            stdout=output,
            env=environment(),
            check=False,
        )
        lines = output.read_text(errors="replace").splitlines()
    return [line for line in lines if " " in line and not line.startswith("#")]
