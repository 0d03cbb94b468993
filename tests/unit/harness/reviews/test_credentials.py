# SPDX-License-Identifier: Apache-2.0
"""Where the credentials are found, who may read them, and that no error contains them."""

import os
from pathlib import Path

import pytest

from bsdgate.harness.errors import UsageError
from bsdgate.harness.reviews.credentials import PASSWORD, USER, Credentials, find

SERVER = "https://review.example.org:8443/gerrit"
SECRET = "canary-3f8c"
LINE = f"machine review.example.org login ci password {SECRET}\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "credentials"
    path.write_text(LINE)
    path.chmod(0o600)
    return path


def test_the_variables_are_used() -> None:
    found = find(SERVER, None, {USER: "ci", PASSWORD: SECRET})
    assert found == Credentials("ci", SECRET)
    assert SECRET not in repr(found)


def test_a_file_has_precedence_over_the_variables(file: Path) -> None:
    assert find(SERVER, file, {USER: "other", PASSWORD: "x"}) == Credentials("ci", SECRET)


def test_netrc_is_in_the_home_or_where_its_variable_leads(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert find(SERVER, None, {"NETRC": str(file)}).user == "ci"
    monkeypatch.setenv("HOME", str(file.parent))
    file.rename(file.parent / ".netrc")
    assert find(SERVER, None, {}).user == "ci"


@pytest.mark.parametrize("name", [USER, PASSWORD])
def test_one_variable_alone_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match=f"{name} is set alone"):
        find(SERVER, None, {name: SECRET})


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("", "has no user with a password for review.example.org"),
        (f"default login ci password {SECRET}\n", "has no user"),
        (f"machine other.example.org login ci password {SECRET}\n", "has no user"),
        (f"machine review.example.org password {SECRET}\n", "has no user"),
        ("machine review.example.org login ci\n", "has no user"),
        (f"\n{SECRET} review.example.org\n", "line 2 of .*credentials is not in the format"),
        (f"machine review.example.org login ci {SECRET} x\n", "line 1 of"),
        ("\udcff", "is not in UTF-8"),
    ],
)
def test_a_file_without_the_credentials_is_refused(file: Path, content: str, why: str) -> None:
    file.write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(UsageError, match=why) as caught:
        find(SERVER, file, {})
    assert SECRET not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o677])
def test_a_file_that_others_may_use_is_refused(file: Path, mode: int) -> None:
    file.chmod(mode)
    with pytest.raises(UsageError, match=f"mode {mode:04o}.*\n.*chmod 600"):
        find(SERVER, file, {})


def test_a_file_of_another_user_is_refused(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: file.stat().st_uid + 1)
    with pytest.raises(UsageError, match="belongs to another user"):
        find(SERVER, file, {})


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read .*nothing: No such file"):
        find(SERVER, tmp_path / "nothing", {})


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read"):
        find(SERVER, tmp_path, {})
