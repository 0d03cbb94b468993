# SPDX-License-Identifier: Apache-2.0
"""Neutron's mechanism driver ``bsdgate``, which sets each port ACTIVE immediately.

Differences from a real mechanism driver: there is no data plane. No packet
flows, no agent reports, DHCP and metadata are not served, security groups and
QoS policies are stored and not enforced, logs of security groups are not
written. The API reports ports, floating IPs and trunks as if all this worked.
"""

from typing import Any

from neutron.services.logapi.common import sg_validate  # noqa: F401 - allows logs of security groups
from neutron.services.logapi.drivers import base as log_base
from neutron.services.qos.drivers.openvswitch import driver as openvswitch
from neutron.services.trunk.drivers import base as trunk_base
from neutron_lib import constants
from neutron_lib.api.definitions import portbindings
from neutron_lib.callbacks import events, registry, resources
from neutron_lib.plugins import constants as plugin_constants
from neutron_lib.plugins import directory
from neutron_lib.plugins.ml2 import api
from neutron_lib.services.logapi import constants as log_constants
from neutron_lib.services.qos import base as qos_base
from neutron_lib.services.trunk import constants as trunk_constants
from oslo_config import cfg

NAME = "bsdgate"


class BindingMechanismDriver(api.MechanismDriver):
    """Binds every port to its first segment and sets it ACTIVE."""

    def initialize(self) -> None:
        """Register the drivers for trunks, QoS and logs, and the callbacks for routers."""
        self._trunks = TrunkDriver(
            NAME,
            interfaces=(portbindings.VIF_TYPE_OVS,),
            segmentation_types=(trunk_constants.SEGMENTATION_TYPE_VLAN,),
            can_trunk_bound_port=True,
        )
        self._qos = QosDriver(
            NAME,
            vif_types=[portbindings.VIF_TYPE_OVS],
            vnic_types=[portbindings.VNIC_NORMAL],
            supported_rules=openvswitch.SUPPORTED_RULES,
            requires_rpc_notifications=False,
        )
        self._logs = log_base.DriverBase(
            NAME,
            vif_types=[portbindings.VIF_TYPE_OVS],
            vnic_types=[portbindings.VNIC_NORMAL],
            supported_logging_types=(log_constants.SECURITY_GROUP,),
        )
        for event in (events.AFTER_CREATE, events.AFTER_UPDATE):
            registry.subscribe(_set_floating_ip_status, resources.FLOATING_IP, event)
        registry.subscribe(_plug_router, resources.ROUTER_INTERFACE, events.AFTER_CREATE)

    @property
    def connectivity(self) -> str:
        """Return layer 2, as the driver of Open vSwitch does."""
        return str(portbindings.CONNECTIVITY_L2)

    def bind_port(self, context: Any) -> None:
        """Bind to the first segment, whatever its type."""
        for segment in context.segments_to_bind[:1]:
            context.set_binding(
                segment[api.ID],
                portbindings.VIF_TYPE_OVS,
                {portbindings.CAP_PORT_FILTER: True},
                status=constants.PORT_STATUS_ACTIVE,
            )


def _set_floating_ip_status(_resource: str, _event: str, _trigger: object, payload: Any) -> None:
    """Set the status that an L3 agent would report: ACTIVE if associated, else DOWN."""
    status = (
        constants.FLOATINGIP_STATUS_ACTIVE
        if payload.latest_state["port_id"]
        else constants.FLOATINGIP_STATUS_DOWN
    )
    if payload.latest_state["status"] == status:
        # An agent reports only changes; each report changes ``updated_at``.
        return
    router = directory.get_plugin(plugin_constants.L3)
    router.update_floatingip_status(payload.context.elevated(), payload.resource_id, status)


def _plug_router(_resource: str, _event: str, _trigger: object, payload: Any) -> None:
    """Set the status that an L3 agent would report for a new port of a router."""
    port = payload.metadata["port"]["id"]
    active = constants.PORT_STATUS_ACTIVE
    directory.get_plugin().update_port_status(payload.context.elevated(), port, active)


class TrunkDriver(trunk_base.DriverBase):
    """Lets the trunk plugin load, and sets trunks ACTIVE in place of an agent."""

    @property
    def is_loaded(self) -> bool:
        """Whether this mechanism driver is configured."""
        return NAME in cfg.CONF.ml2.mechanism_drivers

    @registry.receives(resources.TRUNK_PLUGIN, [events.AFTER_INIT])
    def register(self, resource: str, event: str, trigger: Any, payload: Any = None) -> None:
        """Register with the trunk plugin, and subscribe to new trunks and subports."""
        super().register(resource, event, trigger, payload=payload)
        for resource_ in (resources.TRUNK, resources.SUBPORTS):
            registry.subscribe(_activate_trunk, resource_, events.AFTER_CREATE)


def _activate_trunk(_resource: str, _event: str, _trigger: object, payload: Any) -> None:
    payload.latest_state.update(status=trunk_constants.TRUNK_ACTIVE_STATUS)


class QosDriver(qos_base.DriverBase):
    """Accepts every rule that Open vSwitch accepts, and enforces none."""

    @property
    def is_loaded(self) -> bool:
        """Whether this mechanism driver is configured."""
        return NAME in cfg.CONF.ml2.mechanism_drivers
