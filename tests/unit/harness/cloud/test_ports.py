# SPDX-License-Identifier: Apache-2.0
"""The listeners of the services: no other program takes a port, no client waits for a reply."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from typing import Any

import pytest

from bsdgate.harness.cloud import ports
from bsdgate.harness.cloud.service import SERVICES
from bsdgate.harness.cloud.spec import HOST
from bsdgate.harness.cloud.unit import PortTaken, describe_failure

SECONDS = 10


@contextlib.contextmanager
def bound(wanted: dict[str, int]) -> Iterator[tuple[dict[str, int], dict[str, socket.socket]]]:
    listeners = ports.bind(wanted)
    try:
        yield {name: each.getsockname()[1] for name, each in listeners.items()}, listeners
    finally:
        for each in listeners.values():
            each.close()


def listened(other: socket.socket, address: str, port: int) -> None:
    other.bind((address, port))
    other.listen()


@pytest.mark.parametrize("address", [HOST, "0.0.0.0"])  # noqa: S104 - what another program may do
def test_no_other_program_takes_a_port_before_its_service_starts(address: str) -> None:
    """The other socket is like one of another user's program, which may use SO_REUSEADDR too."""
    with bound({"nova": 0}) as (numbers, _), socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with pytest.raises(OSError, match="in use"):
            listened(other, address, numbers["nova"])


def test_every_service_has_a_port_of_its_own_on_loopback() -> None:
    with bound(dict.fromkeys(SERVICES, 0)) as (numbers, listeners):
        assert list(numbers) == list(SERVICES)
        assert len(set(numbers.values())) == len(SERVICES)
        assert {each.getsockname()[0] for each in listeners.values()} == {HOST}


def test_two_services_cannot_have_one_port() -> None:
    with bound({"nova": 0}) as (numbers, _):
        port = numbers["nova"]
    with pytest.raises(PortTaken) as refused:
        ports.bind({"nova": port, "ironic": port})
    assert refused.value.filename == f"port {port} of ironic"


def test_a_taken_port_is_reported_with_the_next_step() -> None:
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortTaken) as refused:
            ports.bind({"keystone": 0, "nova": port})
    event = describe_failure(refused.value)
    assert event["message"] == f"cannot listen on port {port} of nova: Address already in use"
    assert "--port nova=NUMBER" in event["hint"]


def test_chosen_ports_are_bound_before_free_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else the kernel could give a chosen port to a service with port 0."""
    order = []

    def listen(name: str, port: int) -> Any:
        order.append((name, port))
        return contextlib.nullcontext()

    monkeypatch.setattr(ports, "_listen", listen)
    ports.bind({"keystone": 0, "placement": 7, "nova": 0, "ironic": 8})
    assert order == [("placement", 7), ("ironic", 8), ("keystone", 0), ("nova", 0)]


# A service without a worker -------------------------------------------------------------------


PARENT = """
import sys
from multiprocessing.connection import Connection
from pathlib import Path
from bsdgate.harness.cloud import ports, worker
from bsdgate.harness.cloud.spec import CloudSpec

class Idle:
    NAME = "idle"
    THREADS = 1

    def application(self, spec):
        def answer(environ, start_response):
            start_response("200 OK", [("Content-Length", "2")])
            return [b"ok"]

        return answer

supervisor = Connection(int(sys.argv[1]))
spec = CloudSpec.generate("here", Path(sys.argv[2]), {"idle": 0}, {})
listener = ports.bind({"idle": 0})["idle"]
supervisor.send(listener.getsockname()[1])
worker.PreloadedParent(Idle(), spec, listener, supervisor).carry_out_requests()
"""
"""The preloaded parent of a service that answers until it is killed."""


def asked(port: int) -> bytes:
    """Return the answer to a request; empty where the connection is closed without one."""
    with socket.create_connection((HOST, port), timeout=SECONDS) as client:
        try:
            client.sendall(b"GET / HTTP/1.0\r\n\r\n")
            return client.recv(15)
        except ConnectionError:
            return b""


@pytest.fixture
def idle(tmp_path: Path) -> Iterator[tuple[int, Connection]]:
    """Run the preloaded parent of a service; yield its port and the supervisor's pipe end."""
    ours, theirs = Pipe()
    argv = [sys.executable, "-c", PARENT, str(theirs.fileno()), str(tmp_path)]
    with subprocess.Popen(argv, pass_fds=[theirs.fileno()]) as parent:
        theirs.close()
        with ours:
            yield ours.recv(), ours
        parent.wait(SECONDS)
    assert parent.returncode == 0


def test_a_port_is_served_while_its_worker_runs_and_closes_connections_after(
    idle: tuple[int, Connection],
) -> None:
    port, supervisor = idle
    assert asked(port) == b"", "it has not been started yet"
    supervisor.send(("start",))
    word, pid = supervisor.recv()
    assert word == "serving"
    assert asked(port) == b"HTTP/1.1 200 OK"
    os.kill(pid, signal.SIGKILL)
    assert supervisor.recv() == ("died", -signal.SIGKILL)
    assert asked(port) == b"", "its worker was killed"
    supervisor.send(("start",))
    assert supervisor.recv()[0] == "serving"
    assert asked(port) == b"HTTP/1.1 200 OK"
    supervisor.send(("stop",))
    assert supervisor.recv() == ("stopped",)
    assert asked(port) == b"", "it was stopped"


def test_clients_that_have_closed_their_connection_do_no_harm(idle: tuple[int, Connection]) -> None:
    port, supervisor = idle
    with bound({"other": 0}) as (_, listeners):
        ports.close_waiting_client(
            listeners["other"]
        )  # no client waits there: the call must not block
    threads = [threading.Thread(target=asked, args=(port,)) for _ in range(20)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(SECONDS)
    supervisor.send(("start",))
    assert supervisor.recv()[0] == "serving"
