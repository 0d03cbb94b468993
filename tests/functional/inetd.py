# SPDX-License-Identifier: Apache-2.0
"""A server on loopback that starts a command for each connection, as inetd does."""

import contextlib
import socketserver
import subprocess
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def __init__(self, command: Sequence[str], address: tuple[str, int], log: Path) -> None:
        super().__init__(address, _Handler)
        self.command = command
        self.log = log


class _Handler(socketserver.BaseRequestHandler):
    server: _Server

    def handle(self) -> None:
        given: Any = self.request
        with self.server.log.open("ab") as log:
            subprocess.run(self.server.command, stdin=given, stdout=given, stderr=log, check=False)


@contextlib.contextmanager
def serving(
    command: Sequence[str], log: Path, address: tuple[str, int] = ("127.0.0.1", 0)
) -> Iterator[int]:
    """Return the port of a server that starts this command; its errors are added to a log."""
    with _Server(command, address, log) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield int(server.server_address[1])
        finally:
            server.shutdown()
            thread.join()
