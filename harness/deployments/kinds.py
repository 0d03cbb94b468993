# SPDX-License-Identifier: Apache-2.0
"""The kinds of resources that tests can alter in a cloud, as rows of data.

The rows are in the order of the removal: a resource comes before the resources that it uses.
"""

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final


@dataclass(frozen=True)
class Kind:
    """A kind of resource.

    ``service`` is the type of the service in the catalogue, ``path`` is the path of the list, with
    ``query`` for the resources of all projects. ``collection`` is the parent path of a resource, if
    that is not ``path``. ``key`` is the key of the list in the answer, ``identity`` the field with
    the id. ``volatile`` fields change without a change of the resource. ``removed`` is False for a
    resource that is removed with its owner.
    """

    name: str
    service: str
    path: str
    key: str
    query: str = ""
    collection: str = ""
    identity: str = "id"
    volatile: frozenset[str] = field(default_factory=frozenset)
    removed: bool = True

    @property
    def below(self) -> str:
        """The parent path of the resources of the kind."""
        return self.collection or self.path


VOLATILE: Final = frozenset(
    {"updated_at", "updated", "revision_number", "generation", "links", "self", "next"}
)
"""The volatile fields of every kind."""

_NODE: Final = frozenset(
    {
        "driver_internal_info",
        "reservation",
        "conductor",
        "provision_updated_at",
        "inspection_finished_at",
        "inspection_started_at",
    }
)

KINDS: Final = (
    Kind(
        "server",
        "compute",
        "/servers/detail",
        "servers",
        "all_tenants=1",
        "/servers",
        volatile=frozenset({"progress"}),
    ),
    Kind(
        "server group",
        "compute",
        "/os-server-groups",
        "server_groups",
        "all_projects=1",
    ),
    Kind("key pair", "compute", "/os-keypairs", "keypairs", identity="name"),
    Kind("aggregate", "compute", "/os-aggregates", "aggregates"),
    Kind(
        "flavor",
        "compute",
        "/flavors/detail",
        "flavors",
        "is_public=None",
        "/flavors",
    ),
    Kind("floating IP", "network", "/floatingips", "floatingips"),
    Kind("trunk", "network", "/trunks", "trunks"),
    Kind("port", "network", "/ports", "ports"),
    Kind("router", "network", "/routers", "routers"),
    Kind("subnet", "network", "/subnets", "subnets"),
    Kind("network", "network", "/networks", "networks"),
    Kind("RBAC policy", "network", "/rbac-policies", "rbac_policies"),
    Kind("subnet pool", "network", "/subnetpools", "subnetpools"),
    Kind("address scope", "network", "/address-scopes", "address_scopes"),
    Kind("address group", "network", "/address-groups", "address_groups"),
    Kind("security group", "network", "/security-groups", "security_groups"),
    Kind("QoS policy", "network", "/qos/policies", "policies"),
    Kind("network quota", "network", "/quotas", "quotas", identity="project_id"),
    Kind("allocation", "baremetal", "/allocations", "allocations", identity="uuid"),
    Kind("bare metal port", "baremetal", "/ports", "ports", "detail=true", identity="uuid"),
    Kind("port group", "baremetal", "/portgroups", "portgroups", "detail=true", identity="uuid"),
    Kind("node", "baremetal", "/nodes", "nodes", "detail=true", identity="uuid", volatile=_NODE),
    Kind("chassis", "baremetal", "/chassis", "chassis", "detail=true", identity="uuid"),
    Kind("deploy template", "baremetal", "/deploy_templates", "deploy_templates", identity="uuid"),
    Kind(
        "image",
        "image",
        "/images",
        "images",
        "visibility=all",
    ),
    Kind("metadata namespace", "image", "/metadefs/namespaces", "namespaces", identity="namespace"),
    Kind("trust", "identity", "/OS-TRUST/trusts", "trusts"),
    Kind("credential", "identity", "/credentials", "credentials"),
    Kind("role assignment", "identity", "/role_assignments", "role_assignments", removed=False),
    Kind("OAuth consumer", "identity", "/OS-OAUTH1/consumers", "consumers"),
    Kind("user", "identity", "/users", "users"),
    Kind("group", "identity", "/groups", "groups"),
    Kind("limit", "identity", "/limits", "limits"),
    Kind("registered limit", "identity", "/registered_limits", "registered_limits"),
    Kind("endpoint", "identity", "/endpoints", "endpoints"),
    Kind("service", "identity", "/services", "services"),
    Kind("region", "identity", "/regions", "regions"),
    Kind("policy", "identity", "/policies", "policies"),
    Kind("project", "identity", "/projects", "projects"),
    Kind("role", "identity", "/roles", "roles"),
    Kind("domain", "identity", "/domains", "domains"),
)

BELOW: Final = MappingProxyType({kind.name: kind.below for kind in KINDS})
"""The parent paths of resources, by the name of the kind."""
