# SPDX-License-Identifier: Apache-2.0
"""A local server that replaces an OpenStack service."""

import json
import threading
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

with warnings.catch_warnings():
    # Tempest imports clients that it has deprecated.
    warnings.simplefilter("ignore", DeprecationWarning)
    import tempest.config  # noqa: F401


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: Any


@dataclass
class Api:
    """Returns for each path the response that a test has set: a status and a body."""

    url: str = ""
    answers: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)

    def answer(self, path: str, status: int, document: object = None) -> str:
        """Set the response of a path; return its URL."""
        body = b"" if document is None else json.dumps(document).encode()
        self.answers[path] = (status, body)
        return f"{self.url}{path}"


class CatalogueAuth:
    """The part of an auth provider that a RestClient uses: a token and a catalogue."""

    def __init__(self, catalog: list[dict[str, Any]]) -> None:
        self.auth_data = ("a-token", {"catalog": catalog})

    def auth_request(
        self, method: str, url: str, headers: Any = None, body: Any = None, filters: Any = None
    ) -> tuple[str, dict[str, str], Any]:
        (service,) = (each for each in self.auth_data[1]["catalog"] if each["type"] == "baremetal")
        root = service["endpoints"][0]["url"]
        return f"{root}/{url}", {**(headers or {}), "X-Auth-Token": self.auth_data[0]}, body


@pytest.fixture
def api() -> Iterator[Api]:
    api = Api()

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            sent = json.loads(self.rfile.read(length)) if length else None
            api.requests.append(Request(self.command, self.path, dict(self.headers), sent))
            status, body = api.answers[self.path]
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer  # noqa: N815

        def log_message(self, *args: object) -> None:
            """Write no log."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        api.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield api
        server.shutdown()
        thread.join()


@pytest.fixture
def auth(api: Api) -> CatalogueAuth:
    def endpoint(interface: str, url: str, region: str = "One") -> dict[str, str]:
        return {"interface": interface, "url": url, "region": region}

    return CatalogueAuth(
        [
            {"type": "baremetal", "endpoints": [endpoint("public", api.url)]},
            {
                "type": "image",
                "endpoints": [
                    endpoint("public", f"{api.url}/image/v2/"),
                    endpoint("internal", f"{api.url}/inside"),
                    endpoint("public", f"{api.url}/two", region="Two"),
                ],
            },
            {"type": "metering", "endpoints": [endpoint("public", f"{api.url}/metering")]},
        ]
    )
