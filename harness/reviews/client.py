# SPDX-License-Identifier: Apache-2.0
"""A client of Gerrit's REST API, with an exception for each kind of refusal.

A request is never repeated here: after a time-out it is not known whether Gerrit has accepted it.
"""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from ipaddress import ip_address
from typing import Any, Final, Self
from urllib.parse import quote, urlsplit

import requests
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from bsdgate.harness.errors import InfrastructureError, UsageError
from bsdgate.harness.reviews.credentials import Credentials
from bsdgate.harness.reviews.exchange import FAILURES, exchange, reason
from bsdgate.results.reporters.review import Review

TEXT_BOUND: Final = 200
_PREFIX: Final = b")]}'"
"""The beginning of each JSON answer of Gerrit."""

_BUSY: Final = 408, 425, 429
_SERVER_ERROR: Final = 500
_WAIT_BOUND: Final = 3600


class Unavailable(InfrastructureError):
    """Gerrit did not answer, or asks to try later; a request may have been accepted.

    ``after`` is the number of seconds after which Gerrit asks to try again, 0 if it does not.
    """

    def __init__(self, message: str, after: float = 0) -> None:
        super().__init__(message, "try again later")
        self.after = after


class InProgress(Unavailable):
    """An earlier post may still be executed for ``after`` seconds."""


class Blocked(InfrastructureError):
    """Nothing can be posted until somebody corrects the credentials or the URL."""


class Refused(InfrastructureError):
    """Gerrit has refused a request, with this status and text."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"Gerrit answered {status}: {text}")
        self.status = status
        self.text = text


@dataclass(frozen=True, slots=True)
class Limits:
    """Time limits in seconds: of a connection, and of a whole request.

    ``deadline`` is when Gerrit gives up a post: later, it executes no request that a killed client
    or a cut connection has left.
    """

    connect: float = 10.0
    total: float = 60.0
    deadline: float = 30.0


class Author(BaseModel):
    """The author of a message."""

    account: int = Field(alias="_account_id")


class Message(BaseModel):
    """A message on a change; messages of Gerrit itself have no author."""

    author: Author | None = None
    message: str


class _Revision(BaseModel):
    number: int = Field(alias="_number")


class Change(BaseModel):
    """The state of a change."""

    status: str
    current_revision: str
    revisions: Mapping[str, _Revision]
    messages: Sequence[Message] = ()

    @property
    def is_open(self) -> bool:
        """Whether the change is neither merged nor abandoned."""
        return self.status not in {"MERGED", "ABANDONED"}

    @property
    def patchset(self) -> int:
        """The number of the current patchset."""
        return self.revisions[self.current_revision].number


class _RecentRevision(BaseModel):
    number: int = Field(alias="_number")
    created: str


class Recent(BaseModel):
    """A change in a list, with its current patchset."""

    number: int = Field(alias="_number")
    project: str
    current_revision: str
    revisions: Mapping[str, _RecentRevision]

    @property
    def patchset(self) -> int:
        """The number of the current patchset."""
        return self.revisions[self.current_revision].number

    @property
    def uploaded(self) -> datetime:
        """When the current patchset was uploaded."""
        text = self.revisions[self.current_revision].created.partition(".")[0]
        return datetime.fromisoformat(text).replace(tzinfo=UTC)


class _Section(BaseModel):
    """A part of a diff: equal lines (``ab``), new lines (``b``), or a number of left out lines."""

    ab: Sequence[str] = ()
    b: Sequence[str] = ()
    skip: int = 0


class _Diff(BaseModel):
    content: Sequence[_Section] = ()

    def lines(self) -> Iterator[int]:
        """Yield the numbers of the new lines."""
        line = 1
        for section in self.content:
            line += len(section.ab) + section.skip
            yield from range(line, line + len(section.b))
            line += len(section.b)


class _Answer(BaseModel):
    labels: Mapping[str, int] | None = None


def check_url(server: str, example: str = "Gerrit, such as https://review.example.org") -> str:
    """Return the URL of a server without a slash at its end; ``example`` is for the hint.

    :raises UsageError: the password would be sent without encryption, or it is not a URL.
    """
    hint = f"give the address of {example}"
    try:
        parts = urlsplit(server)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise UsageError(f"{server!r} is not a URL: {error}", hint) from error
    if parts.username or parts.password:
        raise UsageError("the URL of the server has a user or a password", hint)
    if not host or parts.scheme not in {"http", "https"} or parts.query or parts.fragment:
        raise UsageError(f"{server!r} is not the URL of a server", hint)
    if parts.scheme == "http" and not is_loopback(host):
        raise UsageError(f"{server!r} would get a password without encryption", hint)
    return server.rstrip("/")


def is_loopback(host: str) -> bool:
    """Return whether a name or address is this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@dataclass(frozen=True, slots=True)
class Post:
    """A request that posts a review, without credentials."""

    url: str
    headers: Mapping[str, str]
    body: str

    @classmethod
    def of(cls, server: str, path: str, body: Mapping[str, Any], limits: Limits) -> Self:
        """Return the request with this body."""
        headers = {
            "Accept": "application/json",
            "Content-Type": "application/json; charset=UTF-8",
            "X-Gerrit-Deadline": f"{limits.deadline * 1000:.0f}ms",
        }
        return cls(server + path, headers, json.dumps(body, indent=1))

    def __str__(self) -> str:
        """Return the request as it is sent."""
        headers = (f"{name}: {value}" for name, value in self.headers.items())
        return "\n".join([f"POST {self.url}", *headers, "", self.body])


class Client:
    """A connection to one Gerrit as one account."""

    def __init__(self, server: str, credentials: Credentials, limits: Limits | None = None) -> None:
        """Connect to no server yet."""
        self.server: Final = check_url(server)
        self.limits: Final = limits or Limits()
        self._session: Final = requests.Session()
        # The library encodes text as Latin-1, Gerrit reads UTF-8.
        self._session.auth = (_as_utf8(credentials.user), _as_utf8(credentials.password))
        self._session.headers.update({"User-Agent": "bsdgate", "Accept-Encoding": "identity"})

    @cached_property
    def account(self) -> int:
        """The id of the account."""
        try:
            found: Author = self._get("/a/accounts/self", Author)
        except Refused as error:
            what = f"{self.server} does not show the account: {error.status} {error.text}"
            raise Blocked(what, "check the URL of Gerrit, and the account") from error
        return found.account

    def change(self, number: int) -> Change:
        """Return the state of a change, with its messages."""
        found: Change = self._get(f"/a/changes/{number}/detail?o=CURRENT_REVISION", Change)
        if found.current_revision not in found.revisions:
            raise Unavailable(f"{self.server}: change {number} has no current patchset")
        return found

    def files(self, change: int, patchset: int) -> frozenset[str]:
        """Return the paths of the files of a patchset."""
        path = f"/a/changes/{change}/revisions/{patchset}/files"
        return frozenset(self._get(path, Mapping[str, Any]))

    def lines(self, change: int, patchset: int, path: str) -> frozenset[int]:
        """Return the lines of a file that a patchset has added or altered."""
        name = quote(path, safe="")
        diff: _Diff = self._get(
            f"/a/changes/{change}/revisions/{patchset}/files/{name}/diff", _Diff
        )
        return frozenset(diff.lines())

    def recent(self, projects: Sequence[str], hours: int) -> Sequence[Recent]:
        """Return the open changes of projects with a new patchset in this number of hours."""
        names = " OR ".join(f'project:"{name}"' for name in projects)
        query = quote(f"status:open -age:{hours}h ({names})", safe="")
        path = f"/a/changes/?q={query}&n=500&o=CURRENT_REVISION"
        found: Sequence[Recent] = self._get(path, Sequence[Recent])
        return found

    def post(self, review: Review) -> Mapping[str, int]:
        """Post a review; return the labels that Gerrit has set."""
        return self._labels(review.path, review.body())

    def clear(self, review: Review) -> None:
        """Set the labels of a review to 0; without a vote this does nothing, and adds no message.

        Gerrit notifies no user.
        """
        body = {**review.body(), "labels": dict.fromkeys(review.labels, 0), "notify": "NONE"}
        del body["message"]
        body.pop("comments", None)
        self._labels(review.path, body)

    def _labels(self, path: str, body: Mapping[str, Any]) -> Mapping[str, int]:
        post = Post.of(self.server, path, body, self.limits)
        request = requests.Request("POST", post.url, dict(post.headers), data=post.body)
        answer: _Answer = self._send(request, _Answer)
        return answer.labels or {}

    def _get(self, path: str, kind: Any) -> Any:
        return self._send(requests.Request("GET", self.server + path), kind)

    def _send(self, request: requests.Request, kind: Any) -> Any:
        end = time.monotonic() + self.limits.total
        try:
            response, body = exchange(self._session, request, self.limits.connect, end)
        except FAILURES as error:
            raise Unavailable(f"{self.server}: {reason(error)}") from error
        self._check(response, body)
        try:
            if not body.startswith(_PREFIX):
                raise ValueError("it is not Gerrit that answers")
            return TypeAdapter(kind).validate_json(body.removeprefix(_PREFIX))
        except ValidationError as error:
            first = error.errors(include_input=False)[0]
            where = ".".join(map(str, first["loc"]))
            raise Unavailable(
                f"{self.server}: unexpected answer: {where}: {first['msg']}"
            ) from None
        except ValueError as error:
            raise Unavailable(f"{self.server}: unexpected answer: {error}") from None

    def _check(self, response: requests.Response, body: bytes) -> None:
        status = response.status_code
        if status == requests.codes.unauthorized:
            raise Blocked(
                f"{self.server} does not accept the user or the password",
                "correct the credentials; nothing is posted until then, and nothing is lost",
            )
        if response.is_redirect:
            raise Blocked(f"{self.server} redirects ({status})", "give the URL of Gerrit itself")
        if status in _BUSY or status >= _SERVER_ERROR:
            after = response.headers.get("Retry-After", "")
            seconds = min(int(after), _WAIT_BOUND) if after.isdecimal() else 0
            raise Unavailable(f"{self.server} answered {status}", seconds)
        if not response.ok:
            # Gerrit explains each refusal in plain text, unlike a proxy before it.
            if not response.headers.get("Content-Type", "").startswith("text/plain"):
                raise Unavailable(f"{self.server} answered {status}, but not as Gerrit does")
            raise Refused(status, body.decode("utf-8", "replace").strip()[:TEXT_BOUND])


def _as_utf8(text: str) -> str:
    return text.encode().decode("latin-1")
