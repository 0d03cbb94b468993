# SPDX-License-Identifier: Apache-2.0
"""bsdgate hold on a real Zuul: holds are added, listed and deleted; wrong tokens are refused."""

import json
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from functional import sshd
from functional.place import BIN
from functional.zuul_stack.api import Api
from functional.zuul_stack.layout import TENANT
from functional.zuul_stack.settings import OPERATORS
from functional.zuul_stack.stack import Stack

# The first test may make the state of the stack, which takes minutes on a busy machine.
pytestmark = pytest.mark.timeout(600)

Hold = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def token(zuul: Stack) -> str:
    """Make a token as an operator does."""
    program, settings = zuul.layout.program("zuul-admin"), zuul.layout.settings / "zuul.conf"
    who = ("--auth-config", OPERATORS, "--tenant", TENANT, "--user", "someone")
    return sshd.run(program, "-c", settings, "create-auth-token", *who).strip()


@pytest.fixture
def hold(zuul: Stack, token: str, tmp_path: Path) -> Hold:
    """Return a function that runs the command with the token in a file."""
    file = tmp_path / "token"
    file.touch(mode=0o600)
    file.write_text(f"{token}\n")

    def run(*arguments: str, token_file: Path = file) -> subprocess.CompletedProcess[str]:
        where = ("--zuul-url", zuul.layout.web_url, "--tenant", TENANT)
        return subprocess.run(
            [BIN / "bsdgate", "hold", *where, "--token-file", token_file, *arguments],
            env={**os.environ, "COLUMNS": "400", "no_proxy": "127.0.0.1"},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def test_a_hold_is_added_listed_and_deleted(zuul: Stack, hold: Hold) -> None:
    given = ("--change", "77", "--count", "2", "--hours", "1.5", "--reason", "look at Keystone")
    added = hold("judged", "--project", "demo", *given)
    assert added.returncode == 0, added.stderr
    api = Api(zuul.layout.web_url)
    (known,) = api.get("autohold")
    assert known["project"].endswith("/demo")
    assert (known["job"], known["max_count"], known["reason"]) == ("judged", 2, "look at Keystone")
    assert known["node_expiration"] == 5400
    assert re.fullmatch(known["ref_filter"], "refs/changes/77/77/1")
    for text in (known["id"], "judged", "0 of 2", "1.5 h", "look at Keystone"):
        assert text in added.stdout

    listed = hold("--list")
    assert (listed.returncode, known["id"] in listed.stdout) == (0, True), listed
    deleted = hold("--delete", known["id"])
    assert deleted.returncode == 0, deleted.stderr
    assert api.get("autohold") == []
    again = hold("--delete", known["id"])
    assert (again.returncode, "does not know the hold" in again.stderr) == (2, True), again
    assert "there are no holds" in hold("--list").stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("absent", "--project", "demo"), "does not know the job absent"),
        (("judged", "--project", "absent"), "does not know the project absent"),
        (("judged", "--project", "demo", "--tenant", "absent"), "does not know"),
    ],
)
def test_unknown_names_are_refused(
    zuul: Stack, hold: Hold, arguments: tuple[str, ...], message: str
) -> None:
    done = hold(*arguments)
    assert (done.returncode, message in done.stderr) == (2, True), done
    assert Api(zuul.layout.web_url).get("autohold") == []


def test_a_token_that_zuul_does_not_accept_is_refused(
    zuul: Stack, hold: Hold, token: str, tmp_path: Path
) -> None:
    head, _, signature = token.rpartition(".")
    wrong = tmp_path / "wrong"
    wrong.touch(mode=0o600)
    wrong.write_text(f"{head}.{signature[::-1]}")
    done = hold("judged", "--project", "demo", token_file=wrong)
    assert (done.returncode, "does not accept the token" in done.stderr) == (2, True), done
    assert signature[::-1] not in json.dumps([done.stdout, done.stderr])
    assert Api(zuul.layout.web_url).get("autohold") == []
