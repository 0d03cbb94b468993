# SPDX-License-Identifier: Apache-2.0
"""bsdgate.harness.nodes.qemu.machine."""

from pathlib import Path

import pytest

from bsdgate.harness.errors import InfrastructureError
from bsdgate.harness.nodes.qemu import machine as hardware
from bsdgate.harness.nodes.qemu.machine import Machine, Wiring

WIRING = Wiring(port=2222, mac="52:54:00:00:00:01", console=7, monitor=8)


def test_only_a_port_of_the_loopback_address_is_forwarded_to_the_guest() -> None:
    command = hardware.command(Machine(), "tcg", WIRING)
    (network,) = [word for word in command if word.startswith("user,")]
    assert network == "user,id=net,hostfwd=tcp:127.0.0.1:2222-:22"


def test_no_argument_has_an_absolute_path() -> None:
    assert not [word for word in hardware.command(Machine(), "kvm", WIRING) if "/" in word]


def test_the_seed_cannot_be_written() -> None:
    command = hardware.command(Machine(), "tcg", WIRING)
    assert [word for word in command if "seed.iso" in word and "read-only=on" in word]


def test_an_arm64_guest_has_firmware(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "QEMU_EFI.fd"
    file.touch()
    monkeypatch.setattr(hardware.firmware, "__defaults__", (("/no/such", str(file)),))
    command = hardware.command(Machine("arm64"), "tcg", WIRING)
    assert command[0] == "qemu-system-aarch64"
    assert command[command.index("-bios") + 1] == str(file)


def test_missing_firmware_is_an_error_with_the_paths_and_the_package() -> None:
    with pytest.raises(InfrastructureError, match="/no/such") as error:
        hardware.firmware(("/no/such",))
    assert "qemu-efi-aarch64" in (error.value.hint or "")


def test_qemu_restores_a_snapshot_if_it_is_given() -> None:
    wiring = Wiring(2222, "52:54:00:00:00:01", 7, 8, "ready")
    command = hardware.command(Machine(), "tcg", wiring)
    assert command[command.index("-loadvm") + 1] == "ready"
