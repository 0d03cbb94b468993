# SPDX-License-Identifier: Apache-2.0
"""Fetches the run of a build: the address of its logs from Zuul's API, the files from the logs.

The files are those that ``bsdgate zuul collect`` publishes. They are enough to reproduce the run.
"""

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import urlsplit

import requests
from pydantic import BaseModel, ValidationError

from bsdgate.harness import files, folders
from bsdgate.harness.errors import InfrastructureError, UsageError
from bsdgate.harness.reviews.client import Limits
from bsdgate.harness.reviews.exchange import FAILURES, exchange, reason
from bsdgate.harness.run_dir import WORKERS

_PAGE: Final = re.compile(
    r"(?P<root>.*?)(?:/api)?(?P<tenant>/t(?:enant)?/[^/]+)?/build/(?P<uuid>\w+)"
)
_T = TypeVar("_T", bound=BaseModel)
_HINT: Final = "give the address of a build, such as https://zuul.example.org/t/TENANT/build/UUID"


class Ref(BaseModel):
    """The change of a build."""

    project: str
    ref: str = ""
    ref_url: str | None = None


class Build(BaseModel):
    """A build in Zuul's API."""

    uuid: str
    job_name: str
    result: str | None = None
    log_url: str | None = None
    ref: Ref | None = None

    @property
    def change(self) -> str | None:
        """The change as a value of ``--with``: its project, and its ref on the review server."""
        if self.ref is None or not self.ref.ref.startswith("refs/changes/"):
            return None
        server, found, _ = (self.ref.ref_url or "").partition("/c/")
        if not found:
            return None
        name = self.ref.project.rpartition("/")[2]
        return f"{name}=git+{server}/{self.ref.project}@{self.ref.ref}"


class _Attempt(BaseModel):
    name: str
    kind: str


class _Verdict(BaseModel):
    attempts: tuple[_Attempt, ...]


def api_url(url: str) -> str:
    """Return the address of a build in Zuul's API; ``url`` is that of its page or of the API.

    :raises UsageError: it is not the address of a build.
    """
    found = _PAGE.fullmatch(url.rstrip("/"))
    if found is None or urlsplit(url).scheme not in {"http", "https"}:
        raise UsageError(f"{url} is not the address of a build", _HINT)
    tenant = (found["tenant"] or "").replace("/t/", "/tenant/", 1)
    return f"{found['root']}/api{tenant}/build/{found['uuid']}"


def fetch(url: str, folder: Path) -> Build:
    """Write the files of a build's run to a new directory, with the paths of a run directory.

    :raises UsageError: there is no such build, or it has no logs or no run.
    :raises InfrastructureError: a server does not answer.
    """
    server = _Server()
    build = _parse(Build, server.get(api_url(url), f"there is no build {url}"), url)
    if build.result is None:
        raise UsageError(f"the build {url} has not ended", "try again when it has a result")
    if not build.log_url:
        raise UsageError(f"the build {url} has no logs", "give another build")
    base = build.log_url.rstrip("/")
    absent = f"the build {url} ({build.job_name}, {build.result}) has published no run"
    verdict = server.get(f"{base}/bsdgate/verdict.json", absent)
    _write(folder / "report" / "verdict.json", verdict)
    _write(folder / "manifest.json", server.get(f"{base}/run/manifest.json", absent))
    for path in _split_files(_parse(_Verdict, verdict, url)):
        _write(folder / path, server.get(f"{base}/run/{path}", absent))
    return build


def _split_files(verdict: _Verdict) -> Iterator[str]:
    for attempt in verdict.attempts:
        if attempt.kind == "tempest":
            yield f"evidence/{attempt.name}/{WORKERS}"
            yield f"evidence/{attempt.name}/attempt.json"


def _parse(kind: type[_T], body: bytes, url: str) -> _T:
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        what = f"the answer for {url} is not that of Zuul: {where}: {first['msg']}"
        raise InfrastructureError(what, _HINT) from None


def _write(path: Path, content: bytes) -> None:
    with files.explain_errors(path.parent):
        folders.make(path.parent)
    files.write_atomically(path, content)


class _Server:
    """Gets files by HTTP; redirections are not followed."""

    def __init__(self) -> None:
        self._session: Final = requests.Session()
        self._session.headers["User-Agent"] = "bsdgate"
        self._limits: Final = Limits()

    def get(self, url: str, absent: str) -> bytes:
        """Return the content of a URL; ``absent`` is the error if there is no such file."""
        end = time.monotonic() + self._limits.total
        request = requests.Request("GET", url, headers={"Accept-Encoding": "identity"})
        try:
            response, body = exchange(self._session, request, self._limits.connect, end)
        except FAILURES as error:
            raise InfrastructureError(f"{url}: {reason(error)}", "try again later") from error
        if response.status_code == requests.codes.not_found:
            raise UsageError(f"{absent}: {url} is not there", _HINT)
        if not response.ok or response.is_redirect:
            raise InfrastructureError(f"{url}: the answer is {response.status_code}", _HINT)
        return body
