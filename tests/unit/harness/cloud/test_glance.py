# SPDX-License-Identifier: Apache-2.0
"""Glance's part of the cloud: what it is not allowed to do to its server."""

import http.client
import io
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from bsdgate.harness.cloud import glance, worker


def test_body_is_read_in_all_the_ways_a_server_offers() -> None:
    lines = [b"one\n", b"two\n", b"three"]
    assert glance.Body(io.BytesIO(b"".join(lines))).read(5) == b"one\nt"
    assert glance.Body(io.BytesIO(b"".join(lines))).readline() == lines[0]
    assert glance.Body(io.BytesIO(b"".join(lines))).readlines() == lines
    assert list(glance.Body(io.BytesIO(b"".join(lines)))) == lines


def closing(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    """Store what comes and close it if that can be done, as Glance does."""
    body = environ["wsgi.input"]
    length = len(body.read())
    if hasattr(body, "close"):
        body.close()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(length).encode()]


@pytest.fixture
def port() -> Iterator[int]:
    """A server of Glance's kind."""

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        environ["wsgi.input"] = glance.Body(environ["wsgi.input"])
        return closing(environ, start_response)

    listener = socket.create_server(("127.0.0.1", 0))
    server = worker.bound_server(listener, application, threads=1)
    server.prepare()
    thread = threading.Thread(target=server.serve)
    thread.start()
    yield listener.getsockname()[1]
    server.stop()
    thread.join()


def test_a_connection_outlives_an_upload(port: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    lengths = []
    for chunk in (b"an image", b"another"):
        connection.request("PUT", "/", body=iter([chunk]), encode_chunked=True)
        lengths.append(connection.getresponse().read())
    connection.close()
    assert lengths == [b"8", b"7"]
