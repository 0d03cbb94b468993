# SPDX-License-Identifier: Apache-2.0
"""The node and the deployment that a run asks for."""

from collections.abc import Sequence
from pathlib import Path

from bsdgate.harness.deployments.base import Deployment
from bsdgate.harness.deployments.embedded import Embedded
from bsdgate.harness.nodes.base import Node
from bsdgate.harness.nodes.local import LocalNode
from bsdgate.harness.profiles.model import Profile


def make(profile: Profile, folder: Path, sources: Sequence[str]) -> tuple[Node, Deployment]:
    """Return the node and the deployment of a run; neither is connected or started yet.

    ``folder`` is the run directory, ``sources`` are the changes that the deployment installs, as
    ``--with`` takes them.
    """
    node = LocalNode(folder)
    return node, Embedded(node, profile, sources)
