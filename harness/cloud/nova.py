# SPDX-License-Identifier: Apache-2.0
"""Nova: API, conductor, scheduler and compute in one process, on ``plugins.virt``."""

import os
import sys
import uuid
from pathlib import Path
from typing import Any

from bsdgate.harness.cloud import service
from bsdgate.harness.cloud.spec import HOST, REGION, CloudSpec, write_private

NAME = "nova"
DISTRIBUTION = "nova"
TYPE = "compute"
PATH = "/v2.1"
AFTER = ("keystone", "placement")
THREADS = 8
IMPORTS = (
    "nova.api.openstack.wsgi_app",
    "nova.api.openstack.compute.routes",
    "nova.compute.manager",
    "nova.conductor.manager",
    "nova.scheduler.manager",
    "nova.virt.fake",
    "nova.network.neutron",
    "nova.image.glance",
)

COMPUTE_HOST = "bsdgate"


def configure(spec: CloudSpec) -> None:
    """Select native threads; write nova.conf beside a copy of the packaged paste file."""
    from nova import monkey_patch

    os.environ["OS_NOVA_DISABLE_EVENTLET_PATCHING"] = "1"
    monkey_patch.patch()
    data = spec.data(NAME)
    service.copy_packaged(DISTRIBUTION, "api-paste.ini", spec.etc(NAME))
    sections: dict[str, dict[str, object]] = {
        "DEFAULT": {
            "host": COMPUTE_HOST,
            "my_ip": HOST,
            "state_path": data,
            "transport_url": "bsdgate://",
            "compute_driver": "bsdgate.FakeDriver",
            "vif_plugging_is_fatal": False,
            "vif_plugging_timeout": 0,
            "allow_resize_to_same_host": True,
            "report_interval": 10,
            "service_down_time": 60,
            "sync_power_state_interval": -1,
            "heal_instance_info_cache_interval": -1,
            "shelved_offload_time": 0,
        },
        "database": service.database(spec.database_url(NAME, "cell1")),
        "api_database": service.database(spec.database_url(NAME, "api")),
        # Otherwise Nova validates each response against a schema, only to log a warning.
        "api": {"response_validation": "ignore"},
        "conductor": {"workers": 1},
        "scheduler": {"workers": 1},
        "filter_scheduler": {"track_instance_changes": False},
        "quota": {"instances": 200, "cores": 400, "ram": 1048576, "server_groups": 200},
        "vnc": {"enabled": True, "novncproxy_base_url": f"http://{HOST}:6080/vnc_lite.html"},
        "keystone_authtoken": service.token_auth(spec, NAME),
        "service_user": service.client_auth(spec, NAME) | {"send_service_user_token": True},
        "neutron": service.client_auth(spec, NAME)
        | {"service_metadata_proxy": True, "metadata_proxy_shared_secret": spec.passwords[NAME]},
        **service.clients(spec, {"placement": "placement", "glance": NAME, "ironic": "ironic"}),
        "cinder": {"os_region_name": REGION},
    }
    service.write_config(spec, NAME, sections)
    os.environ["OS_NOVA_CONFIG_DIR"] = str(spec.etc(NAME))
    # Nova uses the first file for paste and reads options from the others.
    os.environ["OS_NOVA_CONFIG_FILES"] = "api-paste.ini;nova.conf"


def create(spec: CloudSpec, run: service.RunCommand) -> None:
    """Make the API database, cell0 and one cell."""
    config = ["--config-file", str(spec.etc(NAME) / "nova.conf")]
    service.make_folders(spec.data(NAME), ["instances"])
    # With a fake driver nova-compute writes no identity file, but requires it at its
    # second start.
    write_private(spec.data(NAME) / "compute_id", str(uuid.uuid4()))
    cell0 = spec.database_url(NAME, "cell0")
    run("nova.cmd.manage:main", [*config, "api_db", "sync"])
    run("nova.cmd.manage:main", [*config, "cell_v2", "map_cell0", "--database_connection", cell0])
    run("nova.cmd.manage:main", [*config, "db", "sync"])
    run("nova.cmd.manage:main", [*config, "cell_v2", "create_cell", "--name", "cell1"])


def relocate(spec: CloudSpec, origin: Path) -> None:
    """Replace the directory in the cell mappings by the directory of this cloud's databases."""
    moved = (f"{origin}/", f"{spec.data(NAME)}/")
    sql = "UPDATE cell_mappings SET database_connection = replace(database_connection, ?, ?)"
    service.rewrite(spec.database(NAME, "api"), (sql, moved))


def application(spec: CloudSpec) -> service.Application:
    """Start conductor, scheduler and compute; return the application of the API."""
    del spec  # the application reads the environment variables that configure() set
    from nova.compute.rpcapi import RPC_TOPIC, RPC_TOPIC_ALT
    from nova.wsgi.osapi_compute import application as nova

    from bsdgate.harness.cloud.plugins import virt

    # Nova finds virt drivers below nova.virt only.
    sys.modules["nova.virt.bsdgate"] = virt

    _start("nova-conductor", "conductor")
    _start("nova-scheduler", "scheduler")
    # Nova sends resize and migration requests to the second topic.
    _start("nova-compute", RPC_TOPIC, topic_alt=RPC_TOPIC_ALT)
    _discover_hosts()
    app: service.Application = nova
    return app


_running: list[Any] = []
"""The started services; this reference keeps them from garbage collection."""


def _start(binary: str, topic: str, topic_alt: str | None = None) -> None:
    from nova import service as nova_service

    started = nova_service.Service.create(binary=binary, topic=topic, topic_alt=topic_alt)
    started.start()
    # Nova's first report comes after five seconds. Until then the record in a copied database is
    # old, the service counts as down, and the scheduler finds no host.
    started.service_ref.report_count += 1
    started.service_ref.save()
    _running.append(started)


def _discover_hosts() -> None:
    from nova import context
    from nova.objects import host_mapping

    host_mapping.discover_hosts(context.get_admin_context())
