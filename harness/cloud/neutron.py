# SPDX-License-Identifier: Apache-2.0
"""Neutron: ML2 with our binding mechanism driver (``plugins.ml2``), no agents."""

import os
from pathlib import Path
from typing import Any

from bsdgate.harness.cloud import service
from bsdgate.harness.cloud.spec import CloudSpec

NAME = "neutron"
DISTRIBUTION = "neutron"
TYPE = "network"
PATH = ""
AFTER: tuple[str, ...] = ()
THREADS = 8
IMPORTS = (
    "neutron.server.api",
    "neutron.plugins.ml2.plugin",
    "neutron.services.l3_router.l3_router_plugin",
    "neutron.services.trunk.plugin",
    "neutron.services.qos.qos_plugin",
    "neutron.services.segments.plugin",
    "neutron.services.metering.metering_plugin",
    "neutron.services.portforwarding.pf_plugin",
)

SERVICE_PLUGINS = (
    "router",
    "segments",
    "trunk",
    "qos",
    "tag",
    "revisions",
    "timestamp",
    "flavors",
    "network_ip_availability",
    "auto_allocate",
    "metering",
    "port_forwarding",
    "network_segment_range",
    "conntrack_helper",
    "local_ip",
    "log",
    "ndp_proxy",
    "pvlan",
)

EXTENSION_DRIVERS = (
    "port_security",
    "qos",
    # This driver includes the functions of the drivers dns and dns_domain_ports.
    "subnet_dns_publish_fixed_ip",
    "port_device_profile",
    "port_trusted",
    "tag_ports_during_bulk_creation",
    "uplink_status_propagation",
    "uplink_status_propagation_updatable",
)

DNS_DOMAIN = "openstackgate.local."
PHYSICAL_NETWORK = "physnet1"
SHARED_NETWORK = "private"
"""The name of the network that every project may use."""


def configure(spec: CloudSpec) -> None:
    """Write neutron.conf, with the ML2 options, beside a copy of the packaged paste file."""
    paste = service.copy_packaged(DISTRIBUTION, "api-paste.ini", spec.etc(NAME))
    sections: dict[str, dict[str, object]] = {
        "DEFAULT": {
            "core_plugin": "ml2",
            "service_plugins": ",".join(SERVICE_PLUGINS),
            "transport_url": "bsdgate://",
            "api_paste_config": paste,
            "state_path": spec.data(NAME),
            # Neutron assigns DNS names only in a domain other than its default.
            "dns_domain": DNS_DOMAIN,
            # Nova of this cloud does not wait for these events (vif_plugging_is_fatal is off).
            "notify_nova_on_port_status_changes": False,
            "notify_nova_on_port_data_changes": False,
            "enable_traditional_dhcp": False,
            "dhcp_agent_notification": False,
        },
        "ml2": {
            "type_drivers": "flat,vlan,vxlan",
            "tenant_network_types": "vxlan",
            "mechanism_drivers": "bsdgate",
            "extension_drivers": ",".join(EXTENSION_DRIVERS),
        },
        "ml2_type_flat": {"flat_networks": "*"},
        "ml2_type_vlan": {"network_vlan_ranges": f"{PHYSICAL_NETWORK}:100:199"},
        "ml2_type_vxlan": {"vni_ranges": "1:1000"},
        "quotas": {
            "quota_network": 500,
            "quota_subnet": 500,
            "quota_port": 2000,
            "quota_router": 100,
            "quota_floatingip": 500,
            # A test of this quota creates security groups up to the quota, one by one.
            "quota_security_group": 20,
            "quota_security_group_rule": 2000,
        },
        "database": service.database(spec.database_url(NAME)),
        "keystone_authtoken": service.token_auth(spec, NAME),
        **service.clients(spec, {"nova": "nova", "placement": "placement"}),
    }
    service.write_config(spec, NAME, sections)
    os.environ["OS_NEUTRON_CONFIG_DIR"] = str(spec.etc(NAME))
    os.environ["OS_NEUTRON_CONFIG_FILES"] = "neutron.conf"


def create(spec: CloudSpec, run: service.RunCommand) -> None:
    """Make the tables from the models, and stamp them as migrated.

    Neutron's migrations alter constraints, which SQLite does not support.
    """
    config = ["--config-file", str(spec.etc(NAME) / "neutron.conf")]
    run("bsdgate.harness.cloud.neutron:create_tables", config)
    run("neutron.db.migration.cli:main", [*config, "stamp", "heads"])


def create_tables() -> None:
    """Create Neutron's tables and their first rows in the configured database."""
    import sys

    from neutron.common import config
    from neutron.db.migration.models import head
    from neutron_lib.db import api

    config.register_common_config_options()
    config.init(sys.argv[1:])
    session = api.get_writer_session()
    head.get_metadata().create_all(session.get_bind())
    with session.begin():
        session.add_all(_default_rules())


def _default_rules() -> list[Any]:
    """Return the default security group rules, the only rows that a migration makes."""
    from neutron.db.models.securitygroup_default_rules import SecurityGroupDefaultRule
    from neutron.extensions.security_groups_default_rules import PARENT_SG
    from neutron_lib import constants

    return [
        SecurityGroupDefaultRule(
            direction=direction,
            ethertype=ethertype,
            remote_group_id=remote,
            used_in_default_sg=True,
            used_in_non_default_sg=remote is None,
            description=f"Legacy default SG rule for {direction} traffic",
        )
        for direction, remote in (
            (constants.EGRESS_DIRECTION, None),
            (constants.INGRESS_DIRECTION, PARENT_SG),
        )
        for ethertype in (constants.IPv4, constants.IPv6)
    ]


def relocate(spec: CloudSpec, origin: Path) -> None:
    """Change nothing: Neutron's database contains no file path, TCP port or password."""


def application(spec: CloudSpec) -> service.Application:
    """Return Neutron's application; start no RPC server, since there are no agents."""
    del spec  # the application reads the environment variables that configure() set
    from neutron.wsgi.api import application as neutron

    app: service.Application = neutron
    return app
