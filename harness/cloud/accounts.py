# SPDX-License-Identifier: Apache-2.0
"""The accounts of a new cloud for tests, so that test classes need not make their own.

The kinds are as in ``tempest account-generator``. Tempest locks an account while a test class uses
it, and does not wait for a free account: without one, a class fails.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

SETS: Final = 8
"""The number of accounts of each kind, and of test classes that can run at the same time."""


@dataclass(frozen=True)
class Account:
    """A user with one role: in a project, or with system scope if ``project`` is None.

    ``any_use``: the accounts file lists the account without its role, for a second tenant.
    """

    user: str
    role: str
    project: str | None
    any_use: bool = False


def _set_of(number: int) -> list[Account]:
    project = f"test-{number}"
    alone = [
        Account(f"test-alt-{number}", "member", f"test-alt-{number}", any_use=True),
        Account(f"test-admin-{number}", "admin", f"test-admin-{number}"),
    ]
    # Tempest takes the member and the reader of one test class from one project.
    shared = [
        Account(f"test-{role}-{number}", role, project) for role in ("manager", "member", "reader")
    ]
    system = [
        Account(f"test-system-{role}-{number}", role, None)
        for role in ("admin", "member", "reader")
    ]
    return [*alone, *shared, *system]


ACCOUNTS: Final = tuple(account for number in range(1, SETS + 1) for account in _set_of(number))


def tempest_entries(passwords: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the entries of Tempest's accounts file; ``passwords`` are by user."""
    return [_entry(account, passwords[account.user]) for account in ACCOUNTS]


def _entry(account: Account, password: str) -> dict[str, Any]:
    entry: dict[str, Any] = {"username": account.user, "password": password}
    if account.project is None:
        entry["system"] = "all"
    else:
        entry |= {"project_name": account.project, "domain_name": "Default"}
    return entry if account.any_use else entry | {"roles": [account.role]}
