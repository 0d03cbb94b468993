# SPDX-License-Identifier: Apache-2.0
"""Descriptors that the processes of a cloud inherit, with real forks."""

import contextlib
import http.client
import io
import json
import os
import selectors
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes.wsgi import serving

from bsdgate.harness.cloud.worker import Private

# Eventlet, where another test has imported it, warns of each fork.
pytestmark = pytest.mark.filterwarnings("ignore:Using fork:DeprecationWarning")


class Held:
    """A socket, a lock and both ends of a pipe, all held by Private."""

    def __init__(self, listener: socket.socket, lock: io.FileIO) -> None:
        self.private = Private()
        self.private.hold(listener, lock)
        self.ends = self.private.pipe()
        self.numbers = [each.fileno() for each in (listener, lock, *self.ends)]

    def open_after(self, fork: Callable[[], int]) -> list[bool]:
        """Call ``fork``; return for each descriptor whether it is open in the child."""
        reader, writer = os.pipe()
        pid = fork()
        if not pid:
            os.write(writer, json.dumps([is_open(each) for each in self.numbers]).encode())
            os._exit(0)
        os.waitpid(pid, 0)
        opened: list[bool] = json.loads(os.read(reader, 4096))
        os.close(reader)
        os.close(writer)
        assert all(map(is_open, self.numbers)), "the parent has lost one"
        return opened


def is_open(number: int) -> bool:
    with contextlib.suppress(OSError):
        os.fstat(number)
        return True
    return False


@pytest.fixture
def held(tmp_path: Path) -> Iterator[Held]:
    with socket.create_server(("127.0.0.1", 0)) as listener, io.FileIO(tmp_path / "f", "w") as lock:
        held = Held(listener, lock)
        with held.ends[0], held.ends[1]:
            yield held


def test_a_process_that_a_service_forks_gets_no_socket_pipe_or_lock(held: Held) -> None:
    assert held.open_after(os.fork) == [False] * 4


def test_a_process_of_the_cloud_inherits_all(held: Held) -> None:
    assert held.open_after(held.private.fork) == [True] * 4
    assert held.open_after(os.fork) == [False] * 4, "only forks by Private.fork inherit"


def greeting(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    start_response("200 OK", [("Content-Length", "2")])
    return [b"hi"]


@pytest.fixture
def port_of_poll(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Return the port of a server on a system with neither epoll nor kqueue."""
    monkeypatch.setattr(selectors, "DefaultSelector", selectors.PollSelector)
    with serving(greeting) as port:
        yield port


def test_requests_on_one_connection_are_answered_soon_with_poll(port_of_poll: int) -> None:
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port_of_poll)) as connection:
        began = time.monotonic()
        for _ in range(11):
            connection.request("GET", "/")
            assert connection.getresponse().read() == b"hi"
        seconds = time.monotonic() - began
    assert seconds < 2.5, "each request waited half a second"
