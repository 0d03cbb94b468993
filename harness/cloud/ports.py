# SPDX-License-Identifier: Apache-2.0
"""The services' ports: bound and listened to before anything starts, and kept until the end.

A port that is only bound can be taken on Linux: with SO_REUSEADDR the socket of another user's
program may bind it too and be the first to listen. A port that is listened to cannot. What goes
with this: the system queues clients of a service that has no process at the moment, and they would
wait for an answer that may never come. Whoever holds the socket then turns them away.
"""

import contextlib
import socket
from collections.abc import Mapping

from bsdgate.harness.cloud.spec import HOST
from bsdgate.harness.cloud.unit import PortTaken

QUEUE = 128
"""Clients of a service that the system keeps waiting."""


def bind(ports: Mapping[str, int]) -> dict[str, socket.socket]:
    """Listen on every service's port, on loopback alone; port 0 is any that is free.

    :raises PortTaken: one cannot be had; its ``filename`` is the port and its service.
    """
    # Those that were asked for come first, so that no other service is given one of them.
    in_turn = sorted(ports.items(), key=lambda each: each[1] == 0)
    listeners = {}
    with contextlib.ExitStack() as undo:
        for name, port in in_turn:
            listeners[name] = undo.enter_context(_listen(name, port))
        undo.pop_all()
    return {name: listeners[name] for name in ports}


def _listen(name: str, port: int) -> socket.socket:
    listener = socket.socket()
    # A cloud that comes up again need not wait until the last one's connections are forgotten.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
        listener.listen(QUEUE)
    except OSError as error:
        listener.close()
        raise PortTaken(error.errno, error.strerror, f"port {port} of {name}") from error
    # A client may be gone by the time that it is accepted.
    listener.setblocking(False)
    return listener


def turn_away(listener: socket.socket) -> None:
    """Close the connection of a client that waits for a service which has no process."""
    with contextlib.suppress(OSError):
        listener.accept()[0].close()
