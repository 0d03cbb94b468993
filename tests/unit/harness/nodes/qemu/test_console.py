# SPDX-License-Identifier: Apache-2.0
"""bsdgate.harness.nodes.qemu.console, with a socket that replaces QEMU."""

import random
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes.qemu import FREEBSD

from bsdgate.harness.errors import InfrastructureError
from bsdgate.harness.nodes.qemu import console
from bsdgate.harness.nodes.qemu.console import BootLimits, Console, Stage, Watch, last_lines

LINUX = (
    b"\x1b[2J\x1b[01;01HGNU GRUB  version 2.06\r\n"
    b"[    0.000000] Linux version 6.1.0-13-amd64\r\n"
    b"[    1.000000] Run /init as init process\r\n"
    b"\r\nDebian GNU/Linux 12 guest ttyS0\r\n\r\n\x1b[?2004hguest login: "
)
BOOT = [Stage.LOADER, Stage.KERNEL, Stage.RC, Stage.LOGIN]
LONG = BootLimits()
SHORT = BootLimits(loader=0.1, kernel=0.1, rc=0.1, login=0.1, ssh=0.1)


class Guest:
    """A simulated guest: a console, and the socket that sends the output of the guest."""

    def __init__(self) -> None:
        ours, self.serial = socket.socketpair()
        self.console = Console(ours)
        self.reached: list[Stage] = []

    def watch(self, limits: BootLimits = LONG) -> Watch:
        return Watch(self.console, "g", limits, lambda stage, _: self.reached.append(stage))

    def write(self, data: bytes) -> None:
        self.serial.sendall(data)


@pytest.fixture
def guest() -> Iterator[Guest]:
    made = Guest()
    yield made
    made.console.close()
    made.serial.close()


@pytest.mark.parametrize("output", [FREEBSD, LINUX], ids=["freebsd", "linux"])
def test_all_stages_are_reached_in_order(guest: Guest, output: bytes) -> None:
    guest.write(output)
    guest.watch().wait_for_login()
    assert guest.reached == BOOT


def test_a_stage_is_recognised_in_output_that_arrives_in_parts(guest: Guest) -> None:
    guest.write(FREEBSD[:70])
    watch = guest.watch()
    watch._wait_for(Stage.LOADER)
    guest.write(FREEBSD[70:])
    watch.wait_for_login()
    assert guest.reached == BOOT


def test_a_later_stage_implies_the_earlier_stages(guest: Guest) -> None:
    guest.write(b"\r\nlogin: ")
    guest.watch().wait_for_login()
    assert guest.reached == BOOT


def test_a_console_without_output_is_an_error_of_the_first_stage(guest: Guest) -> None:
    with pytest.raises(InfrastructureError, match="the stage loader.*printed nothing") as error:
        guest.watch(SHORT).wait_for_login()
    assert "comconsole" in (error.value.hint or "")


@pytest.mark.parametrize(
    ("output", "stage", "before"),
    [
        (FREEBSD[:60], Stage.KERNEL, Stage.LOADER),
        (FREEBSD[:105], Stage.RC, Stage.KERNEL),
        (FREEBSD[:150], Stage.LOGIN, Stage.RC),
    ],
)
def test_the_error_has_the_missing_stage_and_the_last_lines(
    guest: Guest, output: bytes, stage: Stage, before: Stage
) -> None:
    guest.write(output)
    expected = f"the stage {stage} after the stage {before}: not within 0.1 s"
    with pytest.raises(InfrastructureError, match=expected) as error:
        guest.watch(SHORT).wait_for_login()
    last = output.decode().splitlines()[-1]
    assert f"  | {last}" in error.value.message
    assert "--timeout-factor" in (error.value.hint or "")


def test_binary_data_is_reported_without_control_characters(guest: Guest) -> None:
    guest.write(random.Random(1).randbytes(100_000))
    with pytest.raises(InfrastructureError, match="prints binary data") as error:
        guest.watch(SHORT).wait_for_login()
    assert all(char.isprintable() or char == "\n" for char in error.value.message)
    assert "115200" in (error.value.hint or "")


def test_stages_are_recognised_after_binary_data(guest: Guest) -> None:
    guest.write(random.Random(2).randbytes(200_000) + b"\r\n" + FREEBSD)
    guest.watch().wait_for_login()
    assert guest.reached == BOOT


@pytest.mark.parametrize(
    ("output", "message"),
    [
        (b"panic: vm_fault failed\r\n", "the kernel panicked"),
        (b"[ 1.0] Kernel panic - not syncing: VFS\r\n", "the kernel panicked"),
        (b"\r\nmountroot> ", "does not find a root file system"),
        (b"Booting from Hard Disk...\r\nNo bootable device.\r\n", "nothing to boot"),
    ],
)
def test_a_failed_boot_is_an_error_at_once(guest: Guest, output: bytes, message: str) -> None:
    guest.write(output)
    with pytest.raises(InfrastructureError, match=message):
        guest.watch(BootLimits(loader=1e6)).wait_for_login()


def test_the_end_of_qemu_is_an_error_of_the_stage(guest: Guest) -> None:
    guest.write(FREEBSD[:60])
    guest.serial.close()
    with pytest.raises(InfrastructureError, match="the stage kernel .* QEMU or bhyve ended"):
        guest.watch(BootLimits(kernel=1e6)).wait_for_login()


def test_a_panic_before_sshd_answers_is_an_error(guest: Guest) -> None:
    guest.write(FREEBSD)
    watch = guest.watch()
    watch.wait_for_login()
    guest.write(b"\r\npanic: page fault\r\n")
    with pytest.raises(InfrastructureError, match="the stage ssh .* panicked"):
        watch.check_for(60)


def test_the_factor_multiplies_all_limits() -> None:
    scaled = BootLimits().scaled(30)
    assert [scaled.of(each) for each in Stage] == [30 * LONG.of(each) for each in Stage]


def test_the_number_and_the_length_of_the_last_lines_are_limited() -> None:
    text = last_lines(b"\r\n".join(b"x" * 1000 for _ in range(50)))
    assert len(text.splitlines()) == 20
    assert max(map(len, text.splitlines())) < 210


# The log of the console ----------------------------------------------------------------------


def test_only_new_lines_of_a_log_are_read(tmp_path: Path) -> None:
    log = tmp_path / "console.log"
    assert console.read_log(log, 0) == ([], 0)
    log.write_bytes(b"login: ")
    lines, size = console.read_log(log, 0)
    assert lines == ["login:"]
    log.write_bytes(b"login: \r\n\x1b[1mpanic: page fault\xff\r\n")
    lines, size = console.read_log(log, size)
    assert lines == ["panic: page fault\N{REPLACEMENT CHARACTER}"]
    assert console.read_log(log, size) == ([], size)


def test_the_begin_and_the_end_of_a_huge_log_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "LOG_BYTES", 8)
    log = tmp_path / "console.log"
    for content, expected in (
        (b"abcd\n" + b"x" * 100 + b"\nend", ["abcd", "end"]),
        (b"one\ntwo", ["one", "two"]),
        (b"one\ntwo\n", ["one", "two"]),
    ):
        log.write_bytes(content)
        lines, size = console.read_log(log, 0)
        assert (lines, size) == (expected, len(content))
