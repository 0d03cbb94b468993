# SPDX-License-Identifier: Apache-2.0
"""A simulated Zuul: its REST API and a log server on loopback, and the messages of its reporter."""

import contextlib
import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

from fakes.http_server import serving
from unit.results.reporters.made import attributions, failed, failure_reason, verdict_of

from bsdgate.results import document, model
from bsdgate.results.model import Case, Cause, Result, Verdict
from bsdgate.results.reporters import zuul

TENANT = "openstack"
PROJECT = "demo"
JOB = "bsdgate-keystone-smoke"
BEGAN = datetime(2026, 11, 29, 1, 40, tzinfo=UTC)
USERS = "tempest.api.identity.v3.test_users.UsersTest.test_get_user"
ITEMS = [{"project": PROJECT, "change": "1", "patchset": "1"}]


def verdict(
    change: int, patchset: int = 1, result: Result = Result.PASS, run: str = "r"
) -> Verdict:
    """Return a verdict of Keystone's smoke tests."""
    if result is Result.FAIL:
        case = failed(USERS, reason="AssertionError: 404 != 200")
        about: dict[str, Any] = {
            "reasons": [failure_reason(USERS)],
            "findings": attributions(Cause.CHANGE, USERS),
        }
        found = verdict_of(result, case, **about)
    else:
        found = verdict_of(result, Case(USERS, model.Outcome.SUCCESS))
    own = replace(found.run, run_id=run, change=str(change), patchset=str(patchset))
    return replace(found, run=replace(own, profile="keystone", suite="smoke"))


def described(path: str, content: bytes) -> dict[str, Any]:
    """Return the path, the digest and the size of a file."""
    return {"path": path, "sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}


@dataclass
class Zuul:
    """The buildsets and the log files. Servers that are unavailable answer 503.

    ``answered`` is called after each answer, with the number of requests so far.
    """

    url: str = ""
    buildsets: dict[str, dict[str, Any]] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    logs_unavailable: bool = False
    api_unavailable: bool = False
    asked: list[str] = field(default_factory=list)
    enqueued: list[tuple[str, str, Any]] = field(default_factory=list)
    """The project, the header with the token and the body of each request to enqueue."""
    answered: Callable[[int], None] = lambda number: None
    _running: dict[str, dict[str, Any]] = field(default_factory=dict)
    _adding: threading.Lock = field(default_factory=threading.Lock)

    def add(
        self,
        uuid: str,
        change: int,
        found: Verdict | None,
        *,
        patchset: int = 1,
        second: int = 0,
        began: datetime = BEGAN,
        result: str = "SUCCESS",
        message: str = "",
        ended: bool = True,
        artifact: bool = False,
    ) -> dict[str, Any]:
        """Add a buildset with one build; return Zuul's message about its end.

        ``artifact``: the data of its verdict is in the metadata of an artifact too. Without
        ``ended``, the buildset runs until ``end``.
        """
        ref = {"project": PROJECT, "change": change, "patchset": str(patchset), "ref": "r"}
        data = self._publish(uuid, found) if found else {}
        returned = {"bsdgate": data} if data else {}
        build = {
            "uuid": f"build-{uuid}",
            "job_name": JOB,
            "result": result,
            "voting": True,
            "log_url": f"{self.url}/logs/{uuid}/",
            "final": True,
            "ref": ref,
            "artifacts": [{"name": "verdict", "metadata": returned}] if artifact else [],
        }
        moment = began + timedelta(seconds=second)
        buildset: dict[str, Any] = {
            "uuid": uuid,
            "result": result,
            "message": message,
            "pipeline": "check",
            "event_timestamp": moment.strftime("%Y-%m-%dT%H:%M:%S"),
            "refs": [ref],
            "builds": [build] if result in {"SUCCESS", "FAILURE"} else [],
        }
        about = self._message(buildset, returned)
        with self._adding:
            buildset["_id"] = len(self.buildsets) + 1
            self.buildsets[uuid] = buildset if ended else {**buildset, "result": None, "builds": []}
        if not ended:
            self._running[uuid] = buildset
        return about

    def end(self, uuid: str) -> None:
        """End a buildset that runs."""
        self.buildsets[uuid] = self._running.pop(uuid)

    def _publish(self, uuid: str, found: Verdict) -> dict[str, Any]:
        content = {
            "bsdgate/verdict.json": document.render(found).encode(),
            "bsdgate/zuul.json": json.dumps(zuul.render(found)).encode(),
        }
        for path, body in content.items():
            self.files[f"/logs/{uuid}/{path}"] = body
        run = found.run
        return {
            "schema": 1,
            "run_id": run.run_id,
            "result": str(found.result),
            "change": run.change,
            "patchset": run.patchset,
            "verdict": described("bsdgate/verdict.json", content["bsdgate/verdict.json"]),
            "comments": described("bsdgate/zuul.json", content["bsdgate/zuul.json"]),
            "items": ITEMS,
        }

    def _message(self, buildset: dict[str, Any], returned: dict[str, Any]) -> dict[str, Any]:
        """Return the message about a buildset, in the form of Zuul's mqtt reporter."""
        uuid, result = buildset["uuid"], buildset["result"]
        builds = [
            {
                "job_name": each["job_name"],
                "uuid": each["uuid"],
                "voting": True,
                "result": result,
                "log_url": each["log_url"],
                "returned_data": returned,
            }
            for each in buildset["builds"]
        ]
        return {
            "timestamp": 1764380400.1,
            "action": result.lower().replace("_", "-"),
            "tenant": TENANT,
            "pipeline": "check",
            "change": buildset["refs"][0]["change"],
            "patchset": buildset["refs"][0]["patchset"],
            "message": buildset["message"],
            "buildset": {"uuid": uuid, "result": result, "builds": builds, "retry_builds": []},
        }

    def answer(self, path: str) -> tuple[int, bytes]:
        """Return the status and the body for a request."""
        self.asked.append(path)
        parts = urlsplit(path)
        if parts.path.startswith("/logs/"):
            found = self.files.get(parts.path)
            return (
                (503, b"")
                if self.logs_unavailable
                else (200, found)
                if found is not None
                else (404, b"")
            )
        if self.api_unavailable:
            return 503, b""
        if parts.path == f"/api/tenant/{TENANT}/buildsets":
            return 200, json.dumps(self._matching(parse_qs(parts.query))).encode()
        uuid = parts.path.removeprefix(f"/api/tenant/{TENANT}/buildset/")
        if uuid in self.buildsets:
            return 200, json.dumps(self.buildsets[uuid]).encode()
        return 404, b"<html>Buildset not found</html>"

    def _matching(self, query: dict[str, list[str]]) -> list[dict[str, Any]]:
        def fits(one: dict[str, Any]) -> bool:
            change = query.get("change", [str(one["refs"][0]["change"])])[0]
            return (
                one["_id"] >= int(query.get("idx_min", ["0"])[0])
                and one["pipeline"] == query.get("pipeline", [one["pipeline"]])[0]
                and str(one["refs"][0]["change"]) == change
            )

        found = sorted(
            filter(fits, list(self.buildsets.values())), key=lambda one: -int(one["_id"])
        )
        skip, limit = (
            int(query.get(key, [value])[0]) for key, value in (("skip", "0"), ("limit", "50"))
        )
        return found[skip : skip + limit]


@contextlib.contextmanager
def simulated() -> Iterator[Zuul]:
    """Run a simulated Zuul."""
    found = Zuul()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = found.answer(self.path)
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            found.answered(len(found.asked))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            path = self.path.removeprefix(f"/api/tenant/{TENANT}/project/")
            project, _, verb = path.partition("/")
            assert verb == "enqueue", self.path
            token = self.headers["Authorization"]
            found.enqueued.append((project, token, json.loads(body)))
            self.send_response(200)
            self.send_header("Content-Length", "4")
            self.end_headers()
            self.wfile.write(b"true")

        def handle(self) -> None:
            # The client may have gone or been killed.
            with contextlib.suppress(ConnectionError):
                super().handle()

        def log_message(self, *args: object) -> None:
            pass

    with serving(Handler) as found.url:
        yield found
