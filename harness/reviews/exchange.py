# SPDX-License-Identifier: Apache-2.0
"""One HTTP request with a limited answer: its size, and the time of the whole exchange."""

import time
from typing import Final

import requests
import urllib3

ANSWER_BOUND: Final = 32 << 20
"""The maximum size of an answer in bytes."""

FAILURES: Final = (requests.RequestException, urllib3.exceptions.HTTPError, OSError)
"""The exceptions of a request that got no complete answer."""

_CHUNK: Final = 1 << 16


def exchange(
    session: requests.Session,
    request: requests.Request,
    connect: float,
    end: float,
    bound: int | None = None,
) -> tuple[requests.Response, bytes]:
    """Send a request; return the response and its body. Redirections are not followed.

    ``connect`` is the time limit of the connection in seconds, ``end`` is when the exchange must be
    complete (``time.monotonic``), ``bound`` is the maximum size of the body (ANSWER_BOUND).
    """
    bound = ANSWER_BOUND if bound is None else bound
    prepared = session.prepare_request(request)
    settings = session.merge_environment_settings(prepared.url or "", {}, True, None, None)
    timeout = connect, max(end - time.monotonic(), 0.001)
    with session.send(
        # A redirected POST would become a GET.
        prepared,
        timeout=timeout,
        allow_redirects=False,
        **settings,
    ) as response:
        found = bytearray()
        # Unlike read, read1 returns what has come, so that the time is checked.
        while chunk := response.raw.read1(_CHUNK):
            found += chunk
            if time.monotonic() > end:
                raise TimeoutError("the time limit of the request is over")
            if len(found) > bound:
                raise OSError(f"the answer has more than {bound} bytes")
        if str(len(found)) != response.headers.get("Content-Length", str(len(found))):
            raise requests.ConnectionError("cut")
        return response, bytes(found)


def reason(error: BaseException) -> str:
    """Return why a connection failed, without the request: libraries nest errors deeply."""
    if isinstance(error, requests.ConnectTimeout):
        return "no connection within the time limit"
    if isinstance(error, requests.Timeout | urllib3.exceptions.TimeoutError | TimeoutError):
        return "no answer within the time limit"
    if isinstance(error, requests.exceptions.SSLError):
        return f"the encrypted connection failed: {error}"
    if isinstance(error, requests.ConnectionError | urllib3.exceptions.HTTPError):
        return "the connection failed or was cut"
    return str(error)
