# SPDX-License-Identifier: Apache-2.0
"""A client of Zuul's REST API for holds: Zuul keeps the nodes of builds that fail.

The token is in the environment or in a file, never on a command line. No error contains it.
"""

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode

import requests
from pydantic import BaseModel, TypeAdapter, ValidationError

from bsdgate.harness.errors import InfrastructureError, UsageError
from bsdgate.harness.reviews.client import Limits, check_url
from bsdgate.harness.reviews.credentials import check_private
from bsdgate.harness.reviews.exchange import FAILURES, exchange, reason

TOKEN: Final = "BSDGATE_ZUUL_TOKEN"  # noqa: S105 - the name of a variable
"""The variable with the token."""
_HINT: Final = f"set {TOKEN}, or give --token-file with a file that only you can read"
_EXAMPLE: Final = "Zuul, such as https://zuul.example.org"
_DONE: Final = (requests.codes.ok, requests.codes.no_content)
_REFUSED: Final = (requests.codes.unauthorized, requests.codes.forbidden)


class Hold(BaseModel):
    """A hold in the API. ``nodes`` are the nodes that are held, each with its build."""

    id: str
    project: str
    job: str
    ref_filter: str
    max_count: int
    current_count: int
    reason: str | None = None
    node_expiration: int | None = None
    nodes: Sequence[Mapping[str, Any]] = ()


class _Ref(BaseModel):
    project: str


class _Build(BaseModel):
    ref: _Ref


def read_token(file: Path | None, environment: Mapping[str, str]) -> str:
    """Return the token in a file or, without one, in the environment.

    :raises UsageError: there is none, it is not one, or others may read the file.
    """
    if file is None:
        found = environment.get(TOKEN, "")
    else:
        try:
            with file.open(encoding="utf-8") as opened:
                check_private(file, os.fstat(opened.fileno()), _HINT)
                found = opened.read()
        except OSError as error:
            raise UsageError(f"cannot read {file}: {error.strerror}", _HINT) from error
        except UnicodeDecodeError:
            raise UsageError(f"{file} is not in UTF-8", _HINT) from None
    # `zuul-admin create-auth-token` prints it with this word.
    token = found.strip().removeprefix("Bearer ")
    if not token:
        raise UsageError("there is no token for Zuul", _HINT)
    if not (token.isascii() and token.isprintable() and " " not in token):
        raise UsageError(f"the content of {file or TOKEN} is not a token", _HINT)
    return token


class Holds:
    """The holds of a tenant."""

    def __init__(self, url: str, tenant: str, token: str = "") -> None:
        """Connect to no server yet. Only changes need the token.

        :raises UsageError: it is not the URL of a server, or it is not encrypted.
        """
        self._base: Final = f"{check_url(url, _EXAMPLE)}/api/tenant/{quote(tenant, safe='')}"
        self._token: Final = token
        self._limits: Final = Limits(total=30.0)
        self._session: Final = requests.Session()

    def list(self) -> list[Hold]:
        """Return all holds of the tenant."""
        found: list[Hold] = self._read("/autohold", list[Hold], "the tenant")
        return sorted(found, key=lambda hold: hold.id)

    def project_of(self, job: str) -> str:
        """Return the project of the newest build of a job.

        :raises UsageError: there is no such job, or it has no build.
        """
        self._read(f"/job/{quote(job, safe='')}", list[Any], f"the job {job}")
        query = urlencode({"job_name": job, "limit": 1})
        builds: list[_Build] = self._read(f"/builds?{query}", list[_Build], "the tenant")
        if not builds:
            raise UsageError(f"the job {job} has no build yet", "give --project")
        return builds[0].ref.project

    def add(self, job: str, project: str, wanted: Mapping[str, Any]) -> Hold | None:
        """Add a hold; return it, None if it was used and deleted at once.

        :raises UsageError: there is no such job or project, or the token is not accepted.
        """
        self._read(f"/job/{quote(job, safe='')}", list[Any], f"the job {job}")
        before = {hold.id for hold in self.list()}
        body = {"job": job, "ref": None, **wanted}
        self._send("POST", f"/project/{quote(project)}/autohold", f"the project {project}", body)
        added = [hold for hold in self.list() if hold.id not in before and hold.job == job]
        return next((hold for hold in added if hold.reason == wanted["reason"]), None)

    def delete(self, identity: str) -> None:
        """Delete a hold; Zuul then gives its nodes back.

        :raises UsageError: there is no such hold, or the token is not accepted.
        """
        self._send("DELETE", f"/autohold/{quote(identity, safe='')}", f"the hold {identity}")

    def _read(self, path: str, kind: Any, what: str) -> Any:
        body = self._send("GET", path, what)
        try:
            return TypeAdapter(kind).validate_json(body)
        except ValidationError as error:
            first = error.errors(include_input=False)[0]
            where = ".".join(map(str, first["loc"]))
            raise InfrastructureError(
                f"{self._base}{path}: unexpected answer: {where}: {first['msg']}",
                "check that the URL is that of a Zuul",
            ) from None

    def _send(
        self, method: str, path: str, what: str, body: Mapping[str, Any] | None = None
    ) -> bytes:
        """Return the answer to a request. ``what`` is absent if the answer is 404."""
        url = f"{self._base}{path}"
        headers = {"Accept": "application/json"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        request = requests.Request(method, url, headers, json=body)
        end = time.monotonic() + self._limits.total
        try:
            response, content = exchange(self._session, request, self._limits.connect, end)
        except FAILURES as error:
            raise InfrastructureError(f"{url}: {reason(error)}", "try again later") from error
        if response.status_code in _REFUSED:
            raise UsageError(
                f"Zuul does not accept the token for this: {response.status_code} for {method}",
                "an operator makes one with `zuul-admin create-auth-token`, for the tenant",
            )
        if response.status_code == requests.codes.not_found:
            raise UsageError(f"Zuul does not know {what}", "correct the name or the tenant")
        if response.status_code not in _DONE:
            raise InfrastructureError(
                f"{url}: the answer is {response.status_code}",
                "check the URL, and the log of Zuul's web server",
            )
        return content
