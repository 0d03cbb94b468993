# SPDX-License-Identifier: Apache-2.0
"""A server at a port of loopback that starts a command for each connection, as inetd does."""

import contextlib
import socketserver
import subprocess
import threading
from collections.abc import Iterator, Sequence
from typing import Any


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def __init__(self, command: Sequence[str]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.command = command


class _Handler(socketserver.BaseRequestHandler):
    server: _Server

    def handle(self) -> None:
        given: Any = self.request
        subprocess.run(
            self.server.command, stdin=given, stdout=given, stderr=subprocess.DEVNULL, check=False
        )


@contextlib.contextmanager
def serving(command: Sequence[str]) -> Iterator[int]:
    """Return the port of a server that starts this command."""
    with _Server(command) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield int(server.server_address[1])
        finally:
            server.shutdown()
            thread.join()
