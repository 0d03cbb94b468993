# SPDX-License-Identifier: Apache-2.0
"""A simulated QEMU on the PATH, and a state directory with a short path."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes.qemu import SimulatedQemu

from bsdgate.harness.images.model import Format, Image
from bsdgate.harness.nodes.qemu import guest as guests
from bsdgate.harness.nodes.qemu.accelerator import Accelerator
from bsdgate.harness.nodes.qemu.boot import BootRequest
from bsdgate.harness.nodes.qemu.machine import Machine


@pytest.fixture
def qemu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SimulatedQemu:
    return SimulatedQemu.on_path(tmp_path / "bin", monkeypatch)


@pytest.fixture(autouse=True)
def state(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="bsdgate-test-") as folder:
        monkeypatch.setenv("BSDGATE_STATE_DIR", folder)
        yield Path(folder)
        for guest in guests.every():
            guest.release(kept=False)
            guest.remove()


@pytest.fixture
def boot_request(tmp_path: Path) -> BootRequest:
    base = tmp_path / "image.qcow2"
    base.write_bytes(b"QFI\xfb")
    image = Image(base, Format.QCOW2, "0" * 64, "an image")
    return BootRequest(image, Machine(), Accelerator("tcg", "selected by the user"))
