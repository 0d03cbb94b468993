# SPDX-License-Identifier: Apache-2.0
"""The listeners of the services: opened before any service starts, kept until the cloud ends.

A port that is bound without a listener is not safe on Linux: with SO_REUSEADDR a program of
another user can bind the same port and be the first to listen. A port with a listener cannot be
taken. But the kernel then queues the clients of a service that has no worker, and they would wait
for a reply that may never come. So the process that holds the listener closes their connections.
"""

import contextlib
import socket
from collections.abc import Mapping

from bsdgate.harness.cloud.spec import HOST
from bsdgate.harness.cloud.unit import PortTaken

QUEUE = 128
"""The maximum number of clients that the kernel queues for one service."""


def bind(ports: Mapping[str, int]) -> dict[str, socket.socket]:
    """Listen on the port of each service, on loopback only; port 0 means any free port.

    :raises PortTaken: a port cannot be used; ``filename`` has the port and its service.
    """
    # Chosen ports come first, so that the kernel gives none of them to a service with port 0.
    in_turn = sorted(ports.items(), key=lambda each: each[1] == 0)
    listeners = {}
    with contextlib.ExitStack() as undo:
        for name, port in in_turn:
            listeners[name] = undo.enter_context(_listen(name, port))
        undo.pop_all()
    return {name: listeners[name] for name in ports}


def _listen(name: str, port: int) -> socket.socket:
    listener = socket.socket()
    # A cloud that starts again need not wait until the kernel has dropped old connections.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
        listener.listen(QUEUE)
    except OSError as error:
        listener.close()
        raise PortTaken(error.errno, error.strerror, f"port {port} of {name}") from error
    # A client may have closed its connection before it is accepted: accept must not block.
    listener.setblocking(False)
    return listener


def close_waiting_client(listener: socket.socket) -> None:
    """Close the connection of a client that waits for a service without a worker."""
    with contextlib.suppress(OSError):
        listener.accept()[0].close()
