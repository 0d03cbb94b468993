# SPDX-License-Identifier: Apache-2.0
"""bsdgate.harness.cloud.accounts: Tempest finds enough accounts of each kind."""

import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from bsdgate.harness.cloud.accounts import ACCOUNTS, SETS, tempest_entries
from bsdgate.harness.profiles import load as profiles
from bsdgate.harness.runners.accounts import ordered

with warnings.catch_warnings():
    # Tempest emits warnings about its own modules.
    warnings.simplefilter("ignore")
    from tempest.lib.common.preprov_creds import PreProvisionedCredentialProvider


@pytest.fixture
def provider(tmp_path: Path) -> Any:
    """Return Tempest's provider of credentials; no cloud is needed here."""
    file = tmp_path / "accounts.yaml"
    passwords = {each.user: f"password of {each.user}" for each in ACCOUNTS}
    file.write_text(yaml.safe_dump(ordered(tempest_entries(passwords)), sort_keys=False))
    return PreProvisionedCredentialProvider("v3", str(file), str(tmp_path), admin_role="admin")


def found(provider: Any, roles: list[str] | None, scope: str | None) -> list[dict[str, str]]:
    """Return the accounts that Tempest would use for these roles, in its order."""
    keys = provider._get_match_hash_list(roles, scope)
    return [provider.hash_dict["creds"][key] for key in keys]


@pytest.mark.parametrize(
    ("role", "scope"),
    [
        ("admin", None),
        *((role, "project") for role in ("admin", "manager", "member", "reader")),
        *((role, "system") for role in ("admin", "member", "reader")),
    ],
)
def test_there_is_an_account_of_each_kind_for_each_test_class(
    provider: Any, role: str, scope: str | None
) -> None:
    assert len({each["username"] for each in found(provider, [role], scope)}) == SETS


def test_a_second_tenant_has_another_project(provider: Any) -> None:
    """Tempest uses the first free account, with any project or scope."""
    alternatives = [each.get("project_name") for each in found(provider, None, None)[:SETS]]
    projects = Counter(each.project for each in ACCOUNTS)
    assert [projects[each] for each in alternatives] == [1] * SETS


def test_member_and_reader_are_of_one_project(provider: Any) -> None:
    for account in found(provider, ["member"], "project"):
        keys = provider._get_match_hash_list(["reader"], "project", account["project_name"])
        assert len(keys) == 1


def test_no_profile_runs_more_test_classes_than_there_are_accounts() -> None:
    assert profiles.load("embedded").concurrency <= SETS
