# SPDX-License-Identifier: Apache-2.0
"""Repeated boots of guests in QEMU: eight in sequence, three at the same time. Nothing is left."""

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from functional import guest_image
from functional.test_qemu_node import BUILT, FACTOR, MEMORY, kill_harness, pytestmark, ssh, state

from bsdgate.harness.nodes.qemu import guest as guests
from bsdgate.harness.nodes.qemu import node
from bsdgate.harness.nodes.qemu.console import Stage
from bsdgate.harness.nodes.qemu.machine import Machine
from bsdgate.harness.nodes.qemu.node import Options
from bsdgate.harness.nodes.specs import QemuSpec

__all__ = ("pytestmark", "state")


@pytest.fixture(scope="module")
def image() -> Path:
    return Path(os.environ.get("BSDGATE_TEST_IMAGE") or guest_image.build(BUILT))


def boot(image: Path, name: str) -> float:
    """Boot, use and remove a guest; return the seconds until its sshd answered."""
    started = time.monotonic()
    options = Options(machine=Machine(cpus=1, memory_mib=MEMORY), factor=FACTOR)
    running = node.boot(name, QemuSpec(str(image)), options)
    seconds = time.monotonic() - started
    try:
        assert ssh(running.guest, "hostname").strip() == name
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
def test_the_next_boot_removes_a_guest_of_a_killed_harness(image: Path, stage: Stage) -> None:
    kill_harness(image, stage)
