# SPDX-License-Identifier: Apache-2.0
"""Makes the content of a new cloud: users, accounts, catalogue, flavors, image, two networks."""

import io
from collections.abc import Mapping
from typing import Any

from bsdgate.harness.cloud import service
from bsdgate.harness.cloud.accounts import ACCOUNTS
from bsdgate.harness.cloud.neutron import PHYSICAL_NETWORK, SHARED_NETWORK
from bsdgate.harness.cloud.spec import REGION, CloudSpec

FLAVORS = {
    "m1.nano": (128, 1, 1),
    "m1.micro": (192, 1, 1),
    "m1.tiny": (512, 1, 1),
    "m1.small": (2048, 1, 20),
    "m1.medium": (4096, 2, 40),
}
"""The memory in MiB, the number of virtual CPUs and the disk in GiB, by name."""

IMAGE = "empty"
IMAGE_BYTES = 64 * 1024


def identity(spec: CloudSpec) -> None:
    """Make the service project and its users, the endpoints, and the accounts for tests."""
    cloud = connect(spec)
    project = cloud.identity.create_project(name="service", domain_id="default")
    roles = [cloud.identity.find_role(name) for name in ("admin", "service")]
    for name in spec.ports:
        _user(cloud, project, roles, name, spec.passwords[name])
        _endpoints(cloud, spec, name)
    _accounts(cloud, spec)


def _user(cloud: Any, project: Any, roles: list[Any], name: str, password: str) -> None:
    user = cloud.identity.create_user(name=name, password=password, domain_id="default")
    for role in roles:
        cloud.identity.assign_project_role_to_user(project, user, role)


def _endpoints(cloud: Any, spec: CloudSpec, name: str) -> None:
    module = service.load(name)
    # The bootstrap has made the service of Keystone, with a public endpoint.
    entry = next(cloud.identity.services(type=module.TYPE), None)
    entry = entry or cloud.identity.create_service(name=name, type=module.TYPE)
    has = {each.interface for each in cloud.identity.endpoints(service_id=entry.id)}
    for interface in {"public", "internal", "admin"} - has:
        cloud.identity.create_endpoint(
            service_id=entry.id,
            interface=interface,
            region_id=REGION,
            url=f"{spec.url(name)}{module.PATH}",
        )


def _accounts(cloud: Any, spec: CloudSpec) -> None:
    roles = {role.name: role for role in cloud.identity.roles()}
    names = dict.fromkeys(account.project for account in ACCOUNTS if account.project)
    projects = {
        name: cloud.identity.create_project(name=name, domain_id="default") for name in names
    }
    users = {
        name: cloud.identity.create_user(
            name=name, password=spec.passwords[name], domain_id="default"
        )
        for name in (account.user for account in ACCOUNTS)
    }
    # Last, because each of these requests empties Keystone's cache.
    for account in ACCOUNTS:
        user, role = users[account.user], roles[account.role]
        if account.project is None:
            cloud.identity.assign_system_role_to_user(user, role, "all")
        else:
            cloud.identity.assign_project_role_to_user(projects[account.project], user, role)


def resources(spec: CloudSpec) -> None:
    """Make the resources of the other services of the cloud."""
    cloud = connect(spec)
    for name, make in {"nova": _flavors, "glance": _image, "neutron": _networks}.items():
        if spec.has(name):
            make(cloud)
    for node in spec.nodes:
        _enroll(cloud, node)


def _enroll(cloud: Any, attributes: Mapping[str, Any]) -> None:
    """Make a node in Ironic, in the state available."""
    fields = {name: value for name, value in attributes.items() if name != "traits"}
    node = cloud.baremetal.create_node(**fields)
    cloud.baremetal.set_node_traits(node, attributes["traits"])
    for verb in ("manage", "provide"):
        cloud.baremetal.set_node_provision_state(node, verb, wait=True)


def _flavors(cloud: Any) -> None:
    for name, (ram, vcpus, disk) in FLAVORS.items():
        cloud.compute.create_flavor(name=name, ram=ram, vcpus=vcpus, disk=disk)


def _image(cloud: Any) -> None:
    cloud.image.create_image(
        IMAGE,
        data=io.BytesIO(bytes(IMAGE_BYTES)),
        disk_format="raw",
        container_format="bare",
        visibility="public",
        validate_checksum=False,
    )


def _networks(cloud: Any) -> None:
    """Make a shared network, and an external one with a router."""
    shared = _network(cloud, SHARED_NETWORK, "10.1.0.0/20", shared=True)
    public = _network(
        cloud,
        "public",
        "192.0.2.0/24",
        is_router_external=True,
        provider_network_type="flat",
        provider_physical_network=PHYSICAL_NETWORK,
    )
    gateway = {"network_id": public.network_id}
    router = cloud.network.create_router(name="router", external_gateway_info=gateway)
    # So that a server of the shared network can have a floating IP.
    cloud.network.add_interface_to_router(router, subnet_id=shared.id)


def _network(cloud: Any, name: str, cidr: str, **attributes: object) -> Any:
    """Make a network and its subnet; return the subnet."""
    network = cloud.network.create_network(name=name, **attributes)
    return cloud.network.create_subnet(
        name=name, network_id=network.id, ip_version=4, cidr=cidr, enable_dhcp=True
    )


def connect(spec: CloudSpec) -> Any:
    """Return an openstacksdk connection as the cloud's admin."""
    import openstack

    return openstack.connect(**spec.client_entry(), load_yaml_config=False, load_envvars=False)
