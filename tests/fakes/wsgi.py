# SPDX-License-Identifier: Apache-2.0
"""A WSGI application on the server of the embedded cloud."""

import contextlib
import socket
import threading
from collections.abc import Iterator

from bsdgate.harness.cloud import worker
from bsdgate.harness.cloud.service import Application


@contextlib.contextmanager
def serving(application: Application) -> Iterator[int]:
    """Serve an application with one thread; yield the port."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = worker.bound_server(listener, application, threads=1)
    server.prepare()
    thread = threading.Thread(target=server.serve)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        server.stop()
        thread.join()
