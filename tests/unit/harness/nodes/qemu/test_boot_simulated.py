# SPDX-License-Identifier: Apache-2.0
"""bsdgate.harness.nodes.qemu.boot, guest and snapshots, with a simulated QEMU.

tests/functional/test_qemu_node.py tests with a real QEMU.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from fakes.qemu import FREEBSD, HOST_KEY, SimulatedQemu
from unit.harness.nodes.qemu.conftest import Boot

from bsdgate.harness import files, folders
from bsdgate.harness.errors import InfrastructureError, UsageError
from bsdgate.harness.nodes.qemu import boot as boots
from bsdgate.harness.nodes.qemu import guest as guests
from bsdgate.harness.nodes.qemu import names
from bsdgate.harness.nodes.qemu.accelerator import Accelerator
from bsdgate.harness.nodes.qemu.boot import BootRequest
from bsdgate.harness.nodes.qemu.console import BootLimits, Stage
from bsdgate.harness.nodes.qemu.guest import Guest, State
from bsdgate.harness.nodes.qemu.machine import Machine

# Boots a guest, prints a line when a stage is reached, and waits to be killed.
CONTROLLER = """
import signal, sys
from pathlib import Path
from bsdgate.harness.images.model import Format, Image
from bsdgate.harness.nodes.qemu import boot
from bsdgate.harness.nodes.qemu.accelerator import Accelerator
from bsdgate.harness.nodes.qemu.machine import Machine
image = Image(Path(sys.argv[1]), Format.QCOW2, "0" * 64, "an image")
boot_request = boot.BootRequest(image, Machine(), Accelerator("tcg", ""))
stop = sys.argv[2]
def report(stage, seconds):
    if stage == stop:
        print("there", flush=True)
        signal.pause()
running = boot.boot("killed", boot_request, report)
"""


def processes_in(state: Path) -> list[psutil.Process]:
    """Return the processes that use this state directory."""
    found = []
    for each in psutil.process_iter():
        try:
            ours = each.environ().get("BSDGATE_STATE_DIR") == str(state)
            inside = each.cwd().startswith(str(state))
        except psutil.Error:
            continue
        if (ours or inside) and each.pid != os.getpid():
            found.append(each)
    return found


def test_a_guest_boots_and_is_removed_completely(
    qemu: SimulatedQemu, boot_request: BootRequest, state: Path
) -> None:
    reached: list[Stage] = []
    running = boots.boot("guest", boot_request, lambda stage, _: reached.append(stage))
    record = running.guest.require_record()
    assert reached == list(Stage)
    assert f"hostfwd=tcp:127.0.0.1:{record.port}-:22" in qemu.arguments
    assert running.guest.state is State.IN_USE
    running.close()
    assert guests.every() == []
    assert processes_in(state) == []
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", record.port))


def test_the_files_of_a_guest_are_private(boot: Boot, boot_request: BootRequest) -> None:
    guest = boot(boot_request).guest
    assert guest.folder.stat().st_mode & 0o777 == 0o700
    for name in (guests.KEY, guests.RECORD, "seed.iso"):
        assert guest.path(name).stat().st_mode & 0o077 == 0


def test_the_host_key_is_saved_with_the_guest_and_not_for_the_user(
    boot: Boot, boot_request: BootRequest
) -> None:
    guest = boot(boot_request).guest
    assert guest.path(guests.KNOWN_HOSTS).read_text() == f"bsdgate-guest {HOST_KEY}\n"
    asked = subprocess.run(
        ["ssh", "-G", *guest.address.options], check=True, capture_output=True, text=True
    ).stdout
    shown = dict(line.split(" ", 1) for line in asked.splitlines() if " " in line)
    assert shown["userknownhostsfile"] == str(guest.path(guests.KNOWN_HOSTS))
    assert shown["stricthostkeychecking"] == "true"
    assert shown["hostname"] == "127.0.0.1"
    assert shown["preferredauthentications"] == "publickey"
    assert shown["identityfile"] == str(guest.path(guests.KEY))
    assert not (Path.home() / ".ssh" / "known_hosts").exists()


@pytest.mark.parametrize("program", ["qemu-system-x86_64", "qemu-img"])
def test_a_missing_program_is_found_first(
    qemu: SimulatedQemu, monkeypatch: pytest.MonkeyPatch, program: str
) -> None:
    (qemu.bin / program).unlink()
    monkeypatch.setenv("PATH", str(qemu.bin))
    with pytest.raises(InfrastructureError, match=f"no program {program}") as error:
        boots.check_programs(Machine(), "tcg")
    assert "install it" in (error.value.hint or "")


def test_a_port_that_is_in_use_is_an_error(boot: Boot, boot_request: BootRequest) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(InfrastructureError, match=f"the port {port} .* in use") as error:
            boot(replace(boot_request, port=port))
    assert "--port" in (error.value.hint or "")
    assert guests.every() == []


def test_another_port_is_tried_if_a_port_was_taken_meanwhile(
    boot: Boot, boot_request: BootRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port, free = taken.getsockname()[1], boots.free_port()
        offers = iter([port, port, free])
        monkeypatch.setattr(boots, "free_port", lambda: next(offers))
        assert boot(boot_request).guest.require_record().port == free


@pytest.mark.parametrize(
    ("console", "limits", "message"),
    [
        (b"", BootLimits(loader=0.4), "loader: not within 0.4 s, and its console printed nothing"),
        (FREEBSD[:60], BootLimits(kernel=0.4), "kernel after the stage loader: not within 0.4 s"),
        (FREEBSD[:-10], BootLimits(login=0.4), "stage login after the stage rc"),
        # The stage ends only by its limit: it must be long enough to receive the data.
        (bytes(range(128, 256)) * 99, BootLimits(loader=2), "prints binary data"),
    ],
    ids=["silent", "only loader", "no login", "garbage"],
)
def test_an_image_that_does_not_boot_leaves_only_its_logs(
    boot: Boot,
    qemu: SimulatedQemu,
    boot_request: BootRequest,
    tmp_path: Path,
    state: Path,
    console: bytes,
    limits: BootLimits,
    message: str,
) -> None:
    qemu.behave(console)
    logs = tmp_path / "logs"
    logs.mkdir()
    with pytest.raises(InfrastructureError, match=message):
        boot(replace(boot_request, limits=limits, logs=logs))
    assert (logs / "console.log").read_bytes() == console
    assert guests.every() == []
    assert processes_in(state) == []


def test_the_hint_after_a_failed_boot_under_kvm_is_emulation(
    boot: Boot, qemu: SimulatedQemu, boot_request: BootRequest
) -> None:
    qemu.behave(b"")
    kvm = Accelerator("kvm", "")
    with pytest.raises(InfrastructureError, match="printed nothing") as error:
        boot(replace(boot_request, limits=BootLimits(loader=0.4), accelerator=kvm))
    assert "BSDGATE_ACCELERATOR=tcg" in (error.value.hint or "")


def test_a_guest_without_sshd_is_an_error_of_the_stage_ssh(
    boot: Boot, qemu: SimulatedQemu, boot_request: BootRequest
) -> None:
    qemu.behave(ssh=False)
    with pytest.raises(InfrastructureError, match="stage ssh after the stage login") as error:
        boot(replace(boot_request, limits=BootLimits(ssh=0.6)))
    assert "sshd" in (error.value.hint or "")


def test_a_guest_that_refuses_the_key_is_an_error_of_the_stage_ssh(
    boot: Boot, qemu: SimulatedQemu, boot_request: BootRequest
) -> None:
    qemu.write("ssh", "#!/bin/sh\necho 'Permission denied (publickey).' >&2\nexit 255\n")
    with pytest.raises(InfrastructureError, match="the login with the key of the seed failed"):
        boot(boot_request)
    assert guests.every() == []


def test_an_error_of_qemu_is_shown(
    boot: Boot, qemu: SimulatedQemu, boot_request: BootRequest
) -> None:
    qemu.behave(message="qemu-system-x86_64: failed to write: No space left on device")
    with pytest.raises(InfrastructureError, match="No space left on device"):
        boot(boot_request)
    assert guests.every() == []


def test_the_end_of_qemu_during_the_boot_is_an_error(
    boot: Boot, qemu: SimulatedQemu, boot_request: BootRequest
) -> None:
    qemu.behave(FREEBSD[:60], end=True)
    with pytest.raises(InfrastructureError, match="the stage kernel .* QEMU or bhyve ended"):
        boot(boot_request)


def test_a_full_disk_is_found_before_the_boot(
    boot: Boot, boot_request: BootRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=100 << 20))
    with pytest.raises(InfrastructureError, match="100 MiB of free space") as error:
        boot(boot_request)
    assert "BSDGATE_STATE_DIR" in (error.value.hint or "")
    assert guests.every() == []


def test_a_disk_that_cannot_be_made_leaves_nothing(
    boot: Boot, qemu: SimulatedQemu, boot_request: BootRequest
) -> None:
    qemu.write("qemu-img", "#!/bin/sh\necho 'No space left on device' >&2\nexit 1\n")
    with pytest.raises(InfrastructureError, match="No space left on device"):
        boot(boot_request)
    assert guests.every() == []


def test_two_guests_cannot_have_one_name(boot: Boot, boot_request: BootRequest) -> None:
    boot(boot_request)
    with pytest.raises(UsageError, match="there is already a guest 'guest'") as error:
        boot(boot_request)
    assert "bsdgate node destroy guest" in (error.value.hint or "")


@pytest.mark.parametrize("name", ["", "..", "a/b", "UPPER", "-x", "a" * 64, "a b"])
def test_a_name_that_is_not_a_host_name_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="not a valid guest name"):
        names.check_guest_name(name)


def test_a_kept_guest_runs_until_it_is_removed(
    boot: Boot, boot_request: BootRequest, state: Path
) -> None:
    boot(boot_request).keep()
    guest = Guest.named("guest")
    assert guest.state is State.RUNNING
    boot(boot_request, "other").close()
    assert guest.state is State.RUNNING
    guest.remove()
    assert processes_in(state) == []
    guest.remove()


def test_a_kept_guest_is_stopped_after_qemu_was_killed(
    boot: Boot, boot_request: BootRequest
) -> None:
    boot(boot_request).keep()
    guest = Guest.named("guest")
    guard = psutil.Process(guest.require_record().pid)
    guard.kill()
    guard.wait(10)
    with files.exclusive(guest.path(guests.LOCK), 10):
        pass
    assert guest.state is State.STOPPED
    guest.remove()
    assert guests.every() == []


def test_another_process_with_the_same_id_is_not_ended(
    boot: Boot, boot_request: BootRequest
) -> None:
    boot(boot_request).keep()
    guest = Guest.named("guest")
    record = guest.require_record()
    guest.end()
    with subprocess.Popen(["sleep", "600"]) as other:
        created = psutil.Process(other.pid).create_time() - 1
        guest.write(replace(record, pid=other.pid, created=created))
        guest.remove()
        assert other.poll() is None
        other.kill()


def test_a_guest_in_use_can_be_destroyed_by_its_name(
    boot: Boot, boot_request: BootRequest, state: Path
) -> None:
    running = boot(boot_request)
    Guest(running.guest.folder).remove()
    assert processes_in(state) == []
    running.close()
    assert guests.every() == []


@pytest.mark.parametrize("stage", ["loader", "rc", "ssh"])
def test_the_next_boot_removes_a_guest_of_a_killed_harness(
    boot: Boot, boot_request: BootRequest, state: Path, stage: str
) -> None:
    argv = [sys.executable, "-c", CONTROLLER, str(boot_request.image.path), stage]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as harness:
        assert harness.stdout is not None
        assert harness.stdout.readline() == b"there\n"
        guest = Guest.named("killed")
        guard = psutil.Process(guest.require_record().pid)
        harness.send_signal(signal.SIGKILL)
        harness.wait()
    guard.wait(30)
    assert processes_in(state) == []
    assert guest.state is State.LEFT
    boot(boot_request).close()
    assert guests.every() == []


def test_an_empty_directory_of_a_killed_harness_is_removed(
    boot: Boot, boot_request: BootRequest
) -> None:
    folders.make(guests.root() / "early")
    assert [guest.state for guest in guests.every()] == [State.LEFT]
    boot(boot_request).close()
    assert guests.every() == []


def test_an_unmarked_directory_is_not_removed(boot: Boot, boot_request: BootRequest) -> None:
    other = guests.root() / "other"
    folders.make(other)
    (other / "thesis").touch()
    boot(boot_request).close()
    assert (other / "thesis").exists()


def test_a_state_directory_with_a_long_path_works(
    boot: Boot, boot_request: BootRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BSDGATE_STATE_DIR", str(tmp_path / ("long" * 30)))
    boot(boot_request).close()
