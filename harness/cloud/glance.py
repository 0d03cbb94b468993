# SPDX-License-Identifier: Apache-2.0
"""Glance: images as files, metadata definitions loaded, in-process import tasks."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from bsdgate.harness.cloud import service
from bsdgate.harness.cloud.spec import CloudSpec

NAME = "glance"
DISTRIBUTION = "glance"
TYPE = "image"
PATH = ""
AFTER: tuple[str, ...] = ()
THREADS = 8
IMPORTS = ("glance.common.wsgi_app", "glance.api.v2.router", "glance_store._drivers.filesystem")

CONFIG = "glance-api.conf"
BACKENDS = {"fs": "images", "second": "copies"}
"""Stores of images and their directories, the default first. Tests copy images to the second."""

STORES = BACKENDS | {"os_glance_staging_store": "staging", "os_glance_tasks_store": "tasks"}
"""Glance's names of all its stores, and the directory of each."""


def configure(spec: CloudSpec) -> None:
    """Write glance-api.conf beside a copy of the packaged paste file."""
    data = spec.data(NAME)
    paste = service.copy_packaged(DISTRIBUTION, "glance-api-paste.ini", spec.etc(NAME))
    sections: dict[str, dict[str, object]] = {
        "DEFAULT": {
            "enabled_backends": ",".join(f"{store}:file" for store in BACKENDS),
            "enabled_import_methods": "[glance-direct,web-download,copy-image]",
            "worker_self_reference_url": spec.url(NAME),
            "image_cache_dir": data / "cache",
        },
        # Tests upload random bytes as images of every format.
        "image_format": {"require_image_format_match": False},
        "glance_store": {"default_backend": "fs"},
        "paste_deploy": {"flavor": "keystone+cachemanagement", "config_file": paste},
        "database": service.database(spec.database_url(NAME)),
        "keystone_authtoken": service.token_auth(spec, NAME),
    }
    for store, folder in STORES.items():
        sections[store] = {"filesystem_store_datadir": data / folder}
    service.write_config(spec, NAME, sections, CONFIG)
    os.environ["OS_GLANCE_CONFIG_DIR"] = str(spec.etc(NAME))


def create(spec: CloudSpec, run: service.RunCommand) -> None:
    """Make the database and load the metadata definitions that are installed with Glance."""
    config = ["--config-file", str(spec.etc(NAME) / CONFIG)]
    service.make_folders(spec.data(NAME), STORES.values())
    definitions = service.packaged_file(DISTRIBUTION, "compute-libvirt.json").parent
    run("glance.cmd.manage:main", [*config, "db", "sync"])
    run("glance.cmd.manage:main", [*config, "db", "load_metadefs", str(definitions)])


def relocate(spec: CloudSpec, origin: Path) -> None:
    """Replace the directory in the locations of stored images by the directory of this cloud."""
    moved = (f"file://{origin}/", f"file://{spec.data(NAME)}/")
    service.rewrite(
        spec.database(NAME), ("UPDATE image_locations SET value = replace(value, ?, ?)", moved)
    )


def application(spec: CloudSpec) -> service.Application:
    """Return Glance's application, which cannot close the body of a request."""
    del spec  # the application reads the environment variables that configure() set
    from glance.wsgi.api import application as glance

    def without_close(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        environ["wsgi.input"] = RequestBody(environ["wsgi.input"])
        response: Iterable[bytes] = glance(environ, start_response)
        return response

    return without_close


class RequestBody:
    """The body of a request, without close().

    Glance closes the body after it has stored an image. Cheroot then closes the
    connection, and the client's next request on it may be lost.
    """

    def __init__(self, body: Any) -> None:
        """Take the WSGI server's body."""
        self.read = body.read
        self.readline = body.readline
        self.readlines = body.readlines

    def __iter__(self) -> Iterator[bytes]:
        """Return the lines, as the WSGI server's body does."""
        return iter(self.readline, b"")
