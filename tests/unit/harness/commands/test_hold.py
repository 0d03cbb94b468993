# SPDX-License-Identifier: Apache-2.0
"""bsdgate hold: the token, the options, and the answers of a server that is not as expected."""

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from fakes.http_server import serving
from unit.harness.commands.calls import Call, Ended, caller

from bsdgate.harness.commands.holds import TOKEN, read_token
from bsdgate.harness.errors import UsageError


@pytest.fixture(autouse=True)
def no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(TOKEN, raising=False)


@pytest.fixture
def hold(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    return caller("hold", monkeypatch, capsys)


# The token --------------------------------------------------------------------------------------


def secret_file(folder: Path, content: str, mode: int = 0o600) -> Path:
    path = folder / "token"
    path.write_text(content)
    path.chmod(mode)
    return path


@pytest.mark.parametrize("content", ["a.b.c", "Bearer a.b.c\n", "\n a.b.c \n"])
def test_the_token_is_in_a_file_or_in_the_environment(tmp_path: Path, content: str) -> None:
    assert read_token(secret_file(tmp_path, content), {TOKEN: "other"}) == "a.b.c"
    assert read_token(None, {TOKEN: content}) == "a.b.c"


@pytest.mark.parametrize(
    ("content", "mode", "message"),
    [
        ("a.b.c", 0o640, "others may use"),
        ("a.b.c", 0o604, "others may use"),
        ("\n", 0o600, "there is no token"),
        ("secret words", 0o600, "is not a token"),
        ("secret\x1b", 0o600, "is not a token"),
        ("secret\u00e9", 0o600, "is not a token"),
    ],
)
def test_a_file_without_a_private_token_is_refused(
    tmp_path: Path, content: str, mode: int, message: str
) -> None:
    with pytest.raises(UsageError, match=message) as error:
        read_token(secret_file(tmp_path, content, mode), {})
    assert "secret" not in str(error.value)


def test_without_a_token_the_error_has_the_next_step(hold: Call) -> None:
    done = hold("job", "--zuul-url", "https://zuul.example.org", "--tenant", "t")
    assert (done.code, TOKEN in done.err, "--token-file" in done.err) == (2, True, True), done


# The options ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "give JOB, --list or --delete"),
        (("job", "--list"), "give JOB, --list or --delete"),
        (("--list", "--delete", "1"), "give JOB, --list or --delete"),
        (("job", "--count", "0"), "--count"),
        (("job", "--hours", "0"), "--hours"),
        (("job", "--change", "x"), "--change"),
    ],
)
def test_wrong_options_are_refused(hold: Call, words: tuple[str, ...], message: str) -> None:
    done = hold(*words, "--zuul-url", "https://zuul.example.org", "--tenant", "t")
    assert (done.code, message in done.err) == (2, True), done


def test_a_token_is_never_sent_without_encryption(
    hold: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TOKEN, "a.b.c")
    done = hold("job", "--zuul-url", "http://zuul.example.org", "--tenant", "t")
    assert (done.code, "without encryption" in done.err) == (2, True), done
    assert "https://zuul.example.org" in done.err


# The server -------------------------------------------------------------------------------------


class Handler(BaseHTTPRequestHandler):
    """Answers with the status and the body in the name of the tenant: STATUS or ``text``."""

    def do_GET(self) -> None:
        status = self.path.split("/")[3]
        self.send_response(int(status) if status.isdecimal() else 200)
        body = b"[]" if status == "empty" else b'{"a": 1}'
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with serving(Handler) as url:
        yield url


@pytest.mark.parametrize(
    ("tenant", "code", "message"),
    [
        ("401", 2, "does not accept the token"),
        ("403", 2, "does not accept the token"),
        ("404", 2, "does not know the tenant"),
        ("500", 3, "the answer is 500"),
        ("302", 3, "the answer is 302"),
        ("text", 3, "unexpected answer"),
    ],
)
def test_an_answer_that_is_not_a_list_of_holds_is_an_error(
    hold: Call, server: str, tenant: str, code: int, message: str
) -> None:
    done = listed(hold, server, tenant)
    assert (done.code, message in done.err) == (code, True), done


def listed(hold: Call, server: str, tenant: str) -> Ended:
    return hold("--list", "--zuul-url", server, "--tenant", tenant)


def test_a_list_needs_no_token(hold: Call, server: str) -> None:
    done = listed(hold, server, "empty")
    assert (done.code, "there are no holds" in done.out) == (0, True), done


def test_a_job_without_a_build_needs_a_project(
    hold: Call, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TOKEN, "a.b.c")
    done = hold("job", "--zuul-url", server, "--tenant", "empty")
    assert (done.code, "the job job has no build yet" in done.err) == (2, True), done


def test_a_server_that_does_not_answer_is_an_error_of_infrastructure(hold: Call) -> None:
    with serving(Handler) as url:
        pass
    done = listed(hold, url, "empty")
    assert (done.code, "the connection failed" in done.err) == (3, True), done
