# SPDX-License-Identifier: Apache-2.0
"""bsdgate.harness.nodes.qemu.accelerator, with a simulated QEMU."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from fakes.qemu import SimulatedQemu

from bsdgate.harness.errors import InfrastructureError, UsageError
from bsdgate.harness.nodes.qemu import accelerator as accelerators
from bsdgate.harness.nodes.qemu import machine as hardware
from bsdgate.harness.nodes.qemu import probe
from bsdgate.harness.nodes.qemu.machine import Machine

WORKS = "#!/bin/sh\necho run >>{log}\nprintf 'OK\\r\\n'\nexit 33\n"
BREAKS = "#!/bin/sh\necho run >>{log}\necho 'KVM internal error. Suberror: 1' >&2\nexit 1\n"
HANGS = "#!/bin/sh\necho run >>{log}\nexec sleep 600\n"
SOURCE = Path(accelerators.__file__).with_name("probe.S")


@pytest.fixture(autouse=True)
def on_amd64(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "native", lambda: "amd64")


@pytest.fixture
def device(tmp_path: Path) -> Path:
    path = tmp_path / "kvm"
    path.touch()
    return path


def behave(qemu: SimulatedQemu, text: str) -> Path:
    log = qemu.bin / "runs"
    qemu.write("qemu-system-x86_64", text.format(log=log))
    return log


def test_kvm_is_used_if_the_probe_boots(qemu: SimulatedQemu, tmp_path: Path, device: Path) -> None:
    behave(qemu, WORKS)
    assert accelerators.choose(Machine(), "auto", tmp_path, device).kind == "kvm"


def test_the_probe_runs_once_for_each_boot_of_the_machine(
    qemu: SimulatedQemu, tmp_path: Path, device: Path
) -> None:
    log = behave(qemu, BREAKS)
    for _ in range(3):
        found = accelerators.choose(Machine(), "auto", tmp_path, device)
        assert found.kind == "tcg"
        assert "KVM internal error" in found.reason
    assert log.read_text() == "run\n"
    cache = tmp_path / "accelerator.json"
    cache.write_text(json.dumps({**json.loads(cache.read_bytes()), "boot_time": 1000.0}))
    accelerators.choose(Machine(), "auto", tmp_path, device)
    assert log.read_text() == "run\nrun\n"


def test_a_changed_qemu_is_probed_again(qemu: SimulatedQemu, tmp_path: Path, device: Path) -> None:
    behave(qemu, BREAKS)
    accelerators.choose(Machine(), "auto", tmp_path, device)
    behave(qemu, WORKS)
    os.utime(qemu.bin / "qemu-system-x86_64", (1, 1))
    assert accelerators.choose(Machine(), "auto", tmp_path, device).kind == "kvm"


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"program": 1}'])
def test_a_damaged_result_in_the_cache_is_ignored(
    qemu: SimulatedQemu, tmp_path: Path, device: Path, content: bytes
) -> None:
    behave(qemu, WORKS)
    (tmp_path / "accelerator.json").write_bytes(content)
    assert accelerators.choose(Machine(), "auto", tmp_path, device).kind == "kvm"


def test_a_probe_that_hangs_selects_emulation(
    qemu: SimulatedQemu, tmp_path: Path, device: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accelerators, "PROBE_SECONDS", 0.5)
    behave(qemu, HANGS)
    found = accelerators.choose(Machine(), "auto", tmp_path, device)
    assert found.kind == "tcg"
    assert "no answer within 0.5 s" in found.reason


def test_without_the_device_nothing_is_probed(qemu: SimulatedQemu, tmp_path: Path) -> None:
    log = behave(qemu, WORKS)
    found = accelerators.choose(Machine(), "auto", tmp_path, tmp_path / "none")
    assert found.kind == "tcg"
    assert not log.exists()


def test_without_permission_the_error_advises_to_join_the_group(
    qemu: SimulatedQemu, tmp_path: Path, device: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    behave(qemu, WORKS)
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert "group" in accelerators.choose(Machine(), "auto", tmp_path, device).reason
    with pytest.raises(InfrastructureError, match="no permission to use") as error:
        accelerators.choose(Machine(), "kvm", tmp_path, device)
    assert "BSDGATE_ACCELERATOR=auto" in (error.value.hint or "")


def test_the_environment_selects_the_accelerator(monkeypatch: pytest.MonkeyPatch) -> None:
    assert accelerators.choice() == "auto"
    monkeypatch.setenv("BSDGATE_ACCELERATOR", "tcg")
    assert accelerators.choice() == "tcg"
    monkeypatch.setenv("BSDGATE_ACCELERATOR", "xen")
    with pytest.raises(UsageError, match="xen: this is not a valid accelerator") as error:
        accelerators.choice()
    assert error.value.hint == "use auto, kvm, bhyve, tcg"


def test_another_architecture_is_emulated(
    qemu: SimulatedQemu, tmp_path: Path, device: Path
) -> None:
    log = behave(qemu, WORKS)
    found = accelerators.choose(Machine("arm64"), "auto", tmp_path, device)
    assert found.kind == "tcg"
    assert not log.exists()


def test_the_kernel_of_the_probe_is_built_from_its_source(tmp_path: Path) -> None:
    if not (shutil.which("as") and shutil.which("ld")):
        pytest.skip("there is no assembler here: install binutils")
    built, kernel = tmp_path / "probe.o", tmp_path / "probe.bin"
    assembled = subprocess.run(["as", "--64", "-o", built, SOURCE], check=False)
    if assembled.returncode:
        pytest.skip("the assembler is for another architecture")
    binary = ["-m", "elf_x86_64", "-Ttext", "0x100000", "--oformat", "binary"]
    subprocess.run(["ld", *binary, "-o", kernel, built], check=True)
    assert kernel.read_bytes() == probe.KERNEL
