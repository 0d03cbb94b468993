# SPDX-License-Identifier: Apache-2.0
"""The commands for guests, with a simulated QEMU."""

import os
import re
import socket
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes import disks
from fakes.qemu import FREEBSD, LATE_CLOCK, SimulatedQemu
from unit.harness.commands.calls import Call, caller

from bsdgate.harness import process
from bsdgate.harness.commands import guest_console
from bsdgate.harness.nodes.qemu import guest as guests
from bsdgate.harness.nodes.qemu.guest import Guest, State


@pytest.fixture
def qemu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SimulatedQemu:
    made = SimulatedQemu.on_path(tmp_path / "bin", monkeypatch)
    made.accept_logins()
    return made


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "own.qcow2"
    path.write_bytes(disks.qcow2())
    return path


@pytest.fixture
def call(
    qemu: SimulatedQemu,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Call]:
    """Yield a function that runs the command line; remove all guests after the test."""

    with tempfile.TemporaryDirectory(prefix="bsdgate-test-") as folder:
        monkeypatch.setenv("BSDGATE_STATE_DIR", folder)
        monkeypatch.setenv("BSDGATE_CACHE_DIR", f"{folder}/cache")
        yield caller("node", monkeypatch, capsys)
        for guest in guests.every():
            guest.remove()


def test_a_guest_is_booted_listed_and_destroyed(call: Call, image: Path) -> None:
    booted = call("boot", "--name", "one", "--accelerator", "tcg", image)
    assert booted.code == 0, booted.err
    for stage in ("loader", "kernel", "rc", "login", "ssh"):
        assert f"\n  {stage} " in f"\n{booted.out}"
    assert "one (own.qcow2, tcg: selected by the user)" in booted.out
    assert "`bsdgate node ssh one`" in booted.out
    title, row = call("list").out.splitlines()
    assert title.split() == ["name", "state", "image", "machine", "port", "disk", "snapshots"]
    assert row.split()[:3] == ["one", "running", "own.qcow2"]
    assert call("destroy", "one").out == "one was running, and is removed now\n"
    assert call("list").out == "there are no guests: `bsdgate node boot` boots a guest\n"


def test_the_size_of_a_guest_is_an_option(call: Call, qemu: SimulatedQemu, image: Path) -> None:
    call("boot", "--accelerator", "tcg", "--cpus", 3, "--memory", 700, image)
    assert "-smp 3 -m 700" in qemu.arguments


def test_all_guests_except_guests_in_use_are_destroyed(call: Call, image: Path) -> None:
    for name in ("one", "two"):
        assert call("boot", "--name", name, "--accelerator", "tcg", image).code == 0
    two = Guest.named("two")
    two.take()
    out = call("destroy", "--all").out.splitlines()
    two.release(kept=True)
    assert out == [
        "one was running, and is removed now",
        "two is not removed, because a command uses it",
    ]
    assert two.state is State.RUNNING


def test_a_directory_without_a_record_is_listed_and_destroyed(call: Call) -> None:
    Guest.make("early").release(kept=False)
    assert call("list").out.splitlines()[1].split()[:3] == ["early", "left", "behind"]
    assert call("ssh", "early").code == 2
    assert call("destroy", "--all").out == "early was left behind, and is removed now\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("boot", "no/such.qcow2"), "there is no file no/such.qcow2"),
        (("boot", "15"), "'15' is not a version of FreeBSD"),
        (("boot", "--cpus", "3", "@guest/ready"), "--cpus cannot be used with @guest/ready"),
        (("boot", "--name", "A B", "15.1"), "'A B' is not a valid guest name"),
        (("ssh", "none"), "there is no guest 'none'"),
        (("destroy", "none"), "there is no guest 'none'"),
        (("destroy",), "give NAME or --all"),
        (("snapshot", "none", "one"), "there is no guest 'none'"),
        (("console", "../x"), "'../x' is not a valid guest name"),
    ],
)
def test_wrong_arguments_are_refused(call: Call, words: tuple[str, ...], message: str) -> None:
    ended = call(*words)
    assert ended.code == 2
    assert message in " ".join(ended.err.split())


def test_a_guest_that_does_not_boot_has_exit_code_3(
    call: Call, qemu: SimulatedQemu, image: Path
) -> None:
    qemu.behave(b"FreeBSD/x86 bootstrap loader\r\npanic: no memory\r\n")
    ended = call("boot", "--accelerator", "tcg", image)
    assert ended.code == 3
    assert "did not reach the stage kernel after the stage loader" in ended.err
    assert "  | panic: no memory" in ended.err
    assert guests.every() == []


def test_ssh_uses_the_configuration_of_the_guest(
    call: Call, image: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    call("boot", "--name", "one", "--accelerator", "tcg", image)
    started: list[list[str]] = []
    monkeypatch.setattr(process, "become", started.append)
    assert call("ssh", "one", "uname", "-a").code == 0
    record, folder = Guest.named("one").require_record(), Guest.named("one").folder
    options = ["-F", str(folder / "ssh_config"), "-l", "freebsd", "-p", str(record.port)]
    assert started == [["ssh", *options, "127.0.0.1", "uname", "-a"]]


def test_the_console_shows_the_last_lines(call: Call, image: Path) -> None:
    call("boot", "--name", "one", "--accelerator", "tcg", image)
    assert call("console", "-n", "2", "one").out.splitlines() == [
        "FreeBSD/amd64 (guest) (ttyu0)",
        "login:",
    ]
    assert len(call("console", "one").out.splitlines()) == 8
    assert b"Setting hostuuid" in FREEBSD


def test_only_a_terminal_can_be_attached(call: Call, image: Path) -> None:
    call("boot", "--name", "one", "--accelerator", "tcg", image)
    ended = call("console", "--attach", "one")
    assert ended.code == 2
    assert "not a terminal" in ended.err


def test_keys_and_output_are_copied_until_the_key_that_disconnects() -> None:
    ours, guest = socket.socketpair()
    source, keyboard = os.pipe()
    screen, target = os.pipe()
    thread = threading.Thread(target=guest_console.relay, args=(ours, source, target))
    thread.start()
    guest.sendall(b"login: ")
    assert os.read(screen, 100) == b"login: "
    os.write(keyboard, b"root\r" + guest_console.LEAVE + b"more")
    thread.join(30)
    assert guest.recv(100) == b"root\r"
    assert not thread.is_alive()
    for descriptor in (source, keyboard, screen, target):
        os.close(descriptor)
    ours.close()
    guest.close()


def test_snapshots_are_saved_and_listed(call: Call, image: Path) -> None:
    call("boot", "--name", "one", "--accelerator", "tcg", image)
    for _ in range(2):
        assert call("snapshot", "one", "ready").out.startswith("saved ready of one in ")
    assert call("list").out.splitlines()[1].split()[-1] == "ready"
    ended = call("snapshot", "--restore", "one", "other")
    assert ended.code == 2
    assert "no snapshot 'other'" in ended.err
    assert "the snapshots are: ready" in ended.err
    assert call("snapshot", "one", "1").code == 2


def test_the_clock_is_set_after_a_snapshot_is_restored(
    call: Call, qemu: SimulatedQemu, image: Path
) -> None:
    call("boot", "--name", "one", "--accelerator", "tcg", image)
    call("snapshot", "one", "ready")
    qemu.write("ssh", LATE_CLOCK)
    ended = call("snapshot", "--restore", "one", "ready")
    assert ended.code == 0, ended.err
    assert "the clock of one was 3600 s behind, and is set now" in ended.out
    assert (qemu.bin / "ssh.set").exists()


def test_a_clock_that_cannot_be_set_is_an_error(
    call: Call, qemu: SimulatedQemu, image: Path
) -> None:
    call("boot", "--name", "one", "--accelerator", "tcg", image)
    call("snapshot", "one", "ready")
    qemu.write("ssh", "#!/bin/sh\ndate +%s\nread -r now\necho 'su: Sorry' >&2\nexit 1\n")
    ended = call("snapshot", "--restore", "one", "ready")
    assert ended.code == 3
    assert "the clock of the guest cannot be set" in ended.err
    assert "  | su: Sorry" in ended.err
    assert "without a password" in ended.err


def test_a_clock_that_stays_wrong_is_an_error(call: Call, qemu: SimulatedQemu, image: Path) -> None:
    call("boot", "--name", "one", "--accelerator", "tcg", image)
    call("snapshot", "one", "ready")
    qemu.write("ssh", "#!/bin/sh\ndate +%s\nread -r now\necho $((now - 600))\n")
    ended = call("snapshot", "--restore", "one", "ready")
    assert ended.code == 3
    assert re.search(r"differs by -(59|60)\d s after the clock was set", ended.err)
