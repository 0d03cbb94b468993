# SPDX-License-Identifier: Apache-2.0
"""The base class of the plugin's tests."""

from types import SimpleNamespace
from typing import Any

import pytest
from tempest import test
from tempest.lib import exceptions

from bsdgate.tempest_plugin.tests.base import ClusterTest


class OneTenant(ClusterTest):
    """Needs one tenant."""


class TwoTenants(ClusterTest):
    """Needs two tenants, and an account without a project."""

    credentials = ("primary", "alt", "system_admin")


@pytest.fixture
def projects(monkeypatch: pytest.MonkeyPatch) -> dict[str, str | None]:
    """Return a dictionary from which credentials take their project, instead of Tempest's code."""
    given: dict[str, str | None] = {}

    def set_up(cls: Any) -> None:
        for kind in cls.credentials:
            account = SimpleNamespace(project_id=given[kind])
            setattr(cls, f"os_{kind}", SimpleNamespace(credentials=account))

    monkeypatch.setattr(test.BaseTestCase, "setup_credentials", classmethod(set_up))
    for made in (OneTenant, TwoTenants):
        made._reset_class()
    return given


def test_two_tenants_of_one_project_are_refused(projects: dict[str, str | None]) -> None:
    projects.update(primary="p", alt="p", system_admin=None)
    with pytest.raises(exceptions.InvalidConfiguration, match="have the same project"):
        TwoTenants.setup_credentials()


def test_two_tenants_of_two_projects_are_accepted(projects: dict[str, str | None]) -> None:
    projects.update(primary="p", alt="q", system_admin=None)
    TwoTenants.setup_credentials()


def test_one_tenant_is_accepted(projects: dict[str, str | None]) -> None:
    projects.update(primary="p")
    OneTenant.setup_credentials()
