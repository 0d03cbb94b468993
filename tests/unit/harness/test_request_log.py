# SPDX-License-Identifier: Apache-2.0
"""The log of requests that can alter a cloud."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from bsdgate.harness import request_log
from bsdgate.harness.request_log import Request, RequestLog

ID = "0123456789abcdef0123456789abcdef"
UUID = "01234567-89ab-cdef-0123-456789abcdef"
URL = "http://127.0.0.1:5000/v3/users"


def one(path: Path) -> Request:
    (found,) = request_log.read(path)
    return found


def sent(path: Path, method: str, url: str, body: Any, status: int, answer: Any) -> Request:
    """Log one request and its answer."""
    log = RequestLog(path)
    identity = log.begin(method, url, json.dumps(body))
    assert identity is not None
    log.end(identity, method, url, status, json.dumps(answer))
    return one(path)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "requests.jsonl"


@pytest.mark.parametrize(
    ("answer", "made"),
    [
        ({"user": {"id": ID}}, (ID,)),
        ({"uuid": UUID, "name": "n"}, (UUID,)),
        ({"networks": [{"id": ID}, {"id": UUID}]}, (ID, UUID)),
        ({"image_id": UUID}, (UUID,)),
        ({"aggregate": {"id": 7}}, ("7",)),
        ({"keypair": {"name": "key", "fingerprint": "f"}}, ("key",)),
        ({"output": "text"}, ()),
        (None, ()),
    ],
    ids=str,
)
def test_new_ids_are_read_from_the_answer(path: Path, answer: Any, made: Any) -> None:
    assert sent(path, "POST", URL, {}, 201, answer).made == made


@pytest.mark.parametrize(("method", "status"), [("PUT", 200), ("PATCH", 200), ("POST", 409)])
def test_an_altering_or_refused_request_has_no_new_ids(
    path: Path, method: str, status: int
) -> None:
    assert sent(path, method, URL, {}, status, {"user": {"id": ID}}).made == ()


def test_an_action_on_a_resource_has_no_new_ids(path: Path) -> None:
    url = f"http://127.0.0.1/v2.1/servers/{UUID}/action"
    assert sent(path, "POST", url, {"rebuild": {}}, 202, {"server": {"id": UUID}}).made == ()


def test_a_request_names_the_parts_of_its_url_and_the_ids_in_its_body(path: Path) -> None:
    url = f"http://127.0.0.1/v2.1/os-keypairs/my%20key?user_id={ID}"
    body = {"server": {"networks": [{"uuid": UUID}], "name": "text"}}
    names = sent(path, "DELETE", url, body, 204, None).names
    assert {"my key", ID, UUID} <= names
    assert "text" not in names


@pytest.mark.parametrize(
    ("method", "url"), [("GET", URL), ("head", URL), ("POST", f"{URL[:-6]}/auth/tokens")]
)
def test_a_request_that_alters_nothing_is_not_written(path: Path, method: str, url: str) -> None:
    assert RequestLog(path).begin(method, url, None) is None
    assert request_log.read(path) == []


def test_a_request_is_written_before_it_is_sent(path: Path) -> None:
    RequestLog(path).begin("DELETE", f"{URL}/{ID}", None)
    assert one(path) == Request("DELETE", f"/v3/users/{ID}", frozenset({"v3", "users", ID}))


def test_new_ids_are_synced_to_the_disk(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[bytes] = []
    monkeypatch.setattr(os, "fsync", lambda _: synced.append(path.read_bytes()))
    sent(path, "POST", URL, {}, 201, {"user": {"id": ID}})
    (content,) = synced
    assert ID.encode() in content


def test_an_incomplete_line_is_skipped(path: Path) -> None:
    sent(path, "POST", URL, {}, 201, {"user": {"id": ID}})
    with path.open("ab") as file:
        file.write(b'{"request": "x", "meth')
    assert one(path).made == (ID,)


def test_resources_that_bsdgate_itself_makes_are_recorded(path: Path) -> None:
    log = RequestLog(path)
    log.made("/flavors", ID)
    log.made("/flavors", UUID)
    assert [each.made for each in request_log.read(path)] == [(ID,), (UUID,)]


def test_a_body_that_is_not_json_has_no_ids(path: Path) -> None:
    log = RequestLog(path)
    identity = log.begin("POST", URL, b"\xff\0")
    assert identity is not None
    log.end(identity, "POST", URL, 201, b"\xff")
    assert one(path) == Request("POST", "/v3/users", frozenset({"v3", "users"}), 201)


def test_without_a_file_there_are_no_requests(path: Path) -> None:
    assert request_log.read(path) == []


@pytest.mark.parametrize(
    ("status", "refused"), [(None, False), (204, False), (404, True), (500, False)]
)
def test_only_a_refused_request_is_known_to_alter_nothing(
    status: int | None, refused: bool
) -> None:
    assert Request("DELETE", "/x", status=status).refused == refused
