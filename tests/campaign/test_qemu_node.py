# SPDX-License-Identifier: Apache-2.0
"""Repeated boots of guests in QEMU: eight in sequence, three at the same time. Nothing is left.

The harness is killed at each stage of a boot, and an arm64 guest is booted once.
"""

import io
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from functional import guest_image
from functional.test_qemu_node import (
    BUILT,
    FACTOR,
    IMAGE,
    MEMORY,
    kill_harness,
    pytestmark,
    ssh,
    state,
)
from rich.console import Console

from bsdgate.harness.commands import guests as commands
from bsdgate.harness.nodes.facts import ARCHITECTURES
from bsdgate.harness.nodes.qemu import guest as guests
from bsdgate.harness.nodes.qemu import node
from bsdgate.harness.nodes.qemu.console import Stage
from bsdgate.harness.nodes.qemu.machine import Machine
from bsdgate.harness.nodes.qemu.node import Options
from bsdgate.harness.nodes.specs import QemuSpec

__all__ = ("pytestmark", "state")


@pytest.fixture(scope="module")
def image() -> Path:
    return Path(IMAGE or guest_image.build(BUILT))


def boot(image: Path, name: str, architecture: str = "amd64") -> float:
    """Boot, use and remove a guest; return the seconds until its sshd answered."""
    started = time.monotonic()
    options = Options(machine=Machine(architecture, 1, MEMORY), factor=FACTOR)
    running = node.boot(name, QemuSpec(str(image)), options)
    seconds = time.monotonic() - started
    try:
        hostname, processor = ssh(running.guest, "hostname; uname -m").split()
        assert (hostname, ARCHITECTURES.get(processor, processor)) == (name, architecture)
    finally:
        running.close()
    return seconds


def qemu_processes() -> list[psutil.Process]:
    """Return the QEMU processes in the state directory of these tests."""
    found = []
    for each in psutil.process_iter():
        try:
            if each.name().startswith("qemu-system") and str(guests.root()) in each.cwd():
                found.append(each)
        except psutil.Error:
            continue
    return found


def test_eight_boots_in_sequence_leave_nothing(image: Path) -> None:
    times = [boot(image, f"row-{number}") for number in range(8)]
    sys.stderr.write(f"\nseconds to ssh: {', '.join(f'{each:.1f}' for each in times)}\n")
    assert guests.every() == []
    assert qemu_processes() == []


def test_three_guests_at_the_same_time_share_one_image_and_leave_nothing(image: Path) -> None:
    digest = subprocess.run(["sha256sum", image], check=True, capture_output=True).stdout
    with ThreadPoolExecutor(3) as pool:
        times = list(pool.map(lambda number: boot(image, f"three-{number}"), range(3)))
    sys.stderr.write(f"\nseconds to ssh: {', '.join(f'{each:.1f}' for each in times)}\n")
    assert guests.every() == []
    assert qemu_processes() == []
    assert subprocess.run(["sha256sum", image], check=True, capture_output=True).stdout == digest


@pytest.mark.parametrize("stage", list(Stage))
def test_destroy_all_removes_the_guest_of_a_killed_harness(image: Path, stage: Stage) -> None:
    kill_harness(image, stage)
    output = io.StringIO()
    commands.destroy_all(Console(file=output))
    assert output.getvalue() == "killed was left behind, and is removed now\n"
    assert guests.every() == []
    assert qemu_processes() == []


@pytest.mark.skipif(not shutil.which("qemu-system-aarch64"), reason="QEMU for arm64 is missing")
def test_an_arm64_guest_boots_with_uefi_firmware() -> None:
    image = guest_image.build(BUILT, "arm64")
    seconds = boot(image, "arm", "arm64")
    sys.stderr.write(f"\nseconds to ssh, arm64: {seconds:.1f}\n")
    assert guests.every() == []
    assert qemu_processes() == []
