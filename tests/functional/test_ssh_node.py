# SPDX-License-Identifier: Apache-2.0
"""A node over ssh, against a real sshd."""

import contextlib
import os
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import yaml
from functional import sshd as servers
from functional.place import free_port
from functional.sshd import Sshd
from unit.harness.nodes.test_contract import ECHO, NodeContract

from bsdgate.harness import process
from bsdgate.harness.deployments import table
from bsdgate.harness.errors import InfrastructureError, UsageError
from bsdgate.harness.nodes import connection
from bsdgate.harness.nodes import ssh as ssh_node
from bsdgate.harness.nodes.address import Address
from bsdgate.harness.nodes.base import Node, NodeLostError, ignore
from bsdgate.harness.nodes.connection import KeptConnection
from bsdgate.harness.nodes.ssh import KEPT, SshNode
from bsdgate.harness.nodes.zuul import ZuulSpec
from bsdgate.harness.profiles.load import load

RUN_FOLDER = "bsdgate.harness.nodes.run_folder:RunFolder"
SLEEP = ["sh", "-c", "echo begun; sleep 600 & wait"]
# Connects, starts a command on the node, and waits to be killed.
CONTROLLER = """
import sys
from pathlib import Path
from bsdgate.harness import process
from bsdgate.harness.nodes.address import Address
from bsdgate.harness.nodes.ssh import SshNode
node = SshNode(Address.parse(sys.argv[1]), Path(sys.argv[2]) / "killed-run", Path(sys.argv[2]))
node.connect()
argv = ["sh", "-c", "echo begun; sleep 600 & wait"]
running = node.start(argv, log=Path(sys.argv[2]) / "log", stdout=process.PIPE)
print(running.read(60).decode(), flush=True)
running.wait()
"""


@pytest.fixture(scope="module")
def sshd() -> Iterator[Sshd]:
    with servers.serving() as sshd:
        yield sshd


@pytest.fixture(autouse=True)
def own_temporary_directory(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Keep connections of other processes out of ``folders_of_connections``.

    The path is short, because it contains the path of a socket.
    """
    with tempfile.TemporaryDirectory(prefix="ssh-", dir="/tmp") as folder:
        monkeypatch.setattr(tempfile, "tempdir", folder)
        monkeypatch.setenv("TMPDIR", folder)
        yield


@pytest.fixture(autouse=True)
def ours_is_used(sshd: Sshd, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("PATH", sshd.path)
    yield
    sshd.trust("host")
    sshd.configure()


@pytest.fixture
def made(sshd: Sshd, tmp_path: Path) -> Iterator[Callable[..., SshNode]]:
    """Return a function that makes a node, which is closed after the test."""
    nodes: list[SshNode] = []

    def make(name: str = "a-run", url: str = sshd.url) -> SshNode:
        nodes.append(SshNode(Address.parse(url), tmp_path / name, tmp_path))
        return nodes[-1]

    yield make
    for each in nodes:
        each.close()


@pytest.fixture
def node(made: Callable[..., SshNode]) -> SshNode:
    node = made()
    node.connect()
    return node


def folders_of_connections() -> set[Path]:
    return set(Path(tempfile.gettempdir()).glob("bsdgate-ssh-*"))


def wait_until_idle(sshd: Sshd) -> None:
    """Wait until bsdgate has no process on the node."""
    deadline = time.monotonic() + 60
    while left := sshd.processes():
        assert time.monotonic() < deadline, f"left on the node: {left}"
        psutil.wait_procs(left, 0.5)


class TestSshNode(NodeContract):
    @pytest.fixture
    def node(self, made: Callable[..., SshNode]) -> Node:
        node = made()
        node.connect()
        return node


class TestNodeOfZuulBuild(NodeContract):
    """The node has the ssh configuration file that the inventory names, not the user's."""

    @pytest.fixture
    def node(self, sshd: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Node]:
        variables = {"ansible_host": servers.HOST, "ansible_user": sshd.user}
        variables["bsdgate_ssh_config"] = str(sshd.root / "ssh_config")
        inventory = tmp_path / "inventory.yaml"
        inventory.write_text(yaml.safe_dump({"all": {"hosts": {"freebsd": variables}}}))
        monkeypatch.setenv("BSDGATE_ZUUL_INVENTORY", str(inventory))
        monkeypatch.setenv("PATH", sshd.path.partition(":")[2])
        spec, profile = ZuulSpec("freebsd"), load("keystone")
        with contextlib.closing(
            table.remote_node(spec, profile, tmp_path / "zuul-run", tmp_path)
        ) as node:
            node.connect()
            yield node


def test_it_is_like_another_machine_if_the_system_allows(sshd: Sshd, node: SshNode) -> None:
    assert node.folder == sshd.state / "nodes" / "a-run"
    assert node.folder.stat().st_mode & 0o777 == 0o700
    assert node.facts()["url"] == sshd.url
    if os.geteuid() == 0 and sshd.namespace:
        assert node.folder.owner() == sshd.user != "root"
        assert all(node.choose_ports(3))


def test_a_port_of_the_node_answers_here(node: SshNode) -> None:
    port = node.remote(RUN_FOLDER).call("listen", ignore)
    node.forward([port])
    with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
        client.sendall(b"from here")
        assert node.remote(RUN_FOLDER).call("receive", ignore) == "from here"


def test_a_port_in_use_here_is_an_error(sshd: Sshd, node: SshNode) -> None:
    if not sshd.namespace:
        pytest.skip("the loopback of the node is that of this machine: nothing is forwarded")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(InfrastructureError, match=f"(?s){port}.*in use"):
            node.forward([port])


def test_a_host_without_forwarding_closes_connections(
    sshd: Sshd, made: Callable[..., SshNode]
) -> None:
    """sshd accepts the request, and refuses each connection."""
    sshd.configure(server="AllowTcpForwarding no")
    node = made()
    node.connect()
    port = node.remote(RUN_FOLDER).call("listen", ignore)
    if not sshd.namespace:
        pytest.skip("the loopback of the node is that of this machine: nothing is forwarded")
    node.forward([port])
    with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
        assert client.recv(1) == b""


def test_only_the_named_files_are_pushed(node: SshNode, tmp_path: Path) -> None:
    source = tmp_path / "source of !mine"
    source.mkdir()
    for name in ("wanted", "secret"):
        (source / name).write_text(name)
    (source / "link").symlink_to("wanted")
    first, second = (node.push(source, [Path("wanted"), Path("link")]) for _ in range(2))
    assert first != second
    assert sorted(each.name for each in first.iterdir()) == ["link", "wanted"]


def test_a_cut_connection_is_a_lost_node_and_ends_its_processes(sshd: Sshd, node: SshNode) -> None:
    with node.start(SLEEP, log=node.log, stdout=process.PIPE) as running:
        assert running.read(60) == b"begun\n"
        sshd.cut()
        with pytest.raises(NodeLostError, match=r"ssh-.*test-node does not answer"):
            node.remote(ECHO).call("twice", ignore, text="")
        assert running.wait(30) == connection.LOST
        with pytest.raises(NodeLostError):
            node.pull(node.folder, node.log.parent / "pulled")
        node.close()
    wait_until_idle(sshd)
    assert not list((sshd.state / "nodes").glob("*"))


def test_only_new_messages_of_the_kernel_are_returned(
    sshd: Sshd, made: Callable[..., SshNode]
) -> None:
    buffer, program = sshd.root / "buffer", sshd.root / "programs" / "dmesg"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\ncat {buffer}\n")
    program.chmod(0o755)
    sshd.configure(PATH=f"{program.parent}:{servers.BIN}:/usr/bin:/bin")
    buffer.write_text("panic: before the run\n")
    node = made()
    node.connect()
    assert node.kernel_messages().buffer == ()
    buffer.write_text("panic: before the run\npid 1 (a), jid 0, uid 7: exited on signal 11\n")
    messages = node.kernel_messages()
    assert messages.buffer == ["pid 1 (a), jid 0, uid 7: exited on signal 11"]
    assert messages.user == int(servers.run("id", "-u", sshd.user))
    buffer.unlink()
    assert node.kernel_messages().buffer == ()


def test_a_lost_node_is_connected_again_and_shows_whether_it_was_rebooted(
    sshd: Sshd, node: SshNode
) -> None:
    before = node.inspect("one")
    sshd.cut()
    with node.reconnected():
        assert abs((node.inspect("one").booted - before.booted).total_seconds()) < 2
        node.kernel_messages()
    with pytest.raises(NodeLostError, match="is not connected"):
        node.inspect("one")
    assert node.kernel_messages().buffer == ()
    wait_until_idle(sshd)
    assert not folders_of_connections()
    sshd.pretend_reboot()
    with node.reconnected():
        assert node.inspect("one").booted > before.taken


def test_a_lost_node_that_stays_away_is_an_error(
    sshd: Sshd, node: SshNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssh_node, "REBOOT_TIMEOUT", 0.0)
    sshd.configure(client="Host *\n  ProxyCommand false")
    sshd.cut()
    with pytest.raises(InfrastructureError, match="cannot connect to the node"), node.reconnected():
        pytest.fail("it is connected")
    assert not folders_of_connections()


def test_a_silent_connection_is_a_lost_node_and_ends_its_processes(
    sshd: Sshd, made: Callable[..., SshNode], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All packets are lost, and neither end is closed."""
    options = {**connection._OPTIONS, "ServerAliveInterval": "1", "ServerAliveCountMax": "2"}
    monkeypatch.setattr(connection, "_OPTIONS", options)
    monkeypatch.setattr(ssh_node, "ALIVE", 0.5)
    monkeypatch.setattr(ssh_node, "SILENCE", 3.0)
    node = made()
    node.connect()
    with node.start(SLEEP, log=node.log, stdout=process.PIPE) as running:
        assert running.read(60) == b"begun\n"
        stopped = sshd.connections()
        for each in stopped:
            each.suspend()
        try:
            with pytest.raises(NodeLostError):
                node.remote(ECHO).call("twice", ignore, text="")
            left = [each for each in sshd.processes() if each not in stopped]
            assert not psutil.wait_procs(left, timeout=30)[1]
        finally:
            for each in stopped:
                with contextlib.suppress(psutil.NoSuchProcess):
                    each.kill()


def test_a_killed_controller_leaves_nothing(
    sshd: Sshd, made: Callable[..., SshNode], tmp_path: Path
) -> None:
    before = folders_of_connections()
    argv = [sys.executable, "-c", CONTROLLER, sshd.url, str(tmp_path)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as controller:
        assert controller.stdout is not None
        assert controller.stdout.readline() == b"begun\n"
        agents = [
            each for each in sshd.processes() if "bsdgate.harness.nodes.agent" in each.cmdline()
        ]
        assert len(agents) == 1
        # Also the agent, so that its directory is left for the next run.
        agents[0].kill()
        controller.kill()
    wait_until_idle(sshd)
    assert [each.name for each in (sshd.state / "nodes").glob("*")] == ["killed-run"]
    assert len(folders_of_connections() - before) == 1
    node = made()
    node.connect()
    assert [each.name for each in (sshd.state / "nodes").glob("*")] == ["a-run"]
    node.close()
    assert folders_of_connections() <= before


def test_a_run_in_progress_on_the_node_is_not_changed(
    node: SshNode, made: Callable[..., SshNode]
) -> None:
    with pytest.raises(UsageError, match="the run a-run is in progress"):
        made().connect()
    other = made("other-run")
    other.connect()
    assert node.folder.exists()


def test_a_kept_connection_outlives_its_node_and_is_ended(node: SshNode, tmp_path: Path) -> None:
    (tmp_path / "a-run").mkdir()
    node.keep()
    node.close()
    kept = KeptConnection.load(tmp_path / "a-run" / KEPT)
    assert kept is not None
    assert kept.alive()
    kept.end()
    assert not kept.alive()
    assert not Path(kept.folder).exists()
    kept.end()


# Hosts that cannot be a node -----------------------------------------------------------------


def refusal(
    node: SshNode, sshd: Sshd, kind: type[UsageError] | type[InfrastructureError]
) -> tuple[str, str]:
    """Return the message and the hint of the error; check that nothing is left."""
    before = folders_of_connections()
    with pytest.raises(kind) as caught:
        node.connect()
    assert folders_of_connections() == before
    wait_until_idle(sshd)
    return caught.value.message, caught.value.hint or ""


def program(sshd: Sshd, text: str) -> str:
    """Return a PATH with this script as bsdgate."""
    folder = sshd.root / "programs"
    folder.mkdir(exist_ok=True)
    (folder / "bsdgate").write_text(f"#!/bin/sh\n{text}\n")
    (folder / "bsdgate").chmod(0o755)
    return f"{folder}:/usr/bin:/bin"


def test_a_host_that_refuses(sshd: Sshd, made: Callable[..., SshNode]) -> None:
    node = made(url=f"ssh://127.0.0.1:{free_port()}")
    message, hint = refusal(node, sshd, InfrastructureError)
    with pytest.raises(NodeLostError, match="is not connected"):
        node.remote(ECHO).call("twice", ignore, text="")
    with pytest.raises(NodeLostError, match="is not connected"):
        node.pull(node.folder, node.log.parent)
    assert "Connection refused" in message
    assert "start sshd on the node" in hint


def test_a_host_without_a_name(sshd: Sshd, made: Callable[..., SshNode]) -> None:
    message, hint = refusal(made(url="ssh://no-such-host.invalid"), sshd, UsageError)
    assert "Could not resolve" in message
    assert "ssh no-such-host.invalid" in hint


def test_a_host_that_prompts_for_a_password(sshd: Sshd, made: Callable[..., SshNode]) -> None:
    sshd.configure(server="AuthorizedKeysFile none\nPasswordAuthentication yes")
    message, hint = refusal(made(), sshd, UsageError)
    assert "Permission denied (" in message
    assert "password" in message
    assert "ssh-copy-id" in hint


def test_an_unknown_host_key(sshd: Sshd, made: Callable[..., SshNode]) -> None:
    (sshd.root / "known_hosts").write_text("")
    message, hint = refusal(made(), sshd, UsageError)
    assert "Host key verification failed" in message
    assert "fingerprint" in hint


def test_a_host_key_that_changed(sshd: Sshd, made: Callable[..., SshNode]) -> None:
    sshd.trust("other")
    message, hint = refusal(made(), sshd, UsageError)
    assert "IDENTIFICATION HAS CHANGED" in message
    assert "ssh-keygen -R test-node" in hint


def test_a_host_without_bsdgate(sshd: Sshd, made: Callable[..., SshNode]) -> None:
    sshd.configure(PATH="/nowhere")
    message, hint = refusal(made(), sshd, UsageError)
    assert "has no bsdgate on PATH=/nowhere:" in message
    assert "Python 3.11 or newer" in hint


def test_a_host_with_an_old_python(sshd: Sshd, made: Callable[..., SshNode]) -> None:
    sshd.configure(PATH=program(sshd, "echo \"SyntaxError: 'match'\" >&2; exit 1"))
    message, hint = refusal(made(), sshd, UsageError)
    assert "`bsdgate installation` ended with status 1" in message
    assert "SyntaxError: 'match'" in message
    assert "Python 3.11 or newer" in hint


def test_a_host_with_another_bsdgate(sshd: Sshd, made: Callable[..., SshNode]) -> None:
    fields = '{"version": "9.9", "sha256": "0123456789abcdef", "python": "x", "state": "y"}'
    sshd.configure(PATH=program(sshd, f"echo '{fields}'"))
    message, hint = refusal(made(), sshd, UsageError)
    assert "has bsdgate 9.9, but this machine has" in message
    assert "0123456789ab on the node" in message
    assert "install the same bsdgate there" in hint


def test_a_login_shell_that_prints(sshd: Sshd, made: Callable[..., SshNode]) -> None:
    sshd.configure(
        PATH=program(
            sshd, f"echo welcome; exec {shlex.quote(str(servers.BIN / 'bsdgate'))} installation"
        )
    )
    message, hint = refusal(made(), sshd, UsageError)
    assert "printed 'welcome' first" in message
    assert "startup files" in hint


def test_a_state_directory_that_cannot_be_made(sshd: Sshd, made: Callable[..., SshNode]) -> None:
    sshd.configure(BSDGATE_STATE_DIR="/proc/state")
    node = made()
    message, _ = refusal(node, sshd, InfrastructureError)
    assert f"on the node {node.name}" in message
    assert "/proc/state" in message


def test_ctrl_c_while_it_connects_leaves_nothing(
    sshd: Sshd, made: Callable[..., SshNode], monkeypatch: pytest.MonkeyPatch
) -> None:
    node, before = made(), folders_of_connections()
    monkeypatch.setattr(
        SshNode, "_find_installation", lambda _: os.kill(os.getpid(), signal.SIGINT)
    )
    # SIGINT is ignored in tests that a script has started in the background.
    disposition = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            node.connect()
    finally:
        signal.signal(signal.SIGINT, disposition)
    assert folders_of_connections() == before
    wait_until_idle(sshd)
