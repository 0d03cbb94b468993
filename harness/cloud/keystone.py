# SPDX-License-Identifier: Apache-2.0
"""Keystone: fernet tokens, a memory cache, one thread per process.

One thread serves Keystone, each request starts with a fresh request context, and
the policies are loaded before the first request: this is for correctness. More
threads would not be faster, since one interpreter runs one thread at a time.
"""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bsdgate.harness import folders
from bsdgate.harness.cloud import service
from bsdgate.harness.cloud.spec import ADMIN, REGION, CloudSpec, write_private

NAME = "keystone"
DISTRIBUTION = "keystone"
TYPE = "identity"
PATH = "/v3"
AFTER: tuple[str, ...] = ()
THREADS = 1
IMPORTS = (
    "keystone.server.wsgi",
    "keystone.server.flask.application",
    "dogpile.cache.backends.memory",
)

KEY_REPOSITORIES = ("fernet_tokens", "fernet_receipts", "credential")
_SET_HASH = (
    "UPDATE password SET password_hash = ?"
    " WHERE local_user_id = (SELECT id FROM local_user WHERE name = ?)"
)
_SET_ENDPOINT = (
    "UPDATE endpoint SET url = ? WHERE service_id = (SELECT id FROM service WHERE type = ?)"
)


def configure(spec: CloudSpec) -> None:
    """Write keystone.conf, and set the environment variable with its directory."""
    data = spec.data(NAME)
    sections: dict[str, dict[str, object]] = {
        "DEFAULT": {"public_endpoint": spec.url(NAME)},
        "database": service.database(spec.database_url(NAME)),
        "token": {"provider": "fernet"},
        "identity": {"password_hash_rounds": service.BCRYPT_ROUNDS},
        # Keystone's default is off; Tempest tests these limits where they are set.
        "security_compliance": {
            "lockout_failure_attempts": 3,
            "lockout_duration": 3,
            "unique_last_password_count": 2,
        },
        "cache": {"enabled": True, "backend": "dogpile.cache.memory"},
        # Otherwise Keystone validates each of its responses against a schema.
        "api": {"response_validation": "ignore"},
    }
    for keys in KEY_REPOSITORIES:
        sections[keys] = {"key_repository": data / keys}
    service.write_config(spec, NAME, sections)
    os.environ["OS_KEYSTONE_CONFIG_DIR"] = str(spec.etc(NAME))


def create(spec: CloudSpec, run: service.RunCommand) -> None:
    """Make the database with the default domain, the user admin and the identity endpoint."""
    config = ["--config-dir", str(spec.etc(NAME))]
    run("keystone.cmd.manage:main", [*config, "db_sync"])
    for keys in KEY_REPOSITORIES:
        _write_keys(spec.data(NAME) / keys)
    run(
        "keystone.cmd.manage:main",
        [
            *config,
            "bootstrap",
            f"--bootstrap-password={spec.passwords[ADMIN]}",
            f"--bootstrap-region-id={REGION}",
            f"--bootstrap-public-url={spec.url(NAME)}{PATH}",
        ],
    )


def relocate(spec: CloudSpec, origin: Path) -> None:
    """Make new keys; set the passwords and endpoints of this cloud."""
    del origin  # Keystone stores no path
    for keys in KEY_REPOSITORIES:
        _write_keys(spec.data(NAME) / keys)
    passwords = [
        (_SET_HASH, (service.hash_password(each), user)) for user, each in spec.passwords.items()
    ]
    modules = {name: service.load(name) for name in spec.ports}
    endpoints = [
        (_SET_ENDPOINT, (f"{spec.url(name)}{module.PATH}", module.TYPE))
        for name, module in modules.items()
    ]
    service.rewrite(spec.database(NAME), *passwords, *endpoints)


def application(spec: CloudSpec) -> service.Application:
    """Return Keystone's application, which starts each request with a fresh context."""
    del spec  # the application reads the environment variables that configure() set
    from keystone.common.rbac_enforcer.enforcer import RBACEnforcer
    from keystone.wsgi.api import application as keystone
    from oslo_context.context import RequestContext

    RBACEnforcer()._enforcer.load_rules()  # noqa: SLF001 - there is no public way to load them

    def in_fresh_context(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        RequestContext(overwrite=True)
        response: Iterable[bytes] = keystone(environ, start_response)
        return response

    return in_fresh_context


def _write_keys(repository: Path) -> None:
    """Write a staged and a primary key, as ``keystone-manage fernet_setup`` does."""
    from cryptography.fernet import Fernet

    folders.make(repository)
    for name in ("0", "1"):
        write_private(repository / name, Fernet.generate_key().decode())
