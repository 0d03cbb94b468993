# SPDX-License-Identifier: Apache-2.0
"""Glance's application in the cloud: it cannot close the connection of a client."""

import http.client
import io
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fakes.wsgi import serving

from bsdgate.harness.cloud import glance


def test_body_has_all_methods_for_reading() -> None:
    lines = [b"one\n", b"two\n", b"three"]
    assert glance.RequestBody(io.BytesIO(b"".join(lines))).read(5) == b"one\nt"
    assert glance.RequestBody(io.BytesIO(b"".join(lines))).readline() == lines[0]
    assert glance.RequestBody(io.BytesIO(b"".join(lines))).readlines() == lines
    assert list(glance.RequestBody(io.BytesIO(b"".join(lines)))) == lines


def closing(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    """Read the body and close it if it has a method for that, as Glance does."""
    body = environ["wsgi.input"]
    length = len(body.read())
    if hasattr(body, "close"):
        body.close()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(length).encode()]


@pytest.fixture
def port() -> Iterator[int]:
    """Yield the port of a server with an application that closes bodies as Glance does."""

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        environ["wsgi.input"] = glance.RequestBody(environ["wsgi.input"])
        return closing(environ, start_response)

    with serving(application) as port:
        yield port


def test_a_connection_stays_open_after_an_upload(port: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    lengths = []
    for chunk in (b"an image", b"another"):
        connection.request("PUT", "/", body=iter([chunk]), encode_chunked=True)
        lengths.append(connection.getresponse().read())
    connection.close()
    assert lengths == [b"8", b"7"]
