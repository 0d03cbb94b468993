# SPDX-License-Identifier: Apache-2.0
"""The drivers, interfaces and nodes of Ironic for the boards of a profile."""

from collections.abc import Iterable, Sequence
from types import MappingProxyType
from typing import Any, Final

from bsdgate.harness.profiles.model import Board

DRIVERS: Final = MappingProxyType(
    {"fake": "fake-hardware", "ipmi": "ipmi", "pdu-snmp": "pdu", "redfish": "redfish"}
)
"""Ironic's driver (hardware type) by the ``power`` of a board."""

_POWER: Final = MappingProxyType(
    {"fake": "fake", "ipmi": "ipmitool", "pdu-snmp": "pdu-snmp", "redfish": "redfish"}
)
_BOOT: Final = MappingProxyType(
    {
        "fake": "fake",
        "ipxe": "ipxe",
        "pxe": "pxe",
        "uefi-http": "http-ipxe",
        "virtual-media": "redfish-virtual-media",
    }
)
_CPUS: Final = MappingProxyType({"amd64": "x86_64", "arm64": "aarch64"})


def options(boards: Sequence[Board]) -> dict[str, str]:
    """Return the options of Ironic for these boards, in the section DEFAULT."""
    if not boards:
        return {}
    return {
        "enabled_hardware_types": _listed(DRIVERS[board.power] for board in boards),
        "enabled_power_interfaces": _listed(_POWER[board.power] for board in boards),
        "enabled_boot_interfaces": _listed(_BOOT[one] for board in boards for one in board.boot),
    }


def _listed(names: Iterable[str]) -> str:
    return ",".join(dict.fromkeys(names))


def nodes(boards: Iterable[Board]) -> list[dict[str, Any]]:
    """Return a node of Ironic for each board: arguments of ``create_node``, and traits."""
    return [_node(board) for board in boards]


def _node(board: Board) -> dict[str, Any]:
    console = {"console_interface": "no-console"} if board.console == "none" else {}
    return {
        "name": board.name,
        "driver": DRIVERS[board.power],
        "power_interface": _POWER[board.power],
        "boot_interface": _BOOT[board.boot[0]],
        "resource_class": board.resource_class,
        "properties": {"cpu_arch": _CPUS[board.architecture]},
        "traits": list(board.traits),
        **console,
    }
