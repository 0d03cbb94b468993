# SPDX-License-Identifier: Apache-2.0
"""What Zuul says about buildsets: the messages of its mqtt reporter, and its REST API."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Final
from urllib.parse import quote, urlencode

import requests
from pydantic import BaseModel, BeforeValidator, Field, TypeAdapter, ValidationError

from bsdgate.harness.errors import InfrastructureError
from bsdgate.harness.reviews.client import Limits
from bsdgate.harness.reviews.exchange import FAILURES, exchange, reason

SILENT: Final = frozenset({"enqueue", "start", "dequeue", "no-jobs"})
"""The actions after which nothing is posted."""

PAGE: Final = 200

Text = Annotated[str, BeforeValidator(lambda value: "" if value is None else str(value))]
"""A text that Zuul may write as a number or null."""


class MessageBuild(BaseModel):
    """A job in a message; without ``uuid`` it was not started."""

    job_name: str
    uuid: str | None = None
    returned_data: Mapping[str, Any] = Field(default_factory=dict)


class MessageBuildset(BaseModel):
    """The buildset of a message."""

    uuid: Text
    builds: Sequence[MessageBuild] = ()


class Message(BaseModel):
    """A message of Zuul's mqtt reporter."""

    action: str
    tenant: str
    pipeline: str
    buildset: MessageBuildset


class Ref(BaseModel):
    """A change and a patchset; without numbers it is a branch or a tag."""

    project: str
    change: Text = ""
    patchset: Text = ""


class Artifact(BaseModel):
    """An artifact of a build."""

    name: Text = ""
    metadata: Mapping[str, Any] = Field(default_factory=dict)


class Build(BaseModel):
    """A build in the API; ``final`` is false if Zuul has tried again."""

    uuid: Text = ""
    job_name: str
    result: str | None = None
    voting: bool = True
    log_url: str | None = None
    final: bool | None = True
    ref: Ref | None = None
    artifacts: Sequence[Artifact] = ()


class Buildset(BaseModel):
    """A buildset in the API; the builds are only in the answer for one buildset."""

    id: int = Field(alias="_id")
    uuid: str
    result: str | None = None
    message: Text = ""
    pipeline: str
    event_timestamp: datetime | None = None
    first_build_start_time: datetime | None = None
    refs: Sequence[Ref] = ()
    builds: Sequence[Build] = ()

    @property
    def began(self) -> datetime:
        """When the event was that started the buildset. The times of the API are UTC."""
        found = self.event_timestamp or self.first_build_start_time
        if found is None:
            raise NoAnswer(f"buildset {self.uuid} has no time in Zuul's API")
        return found.replace(tzinfo=UTC)


class NoAnswer(InfrastructureError):
    """Zuul's API did not answer, or not as expected: try again later."""

    def __init__(self, message: str) -> None:
        super().__init__(message, "check that Zuul's web server runs, and the URL in the settings")


class Api:
    """A client of Zuul's REST API for one tenant; only ``enqueue`` sends the token."""

    def __init__(
        self, url: str, tenant: str, limits: Limits | None = None, token: str = ""
    ) -> None:
        """Connect to no server yet."""
        self._token: Final = token
        self._base: Final = f"{url}/api/tenant/{quote(tenant, safe='')}"
        self._limits: Final = limits or Limits(total=30.0)
        self._session: Final = requests.Session()

    def buildset(self, uuid: str) -> Buildset | None:
        """Return a buildset with its builds; None if Zuul does not know it."""
        found: Buildset | None = self._get(f"/buildset/{quote(uuid, safe='')}", Buildset)
        return found

    def buildsets(self, **query: str | int) -> list[Buildset]:
        """Return all buildsets that match, the newest first."""
        return [each for page in self.pages(**query) for each in page]

    def pages(self, **query: str | int) -> Iterator[Sequence[Buildset]]:
        """Yield the buildsets that match in parts, the newest first."""
        skip = 0
        while page := self._page(**query, skip=skip):
            yield page
            skip += len(page)
            if len(page) < PAGE:
                return

    def _page(self, **query: str | int) -> Sequence[Buildset]:
        words = urlencode({**query, "limit": PAGE})
        found: Sequence[Buildset] | None = self._get(f"/buildsets?{words}", Sequence[Buildset])
        if found is None:
            raise NoAnswer(f"{self._base}: Zuul does not know this tenant")
        return found

    def enqueue(self, project: str, change: str, pipeline: str) -> int:
        """Ask Zuul to enqueue a change; return the status of the answer."""
        headers = {"Authorization": f"Bearer {self._token}"}
        url = f"{self._base}/project/{quote(project, safe='')}/enqueue"
        body = {"pipeline": pipeline, "change": change}
        response, _ = self._exchange(url, requests.Request("POST", url, headers, json=body))
        return response.status_code

    def _exchange(self, url: str, request: requests.Request) -> tuple[requests.Response, bytes]:
        end = time.monotonic() + self._limits.total
        try:
            return exchange(self._session, request, self._limits.connect, end)
        except FAILURES as error:
            raise NoAnswer(f"{url}: {reason(error)}") from error

    def _get(self, path: str, kind: Any) -> Any:
        url = self._base + path
        request = requests.Request("GET", url, {"Accept": "application/json"})
        response, body = self._exchange(url, request)
        if response.status_code == requests.codes.not_found:
            return None
        if response.status_code != requests.codes.ok:
            raise NoAnswer(f"{url}: the answer is {response.status_code}")
        try:
            return TypeAdapter(kind).validate_json(body)
        except ValidationError as error:
            first = error.errors(include_input=False)[0]
            where = ".".join(map(str, first["loc"]))
            raise NoAnswer(f"{url}: unexpected answer: {where}: {first['msg']}") from None


def parse(payload: bytes) -> Message:
    """Return a message.

    :raises ValueError: it is not in the form of Zuul's mqtt reporter.
    """
    try:
        return Message.model_validate(json.loads(payload))
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise ValueError(f"{where}: {first['msg']}") from None
    except RecursionError:
        raise ValueError("nested too deeply") from None
