# SPDX-License-Identifier: Apache-2.0
"""The interface of the plugin to Tempest (entry point ``tempest.test_plugins``).

A plugin that cannot be imported ends every Tempest run on the machine, so this
module imports only Tempest and the options of the plugin.
"""

from pathlib import Path
from typing import Any

from tempest import config as tempest_config
from tempest.test_discover import plugins

from bsdgate.tempest_plugin import config

# The path of the import, with unresolved links: Tempest makes the test ids from it.
PACKAGE = Path(__file__).parent


class BsdgateTempestPlugin(plugins.TempestPlugin):
    """Reports the tests, their options and their REST clients to Tempest."""

    def load_tests(self) -> tuple[str, str]:
        """Return the directory of the tests, and the directory that has the package bsdgate."""
        return str(PACKAGE / "tests"), str(PACKAGE.parents[1])

    def register_opts(self, conf: Any) -> None:
        """Add the group ``[bsdgate]`` to tempest.conf."""
        tempest_config.register_opt_group(conf, config.GROUP, config.OPTIONS)

    def get_opt_lists(self) -> list[tuple[str, list[Any]]]:
        """Return the options by group, for a sample tempest.conf."""
        return [(config.GROUP.name, config.OPTIONS)]

    def get_service_clients(self) -> list[dict[str, Any]]:
        """Return the clients, with names that no other plugin uses."""
        return [
            _client("baremetal", "BaremetalClient", service="baremetal"),
            # This client uses full URLs of all services; ``service`` is required, but not used.
            _client("endpoints", "EndpointsClient", service="identity"),
        ]


def _client(name: str, class_name: str, *, service: str) -> dict[str, Any]:
    return {
        "name": f"bsdgate_{name}",
        "service_version": f"bsdgate.{name}",
        "module_path": f"bsdgate.tempest_plugin.services.{name}_client",
        "client_names": [class_name],
        "service": service,
        **tempest_config.service_client_config(),
    }
