# SPDX-License-Identifier: Apache-2.0
"""What Tempest asks of a plugin (entry point ``tempest.test_plugins``).

A plugin that fails to import ends every Tempest run on the machine, so this
module imports Tempest and the plugin's own options, nothing else.
"""

from pathlib import Path
from typing import Any

from tempest import config as tempest_config
from tempest.test_discover import plugins

from bsdgate.tempest_plugin import config

# As imported, links unresolved: the ids of the tests come from this path.
PACKAGE = Path(__file__).parent


class BsdgateTempestPlugin(plugins.TempestPlugin):
    """Tells Tempest of the tests, their options and their REST clients."""

    def load_tests(self) -> tuple[str, str]:
        """Return the folder of the tests, and the one that the package bsdgate stands in."""
        return str(PACKAGE / "tests"), str(PACKAGE.parents[1])

    def register_opts(self, conf: Any) -> None:
        """Add the group ``[bsdgate]`` to tempest.conf."""
        tempest_config.register_opt_group(conf, config.GROUP, config.OPTIONS)

    def get_opt_lists(self) -> list[tuple[str, list[Any]]]:
        """Return the options by group, for a sample of tempest.conf."""
        return [(config.GROUP.name, config.OPTIONS)]

    def get_service_clients(self) -> list[dict[str, Any]]:
        """Return the clients, under names that no other plugin uses."""
        return [
            _client("baremetal", "BaremetalClient", service="baremetal"),
            # It reads the catalogue and asks whole URLs; the service stands for all of them.
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
