# SPDX-License-Identifier: Apache-2.0
"""Shows the serial console of a guest, and connects a terminal to the console."""

import contextlib
import os
import select
import socket
import sys
import termios
import tty
from collections.abc import Iterator
from typing import Final

from rich.console import Console

from bsdgate.harness.errors import UsageError
from bsdgate.harness.nodes.qemu import guest as guests
from bsdgate.harness.nodes.qemu import machine as hardware
from bsdgate.harness.nodes.qemu import sockets
from bsdgate.harness.nodes.qemu.console import printable_lines
from bsdgate.harness.nodes.qemu.guest import Guest, State

LEAVE: Final = b"\x1d"
"""Ctrl-], the key that ends the connection."""

_TAIL_BYTES: Final = 1 << 16
_CONNECT_SECONDS: Final = 10.0


def show(name: str, lines: int, console: Console) -> None:
    """Print the last lines of the console, without control characters."""
    path = Guest.named(name).path(hardware.CONSOLE_LOG)
    try:
        with path.open("rb") as log:
            log.seek(max(0, path.stat().st_size - _TAIL_BYTES))
            data = log.read()
    except FileNotFoundError:
        data = b""
    for line in printable_lines(data)[-lines:] if lines else ():
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def attach(name: str) -> None:
    """Connect the terminal to the console of a guest, until Ctrl-] or the end of the guest.

    :raises UsageError: the guest does not run, or the input is not a terminal.
    """
    guest = Guest.named(name)
    guest.require_state(State.RUNNING)
    if not sys.stdin.isatty():
        raise UsageError(
            "the input is not a terminal", "run this in a terminal, or without --attach"
        )
    path, terminal = guest.path(guests.CONSOLE), sys.stdin.fileno()
    with sockets.connect(path, _CONNECT_SECONDS) as connection, _raw(terminal):
        relay(connection, terminal, sys.stdout.fileno())


def relay(connection: socket.socket, source: int, target: int) -> None:
    """Copy bytes between the connection and the terminal, until Ctrl-] or the end of one of them.

    ``source`` and ``target`` are the descriptors of the terminal's input and output.
    """
    connection.settimeout(None)
    while True:
        ready, _, _ = select.select([connection.fileno(), source], [], [])
        if connection.fileno() in ready:
            data = connection.recv(4096)
            if not data:
                return
            os.write(target, data)
        if source in ready:
            data = os.read(source, 4096)
            typed, leave, _ = data.partition(LEAVE)
            connection.sendall(typed)
            if leave or not data:
                return


@contextlib.contextmanager
def _raw(terminal: int) -> Iterator[None]:
    """Set a terminal to raw mode while the block runs: each key is sent to the guest."""
    before = termios.tcgetattr(terminal)
    tty.setraw(terminal)
    try:
        yield
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)
