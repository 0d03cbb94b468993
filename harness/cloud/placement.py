# SPDX-License-Identifier: Apache-2.0
"""Placement: the resource providers that Nova and Ironic report."""

import os
from pathlib import Path

from bsdgate.harness.cloud import service
from bsdgate.harness.cloud.spec import CloudSpec

NAME = "placement"
DISTRIBUTION = "openstack-placement"
TYPE = "placement"
PATH = ""
AFTER: tuple[str, ...] = ()
THREADS = 4
IMPORTS = ("placement.wsgi", "placement.deploy")


def configure(spec: CloudSpec) -> None:
    """Write placement.conf, and set the environment variable with its directory."""
    sections: dict[str, dict[str, object]] = {
        "api": {"auth_strategy": "keystone"},
        "placement_database": service.database(spec.database_url(NAME)),
        "keystone_authtoken": service.token_auth(spec, NAME),
    }
    service.write_config(spec, NAME, sections)
    os.environ["OS_PLACEMENT_CONFIG_DIR"] = str(spec.etc(NAME))


def create(spec: CloudSpec, run: service.RunCommand) -> None:
    """Make the database."""
    config = ["--config-file", str(spec.etc(NAME) / "placement.conf")]
    run("placement.cmd.manage:main", [*config, "db", "sync"])


def relocate(spec: CloudSpec, origin: Path) -> None:
    """Change nothing: Placement's database contains no file path, TCP port or password."""


def application(spec: CloudSpec) -> service.Application:
    """Return Placement's application."""
    del spec  # the application reads the environment variables that configure() set
    from placement.wsgi.api import application as placement

    app: service.Application = placement
    return app
