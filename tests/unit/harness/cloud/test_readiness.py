# SPDX-License-Identifier: Apache-2.0
"""A cloud is ready when its services answer by HTTP, not when they accept connections."""

import socket
import threading
from pathlib import Path

import pytest

from bsdgate.harness.cloud import readiness
from bsdgate.harness.cloud.spec import HOST, CloudSpec, Limits


@pytest.mark.parametrize("answer", [b"", b"220 ready\r\n", b"HTTP/1.1 200 OK\r\n\r\nwelcome"])
def test_a_port_that_only_accepts_connections_is_not_ready(tmp_path: Path, answer: bytes) -> None:
    with socket.create_server((HOST, 0)) as listener:

        def serve() -> None:
            client, _ = listener.accept()
            with client:
                client.recv(65536)
                client.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        port = listener.getsockname()[1]
        spec = CloudSpec.generate("here", tmp_path, {"keystone": port}, {})
        with pytest.raises(RuntimeError, match=f"POST http://{HOST}:{port}/v3/auth/tokens"):
            readiness.check(spec)
        thread.join()


def test_a_request_has_the_time_limit_of_the_start(tmp_path: Path) -> None:
    with socket.create_server((HOST, 0)) as listener:
        port = listener.getsockname()[1]
        limits = Limits(start=0.1)
        spec = CloudSpec.generate("here", tmp_path, {"keystone": port}, {}, limits=limits)
        with pytest.raises(RuntimeError, match="has no answer: TimeoutError"):
            readiness.check(spec)
