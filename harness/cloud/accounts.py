# SPDX-License-Identifier: Apache-2.0
"""Accounts that a new cloud has for tests, so that no test class has to make its own.

They are of the kinds that ``tempest account-generator`` makes. Tempest locks an account while a
test class uses it and does not wait for one: a class that finds no free account fails.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

SETS: Final = 8
"""Accounts of each kind: as many test classes can run at a time."""


@dataclass(frozen=True)
class Account:
    """A user with one role: on the project, or of system scope if ``project`` is None.

    ``any_use`` is an account that the file lists without its role: a second tenant.
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
    """Return the accounts as a list for Tempest's accounts file; ``passwords`` are by user."""
    return [_entry(account, passwords[account.user]) for account in ACCOUNTS]


def _entry(account: Account, password: str) -> dict[str, Any]:
    entry: dict[str, Any] = {"username": account.user, "password": password}
    if account.project is None:
        entry["system"] = "all"
    else:
        entry |= {"project_name": account.project, "domain_name": "Default"}
    return entry if account.any_use else entry | {"roles": [account.role]}
