# SPDX-License-Identifier: Apache-2.0
"""bsdgate.harness.runners.accounts."""

from pathlib import Path
from typing import Any

import pytest

from bsdgate.harness.errors import ConfigurationError, UsageError
from bsdgate.harness.runners import accounts

ALT = {"username": "alt", "password": "a", "project_name": "p2"}
MEMBER = {"username": "member", "password": "m", "project_name": "p", "roles": ["member"]}
ADMIN = {"username": "admin", "password": "x", "project_name": "p", "types": ["admin"]}
SYSTEM = {"username": "system", "password": "s", "system": "all", "roles": ["member"]}


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ("", "is not a list of accounts"),
        ("{}", "is not a list of accounts"),
        ("[]", "is not a list of accounts"),
        ("- text", "account 1 of"),
        ("- {username: u, password: p}\n- {username: u}", "account 2 of"),
        ("- [", "cannot read"),
        ("\0", "cannot read"),
    ],
)
def test_other_content_than_accounts_is_refused(tmp_path: Path, content: str, what: str) -> None:
    path = tmp_path / "accounts.yaml"
    path.write_text(content)
    with pytest.raises(ConfigurationError, match=what) as caught:
        accounts.read(path)
    assert "account-generator" in str(caught.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="No such file"):
        accounts.read(tmp_path / "absent.yaml")


def test_accounts_without_a_role_come_first_and_the_others_keep_their_order() -> None:
    assert accounts.ordered([MEMBER, ADMIN, ALT, SYSTEM]) == [ALT, MEMBER, ADMIN, SYSTEM]


@pytest.mark.parametrize(
    ("given", "hint"),
    [([MEMBER, ALT, SYSTEM], "choose --concurrency 1"), ([ALT, SYSTEM], "account-generator")],
)
def test_fewer_accounts_than_test_classes_are_refused(
    given: list[dict[str, Any]], hint: str
) -> None:
    with pytest.raises(UsageError, match="2 test classes run at the same time") as caught:
        accounts.check_enough(given, 2, Path("accounts.yaml"))
    assert hint in str(caught.value)


def test_as_many_accounts_as_test_classes_are_enough() -> None:
    accounts.check_enough([MEMBER, ALT, MEMBER], 2, Path("accounts.yaml"))
