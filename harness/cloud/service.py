# SPDX-License-Identifier: Apache-2.0
"""The interface of a service of the embedded cloud, and functions that services share.

A service is a module of this package with the names of :class:`ServiceModule`. Its
functions run in processes for this service only, because oslo.config's global
``CONF`` cannot be shared by two services.
"""

import importlib
import importlib.metadata
import shutil
import sqlite3
import sys
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from bsdgate.harness import folders
from bsdgate.harness.cloud.spec import REGION, CloudSpec, ini, write_private

Application = Callable[..., Any]
"""A WSGI application."""

SERVICES = ("keystone", "placement", "glance", "neutron", "nova", "ironic")
"""All services, in the order in which they are started."""

BCRYPT_ROUNDS = 4
"""The minimum of bcrypt: each password is random, and the hashes are private to the user."""

SHARED_IMPORTS = (
    "alembic",
    "cryptography.x509",
    "jsonschema",
    "keystonemiddleware.auth_token",
    "oslo_concurrency.lockutils",
    "oslo_db.sqlalchemy.enginefacade",
    "oslo_messaging",
    "oslo_policy.policy",
    "oslo_versionedobjects.base",
    "sqlalchemy.orm",
    "webob",
)
"""Modules that most services import: imported once, before the first fork."""


class ServiceModule(Protocol):
    """The names in the module of a service."""

    NAME: str
    DISTRIBUTION: str
    TYPE: str
    """The service type in the catalogue."""
    PATH: str
    """The path in the URL of the endpoint."""
    AFTER: tuple[str, ...]
    """The services that must serve before this service starts."""
    THREADS: int
    """The number of threads that answer requests."""
    IMPORTS: tuple[str, ...]
    """Modules to import before the fork; the import opens no file or socket."""

    def configure(self, spec: CloudSpec) -> None:
        """Write the configuration files, and set the environment variables with their paths."""

    def create(self, spec: CloudSpec, run: "RunCommand") -> None:
        """Make the service's empty databases and files with the service's own commands."""

    def relocate(self, spec: CloudSpec, origin: Path) -> None:
        """Replace the paths, ports and passwords in data that was copied from ``origin``."""

    def application(self, spec: CloudSpec) -> Application:
        """Start the other parts of the service; return the WSGI application of the API."""


RunCommand = Callable[[str, Sequence[str]], None]
"""Runs ``module:function`` with arguments in a process of its own; raises if it fails."""


def example(names: Collection[str]) -> str:
    """Return an example command of OpenStack's client for a cloud with these services."""
    examples = {
        "nova": "server list",
        "ironic": "baremetal node list",
        "neutron": "network list",
        "glance": "image list",
    }
    return next((words for name, words in examples.items() if name in names), "token issue")


def load(name: str) -> ServiceModule:
    """Return the module of a service."""
    service: ServiceModule = importlib.import_module(f"bsdgate.harness.cloud.{name}")
    return service


def distributions(names: Iterable[str]) -> list[str]:
    """Return the distributions of services."""
    return [load(name).DISTRIBUTION for name in names]


def call_main(entry: str, argv: Sequence[str]) -> None:
    """Call ``main`` of a command line as the console script does; RuntimeError if it fails."""
    module, function = entry.split(":")
    sys.argv = [module, *argv]
    try:
        status = getattr(importlib.import_module(module), function)()
    except SystemExit as exit_:
        status = exit_.code
    if status:
        raise RuntimeError(f"{entry} {' '.join(argv)} ended with {status}")


def write_config(
    spec: CloudSpec,
    name: str,
    sections: Mapping[str, Mapping[str, object]],
    file: str | None = None,
) -> Path:
    """Write ``etc/NAME/NAME.conf`` (or ``file``) with the common options; return its path."""
    merged: dict[str, dict[str, object]] = {
        "DEFAULT": {"log_file": spec.log(name), "use_stderr": False},
        "oslo_concurrency": {"lock_path": spec.data(name) / "locks"},
        "oslo_messaging_notifications": {"driver": "noop"},
    }
    for section, options in (*sections.items(), *spec.options.get(name, {}).items()):
        merged.setdefault(section, {}).update(options)
    path = spec.etc(name) / (file or f"{name}.conf")
    write_private(path, ini(merged))
    return path


def database(url: str) -> dict[str, object]:
    """Return the options of a ``[database]`` section."""
    return {"connection": url, "sqlite_synchronous": False}


def client_auth(spec: CloudSpec, user: str) -> dict[str, object]:
    """Return the keystoneauth options for requests of a service, as ``user``, to others."""
    return {
        "auth_type": "password",
        "auth_url": f"{spec.url('keystone')}/v3",
        "username": user,
        "password": spec.passwords[user],
        "project_name": "service",
        "user_domain_id": "default",
        "project_domain_id": "default",
        "region_name": REGION,
    }


def clients(spec: CloudSpec, users: Mapping[str, str]) -> dict[str, dict[str, object]]:
    """Return the sections for requests to services of the cloud; ``users`` are by section."""
    return {name: client_auth(spec, user) for name, user in users.items() if spec.has(name)}


def hash_password(password: str) -> str:
    """Return the bcrypt hash of a password."""
    import bcrypt

    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(BCRYPT_ROUNDS)).decode()


def token_auth(spec: CloudSpec, user: str) -> dict[str, object]:
    """Return the options of a ``[keystone_authtoken]`` section."""
    return client_auth(spec, user) | {
        "www_authenticate_uri": f"{spec.url('keystone')}/v3",
        "service_token_roles_required": True,
        "service_token_roles": "service",
        # Without this option, a credential with access rules is refused.
        "service_type": load(user).TYPE,
    }


def packaged_file(distribution: str, name: str) -> Path:
    """Return the path of a data file of a distribution, by its file name.

    :raises FileNotFoundError: the installed release has no such file.
    """
    for file in importlib.metadata.files(distribution) or ():
        if file.name == name:
            return Path(str(file.locate()))
    raise FileNotFoundError(f"{distribution} installs no {name}")


def copy_packaged(distribution: str, name: str, folder: Path) -> Path:
    """Copy a data file of a distribution to ``folder``; return the path of the copy."""
    folders.make(folder)
    return Path(shutil.copy(packaged_file(distribution, name), folder / name))


def make_folders(parent: Path, names: Iterable[str]) -> None:
    """Make private directories in ``parent``."""
    for name in names:
        folders.make(parent / name)


def rewrite(database_file: Path, *statements: tuple[str, Sequence[object]]) -> None:
    """Run SQL statements in one transaction on a database that no service has open."""
    connection = sqlite3.connect(database_file)
    try:
        with connection:
            for sql, values in statements:
                connection.execute(sql, values)
    finally:
        connection.close()
