# SPDX-License-Identifier: Apache-2.0
"""A simulated QEMU on the PATH, and a state directory with a short path."""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fakes.qemu import SimulatedQemu

from bsdgate.harness.images.model import Format, Image
from bsdgate.harness.nodes.qemu import boot as boots
from bsdgate.harness.nodes.qemu import guest as guests
from bsdgate.harness.nodes.qemu.accelerator import Accelerator
from bsdgate.harness.nodes.qemu.boot import BootRequest, RunningGuest
from bsdgate.harness.nodes.qemu.machine import Machine

Boot = Callable[..., RunningGuest]


@pytest.fixture
def qemu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SimulatedQemu:
    made = SimulatedQemu.on_path(tmp_path / "bin", monkeypatch)
    made.accept_logins()
    return made


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


@pytest.fixture
def boot(qemu: SimulatedQemu) -> Iterator[Boot]:
    """Return a function that boots a guest, which is closed after the test."""
    made: list[RunningGuest] = []

    def boot(boot_request: BootRequest, name: str = "guest") -> RunningGuest:
        made.append(boots.boot(name, boot_request, lambda *_: None))
        return made[-1]

    yield boot
    for each in made:
        each.close()
