# SPDX-License-Identifier: Apache-2.0
"""Tempest's accounts file: read, checked, and put into the order in which Tempest takes them."""

import shlex
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from bsdgate.harness.errors import ConfigurationError, UsageError

Account = Mapping[str, Any]
"""One entry of the file."""

_HINT = "write it by `tempest account-generator`, or by its example accounts.yaml.sample"


def read(path: Path) -> list[Account]:
    """Return the accounts of a file.

    :raises ConfigurationError: it cannot be read, or is no list of accounts with passwords.
    """
    try:
        found = yaml.safe_load(path.read_bytes())
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ConfigurationError(f"cannot read the accounts file {path}: {error}", _HINT) from error
    if not isinstance(found, list) or not found:
        raise ConfigurationError(f"the accounts file {path} is not a list of accounts", _HINT)
    for number, each in enumerate(found, 1):
        if not isinstance(each, dict) or not {"username", "password"} <= each.keys():
            text = f"account {number} of {path} has no username or no password"
            raise ConfigurationError(text, _HINT)
    return found


def check(path: Path) -> None:
    """Check a file of accounts before anything is done with it.

    :raises ConfigurationError: it cannot be read, or is no list of accounts with passwords.
    :raises UsageError: others may read it.
    """
    read(path)
    if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise UsageError(
            f"others may read the accounts file {path}, which has passwords",
            f"`chmod 600 {shlex.quote(str(path))}`",
        )


def ordered(accounts: Sequence[Account]) -> list[Account]:
    """Return the accounts, those without a role first.

    For a second tenant Tempest takes the first free account that is not an admin's. Of the others
    it could be one of the same project, or one of system scope.
    """
    return sorted(accounts, key=lambda each: bool(each.get("roles") or each.get("types")))


def check_enough(accounts: Sequence[Account], concurrency: int, path: Path) -> None:
    """Check that so many test classes can run at a time, each with a tenant of its own.

    :raises UsageError: there are too few tenants.
    """
    tenants = [each for each in accounts if _is_member(each)]
    if len(tenants) < concurrency:
        raise UsageError(
            f"{path} has {len(tenants)} accounts with the role member in a project, and"
            f" {concurrency} test classes at a time need one each",
            f"choose --concurrency {len(tenants)}" if tenants else _HINT,
        )


def _is_member(account: Account) -> bool:
    in_project = "project_name" in account or "tenant_name" in account
    return in_project and "member" in (account.get("roles") or ())
