# SPDX-License-Identifier: Apache-2.0
"""Returns the node and the deployment of a run."""

from collections.abc import Sequence

from bsdgate.harness.deployments import connection, ownership
from bsdgate.harness.deployments.base import Deployment
from bsdgate.harness.deployments.embedded import Embedded
from bsdgate.harness.deployments.standing import Standing
from bsdgate.harness.errors import UsageError
from bsdgate.harness.manifest import AskedCloud, RunnerKind
from bsdgate.harness.nodes.address import Address
from bsdgate.harness.nodes.base import Node
from bsdgate.harness.nodes.local import LocalNode
from bsdgate.harness.nodes.ssh import SshNode
from bsdgate.harness.profiles import load as profiles
from bsdgate.harness.profiles.model import Profile
from bsdgate.harness.run_dir import RunDir
from bsdgate.harness.suites.model import Suite


def check(on: str | None) -> None:
    """Raise UsageError if ``on``, the value of ``--on``, is not a node; None is this machine."""
    if on is not None:
        Address.parse(on)


def make(profile: Profile, folder: RunDir, sources: Sequence[str]) -> tuple[Node, Deployment]:
    """Return the node and the deployment of a run; neither is connected or started yet.

    ``folder`` is the run directory; its manifest contains the node and the cloud. ``sources`` are
    the changes for the deployment, in the form of ``--with``.
    """
    manifest, path = folder.manifest, folder.path
    node: Node = LocalNode(path)
    if manifest.on is not None:
        address = Address.parse(manifest.on)
        node = SshNode(address, path, folder.logs, factor=profile.timeouts.factor)
    if manifest.cloud is None:
        return node, Embedded(node, profile, sources)
    entry = connection.entry(manifest.cloud.name)
    timeout = connection.TIMEOUT * profile.timeouts.factor
    connected = connection.CloudConnection(manifest.cloud.name, timeout)
    return node, Standing(connected, entry, manifest.cloud, profile, path, manifest.run_id)


def load_profile(name: str, cloud: AskedCloud | None, factor: float | None) -> Profile:
    """Return the profile of a run; its nodes are checked, except with a standing cloud.

    ``factor`` replaces the profile's factor for time limits.

    :raises UsageError: there is no such profile.
    :raises ConfigurationError: the profile is wrong, or its nodes cannot be provided.
    """
    load = profiles.load_local if cloud is None else profiles.load
    return load(name, factor)


def evidence(suite: Suite, cloud: AskedCloud | None) -> tuple[RunnerKind, ...]:
    """Return the kinds of evidence that a run must have; a standing cloud has no host checks."""
    return ("hostchecks", suite.runner) if cloud is None else (suite.runner,)


def check_cloud(cloud: AskedCloud, suite: Suite, *, disruptive: bool) -> None:
    """Check the options for a standing cloud, without a request to it.

    :raises UsageError: the cloud is unknown, the prefix is invalid, or the suite is not allowed.
    """
    ownership.check_prefix(cloud.prefix)
    connection.entry(cloud.name)
    if suite.runner != "tempest":
        raise UsageError(
            f"the suite {suite.name} is not for a standing cloud: the resources of"
            f" {suite.runner} have no prefix and are not recorded",
            "choose a suite with the runner tempest, such as smoke",
        )
    if suite.disruptive is not None and not disruptive:
        raise UsageError(
            f"the suite {suite.name} can disturb other users of the cloud: {suite.disruptive}",
            "choose --suite smoke, or give --allow-disruptive if you are the only user",
        )
