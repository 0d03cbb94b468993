# SPDX-License-Identifier: Apache-2.0
"""FreeBSD's release tree on a local server, which can fail in the ways of real ones."""

import hashlib
import re
import sys
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

Fault = Callable[["Handler", bytes], None]


class ReleaseTree:
    """Files below ``root`` on a server; each fault is used for one request of its path."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.url = ""
        self.faults: dict[str, list[Fault]] = defaultdict(list)
        self.requests: list[tuple[str, Mapping[str, str]]] = []
        self.ended = threading.Event()

    def write(self, path: str, content: bytes) -> str:
        """Write a file; return its URL."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        return f"{self.url}/{path}"

    def publish(
        self, folder: str, images: Mapping[str, bytes], ending: str = "", link: str | None = None
    ) -> None:
        """Write images and the lists of their checksums; ``link`` is a second folder with a list.

        ``ending`` is the end of the names of the lists, for a snapshot.
        """
        for name, content in images.items():
            self.write(f"{folder}/{name}", content)
        for algorithm in ("sha512", "sha256"):
            text = "".join(
                f"{algorithm.upper()} ({name}) = {hashlib.new(algorithm, content).hexdigest()}\n"
                for name, content in images.items()
            )
            self.write(f"{folder}/CHECKSUM.{algorithm.upper()}{ending}", text.encode())
            if link is not None:
                self.write(f"{link}/CHECKSUM.{algorithm.upper()}", text.encode())

    def fail(self, path: str, *faults: Fault) -> None:
        """Use these faults for the next requests of a path, one after another."""
        self.faults[path] += faults

    def ranges(self, path: str) -> list[str | None]:
        """Return the ranges of the requests of a path."""
        return [headers.get("Range") for asked, headers in self.requests if asked == path]


class Handler(BaseHTTPRequestHandler):
    """Serves files, parts of files, and indexes of folders."""

    protocol_version = "HTTP/1.1"
    tree: ReleaseTree

    def do_GET(self) -> None:
        """Answer a request, by the next fault of its path if there is one."""
        path = self.path.strip("/")
        self.tree.requests.append((path, dict(self.headers)))
        file = self.tree.root / path
        if file.is_dir():
            names = (each.name + "/" * each.is_dir() for each in file.iterdir())
            links = "".join(f'<a href="{name}">{name}</a>\n' for name in sorted(names))
            content = f"<html><h1>Index</h1><pre><a href='../'>../</a>\n{links}".encode()
        elif file.is_file():
            content = file.read_bytes()
        else:
            content = b""
        if self.tree.faults[path]:
            self.tree.faults[path].pop(0)(self, content)
        elif not file.exists():
            self.start(404, 0)
        else:
            self.serve(content)

    def serve(self, content: bytes) -> None:
        """Send the content, or the part of it that is asked."""
        part, headers = self.part(content)
        self.start(206 if headers else 200, len(part), ETag=etag(content), **headers)
        self.wfile.write(part)

    def part(self, content: bytes) -> tuple[bytes, dict[str, str]]:
        """Return the asked part, and its headers; no headers for the whole content."""
        match = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if match is None or self.headers.get("If-Range", etag(content)) != etag(content):
            return content, {}
        first = int(match[1])
        asked = f"{first}-{len(content) - 1}" if first < len(content) else "*"
        return content[first:], {"Content_Range": f"bytes {asked}/{len(content)}"}

    def start(self, status: int, length: int | None, **headers: str) -> None:
        """Send the status and the headers."""
        if headers.get("Content_Range", "").startswith("bytes */"):
            status = 416
        self.send_response(status)
        if length is not None:
            self.send_header("Content-Length", str(length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
        """Print nothing."""


def etag(content: bytes) -> str:
    """Return the ETag of a content."""
    return f'"{hashlib.sha256(content).hexdigest()[:16]}"'


def cut(count: int) -> Fault:
    """Send ``count`` bytes of what is asked, then close the connection."""

    def fault(handler: Handler, content: bytes) -> None:
        part, headers = handler.part(content)
        handler.start(206 if headers else 200, len(part), ETag=etag(content), **headers)
        handler.wfile.write(part[:count])
        handler.close_connection = True

    return fault


def silent(count: int) -> Fault:
    """Send ``count`` bytes, then nothing more until the server ends."""

    def fault(handler: Handler, content: bytes) -> None:
        part, headers = handler.part(content)
        handler.start(206 if headers else 200, len(part), ETag=etag(content), **headers)
        handler.wfile.write(part[:count])
        handler.tree.ended.wait()
        handler.close_connection = True

    return fault


def slow(handler: Handler, content: bytes) -> None:
    """Send a byte every few milliseconds, until the client is gone or the server ends."""
    handler.start(200, len(content), ETag=etag(content))
    handler.close_connection = True
    try:
        for value in content:
            handler.wfile.write(bytes([value]))
            if handler.tree.ended.wait(0.005):
                return
    except OSError:
        return


def held(reached: threading.Event, released: threading.Event) -> Fault:
    """Set ``reached``, and send what is asked when ``released`` is set."""

    def fault(handler: Handler, content: bytes) -> None:
        reached.set()
        released.wait()
        handler.serve(content)

    return fault


def status(code: int) -> Fault:
    """Answer with this status and no body."""
    return lambda handler, _: handler.start(code, 0)


def redirect(url: str) -> Fault:
    """Lead to another URL."""
    return lambda handler, _: handler.start(302, 0, Location=url)


def plain(handler: Handler, content: bytes) -> None:
    """Send all without an ETag, whatever part is asked."""
    handler.start(200, len(content))
    handler.wfile.write(content)


def without_etag(count: int) -> Fault:
    """Send ``count`` bytes without an ETag, then close the connection."""

    def fault(handler: Handler, content: bytes) -> None:
        handler.start(200, len(content))
        handler.wfile.write(content[:count])
        handler.close_connection = True

    return fault


def other_part(handler: Handler, content: bytes) -> None:
    """Send another part than the asked one."""
    handler.start(206, len(content), Content_Range=f"bytes 0-{len(content) - 1}/{len(content)}")
    handler.wfile.write(content)


class Server(ThreadingHTTPServer):
    """A server that says nothing of clients that have closed their connections."""

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore the error of a connection; any other is printed."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


@contextmanager
def serving(root: Path) -> Iterator[ReleaseTree]:
    """Serve a tree on a free port of the loopback address."""
    tree = ReleaseTree(root)
    handler = type("TreeHandler", (Handler,), {"tree": tree})
    with Server(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        tree.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield tree
        finally:
            tree.ended.set()
            server.shutdown()
            thread.join()
