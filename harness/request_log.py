# SPDX-License-Identifier: Apache-2.0
"""The log of the requests of a run that can alter a cloud, in JSON lines.

Several processes append to one file. A line is written before a request is sent, and another line
with its answer. The id of a new resource is on the disk before the client gets the answer: even
after a crash, the next run can delete the resource.
"""

import json
import os
import re
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

from bsdgate.harness import files

VARIABLE: Final = "BSDGATE_REQUEST_LOG"
"""The environment variable with the path of the file, for the processes that run the tests."""

_ALTERING: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_ID: Final = re.compile(r"[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_TOKENS: Final = "/auth/tokens"
_REFUSED: Final = range(400, 500)
_MADE: Final = range(200, 300)
_IDS: Final = ("id", "uuid", "image_id")


@dataclass(frozen=True)
class Request:
    """A request that can alter the cloud.

    ``names`` are the parts of the path and the query, and the ids in the body. ``status`` is None
    without an answer. ``made`` are the ids of the new resources, from the answer.
    """

    method: str
    path: str
    names: frozenset[str] = frozenset()
    status: int | None = None
    made: tuple[str, ...] = ()

    @property
    def refused(self) -> bool:
        """Whether the service refused the request and altered nothing."""
        return self.status in _REFUSED


@dataclass(frozen=True)
class RequestLog:
    """Appends the requests of this process to a file."""

    path: Path

    def begin(self, method: str, url: str, body: Any) -> str | None:
        """Write the line of a request; return its id, or None for a request that alters nothing."""
        path = urlsplit(url).path
        if method.upper() not in _ALTERING or path.endswith(_TOKENS):
            return None
        identity = uuid.uuid4().hex
        names = sorted({*_parts(url), *_ids(_document(body))})
        line = {"request": identity, "method": method.upper(), "path": path, "names": names}
        self._append(line, durable=False)
        return identity

    def end(self, identity: str, method: str, url: str, status: int, body: Any) -> None:
        """Write the line of an answer, and sync it to the disk if it has ids of new resources."""
        made: list[str] = []
        if method.upper() == "POST" and status in _MADE:
            named = _parts(url)
            made = [each for each in _made(_document(body)) if each not in named]
        self._append({"request": identity, "status": status, "made": made}, durable=bool(made))

    def made(self, path: str, made: str) -> None:
        """Write the lines of a request by which bsdgate itself created a resource."""
        identity = uuid.uuid4().hex
        self._append({"request": identity, "method": "POST", "path": path, "names": []}, False)
        self._append({"request": identity, "status": 201, "made": [made]}, durable=True)

    def _append(self, line: Mapping[str, Any], durable: bool) -> None:
        fd = files.open_private(self.path, os.O_APPEND)
        try:
            files.write_all(fd, json.dumps(line).encode() + b"\n")
            if durable:
                os.fsync(fd)
        finally:
            os.close(fd)


def read(path: Path) -> list[Request]:
    """Return the requests in a file, or an empty list if there is no file.

    Lines that a killed process did not complete are skipped.
    """
    if not path.exists():
        return []
    lines = [found for line in path.read_bytes().splitlines() if (found := _document(line))]
    answers = {each["request"]: each for each in lines if "status" in each}
    return [_request(each, answers.get(each["request"], {})) for each in lines if "method" in each]


def is_id(text: str) -> bool:
    """Return whether a text is a unique id that a service has generated."""
    return _ID.fullmatch(text) is not None


def _request(asked: Mapping[str, Any], answer: Mapping[str, Any]) -> Request:
    return Request(
        asked["method"],
        asked["path"],
        frozenset(asked["names"]),
        answer.get("status"),
        tuple(answer.get("made", ())),
    )


def _parts(url: str) -> frozenset[str]:
    parts = urlsplit(url)
    values = [value for _, value in parse_qsl(parts.query)]
    return frozenset(filter(None, [*map(unquote, parts.path.split("/")), *values]))


def _document(body: Any) -> Any:
    """Return the JSON document in a body; None for other content."""
    try:
        return json.loads(body)
    except (TypeError, ValueError):
        return None


def _ids(document: Any) -> Iterator[str]:
    """Yield all ids in a document."""
    if isinstance(document, str) and is_id(document):
        yield document
    elif isinstance(document, dict):
        for each in document.values():
            yield from _ids(each)
    elif isinstance(document, list):
        for each in document:
            yield from _ids(each)


def _made(document: Any) -> list[str]:
    """Return the ids of the resource or of the list of resources in an answer."""
    if isinstance(document, dict) and len(document) == 1:
        (only,) = document.values()
        document = only if isinstance(only, dict | list) else document
    found = document if isinstance(document, list) else [document]
    return [identity for each in found if isinstance(each, dict) for identity in _identity(each)]


def _identity(resource: Mapping[str, Any]) -> list[str]:
    for key in _IDS:
        if isinstance(resource.get(key), str | int):
            return [str(resource[key])]
    # The id of a key pair is its name.
    return [resource["name"]] if isinstance(resource.get("name"), str) else []
