# SPDX-License-Identifier: Apache-2.0
"""Resources of other users in a cloud: 50 of all kinds, and their contents."""

import io
from collections.abc import Callable, Iterator
from typing import Any

Content = dict[str, dict[str, Any]]
"""The whole content of resources, by path."""


def fill(client: Any) -> list[tuple[str, str]]:
    """Make resources that a run must not alter; return the service and the path of each."""
    makers: list[Callable[[Any, Any], Iterator[tuple[str, str]]]] = [_identity]
    types = {each.type for each in client.identity.services()}
    makers += [
        maker
        for service, maker in (
            ("network", _network),
            ("compute", _compute),
            ("image", _image),
            ("baremetal", _baremetal),
        )
        if service in types
    ]
    project = client.identity.create_project(name="people", domain_id="default")
    return [("identity", f"/projects/{project.id}")] + [
        each for maker in makers for each in maker(client, project)
    ]


def contents(client: Any, paths: list[tuple[str, str]]) -> Content:
    """Return the present contents of the resources."""
    return {path: _get(client, service, path) for service, path in paths}


def _get(client: Any, service: str, path: str) -> dict[str, Any]:
    version = {"microversion": "latest"} if service in {"compute", "baremetal"} else {}
    answer = getattr(client, service).get(path, **version)
    assert answer.status_code == 200, (path, answer.status_code, answer.text)
    content: dict[str, Any] = answer.json()
    return content


def _identity(client: Any, project: Any) -> Iterator[tuple[str, str]]:
    identity = client.identity
    for number in range(12):
        user = identity.create_user(name=f"person-{number}", domain_id="default")
        yield "identity", f"/users/{user.id}"
    role = identity.find_role("member")
    identity.assign_project_role_to_user(project, user, role)
    for number in range(7):
        yield "identity", f"/roles/{identity.create_role(name=f'people-{number}').id}"
        group = identity.create_group(name=f"people-{number}", domain_id="default")
        yield "identity", f"/groups/{group.id}"
    domain = identity.create_domain(name="people")
    yield "identity", f"/domains/{domain.id}"
    yield "identity", f"/regions/{identity.create_region(id='people', description='x').id}"
    blob = {"user_id": user.id, "type": "cert", "blob": "x", "project_id": project.id}
    yield "identity", f"/credentials/{identity.create_credential(**blob).id}"


def _network(client: Any, project: Any) -> Iterator[tuple[str, str]]:
    network = client.network
    for number in range(3):
        # With Tempest's default prefix: the name is no reason to remove the network.
        net = network.create_network(name=f"tempest-people-{number}", project_id=project.id)
        yield "network", f"/networks/{net.id}"
        subnet = network.create_subnet(
            network_id=net.id, ip_version=4, cidr=f"10.77.{number}.0/24", project_id=project.id
        )
        yield "network", f"/subnets/{subnet.id}"
        port = network.create_port(network_id=net.id, project_id=project.id)
        yield "network", f"/ports/{port.id}"
        group = network.create_security_group(name=f"people-{number}", project_id=project.id)
        yield "network", f"/security-groups/{group.id}"
    public = network.find_network("public", ignore_missing=False)
    router = network.create_router(
        name="people", project_id=project.id, external_gateway_info={"network_id": public.id}
    )
    network.add_interface_to_router(router, subnet_id=subnet.id)
    yield "network", f"/routers/{router.id}"
    address = network.create_ip(floating_network_id=public.id, project_id=project.id)
    yield "network", f"/floatingips/{address.id}"


def _compute(client: Any, _project: Any) -> Iterator[tuple[str, str]]:
    compute = client.compute
    for number in range(3):
        flavor = compute.create_flavor(name=f"people-{number}", ram=64, vcpus=1, disk=1)
        yield "compute", f"/flavors/{flavor.id}"
        yield "compute", f"/os-keypairs/{compute.create_keypair(name=f'people-{number}').name}"
    yield "compute", f"/os-aggregates/{compute.create_aggregate(name='people').id}"
    group = compute.create_server_group(name="people", policy="affinity")
    yield "compute", f"/os-server-groups/{group.id}"
    net = client.network.find_network("private", ignore_missing=False)
    image = client.image.find_image("empty", ignore_missing=False)
    for number in range(2):
        server = compute.create_server(
            name=f"people-{number}",
            image_id=image.id,
            flavor_id=flavor.id,
            networks=[{"uuid": net.id}],
        )
        compute.wait_for_server(server)
        yield "compute", f"/servers/{server.id}"


def _image(client: Any, _project: Any) -> Iterator[tuple[str, str]]:
    for number in range(3):
        image = client.image.create_image(
            f"people-{number}",
            data=io.BytesIO(bytes(512)),
            disk_format="raw",
            container_format="bare",
            validate_checksum=False,
        )
        yield "image", f"/images/{image.id}"


def _baremetal(client: Any, _project: Any) -> Iterator[tuple[str, str]]:
    baremetal = client.baremetal
    for number in range(10):
        made = baremetal.post(
            "/nodes",
            json={
                "name": f"people-{number}",
                "driver": "fake-hardware",
                "resource_class": "people",
            },
            microversion="latest",
        )
        assert made.status_code == 201, made.text
        node = made.json()["uuid"]
        yield "baremetal", f"/nodes/{node}"
        address = f"52:54:00:77:00:0{number}"
        port = baremetal.post(
            "/ports", json={"node_uuid": node, "address": address}, microversion="latest"
        )
        assert port.status_code == 201, port.text
        yield "baremetal", f"/ports/{port.json()['uuid']}"
