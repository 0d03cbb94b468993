# SPDX-License-Identifier: Apache-2.0
"""The node contract for guests, with a simulated QEMU and a real sshd on this machine as the guest.

The keys, the ssh connection, the agent and the copies of files are real.
"""

import getpass
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from fakes import disks
from fakes.qemu import SimulatedQemu
from functional.sshd import BIN, SSHD, TESTS
from unit.harness.nodes.test_contract import NodeContract

from bsdgate.harness.errors import UsageError
from bsdgate.harness.nodes import kernel
from bsdgate.harness.nodes.base import Node, NodeLostError
from bsdgate.harness.nodes.connection import KeptConnection
from bsdgate.harness.nodes.qemu import boot as boots
from bsdgate.harness.nodes.qemu import guest as guests
from bsdgate.harness.nodes.qemu.guest import Guest, State
from bsdgate.harness.nodes.qemu.node import Options, QemuNode
from bsdgate.harness.nodes.specs import QemuSpec
from bsdgate.harness.nodes.ssh import KEPT
from bsdgate.results.codes import Code

Make = Callable[[], QemuNode]


@pytest.fixture
def state(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="bsdgate-test-") as folder:
        monkeypatch.setenv("BSDGATE_STATE_DIR", f"{folder}/state")
        monkeypatch.setenv("BSDGATE_CACHE_DIR", f"{folder}/cache")
        yield Path(folder)


@pytest.fixture
def qemu(tmp_path: Path, state: Path, monkeypatch: pytest.MonkeyPatch) -> SimulatedQemu:
    if SSHD is None:
        pytest.skip("sshd is missing: install openssh-server")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    key, config = state / "host_key", state / "sshd_config"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    variables = {
        "PATH": f"{BIN}:/usr/local/bin:/usr/bin:/bin",
        "BSDGATE_STATE_DIR": f"{state}/there",
        "BSDGATE_CACHE_DIR": f"{state}/cache there",
        "PYTHONPATH": str(TESTS),
    }
    setenv = " ".join(f'"{name}={value}"' for name, value in variables.items())
    config.write_text(
        f"HostKey {key}\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nUsePAM no"
        f"\nStrictModes no\nPidFile none\nLogLevel ERROR\nSetEnv {setenv}\n"
    )
    made = SimulatedQemu.on_path(tmp_path / "bin", monkeypatch)
    (made.bin / "ssh-keyscan").unlink()
    made.behave(sshd=[SSHD, "-i", "-f", str(config)])
    monkeypatch.setattr(boots, "USER", getpass.getuser())
    return made


@pytest.fixture
def make(qemu: SimulatedQemu, tmp_path: Path) -> Iterator[Make]:
    """Return a function that makes nodes. The nodes are closed after the test."""
    image = tmp_path / "image.qcow2"
    image.write_bytes(disks.qcow2())
    nodes: list[QemuNode] = []

    def make() -> QemuNode:
        options = Options(accelerator="tcg")
        run = tmp_path / "a-run"
        nodes.append(QemuNode(QemuSpec(str(image)), run, tmp_path, options=options))
        return nodes[-1]

    yield make
    for each in nodes:
        each.close()
    for guest in guests.every():
        guest.remove()


class TestQemuNode(NodeContract):
    @pytest.fixture
    def node(self, make: Make) -> Node:
        node = make()
        node.connect()
        return node


def test_the_facts_have_the_image_and_the_accelerator(make: Make) -> None:
    node = make()
    node.connect()
    facts = node.facts()
    assert (facts["image"], facts["accelerator"]) == ("image.qcow2", "tcg")
    assert facts["url"] == str(node.spec)


def test_only_messages_on_the_console_after_the_boot_count(make: Make) -> None:
    node = make()
    node.connect()
    assert node.kernel_messages().console == ()
    with node.running.guest.path("console.log").open("ab") as log:
        log.write(b"\xff\xfe\r\npanic: page fault\r\ncpuid = 0\r\n")
    messages = node.kernel_messages()
    assert messages.console[-2:] == ["panic: page fault", "cpuid = 0"]
    assert {each.code for each in kernel.findings(messages, node.name)} == {Code.KERNEL_PANIC}
    assert node.kernel_messages().console == []


def test_a_closed_node_leaves_only_its_logs(make: Make, tmp_path: Path, state: Path) -> None:
    node = make()
    node.connect()
    node.close()
    assert guests.every() == []
    assert b"login: " in (tmp_path / "console.log").read_bytes()
    running = [each for each in psutil.process_iter(["cmdline"]) if str(state) in str(each.info)]
    assert running == []
    with pytest.raises(NodeLostError, match="not booted"):
        node.facts()


def test_a_guest_without_bsdgate_is_refused_and_removed(
    make: Make, qemu: SimulatedQemu, state: Path
) -> None:
    config = state / "sshd_config"
    config.write_text(config.read_text().replace(f"PATH={BIN}:", "PATH="))
    with pytest.raises(UsageError, match="has no bsdgate"):
        make().connect()
    assert guests.every() == []


def test_a_guest_that_is_kept_outlives_its_node(make: Make, tmp_path: Path) -> None:
    node = make()
    node.connect()
    name = node.running.guest.name
    node.keep()
    node.close()
    assert Guest.named(name).state is State.RUNNING
    address = Guest.named(name).address
    argv = ["ssh", "-o", "BatchMode=yes", *address.options, "echo", "here"]
    assert subprocess.run(argv, check=True, capture_output=True, text=True).stdout == "here\n"
    kept = KeptConnection.load(tmp_path / "a-run" / KEPT)
    assert kept is not None
    kept.end()
    assert not Path(kept.folder).exists()
