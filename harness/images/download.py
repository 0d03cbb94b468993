# SPDX-License-Identifier: Apache-2.0
"""A download that continues where an earlier one stopped, and computes the checksum meanwhile.

An incomplete file is kept, with a ``.json`` file beside it that contains its URL and the validator
of its content (an ETag or a date): the server continues only the same content.
"""

import contextlib
import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

import requests
from pydantic import TypeAdapter, ValidationError

from bsdgate.harness import files
from bsdgate.harness.errors import InfrastructureError, UsageError
from bsdgate.harness.images.client import (
    CHUNK,
    Client,
    Cut,
    Deadline,
    chunks,
    failure,
    name_in,
    shown,
)
from bsdgate.harness.images.model import Algorithm, Digest
from bsdgate.harness.images.progress import Listener

STAGE: Final = "download"

_CONTENT_RANGE: Final = re.compile(r"bytes (?:(?P<first>\d+)-\d+|\*)/(?P<total>\d+)")


@dataclass(frozen=True)
class Source:
    """The URL of a file, and the validator of its content, if the server sent one."""

    url: str
    validator: str | None


_SOURCES: Final = TypeAdapter(Source)


def remove(path: Path) -> None:
    """Remove a file that was downloaded, complete or not."""
    path.unlink(missing_ok=True)
    _source_file(path).unlink(missing_ok=True)


@contextlib.contextmanager
def writing(stage: str, path: Path) -> Iterator[None]:
    """Turn an OSError about ``path`` into an error that names the stage and the next step."""
    try:
        with files.explain_errors(path):
            yield
    except (InfrastructureError, UsageError) as error:
        raise type(error)(f"{stage}: {error.message}", error.hint) from error


@dataclass
class Download:
    """Completes the file ``path`` from a URL. The caller excludes other processes.

    ``verified``: whether the caller compares the digest of the file with a published one. Without
    that, a file is continued only if the server sent a validator.
    """

    client: Client
    url: str
    path: Path
    algorithm: Algorithm
    listener: Listener
    verified: bool = field(kw_only=True)

    def __post_init__(self) -> None:
        self._name = name_in(self.url)
        self._deadline = Deadline(self.client.limits)
        self._hash = hashlib.new(self.algorithm)
        self._size = 0
        with writing(STAGE, self.path):
            self._fd = files.open_private(self.path, 0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)

    def run(self) -> Digest:
        """Try until the file is complete, or until consecutive tries bring no new byte.

        Return the digest of the whole file.

        :raises InfrastructureError: the file is not complete; another download continues it.
        """
        self._read_existing()
        without_progress = 0
        while True:
            before = self._size
            try:
                self._try()
                return Digest(self.algorithm, self._hash.hexdigest())
            except Cut as cut:
                without_progress = 0 if self._size > before else without_progress + 1
                if without_progress >= self.client.limits.tries or self._deadline.is_over:
                    raise self._failure(str(cut)) from cut
                self._deadline.pause()

    def _failure(self, why: str) -> InfrastructureError:
        hint = "check the network, the proxy variables and the URL"
        if self._size:
            hint = f"start the command again: it continues after {self._size} bytes"
        if self._deadline.is_over:
            hint += ", or give it more time with --download-timeout"
        return failure(STAGE, self.url, why, hint)

    def _read_existing(self) -> None:
        with writing(STAGE, self.path), self.path.open("rb") as file:
            while chunk := file.read(CHUNK):
                self._hash.update(chunk)
                self._size += len(chunk)
        os.lseek(self._fd, self._size, os.SEEK_SET)
        validator = self._validator()
        if self._size and validator is None and not self.verified:
            self._start_over()

    def _try(self) -> None:
        response = self.client.open(self.url, self._headers(), STAGE, self._deadline)
        with response:
            total = self._begin(response)
            self._check_room(total)
            self.listener.stage(STAGE, self._name, total)
            self.listener.advance(self._size)
            if response.status_code != requests.codes.requested_range_not_satisfiable:
                self._receive(response)
        if total is not None and self._size < total:
            raise Cut(f"the connection was cut after {self._size} of {total} bytes")

    def _headers(self) -> dict[str, str]:
        if not self._size:
            return {}
        validator = self._validator()
        condition = {"If-Range": validator} if validator else {}
        return {"Range": f"bytes={self._size}-", **condition}

    def _begin(self, response: requests.Response) -> int | None:
        """Prepare the file for the body; return the size of the whole file, if it is known."""
        if response.status_code == requests.codes.ok:
            self._start_over()
            self._save_source(response)
            length = response.headers.get("Content-Length", "")
            return int(length) if length.isdecimal() else None
        content_range = response.headers.get("Content-Range", "")
        match = _CONTENT_RANGE.fullmatch(content_range)
        complete = match is not None and int(match["total"]) == self._size
        continued = match is not None and match["first"] == str(self._size)
        if match is None or not (complete or continued):
            self._start_over()
            raise Cut(f"the server sent another part: {content_range or 'without its range'}")
        return int(match["total"])

    def _receive(self, response: requests.Response) -> None:
        for chunk in chunks(response, self._deadline):
            with writing(STAGE, self.path):
                files.write_all(self._fd, chunk)
            self._hash.update(chunk)
            self._size += len(chunk)
            self.listener.advance(self._size)

    def _start_over(self) -> None:
        with writing(STAGE, self.path):
            os.ftruncate(self._fd, 0)
            os.lseek(self._fd, 0, os.SEEK_SET)
        self._size = 0
        self._hash = hashlib.new(self.algorithm)
        _source_file(self.path).unlink(missing_ok=True)

    def _check_room(self, total: int | None) -> None:
        folder, needed = self.path.parent, (total or 0) - self._size
        free = shutil.disk_usage(folder).free
        if needed > free:
            raise InfrastructureError(
                f"{STAGE}: no room for {shown(self.url)} in {folder}: {needed} bytes are needed,"
                f" {free} are free",
                f"make room, or {files.ELSEWHERE}",
            )

    def _save_source(self, response: requests.Response) -> None:
        etag, modified = response.headers.get("ETag", ""), response.headers.get("Last-Modified")
        # A weak ETag does not promise the same bytes.
        validator = etag if etag.startswith('"') else modified
        source = _SOURCES.dump_json(Source(self.url, validator))
        files.write_atomically(_source_file(self.path), source)

    def _validator(self) -> str | None:
        """Return the validator of the content of the file, if the content is from this URL."""
        source = source_of(self.path)
        return None if source is None or source.url != self.url else source.validator


def source_of(path: Path) -> Source | None:
    """Return the URL and the validator of an incomplete file; None if they are not known."""
    try:
        return _SOURCES.validate_json(_source_file(path).read_bytes())
    except (OSError, ValidationError):
        return None


def _source_file(path: Path) -> Path:
    return path.with_suffix(".json")
