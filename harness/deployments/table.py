# SPDX-License-Identifier: Apache-2.0
"""The node and the deployment that a run asks for."""

from collections.abc import Sequence

from bsdgate.harness.deployments import connection, ownership
from bsdgate.harness.deployments.base import Deployment
from bsdgate.harness.deployments.embedded import Embedded
from bsdgate.harness.deployments.standing import Standing
from bsdgate.harness.errors import UsageError
from bsdgate.harness.manifest import AskedCloud, Kind
from bsdgate.harness.nodes.address import Address
from bsdgate.harness.nodes.base import Node
from bsdgate.harness.nodes.local import LocalNode
from bsdgate.harness.nodes.ssh import SshNode
from bsdgate.harness.profiles import load as profiles
from bsdgate.harness.profiles.model import Profile
from bsdgate.harness.run_dir import RunDir
from bsdgate.harness.suites.model import Suite


def check(on: str | None) -> None:
    """Raise UsageError if ``on``, as ``--on`` takes it, names no node; None is this machine."""
    if on is not None:
        Address.parse(on)


def make(profile: Profile, folder: RunDir, sources: Sequence[str]) -> tuple[Node, Deployment]:
    """Return the node and the deployment of a run; neither is connected or started yet.

    ``folder`` is the run directory, ``sources`` are the changes that the deployment installs, as
    ``--with`` takes them. The manifest says which node, or which cloud, was asked for.
    """
    manifest, path = folder.manifest, folder.path
    node: Node = LocalNode(path)
    if manifest.on is not None:
        node = SshNode(Address.parse(manifest.on), path, folder.logs)
    if manifest.cloud is None:
        return node, Embedded(node, profile, sources)
    entry = connection.entry(manifest.cloud.name)
    connected = connection.Connection(manifest.cloud.name)
    return node, Standing(connected, entry, manifest.cloud, profile, path, manifest.run_id)


def load_profile(name: str, cloud: AskedCloud | None, factor: float | None) -> Profile:
    """Return the profile of a run; the nodes of a cloud that is there already are not asked for.

    ``factor`` takes the place of the profile's own factor of time limits.

    :raises UsageError: there is no such profile, or its nodes cannot be provided.
    :raises ConfigurationError: it is wrong.
    """
    load = profiles.load_local if cloud is None else profiles.load
    return load(name, factor)


def evidence(suite: Suite, cloud: AskedCloud | None) -> tuple[Kind, ...]:
    """Return the kinds of evidence that a run must have: hosts are checked where they are ours."""
    return ("hostchecks", suite.runner) if cloud is None else (suite.runner,)


def check_cloud(cloud: AskedCloud, suite: Suite, *, disruptive: bool) -> None:
    """Check what can be known of a cloud that is there already before anything is asked of it.

    :raises UsageError: the cloud is unknown, the prefix cannot be one, or the suite is not for it.
    """
    ownership.check_prefix(cloud.prefix)
    connection.entry(cloud.name)
    if suite.runner != "tempest":
        raise UsageError(
            f"the suite {suite.name} is not for a cloud that is there already: what {suite.runner}"
            " makes has no prefix and is not recorded",
            "choose a suite of Tempest's, such as smoke",
        )
    if suite.disruptive is not None and not disruptive:
        raise UsageError(
            f"the suite {suite.name} can disturb the users of the cloud: {suite.disruptive}",
            "choose --suite smoke, or give --allow-disruptive if you are its only user",
        )
