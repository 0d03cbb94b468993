# SPDX-License-Identifier: Apache-2.0
"""Runs bhyve for one guest, and starts it again when the guest reboots.

``python -m bsdgate.harness.nodes.qemu.bhyve_loop CONSOLE NAME COMMAND...``: ``CONSOLE`` is the
descriptor of a listening socket, ``NAME`` the name of the virtual machine, ``COMMAND`` the command
that starts bhyve with the serial console on stdin and stdout. As with QEMU, the guest starts when
the first client has connected, and the output of the console is also written to a file.
"""

import contextlib
import signal
import socket
import sys
import threading
from pathlib import Path
from typing import BinaryIO, Final, NoReturn

from bsdgate.harness import process
from bsdgate.harness.nodes.qemu import bhyve
from bsdgate.harness.nodes.qemu import guest as guests
from bsdgate.harness.nodes.qemu import machine as hardware

REBOOTED: Final = 0
EXITS: Final = {1: "powered off", 2: "halted", 3: "triple fault", 4: "error", 5: "suspended"}
"""The exit statuses of bhyve(8) after which bhyve is not started again."""

_CHUNK: Final = 4096
_LOG: Final = Path(guests.LOG)


class Relay:
    """Copies the output of a console to a file and to one client, and the client's input back."""

    def __init__(self, server: socket.socket, log: BinaryIO) -> None:
        self._server = server
        self._log = log
        self._client: socket.socket | None = None
        self._connected = threading.Event()
        self._running: process.Running | None = None
        threading.Thread(target=self._serve, daemon=True).start()

    def wait_for_client(self) -> None:
        """Wait until the first client has connected."""
        self._connected.wait()

    def run(self, command: list[str]) -> int:
        """Run bhyve to its end, and return its exit status."""
        pipe = process.PIPE
        with process.start(command, log=_LOG, stdin=pipe, stdout=pipe) as running:
            self._running = running
            try:
                while chunk := running.read():
                    self._show(chunk)
            finally:
                # SIGTERM lets the guest power off, which takes long. This process was ended by
                # SIGTERM, or bhyve has ended.
                status = running.terminate(grace=0)
        return status

    def _show(self, chunk: bytes) -> None:
        self._log.write(chunk)
        client = self._client
        if client is not None:
            with contextlib.suppress(OSError):
                client.sendall(chunk)

    def _serve(self) -> None:
        """Accept one client after another, and copy their input to bhyve."""
        while True:
            client, _ = self._server.accept()
            with client:
                self._client = client
                self._connected.set()
                with contextlib.suppress(OSError):
                    while data := client.recv(_CHUNK):
                        if self._running is not None:
                            self._running.write(data)
                self._client = None


def main() -> NoReturn:
    """Run bhyve until the guest ends; then destroy the virtual machine."""
    console, name, *command = sys.argv[1:]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with Path(hardware.CONSOLE_LOG).open("ab", buffering=0) as log:
        relay = Relay(socket.socket(fileno=int(console)), log)
        relay.wait_for_client()
        status = REBOOTED
        while status == REBOOTED:
            try:
                status = relay.run(command)
            finally:
                bhyve.destroy(name, _LOG)
    sys.stderr.write(f"bhyve ended with status {status}: {EXITS.get(status, 'killed')}\n")
    sys.exit(status)


if __name__ == "__main__":
    main()
