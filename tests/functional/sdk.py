# SPDX-License-Identifier: Apache-2.0
"""Functions for tests of clouds, by openstacksdk."""

import contextlib
import sys
import time
from collections.abc import Iterator
from typing import Any

from functional.place import UpCloud, wait_for


@contextlib.contextmanager
def connected(cloud: UpCloud) -> Iterator[Any]:
    """Connect to a cloud by its name in clouds.yaml."""
    import openstack

    files = [str(cloud.place.clouds_yaml)]
    config = openstack.config.OpenStackConfig(config_files=files, load_envvars=False)
    with openstack.connection.Connection(config=config.get_one(cloud.name)) as connection:
        yield connection


def create_server(client: Any, name: str) -> Any:
    """Create a small server; return it when it is ACTIVE."""
    image = client.image.find_image("empty", ignore_missing=False)
    flavor = client.compute.find_flavor("m1.nano", ignore_missing=False)
    network = client.network.find_network("private", ignore_missing=False)
    began = time.monotonic()
    server = client.compute.create_server(
        name=name, image_id=image.id, flavor_id=flavor.id, networks=[{"uuid": network.id}]
    )

    def active() -> Any:
        found = client.compute.get_server(server.id)
        assert found.status != "ERROR", found.fault
        return found if found.status == "ACTIVE" else None

    found = wait_for(active, f"server {name} ACTIVE", timeout=30)
    sys.stdout.write(f"{name} is ACTIVE after {time.monotonic() - began:.2f} s\n")
    return found


def names(resources: Any) -> set[str]:
    return {each.name for each in resources}


def seeds(client: Any) -> dict[str, set[str]]:
    """Return the ids of the resources of every new cloud."""
    return {
        "flavors": {each.id for each in client.compute.flavors()},
        "images": {each.id for each in client.image.images()},
        "networks": {each.id for each in client.network.networks()},
        "routers": {each.id for each in client.network.routers()},
        "users": {each.id for each in client.identity.users()},
        "endpoints": {each.id for each in client.identity.endpoints()},
        "hypervisors": {each.id for each in client.compute.hypervisors()},
    }
