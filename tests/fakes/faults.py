# SPDX-License-Identifier: Apache-2.0
"""A proxy before a real server that adds faults to requests, one for each request in order."""

import contextlib
import http.client
import math
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import urlsplit

from fakes.http_server import serving

TIMEOUT = 60.0
_BODY_OF_A_PROXY = b"<html>upstream error</html>"


class Fault(StrEnum):
    """What happens to a request. ``after``: the server has executed the request."""

    NONE = "none"
    BUSY = "429"
    ERROR = "500"
    ERROR_AFTER = "502 after"
    CUT = "cut"
    CUT_AFTER = "cut after"
    CUT_ANSWER = "a part of the answer"
    HANG = "hang"
    HANG_AFTER = "hang after"
    LATE = "executed after the client has gone"
    PATCHSET = "a patchset before"
    PATCHSET_AFTER = "a patchset after"
    ABANDON = "abandoned before"
    KILL = "the client is killed before"
    KILL_AFTER = "the client is killed after"
    KILL_LATE = "the client is killed, executed afterwards"


@dataclass
class Proxy:
    """The faults of the next requests by method, and what the events of faults do.

    ``new_patchset`` and ``abandon`` get the path of the request; after that, ``raced`` gets it if
    the request was or will be executed within ``hold`` seconds. ``unavailable``: each answer is
    503, as if the server were down for a time.
    """

    upstream: str
    url: str = ""
    faults: dict[str, list[Fault]] = field(default_factory=dict)
    new_patchset: Callable[[str], None] = lambda path: None
    abandon: Callable[[str], None] = lambda path: None
    kill: Callable[[], None] = lambda: None
    raced: Callable[[str], None] = lambda path: None
    hold: float = math.inf
    unavailable: bool = False
    late: list[threading.Thread] = field(default_factory=list)
    closing: threading.Event = field(default_factory=threading.Event)
    handling: set[int] = field(default_factory=set)
    """The threads that handle a request."""

    def next(self, method: str) -> Fault:
        """Return the fault of a request, and remove it."""
        left = self.faults.get(method)
        return left.pop(0) if left else Fault.NONE

    def settle(self) -> None:
        """Wait until all requests that are executed late are executed."""
        for thread in self.late:
            thread.join()
        self.late.clear()


@contextlib.contextmanager
def proxying(upstream: str) -> Iterator[Proxy]:
    """Run a proxy before the server at the URL ``upstream``."""
    proxy = Proxy(upstream)

    class Handler(_Handler):
        of = proxy

    try:
        with serving(Handler) as proxy.url:
            try:
                yield proxy
            finally:
                proxy.closing.set()
    finally:
        proxy.settle()


class _Handler(BaseHTTPRequestHandler):
    of: Proxy
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base's name
        pass

    def do_GET(self) -> None:
        self._handle()

    def do_POST(self) -> None:
        self._handle()

    def handle(self) -> None:
        """Answer the requests of a connection, until the client has gone or was killed."""
        with contextlib.suppress(ConnectionError):
            super().handle()

    def _handle(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.of.unavailable:
            self._send(503, [], _BODY_OF_A_PROXY)
            return
        self.of.handling.add(threading.get_ident())
        try:
            self._answer(self.of.next(self.command), body)
        finally:
            self.of.handling.discard(threading.get_ident())

    def _answer(self, fault: Fault, body: bytes) -> None:
        match fault:
            case Fault.BUSY:
                self._send(429, [("Retry-After", "0")], _BODY_OF_A_PROXY)
            case Fault.ERROR:
                self._send(500, [], _BODY_OF_A_PROXY)
            case Fault.ERROR_AFTER:
                self._forward(body)
                self._send(502, [], _BODY_OF_A_PROXY)
            case Fault.CUT | Fault.CUT_AFTER:
                self._forward_if(fault is Fault.CUT_AFTER, body)
                self._cut()
            case Fault.HANG | Fault.HANG_AFTER:
                self._forward_if(fault is Fault.HANG_AFTER, body)
                self._wait_for_the_client()
                self._cut()
            case Fault.CUT_ANSWER:
                status, headers, answer = self._forward(body)
                self._send(status, headers, answer, cut=len(answer) // 2)
            case Fault.LATE:
                self._cut()
                self._forward_late(body)
            case Fault.KILL | Fault.KILL_AFTER:
                self._forward_if(fault is Fault.KILL_AFTER, body)
                self.of.kill()
                self._cut()
            case Fault.KILL_LATE:
                self.of.kill()
                self._cut()
                self._forward_late(body)
            case _:
                self._forward_with_events(fault, body)

    def _forward_with_events(self, fault: Fault, body: bytes) -> None:
        end = time.monotonic() + self.of.hold
        if fault is Fault.PATCHSET:
            self.of.new_patchset(self.path)
        if fault is Fault.ABANDON:
            self.of.abandon(self.path)
        if time.monotonic() > end:
            # The client may rely on it that a request that was held for so long is not executed.
            self._cut()
            return
        answer = self._forward(body, end - time.monotonic())
        if fault is Fault.PATCHSET_AFTER:
            self.of.new_patchset(self.path)
        if fault in {Fault.PATCHSET, Fault.PATCHSET_AFTER} and time.monotonic() < end:
            self.of.raced(self.path)
        self._send(*answer)

    def _forward_if(self, condition: bool, body: bytes) -> None:
        if condition:
            self._forward(body)

    def _forward_late(self, body: bytes) -> None:
        """Let the server execute the request while the client may already try again."""
        headers = dict(self.headers)
        thread = threading.Thread(target=_forward, args=[self.of, "POST", self.path, headers, body])
        self.of.late.append(thread)
        thread.start()

    def _forward(
        self, body: bytes, left: float = math.inf
    ) -> tuple[int, Sequence[tuple[str, str]], bytes]:
        """Forward the request; after ``left`` seconds, the server does not execute it."""
        headers = dict(self.headers)
        if left < math.inf:
            headers["X-Gerrit-Deadline"] = f"{left * 1000:.0f}ms"
        return _forward(self.of, self.command, self.path, headers, body)

    def _send(
        self, status: int, headers: Sequence[tuple[str, str]], body: bytes, cut: int | None = None
    ) -> None:
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[:cut])
        if cut is not None:
            self._cut()

    def _wait_for_the_client(self) -> None:
        """Wait until the client closes the connection."""
        self.connection.settimeout(0.05)
        while not self.of.closing.is_set():
            try:
                self.connection.recv(1)
                return
            except TimeoutError:
                continue
            except OSError:
                return

    def _cut(self) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)


def _forward(
    proxy: Proxy, method: str, path: str, headers: dict[str, str], body: bytes
) -> tuple[int, Sequence[tuple[str, str]], bytes]:
    """Send a request to the server; return the status, the headers and the body of its answer."""
    parts = urlsplit(proxy.upstream)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=TIMEOUT)
    with contextlib.closing(connection):
        connection.request(method, path, body or None, headers)
        answer = connection.getresponse()
        kept = [
            (name, value)
            for name, value in answer.getheaders()
            if name.lower() in {"content-type", "retry-after", "location"}
        ]
        return answer.status, kept, answer.read()
