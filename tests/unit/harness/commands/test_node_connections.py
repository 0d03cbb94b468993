# SPDX-License-Identifier: Apache-2.0
"""Clouds in a guest: their name leads to the connection, and the guest ends with its cloud."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes import disks
from fakes.qemu import SimulatedQemu

from bsdgate.harness.cloud.spec import checked_name
from bsdgate.harness.commands import node_connections
from bsdgate.harness.errors import UsageError
from bsdgate.harness.nodes.address import Address
from bsdgate.harness.nodes.connection import KeptConnection
from bsdgate.harness.nodes.qemu import guest as guests
from bsdgate.harness.nodes.qemu import node
from bsdgate.harness.nodes.qemu.guest import Guest
from bsdgate.harness.nodes.specs import QemuSpec
from bsdgate.harness.nodes.ssh import KEPT

NAME = checked_name("mine")


@pytest.fixture
def guest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Guest]:
    """Return a kept guest with a cloud. The connection to the guest has ended."""
    SimulatedQemu.on_path(tmp_path / "bin", monkeypatch).accept_logins()
    image = tmp_path / "own.qcow2"
    image.write_bytes(disks.qcow2())
    with tempfile.TemporaryDirectory(prefix="bsdgate-test-") as folder:
        monkeypatch.setenv("BSDGATE_STATE_DIR", folder)
        monkeypatch.setenv("BSDGATE_CACHE_DIR", f"{folder}/cache")
        running = node.boot("one", QemuSpec(str(image)), node.Options(accelerator="tcg"))
        running.keep()
        made = Guest.named("one")
        address = made.address
        kept = KeptConnection(str(address), 1, 0.0, f"{folder}/gone", str(address.config))
        kept.save(node_connections.folder_of(NAME) / KEPT)
        yield made
        for each in guests.every():
            each.remove()


def test_a_cloud_in_a_guest_is_found_by_its_name(guest: Guest) -> None:
    found = node_connections.address_of(QemuSpec(), NAME)
    assert found == guest.address
    assert found.config == guest.path(guests.SSH_CONFIG)
    kept = KeptConnection.load(node_connections.folder_of(NAME) / KEPT)
    assert kept is not None
    assert kept.on == "qemu"


def test_without_a_cloud_the_next_step_is_up(guest: Guest) -> None:
    with pytest.raises(UsageError, match="no cloud 'other' in a guest") as error:
        node_connections.address_of(QemuSpec("15.1"), checked_name("other"))
    assert "bsdgate up --on qemu:15.1 --name other" in (error.value.hint or "")
    address = Address("node", "me")
    assert node_connections.address_of(address, checked_name("other")) == address


def test_the_guest_ends_with_its_cloud(guest: Guest) -> None:
    folder = node_connections.folder_of(NAME)
    (folder / "console.log").touch()
    node_connections.forget(NAME, KeptConnection.load(folder / KEPT))
    assert guests.every() == []
    assert not folder.exists()


def test_the_name_of_a_cloud_with_a_lost_connection_can_be_used_again(guest: Guest) -> None:
    node_connections.refuse_connected(NAME)
    assert guests.every() == []
