# SPDX-License-Identifier: Apache-2.0
"""Requests to a server, with time limits, and with errors that name the URL and the next step."""

import http.client
import time
from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import urlsplit

import requests
import urllib3

from bsdgate.harness.command_line import without_url_passwords
from bsdgate.harness.errors import InfrastructureError, UsageError
from bsdgate.harness.images.settings import Limits

CHUNK: Final = 1 << 20
"""The number of bytes that are read at once."""

TEXT_MAX: Final = 4 << 20
"""The maximum size of a list of checksums, of an index or of a signature."""

_GONE: Final = frozenset({404, 410})
_BUSY: Final = frozenset({408, 425, 429, 500, 502, 503, 504})

_REASONS: Final = (
    (requests.ConnectTimeout, "no connection after {limits.connect:g} s"),
    (urllib3.exceptions.IncompleteRead, "the connection was cut"),
    (http.client.IncompleteRead, "the connection was cut"),
    (TimeoutError, "the server sent nothing for {limits.silence:g} s"),
    (urllib3.exceptions.TimeoutError, "the server sent nothing for {limits.silence:g} s"),
)


class NotFound(InfrastructureError):
    """The server has nothing at the URL."""


class Cut(Exception):
    """A try ended too early; another one may succeed. The text is the reason."""


class Deadline:
    """The time at which a download must have ended."""

    def __init__(self, limits: Limits) -> None:
        """Begin now."""
        self.limits: Final = limits
        self._end: Final = time.monotonic() + limits.total

    @property
    def left(self) -> float:
        """The seconds that are left, at least a moment: a socket refuses 0."""
        return max(0.01, self._end - time.monotonic())

    @property
    def is_over(self) -> bool:
        """Whether the time is over."""
        return time.monotonic() >= self._end

    def pause(self) -> None:
        """Wait between two tries, not longer than the time that is left.

        A server does not report when it can answer again, so there is no event to wait for.
        """
        time.sleep(min(self.limits.pause, self.left))


class Client:
    """A client of HTTP servers; it follows redirects, and uses proxies as curl does."""

    def __init__(self, limits: Limits) -> None:
        """Connect to no server yet."""
        self.limits: Final = limits
        self._session: Final = requests.Session()
        # A compressed response cannot be continued at an offset.
        self._session.headers.update({"User-Agent": "bsdgate", "Accept-Encoding": "identity"})

    def text(self, url: str, stage: str) -> str:
        """Return a small document.

        :raises NotFound: there is none.
        """
        deadline = Deadline(self.limits)
        for left in reversed(range(self.limits.tries)):
            try:
                return self._text(url, stage, deadline)
            except Cut as cut:
                if not left or deadline.is_over:
                    raise failure(stage, url, str(cut)) from cut
                deadline.pause()
        raise AssertionError("the last try returns or raises")

    def _text(self, url: str, stage: str, deadline: Deadline) -> str:
        with self.open(url, {}, stage, deadline) as response:
            found = b""
            for chunk in chunks(response, deadline):
                found += chunk
                if len(found) > TEXT_MAX:
                    raise failure(stage, url, f"it has more than {TEXT_MAX} bytes")
            expected = response.headers.get("Content-Length", str(len(found)))
            if str(len(found)) != expected:
                raise Cut(f"the connection was cut after {len(found)} of {expected} bytes")
            return found.decode("utf-8", "replace")

    def open(
        self, url: str, headers: Mapping[str, str], stage: str, deadline: Deadline
    ) -> requests.Response:
        """Return the response, with its body not read yet; its status is one of success, or 416.

        :raises Cut: the server cannot be reached, or is busy.
        :raises NotFound: the server has nothing at this URL.
        """
        timeout = (min(deadline.limits.connect, deadline.left), _silence(deadline))
        try:
            response = self._session.get(url, headers=dict(headers), stream=True, timeout=timeout)
        except (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema) as error:
            what = f"{stage}: {shown(url)} is not a URL: {error}"
            raise UsageError(what, "correct it") from error
        except requests.TooManyRedirects as error:
            raise failure(stage, url, "too many redirects") from error
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            raise Cut(reason(error, deadline)) from error
        try:
            _check(response, url, stage)
        except BaseException:
            response.close()
            raise
        return response


def chunks(response: requests.Response, deadline: Deadline) -> Iterator[bytes]:
    """Yield the body as it comes.

    :raises Cut: the connection was cut, the server is silent, or the time is over.
    """
    while True:
        try:
            # Unlike read, it returns what has come, so that the time is checked.
            chunk = response.raw.read1(CHUNK)
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            raise Cut(reason(error, deadline)) from error
        if not chunk:
            return
        yield chunk
        if deadline.is_over:
            raise Cut(_over(deadline))


def failure(stage: str, url: str, why: str, hint: str | None = None) -> InfrastructureError:
    """Return an error of a stage with a URL."""
    advice = "check the network, the proxy variables and the URL, then start the command again"
    return InfrastructureError(f"{stage}: {shown(url)}: {why}", hint or advice)


def shown(url: str) -> str:
    """Return the URL without its password."""
    return without_url_passwords(url)


def name_in(url: str) -> str:
    """Return the name of the file at a URL."""
    return urlsplit(url).path.rpartition("/")[2]


def reason(error: BaseException, deadline: Deadline) -> str:
    """Return why a connection failed, in a few words: libraries nest the system's error deeply."""
    if deadline.is_over:
        return _over(deadline)
    seen: list[BaseException] = []
    queue: list[object] = [error]
    while queue:
        each = queue.pop(0)
        if isinstance(each, BaseException) and each not in seen:
            seen.append(each)
            queue += [*each.args, getattr(each, "reason", None), each.__cause__, each.__context__]
    texts = [each.strerror for each in seen if isinstance(each, OSError) and each.strerror]
    if texts:
        return texts[-1]
    for kind, text in _REASONS:
        if any(isinstance(each, kind) for each in seen):
            return text.format(limits=deadline.limits)
    return str(seen[-1])


def _silence(deadline: Deadline) -> float:
    return min(deadline.limits.silence, deadline.left)


def _over(deadline: Deadline) -> str:
    return f"the time limit of {deadline.limits.total:g} s is over"


def _check(response: requests.Response, url: str, stage: str) -> None:
    status = response.status_code
    if url.startswith("https:") and not response.url.startswith("https:"):
        raise failure(stage, url, f"it leads to {shown(response.url)}, which is not encrypted")
    if status in _GONE:
        raise NotFound(f"{stage}: {shown(url)}: not found ({status})", "check the URL")
    if status in _BUSY:
        raise Cut(f"the server answered {status} {response.reason}")
    if status not in {200, 206, 416}:
        raise failure(stage, url, f"the server answered {status} {response.reason}")
