# SPDX-License-Identifier: Apache-2.0
"""Ironic: API and conductor in one process, with nodes of type fake-hardware.

Without Keystone, Ironic checks passwords itself, by HTTP basic authentication.

Difference from real hardware: a fake-hardware node passes all provision states
without a machine.
"""

import os
from pathlib import Path

from bsdgate.harness import folders
from bsdgate.harness.cloud import service
from bsdgate.harness.cloud.neutron import SHARED_NETWORK
from bsdgate.harness.cloud.spec import ADMIN, HOST, CloudSpec, write_private

NAME = "ironic"
DISTRIBUTION = "ironic"
TYPE = "baremetal"
PATH = ""
AFTER: tuple[str, ...] = ()
THREADS = 8
IMPORTS = (
    # First, because it selects threads in place of eventlet.
    "ironic.command",
    "ironic.common.service",
    "ironic.api.app",
    "ironic.api.controllers.v1",
    "ironic.db.sqlalchemy.api",
    "ironic.conductor.rpc_service",
)

INTERFACES = {
    "bios": "fake,no-bios",
    "boot": "fake,pxe",
    "console": "fake,fake-graphical,no-console",
    "deploy": "fake,direct",
    "firmware": "fake,no-firmware",
    "inspect": "fake,no-inspect",
    "management": "fake,noop",
    "network": "noop,flat",
    "power": "fake",
    "raid": "fake,no-raid",
    "rescue": "fake,no-rescue",
    "storage": "noop,fake",
    "vendor": "fake,no-vendor",
}

PHASES = ("cleaning_network", "provisioning_network")
"""The options for the network of a node with the interface flat, while no user has the node."""

FOLDERS = ("http", "tftp", "tftp-master", "images", "instance-master", "tmp", "certs")


def configure(spec: CloudSpec) -> None:
    """Write ironic.conf."""
    data = spec.data(NAME)
    sections: dict[str, dict[str, object]] = {
        "DEFAULT": {
            "host": "bsdgate",
            "my_ip": HOST,
            "rpc_transport": "none",
            "transport_url": "bsdgate://",
            "enabled_hardware_types": "fake-hardware",
            **_authentication(spec),
            "tempdir": data / "tmp",
            "state_path": data,
            "hash_ring_reset_interval": 15,
            **_interfaces(spec),
            # Ironic's default is flat, which makes ports in Neutron for each node.
            "default_network_interface": "noop",
        },
        # By default Ironic validates its answers, but only logs a warning.
        "api": {"public_endpoint": spec.url(NAME), "response_validation": "ignore"},
        "conductor": {
            "api_url": spec.url(NAME),
            "automated_clean": False,
            "workers_pool_size": 64,
            "heartbeat_interval": 10,
        },
        "agent": {"certificates_path": data / "certs", "deploy_logs_local_path": data / "logs"},
        "deploy": {"http_root": data / "http", "http_url": spec.url(NAME)},
        "pxe": {
            "tftp_root": data / "tftp",
            "tftp_master_path": data / "tftp-master",
            "images_path": data / "images",
            "instance_master_path": data / "instance-master",
        },
        "dhcp": {"dhcp_provider": "none"},
        # Graphical consoles of fake hardware need this URL; no process listens on the port.
        "vnc": {"enabled": True, "public_url": f"http://{HOST}:6090/vnc_auto.html"},
        "database": service.database(spec.database_url(NAME)),
        **_other_services(spec),
    }
    service.write_config(spec, NAME, sections)
    os.environ["IRONIC_CONFIG_FILE"] = str(spec.etc(NAME) / "ironic.conf")


def _authentication(spec: CloudSpec) -> dict[str, object]:
    """Return the options for authentication; without Keystone, write a file of users."""
    if spec.has("keystone"):
        return {"auth_strategy": "keystone"}
    users = spec.etc(NAME) / "users.conf"
    write_private(users, f"{ADMIN}:{service.hash_password(spec.passwords[ADMIN])}\n")
    return {"auth_strategy": "http_basic", "http_basic_auth_user_file": users}


def _other_services(spec: CloudSpec) -> dict[str, dict[str, object]]:
    """Return the sections of ironic.conf for requests to the cloud's other services."""
    sections = service.clients(spec, dict.fromkeys(("neutron", "glance", "nova"), NAME))
    if spec.has("keystone"):
        sections["keystone_authtoken"] = service.token_auth(spec, NAME)
        sections["service_catalog"] = service.client_auth(spec, NAME)
    if spec.has("neutron"):
        # The interface flat refuses a VIF without these options.
        sections["neutron"] |= dict.fromkeys(PHASES, SHARED_NETWORK)
    return sections


def _interfaces(spec: CloudSpec) -> dict[str, object]:
    names = INTERFACES if spec.has("neutron") else INTERFACES | {"network": "noop"}
    return {f"enabled_{kind}_interfaces": listed for kind, listed in names.items()}


def create(spec: CloudSpec, run: service.RunCommand) -> None:
    """Make the database, and the directories for images and boot files."""
    service.make_folders(spec.data(NAME), FOLDERS)
    config = ["--config-file", str(spec.etc(NAME) / "ironic.conf")]
    run("ironic.command.dbsync:main", [*config, "create_schema"])


def relocate(spec: CloudSpec, origin: Path) -> None:
    """Remove files that Ironic writes at each start; the database has no path or password."""
    del origin
    for folder in ("http", "tftp"):
        folders.remove_tree(spec.data(NAME) / folder, inside=spec.directory)
    service.make_folders(spec.data(NAME), ("http", "tftp"))


def application(spec: CloudSpec) -> service.Application:
    """Start the conductor, and return the API's application."""
    import ironic.command  # noqa: F401 - before other modules of Ironic
    from ironic.common import service as ironic_service

    config = str(spec.etc(NAME) / "ironic.conf")
    ironic_service.prepare_service("ironic", ["ironic", "--config-file", config])
    # Periodic tasks of the manager read their intervals during the import,
    # so it is imported after the configuration is read.
    from ironic.api.app import VersionSelectorApplication
    from ironic.conductor.rpc_service import RPCService

    conductor = RPCService("bsdgate", "ironic.conductor.manager", "ConductorManager")
    conductor.start()
    app: service.Application = VersionSelectorApplication()
    return app
