# SPDX-License-Identifier: Apache-2.0
"""The client: what each answer means, its limits, and what it sends to which server."""

import base64
import json
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from bsdgate.harness.errors import UsageError
from bsdgate.harness.reviews import exchange as exchange_module
from bsdgate.harness.reviews.client import (
    Blocked,
    Client,
    Limits,
    Post,
    Refused,
    Unavailable,
    check_url,
)
from bsdgate.harness.reviews.credentials import Credentials
from bsdgate.results.reporters.review import Buildset, LineComment, Review

BUILDSET = Buildset(912345, 3, "8f3c", datetime(2026, 11, 29, 1, 40, tzinfo=UTC))
REVIEW = Review(BUILDSET, "☃", {"Verified": 1}, (LineComment("a.py", 3, "Boom"),))
PASSWORD = "canary-☃"
DETAIL = {
    "status": "NEW",
    "current_revision": "sha",
    "revisions": {"sha": {"_number": 3}},
    "messages": [{"author": {"_account_id": 7}, "message": "m"}, {"message": "of Gerrit"}],
    "unknown": "fields are ignored",
}


def answer(
    status: str, body: str = "", kind: str = "text/plain; charset=utf-8", **more: str
) -> bytes:
    headers = {"Content-Type": kind, "Content-Length": str(len(body.encode())), **more}
    lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "Connection: close", "", body]).encode()


def of_gerrit(value: Any) -> bytes:
    return answer("200 OK", f")]}}'\n{json.dumps(value)}", "application/json")


@dataclass
class Server:
    """A server that has one scripted answer for all requests, and keeps the requests."""

    url: str = ""
    reply: Callable[[socket.socket], object] = lambda connection: None
    requests: list[str] = field(default_factory=list)
    closing: threading.Event = field(default_factory=threading.Event)

    def answers(self, content: bytes) -> None:
        self.reply = lambda connection: connection.sendall(content)

    def client(self, **limits: float) -> Client:
        given = Limits(**{"connect": 5.0, "total": 5.0, "deadline": 1.5, **limits})
        return Client(self.url, Credentials("ci", PASSWORD), given)

    def serve(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                self.requests.append(_request(connection))
                self.reply(connection)


def _request(connection: socket.socket) -> str:
    found = b""
    while b"\r\n\r\n" not in found:
        found += connection.recv(1 << 16)
    head, _, body = found.partition(b"\r\n\r\n")
    length = [
        line[15:] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")
    ]
    while length and len(body) < int(length[0]):
        body += connection.recv(1 << 16)
    return (head + b"\r\n\r\n" + body).decode()


@pytest.fixture
def server() -> Iterator[Server]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = Server(f"http://127.0.0.1:{listener.getsockname()[1]}")
        thread = threading.Thread(target=server.serve, args=[listener])
        thread.start()
        yield server
        server.closing.set()
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_a_change_has_its_state_its_patchset_and_its_messages(server: Server) -> None:
    server.answers(of_gerrit(DETAIL))
    change = server.client().change(912345)
    assert (change.is_open, change.patchset) == (True, 3)
    assert [each.author and each.author.account for each in change.messages] == [7, None]
    assert server.requests[0].startswith(
        "GET /a/changes/912345/detail?o=CURRENT_REVISION HTTP/1.1\r\n"
    )


def test_the_account_is_requested_once(server: Server) -> None:
    server.answers(of_gerrit({"_account_id": 7}))
    client = server.client()
    assert (client.account, client.account, len(server.requests)) == (7, 7, 1)
    expected = base64.b64encode(f"ci:{PASSWORD}".encode()).decode()
    assert f"Authorization: Basic {expected}\r\n" in server.requests[0]


def test_the_files_are_the_paths(server: Server) -> None:
    server.answers(of_gerrit({"/COMMIT_MSG": {}, "a.py": {}}))
    assert server.client().files(912345, 3) == {"/COMMIT_MSG", "a.py"}


def test_a_post_sends_what_a_dry_run_shows(server: Server) -> None:
    server.answers(of_gerrit({"labels": {"Verified": 1}}))
    client = server.client()
    assert client.post(REVIEW) == {"Verified": 1}
    shown = str(Post.of(server.url, REVIEW.path, REVIEW.body(), client.limits))
    head, _, body = shown.partition("\n\n")
    sent_head, _, sent_body = server.requests[0].partition("\r\n\r\n")
    assert sent_body == body
    assert json.loads(body) == REVIEW.body()
    first, *headers = head.split("\n")
    assert first == f"POST {server.url}{REVIEW.path}"
    assert "X-Gerrit-Deadline: 1500ms" in headers
    assert set(headers) <= set(sent_head.split("\r\n"))
    assert "Authorization" not in shown


def test_clearing_a_vote_sends_only_the_label_and_notifies_no_user(server: Server) -> None:
    server.answers(of_gerrit({"labels": {"Verified": 0}}))
    server.client().clear(REVIEW)
    body = json.loads(server.requests[0].partition("\r\n\r\n")[2])
    assert body["labels"] == {"Verified": 0}
    assert body["notify"] == "NONE"
    assert not body.keys() & {"message", "comments"}


HTML = answer("403 Forbidden", "<html>", "text/html")
ANSWERS: dict[str, tuple[bytes, type[Exception], str]] = {
    "400": (answer("400 Bad Request", "too long"), Refused, "400: too long"),
    "401": (answer("401 Unauthorized", "no"), Blocked, "does not accept the user"),
    "403": (answer("403 Forbidden", "restricted"), Refused, "403: restricted"),
    "404": (answer("404 Not Found", "Not found: 1"), Refused, "404: Not found: 1"),
    "408": (answer("408 Request Timeout", "deadline"), Unavailable, "answered 408"),
    "409": (answer("409 Conflict", "closed"), Refused, "409: closed"),
    "429": (answer("429 Too Many Requests"), Unavailable, "answered 429"),
    "500": (answer("500 Server Error"), Unavailable, "answered 500"),
    "503": (answer("503 Service Unavailable"), Unavailable, "answered 503"),
    "a page of a proxy": (HTML, Unavailable, "but not as Gerrit does"),
    "a redirection": (
        answer("302 Found", Location="https://elsewhere.example.org/"),
        Blocked,
        "redirects",
    ),
    "a page": (answer("200 OK", "<html>login", "text/html"), Unavailable, "not Gerrit that"),
    "no JSON": (answer("200 OK", ")]}'\n{", "application/json"), Unavailable, "unexpected answer"),
    "other JSON": (of_gerrit([]), Unavailable, "unexpected answer"),
    "no patchset": (
        of_gerrit({**DETAIL, "current_revision": "other"}),
        Unavailable,
        "no current patchset",
    ),
    "a part": (of_gerrit(DETAIL)[:-5], Unavailable, "cut"),
    "nothing": (b"", Unavailable, "cut"),
    "no HTTP": (b"SSH-2.0-x\r\n", Unavailable, "cut"),
}


@pytest.mark.parametrize(("content", "kind", "text"), ANSWERS.values(), ids=ANSWERS)
def test_each_answer_has_a_meaning(
    server: Server, content: bytes, kind: type[Exception], text: str
) -> None:
    server.answers(content)
    with pytest.raises(kind, match=text) as caught:
        server.client().change(912345)
    assert len(server.requests) == 1, "a request was repeated"
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    ("header", "after"), [("7", 7), ("99999999", 3600), ("soon", 0), ("-1", 0), ("", 0)]
)
def test_the_time_of_the_next_try_is_read(server: Server, header: str, after: float) -> None:
    server.answers(answer("429 Too Many Requests", **{"Retry-After": header}))
    with pytest.raises(Unavailable) as caught:
        server.client().change(912345)
    assert caught.value.after == after


def test_a_refusal_of_the_account_is_no_refusal_of_a_review(server: Server) -> None:
    server.answers(answer("404 Not Found", "Not found"))
    with pytest.raises(Blocked, match="does not show the account: 404"):
        _ = server.client().account


def test_a_server_that_sends_nothing_is_left(server: Server) -> None:
    server.reply = lambda connection: server.closing.wait(30)
    with pytest.raises(Unavailable, match="no answer within the time limit"):
        server.client(total=0.2).change(912345)
    server.closing.set()


def test_a_server_that_sends_slowly_is_left(server: Server) -> None:
    def drip(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n")
        while not server.closing.wait(0.02):
            try:
                connection.sendall(b" ")
            except OSError:
                return

    server.reply = drip
    with pytest.raises(Unavailable, match="time limit"):
        server.client(total=0.3).change(912345)


def test_an_answer_without_end_is_left(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange_module, "ANSWER_BOUND", 1000)
    server.answers(answer("200 OK", "x" * 5000))
    with pytest.raises(Unavailable, match="more than 1000 bytes"):
        server.client().change(912345)


def test_a_server_that_is_not_there_is_unavailable() -> None:
    with pytest.raises(Unavailable, match="the connection failed"):
        Client("http://127.0.0.1:9", Credentials("ci", PASSWORD)).change(1)


@pytest.mark.parametrize(
    "url",
    [
        "https://review.example.org",
        "https://review.example.org:8443/gerrit/",
        "http://127.0.0.1:8080",
        "http://[::1]:8080",
        "http://localhost",
    ],
)
def test_these_urls_are_accepted(url: str) -> None:
    assert check_url(url) == url.rstrip("/")


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://review.example.org", "without encryption"),
        ("http://127.0.0.1.example.org", "without encryption"),
        ("https://ci:canary@review.example.org", "has a user or a password"),
        ("review.example.org", "is not the URL of a server"),
        ("ssh://review.example.org", "is not the URL"),
        ("https://", "is not the URL"),
        ("https://review.example.org/?a=b", "is not the URL"),
        ("https://review.example.org:port", "is not a URL"),
        ("https://[::1", "is not a URL"),
    ],
)
def test_these_urls_are_refused(url: str, why: str) -> None:
    with pytest.raises(UsageError, match=why) as caught:
        check_url(url)
    assert "canary" not in str(caught.value)
