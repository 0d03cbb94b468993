# SPDX-License-Identifier: Apache-2.0
"""bsdgate.harness.nodes.qemu.bhyve and bhyve_loop, with a simulated bhyve."""

import os
import platform
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from fakes.bhyve import SimulatedBhyve
from fakes.qemu import FREEBSD, SimulatedQemu

from bsdgate.harness.errors import InfrastructureError, UsageError
from bsdgate.harness.images.model import Format, Image
from bsdgate.harness.nodes.qemu import accelerator as accelerators
from bsdgate.harness.nodes.qemu import bhyve as hypervisor
from bsdgate.harness.nodes.qemu import boot as boots
from bsdgate.harness.nodes.qemu import guest as guests
from bsdgate.harness.nodes.qemu import machine as hardware
from bsdgate.harness.nodes.qemu import snapshots, sockets
from bsdgate.harness.nodes.qemu.accelerator import Accelerator
from bsdgate.harness.nodes.qemu.boot import BootRequest, RunningGuest
from bsdgate.harness.nodes.qemu.console import Stage
from bsdgate.harness.nodes.qemu.guest import Guest, State
from bsdgate.harness.nodes.qemu.machine import Machine, Wiring

WIRING = Wiring(port=2222, mac="52:54:00:a1:b2:c3", console=7, monitor=8)
NAME = "bsdgate-525400a1b2c3"


@pytest.fixture
def bhyve(qemu: SimulatedQemu, monkeypatch: pytest.MonkeyPatch) -> SimulatedBhyve:
    made = SimulatedBhyve.beside(qemu)
    monkeypatch.setattr(hypervisor, "MACHINES", made.machines)
    return made


@pytest.fixture
def raw(tmp_path: Path) -> BootRequest:
    path = tmp_path / "image.raw"
    path.write_bytes(b"disk" * 1024)
    path.chmod(0o400)
    image = Image(path, Format.RAW, "0" * 64, "an image")
    return BootRequest(image, Machine(), Accelerator("bhyve", "it can be used"))


@pytest.fixture
def running(bhyve: SimulatedBhyve, raw: BootRequest) -> Iterator[RunningGuest]:
    made = boots.boot("guest", raw, lambda *_: None)
    yield made
    made.close()


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the directory of the files that make this machine a host for bhyve."""
    names = {"CONTROL": "vmmctl", "LIBSLIRP": "libslirp.so.0"}
    for constant, name in names.items():
        (tmp_path / name).touch()
        monkeypatch.setattr(hypervisor, constant, tmp_path / name)
    (tmp_path / "rom").touch()
    monkeypatch.setattr(hypervisor, "BOOT_ROM", {"amd64": tmp_path / "rom"})
    monkeypatch.setattr(platform, "system", lambda: "FreeBSD")
    monkeypatch.setattr(hardware, "native", lambda: "amd64")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    return tmp_path


def bhyve_options(architecture: str) -> str:
    command = hypervisor.command(Machine(architecture, 4, 8192), "bhyve", WIRING)
    return " ".join(command[command.index("bhyve") :])


def test_the_arguments_are_those_of_the_manual_page() -> None:
    assert bhyve_options("amd64") == (
        "bhyve -c 4 -m 8192M -s 0,hostbridge"
        " -s 1,virtio-blk,disk.raw -s 2,virtio-blk,seed.iso,ro"
        " -s 3,virtio-net,slirp,open,hostfwd=tcp:127.0.0.1:2222-:22,mac=52:54:00:a1:b2:c3"
        " -s 4,virtio-rnd -H -u -s 31,lpc -l com1,stdio"
        f" -l bootrom,/usr/local/share/uefi-firmware/BHYVE_UEFI.fd {NAME}"
    )


def test_an_arm64_guest_has_no_options_that_only_amd64_has() -> None:
    options = bhyve_options("arm64")
    rom = "/usr/local/share/u-boot/u-boot-bhyve-arm64/u-boot.bin"
    assert f" -o bootrom={rom} -o console=stdio {NAME}" in options
    assert not {"-H", "-u", "-l"} & set(options.split())


def test_bhyve_is_used_on_freebsd(host: Path) -> None:
    assert accelerators.choose(Machine(), "auto", host).kind == "bhyve"


@pytest.mark.parametrize(
    ("missing", "reason"),
    [
        ("vmmctl", "load the kernel module with `kldload vmm`"),
        ("rom", "`pkg install edk2-bhyve`"),
        ("libslirp.so.0", "`pkg install libslirp`"),
    ],
)
def test_without_what_bhyve_needs_the_guest_is_emulated(
    host: Path, missing: str, reason: str
) -> None:
    (host / missing).unlink()
    found = accelerators.choose(Machine(), "auto", host)
    assert found.kind == "tcg"
    assert reason in found.reason


@pytest.mark.usefixtures("host")
def test_only_root_can_use_bhyve(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1001)
    assert "only root can use" in (hypervisor.problem(Machine()) or "")


@pytest.mark.usefixtures("host")
def test_bhyve_does_not_emulate_another_architecture() -> None:
    assert "the guest is arm64" in (hypervisor.problem(Machine("arm64")) or "")


@pytest.mark.usefixtures("bhyve")
def test_a_user_who_selects_bhyve_elsewhere_gets_an_error() -> None:
    kind = accelerators.choose(Machine(), "bhyve", Path()).kind
    with pytest.raises(InfrastructureError, match="bhyve cannot be used: this machine is not"):
        boots.check_programs(Machine(), kind)


def test_a_guest_boots_and_is_removed_completely(
    bhyve: SimulatedBhyve, raw: BootRequest, state: Path
) -> None:
    reached: list[Stage] = []
    running = boots.boot("guest", raw, lambda stage, _: reached.append(stage))
    record = running.guest.require_record()
    assert reached == list(Stage)
    assert running.guest.path(hypervisor.DISK).read_bytes() == raw.image.path.read_bytes()
    assert running.guest.path(hardware.CONSOLE_LOG).read_bytes() == FREEBSD
    name = hypervisor.machine_name(record.mac)
    assert [each[-1] for each in bhyve.runs] == [name]
    assert (bhyve.machines / name).exists()
    running.close()
    assert guests.every() == []
    assert list(bhyve.machines.iterdir()) == []
    assert not [each for each in psutil.process_iter() if name in str(cmdline(each))]


def cmdline(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def test_a_guest_that_reboots_is_started_again(bhyve: SimulatedBhyve, raw: BootRequest) -> None:
    bhyve.end(0)
    running = boots.boot("guest", raw, lambda *_: None)
    name = hypervisor.machine_name(running.guest.require_record().mac)
    assert [each[-1] for each in bhyve.runs] == [name, name]
    assert bhyve.destroyed == [name]
    assert running.guest.path(hardware.CONSOLE_LOG).read_bytes() == FREEBSD * 2
    running.close()


def test_the_error_of_a_guest_that_ends_has_the_exit_status_and_the_output(
    bhyve: SimulatedBhyve, qemu: SimulatedQemu, raw: BootRequest
) -> None:
    qemu.behave(FREEBSD[:60])
    bhyve.end(4)
    with pytest.raises(InfrastructureError, match="ended with status 4: error") as error:
        boots.boot("guest", raw, lambda *_: None)
    assert "run 1 ends" in error.value.message
    assert "the stage kernel after the stage loader" in error.value.message
    assert guests.every() == []
    assert list(bhyve.machines.iterdir()) == []


@pytest.mark.usefixtures("bhyve")
def test_an_image_that_is_not_raw_is_refused(raw: BootRequest) -> None:
    qcow2 = replace(raw, image=replace(raw.image, format=Format.QCOW2))
    with pytest.raises(UsageError, match="has the format qcow2, and bhyve needs raw") as error:
        boots.boot("guest", qcow2, lambda *_: None)
    assert "qemu-img convert -O raw" in (error.value.hint or "")
    assert guests.every() == []


def test_a_port_that_is_in_use_is_an_error(running: RunningGuest, raw: BootRequest) -> None:
    port = running.guest.require_record().port
    with pytest.raises(InfrastructureError, match=f"the port {port} .* in use"):
        boots.boot("other", replace(raw, port=port), lambda *_: None)


def test_bhyve_has_no_snapshots(running: RunningGuest) -> None:
    running.keep()
    for call in (snapshots.save, snapshots.restore):
        with pytest.raises(UsageError, match="runs in bhyve, which saves no snapshots"):
            call(running.guest, "ready")
    with pytest.raises(UsageError, match="runs in bhyve"):
        boots.boot_copy("copy", running.guest, "ready", replace_image(running), lambda *_: None)
    assert snapshots.names(running.guest) == []
    assert [guest.name for guest in guests.every()] == ["guest"]


def replace_image(running: RunningGuest) -> BootRequest:
    record = running.guest.require_record()
    image = Image(Path(record.base), Format.RAW, record.sha256, record.image)
    return BootRequest(image, record.machine, Accelerator("bhyve", "as the guest"))


def test_a_client_of_the_console_can_type(running: RunningGuest) -> None:
    running.keep()
    for text in (b"first", b"second"):
        with sockets.connect(running.guest.path(guests.CONSOLE), 10) as client:
            client.sendall(text)
            assert client.recv(100) == text.upper()


def test_the_virtual_machine_of_a_killed_loop_is_destroyed(
    running: RunningGuest, bhyve: SimulatedBhyve
) -> None:
    running.keep()
    guest = Guest.named("guest")
    guard = psutil.Process(guest.require_record().pid)
    (loop,) = guard.children()
    loop.kill()
    guard.wait(30)
    assert guest.state is State.STOPPED
    assert len(list(bhyve.machines.iterdir())) == 1
    guest.remove()
    assert list(bhyve.machines.iterdir()) == []


def test_a_virtual_machine_that_remains_is_an_error(
    running: RunningGuest, bhyve: SimulatedBhyve, qemu: SimulatedQemu
) -> None:
    qemu.write("bhyvectl", "#!/bin/sh\nexit 1\n")
    name = hypervisor.machine_name(running.guest.require_record().mac)
    with pytest.raises(InfrastructureError, match=f"{name} is not destroyed"):
        running.close()
    (bhyve.machines / name).unlink()
