# SPDX-License-Identifier: Apache-2.0
"""Reads and checks Tempest's accounts file, and sorts the accounts."""

import shlex
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from bsdgate.harness.errors import ConfigurationError, UsageError

AccountEntry = Mapping[str, Any]
"""One entry of the file."""

_HINT = "generate it by `tempest account-generator`, or use Tempest's accounts.yaml.sample"


def read(path: Path) -> list[AccountEntry]:
    """Return the accounts of a file.

    :raises ConfigurationError: the file cannot be read, or is no list of accounts with passwords.
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
    """Check a file of accounts.

    :raises ConfigurationError: the file cannot be read, or is no list of accounts with passwords.
    :raises UsageError: other users may read the file.
    """
    read(path)
    if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise UsageError(
            f"other users may read the accounts file {path}, which contains passwords",
            f"`chmod 600 {shlex.quote(str(path))}`",
        )


def ordered(accounts: Sequence[AccountEntry]) -> list[AccountEntry]:
    """Return the accounts, those without a role first.

    For a second tenant Tempest takes the first free account without the role admin. An account with
    a role could have the same project or system scope.
    """
    return sorted(accounts, key=lambda each: bool(each.get("roles") or each.get("types")))


def check_enough(accounts: Sequence[AccountEntry], concurrency: int, path: Path) -> None:
    """Check that there is an account in a project for each of ``concurrency`` test classes.

    :raises UsageError: there are too few accounts.
    """
    tenants = [each for each in accounts if _is_member(each)]
    if len(tenants) < concurrency:
        raise UsageError(
            f"{path} has {len(tenants)} accounts with the role member in a project, but"
            f" {concurrency} test classes run at the same time",
            f"choose --concurrency {len(tenants)}" if tenants else _HINT,
        )


def _is_member(account: AccountEntry) -> bool:
    in_project = "project_name" in account or "tenant_name" in account
    return in_project and "member" in (account.get("roles") or ())
