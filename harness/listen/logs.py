# SPDX-License-Identifier: Apache-2.0
"""Fetches files of a build from its log server, with a limited size and a known digest."""

import hashlib
import time
from collections.abc import Sequence
from typing import Final

import requests

from bsdgate.harness.listen.returned import File, UnusableError
from bsdgate.harness.reviews.client import Limits
from bsdgate.harness.reviews.exchange import FAILURES, exchange, reason

_BUSY: Final = 408, 425, 429
_SERVER_ERROR: Final = 500


class LogsUnavailableError(Exception):
    """A log server does not answer, or asks to try later."""


class Logs:
    """The log servers from which verdicts are fetched. A file must have one of the ``prefixes``."""

    def __init__(self, prefixes: Sequence[str], limits: Limits | None = None) -> None:
        """Connect to no server yet."""
        self._prefixes: Final = tuple(prefixes)
        self._limits: Final = limits or Limits(total=30.0)
        self._session: Final = requests.Session()
        self._session.trust_env = False
        # The digest is of the file, not of a compressed form.
        self._session.headers.update({"User-Agent": "bsdgate", "Accept-Encoding": "identity"})

    def fetch(self, log_url: str, file: File) -> bytes:
        """Return the content of a file below the log URL of a build.

        :raises LogsUnavailableError: the server does not answer.
        :raises UnusableError: the file is not there, or is not the one that was returned.
        """
        url = self._address(log_url, file)
        end = time.monotonic() + self._limits.total
        request = requests.Request("GET", url)
        try:
            response, body = exchange(
                self._session, request, self._limits.connect, end, file.size + 1
            )
        except FAILURES as error:
            raise LogsUnavailableError(f"{url}: {reason(error)}") from error
        status = response.status_code
        if status in _BUSY or status >= _SERVER_ERROR:
            raise LogsUnavailableError(f"{url}: the answer is {status}")
        if status != requests.codes.ok:
            raise UnusableError(f"the log server answers {status} for {file.path}")
        if len(body) != file.size or hashlib.sha256(body).hexdigest() != file.sha256:
            raise UnusableError(f"{file.path} has another digest than its post-run returned")
        return body

    def _address(self, log_url: str, file: File) -> str:
        base: str = log_url if log_url.endswith("/") else f"{log_url}/"
        # A part ".." or a user before the host could lead to another server or folder.
        plain = not any(part in base for part in ("/../", "/./", "\\", "?", "#", "@", "%2e", "%2E"))
        if not plain or not base.startswith(self._prefixes):
            raise UnusableError(f"its logs are not on an allowed server: {log_url}")
        return f"{base}{file.path}"
