# SPDX-License-Identifier: Apache-2.0
"""Watches the serial console of a guest that boots: the loader, the kernel, rc and the login.

Each stage has a time limit. A stage that is not reached, a panic of the kernel and the end of QEMU
are errors. Their message has the stage and the last lines of the console. The output of the console
is not trusted: it can contain any bytes.
"""

import os
import re
import select
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from bsdgate.harness.errors import InfrastructureError

KEPT_BYTES: Final = 1 << 16
"""The maximum number of bytes, at the end of the output, in which a stage is searched for."""
LOG_BYTES: Final = 1 << 22
"""The maximum number of bytes that are read of the log of a console."""
LAST_LINES: Final = 20
"""The maximum number of lines of the console in an error."""
LINE_LENGTH: Final = 200
"""The maximum number of characters of a line in an error."""

_CHUNK: Final = 1 << 14
_BINARY_SHARE: Final = 0.3
_BINARY_BYTES: Final = 64
"""The number of bytes, at the end of the output, that show whether the console prints text."""


class Stage(StrEnum):
    """The stages of a boot, in the order of time."""

    LOADER = "loader"
    KERNEL = "kernel"
    RC = "rc"
    LOGIN = "login"
    SSH = "ssh"


@dataclass(frozen=True)
class BootLimits:
    """The maximum seconds from the previous stage to each stage.

    They are for an emulated guest on a machine of usual speed.
    """

    loader: float = 60
    kernel: float = 90
    rc: float = 120
    login: float = 300
    ssh: float = 180

    def scaled(self, factor: float) -> "BootLimits":
        """Return the limits multiplied by a factor."""
        return BootLimits(**{name: limit * factor for name, limit in asdict(self).items()})

    def of(self, stage: Stage) -> float:
        """Return the limit of a stage."""
        limits: dict[str, float] = asdict(self)
        return limits[stage.value]


Report = Callable[[Stage, float], None]
"""A function that receives each stage and the seconds from the start of the guest to the stage."""

# Text from the first lines of each stage, for FreeBSD and Linux. The guests of the tests run Linux.
_STAGE_OUTPUT: Final[Mapping[Stage, re.Pattern[bytes]]] = {
    Stage.LOADER: re.compile(
        rb"BTX loader|FreeBSD/\S+ \S+ loader|FreeBSD EFI boot|Consoles: |>> FreeBSD|SeaBIOS"
        rb"|BdsDxe|UEFI|GNU GRUB|SYSLINUX \d|Loading kernel|EFI stub"
    ),
    Stage.KERNEL: re.compile(
        rb"---<<BOOT>>---|Copyright \(c\) 1992-\d{4} The FreeBSD Project|Linux version \d"
    ),
    Stage.RC: re.compile(
        rb"Setting hostuuid|Setting hostid|Starting file system checks|Setting hostname: "
        rb"|Mounting local filesystems|systemd\[1\]: |INIT: version|Run \S+ as init process"
    ),
    Stage.LOGIN: re.compile(rb"(?:^|[\r\n])[^\r\n]{0,200}login: ?(?:[\r\n]|$)"),
}
_WATCHED: Final = tuple(_STAGE_OUTPUT)

# Output that shows that the boot has failed: the pattern, the failure, the next step.
_FAILURE_OUTPUT: Final[Sequence[tuple[re.Pattern[bytes], str, str]]] = (
    (re.compile(rb"(?m)^panic: "), "the kernel panicked", "see the message of the kernel"),
    (
        re.compile(rb"Kernel panic - not syncing"),
        "the kernel panicked",
        "see the message of the kernel",
    ),
    (
        re.compile(rb"(?m)^mountroot> ?$"),
        "the kernel does not find a root file system",
        "give an image with the root file system on the first disk",
    ),
    (
        re.compile(rb"No bootable device|Boot failed: not a bootable disk|can't load 'kernel'"),
        "the image has nothing to boot",
        "give a bootable image for this architecture",
    ),
    (
        re.compile(rb"Enter full pathname of shell or RETURN for /bin/sh"),
        "the guest started in single-user mode",
        "check the file systems and the configuration of the image",
    ),
)

_ESCAPES: Final = re.compile(rb"\x1b(?:\[[0-9;?=]*[A-Za-z]|[()][A-Z0-9]|[A-Z78=>])")
_PRINTABLE: Final = frozenset({9, 10, 13, 27, *range(32, 127)})


class Console:
    """The output of a console, which is read from a socket."""

    def __init__(self, source: socket.socket) -> None:
        """Use a connected socket."""
        self._source = source
        self._data = b""
        self.connected: Final = time.monotonic()
        self._last_output = self.connected
        self.ended = False

    @property
    def data(self) -> bytes:
        """The last ``KEPT_BYTES`` of the output, without terminal escape sequences."""
        return self._data

    @property
    def silent_seconds(self) -> float:
        """The number of seconds since the last output."""
        return time.monotonic() - self._last_output

    @property
    def seconds(self) -> float:
        """The number of seconds since the console was connected."""
        return time.monotonic() - self.connected

    def wait(self, seconds: float) -> bool:
        """Wait for output; return whether output was received.

        When QEMU has closed the connection, ``ended`` is True.
        """
        if self.ended or not select.select([self._source], [], [], max(0.0, seconds))[0]:
            return False
        try:
            chunk = self._source.recv(_CHUNK)
        except ConnectionError:
            chunk = b""
        if not chunk:
            self.ended = True
            return False
        self._last_output = time.monotonic()
        self._data = _without_escapes(self._data + chunk)[-KEPT_BYTES:]
        return True

    def close(self) -> None:
        """Disconnect. A second call is harmless."""
        self._source.close()

    def is_binary(self) -> bool:
        """Return whether the last bytes are binary data."""
        tail = self._data[-_BINARY_BYTES:]
        binary = sum(byte not in _PRINTABLE for byte in tail)
        return binary > len(tail) * _BINARY_SHARE


def _without_escapes(data: bytes) -> bytes:
    return _ESCAPES.sub(b"", data)


def read_log(path: Path, offset: int) -> tuple[list[str], int]:
    """Return the lines of the log of a console from ``offset`` on, and the size of the log.

    Of a log with more new bytes than ``LOG_BYTES``, the first and the last bytes are read.
    """
    try:
        with path.open("rb") as log:
            size = log.seek(0, os.SEEK_END)
            log.seek(offset)
            data = log.read(LOG_BYTES // 2)
            log.seek(max(log.tell(), size - LOG_BYTES // 2))
            return printable_lines(data + log.read(LOG_BYTES // 2)), size
    except FileNotFoundError:
        return [], offset


def last_lines(data: bytes) -> str:
    """Return the last lines of the output of a console, in the form of an error's details."""
    return "\n".join(f"  | {line}" for line in printable_lines(data)[-LAST_LINES:])


def printable_lines(data: bytes) -> list[str]:
    """Return the lines of the output of a console, without empty lines and control characters."""
    text = _without_escapes(data).decode("ascii", "replace").replace("\r", "\n")
    return [_without_controls(line)[:LINE_LENGTH] for line in text.split("\n") if line.strip()]


def _without_controls(line: str) -> str:
    shown = (char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in line)
    return "".join(shown).rstrip()


class Watch:
    """Watches the stages of one boot. ``guest`` is the name of the guest in messages.

    With ``restored``, the guest was started from a snapshot: all stages of the console are passed.
    """

    def __init__(
        self,
        console: Console,
        guest: str,
        limits: BootLimits,
        report: Report,
        *,
        restored: bool = False,
    ) -> None:
        self._console = console
        self._guest = guest
        self._limits = limits
        self._report = report
        self._reached: list[Stage] = [*_WATCHED] if restored else []
        self._since = console.connected

    def wait_for_login(self) -> None:
        """Wait until the console shows the login prompt.

        :raises InfrastructureError: a stage is not reached within its time limit, or the boot has
            failed.
        """
        for stage in _WATCHED:
            while stage not in self._reached:
                self._wait_for(stage)

    def check_for(self, seconds: float) -> None:
        """Read the console for some seconds, and check that the guest has not failed.

        :raises InfrastructureError: the boot has failed, or QEMU has ended.
        """
        deadline = time.monotonic() + seconds
        while (remaining := deadline - time.monotonic()) > 0 and not self._console.ended:
            self._console.wait(remaining)
            self._check()
        self._check()

    def reach(self, stage: Stage) -> None:
        """Record and report that a stage is reached."""
        self._reached.append(stage)
        self._since = time.monotonic()
        self._report(stage, self._console.seconds)

    def seconds_left(self, stage: Stage) -> float:
        """Return the seconds until the time limit of a stage."""
        return self._since + self._limits.of(stage) - time.monotonic()

    def timeout_error(self, stage: Stage) -> InfrastructureError:
        """Return the error for a stage that was not reached within its time limit."""
        limit = self._limits.of(stage)
        what = f"not within {limit:g} s, and its console {self._last_state()}"
        return self._error(stage, what, self._advice(stage))

    def login_error(self) -> InfrastructureError:
        """Return the error for a guest in which sshd answers, but refuses the login."""
        return self._error(
            Stage.SSH,
            "sshd answers, but the login with the key of the seed failed",
            "give an image that reads the seed at its first boot (FreeBSD: nuageinit and the file"
            " /firstboot); in a run, logs/console.log has its messages",
        )

    def _wait_for(self, stage: Stage) -> None:
        remaining = self.seconds_left(stage)
        if remaining <= 0:
            raise self.timeout_error(stage)
        self._console.wait(remaining)
        self._record_stages()
        self._check()

    def _check(self) -> None:
        """Check that the boot has not failed.

        :raises InfrastructureError: the console shows a failure, or QEMU has ended.
        """
        stage = next(each for each in Stage if each not in self._reached)
        for pattern, what, hint in _FAILURE_OUTPUT:
            if pattern.search(self._console.data):
                raise self._error(stage, what, hint)
        if self._console.ended:
            raise self._error(stage, "QEMU or bhyve ended", "see its messages above")

    def _record_stages(self) -> None:
        """Record the stages that the console shows; earlier stages are then reached too."""
        found = [stage for stage in _WATCHED if _STAGE_OUTPUT[stage].search(self._console.data)]
        if found:
            last = _WATCHED.index(found[-1])
            for stage in _WATCHED[: last + 1]:
                if stage not in self._reached:
                    self.reach(stage)

    def _error(self, stage: Stage, what: str, hint: str) -> InfrastructureError:
        before = self._reached[-1] if self._reached else None
        after = f" after the stage {before}" if before else ""
        message = f"the guest {self._guest} did not reach the stage {stage}{after}: {what}"
        return InfrastructureError(f"{message}\n{last_lines(self._console.data)}".rstrip(), hint)

    def _last_state(self) -> str:
        if not self._console.data:
            return "printed nothing"
        if self._console.is_binary():
            return "prints binary data"
        return f"printed nothing for the last {self._console.silent_seconds:.0f} s"

    def _advice(self, stage: Stage) -> str:
        if stage is Stage.SSH:
            return "enable sshd and DHCP in the image, or give a greater --timeout-factor"
        if not self._console.data:
            return (
                "give an image that has the right architecture, and uses the first serial port as"
                " its console (FreeBSD: console=comconsole in loader.conf)"
            )
        if self._console.is_binary():
            return (
                "check that the image has the right architecture, and that the speed of its"
                " console is 115200"
            )
        return "on a slow machine give a greater --timeout-factor; otherwise see the lines above"
