# SPDX-License-Identifier: Apache-2.0
"""Returns the node and the deployment of a run."""

from collections.abc import Callable, Sequence
from pathlib import Path

from bsdgate.harness.cloud.service import distributions
from bsdgate.harness.deployments import connection, ownership
from bsdgate.harness.deployments.base import Deployment
from bsdgate.harness.deployments.embedded import Embedded
from bsdgate.harness.deployments.standing import Standing
from bsdgate.harness.environments import environment
from bsdgate.harness.errors import UsageError
from bsdgate.harness.manifest import AskedCloud, RunnerKind
from bsdgate.harness.nodes import specs
from bsdgate.harness.nodes.base import Node, TimeoutFactor
from bsdgate.harness.nodes.bootstrap.plan import Needs
from bsdgate.harness.nodes.local import LocalNode
from bsdgate.harness.nodes.qemu.console import Stage
from bsdgate.harness.nodes.qemu.node import Options, QemuNode, check_host
from bsdgate.harness.nodes.specs import QemuSpec
from bsdgate.harness.nodes.ssh import SshNode
from bsdgate.harness.nodes.zuul import ZuulSpec
from bsdgate.harness.profiles import load as profiles
from bsdgate.harness.profiles.model import Profile
from bsdgate.harness.run_dir import RunDir
from bsdgate.harness.suites.model import Suite


def check(on: str | None, cloud: AskedCloud | None, profile: Profile) -> None:
    """Check, without a connection, that a run can use its node.

    ``on`` is the value of ``--on``; None is this machine, which needs the services of the profile
    for its own cloud.

    :raises UsageError: ``on`` is not a node, or a service is not installed.
    :raises InfrastructureError: a program that boots guests is missing on this machine.
    """
    if on is not None:
        spec = specs.parse(on)
        if isinstance(spec, QemuSpec):
            check_host(Options())
        elif isinstance(spec, ZuulSpec):
            spec.address()
    elif cloud is None:
        environment.check_installed(distributions(profile.services), profile.release)


def check_keep(on: str | None) -> None:
    """Check that a cloud can be kept on the node that ``--on`` selects; None is this machine.

    :raises UsageError: the node is one of a Zuul build.
    """
    if on is not None:
        specs.parse_lasting(on)


def make(
    profile: Profile,
    folder: RunDir,
    sources: Sequence[str],
    report: Callable[[str], None] = lambda _: None,
) -> tuple[Node, Deployment]:
    """Return the node and the deployment of a run; neither is connected or started yet.

    ``folder`` is the run directory; its manifest contains the node and the cloud. ``sources`` are
    the changes for the deployment, in the form of ``--with``. ``report`` receives lines for
    the user with the progress of the node.
    """
    manifest, path = folder.manifest, folder.path
    node: Node = _local_node(path, profile)
    if manifest.on is not None:
        spec = specs.parse(manifest.on)
        needs = needs_of(profile, sources)
        node = remote_node(spec, profile, path, folder.logs, needs=needs, report=report)
    if manifest.cloud is None:
        return node, Embedded(node, profile, sources)
    entry = connection.entry(manifest.cloud.name)
    timeout = connection.TIMEOUT * profile.factor
    connected = connection.CloudConnection(manifest.cloud.name, timeout)
    return node, Standing(connected, entry, manifest.cloud, profile, path, manifest.run_id)


def _local_node(folder: Path, profile: Profile) -> LocalNode:
    factor = profile.timeouts.factor
    chosen = TimeoutFactor() if factor is None else TimeoutFactor.given(factor)
    return LocalNode(folder, factor=chosen)


def needs_of(profile: Profile, sources: Sequence[str] = ()) -> Needs:
    """Return the needs of a profile on a node; ``sources`` are changes that are built there."""
    return Needs(profile.release, tuple(profile.services), change=bool(sources))


def remote_node(
    spec: specs.NodeSpec,
    profile: Profile,
    run: Path,
    logs: Path,
    *,
    needs: Needs | None = None,
    report: Callable[[str], None] = lambda _: None,
) -> SshNode:
    """Return the node that ``spec`` selects. The node is not connected yet.

    ``run`` is the run directory on this machine, ``logs`` the directory for logs. With ``needs``, a
    node without bsdgate gets it. ``report`` receives lines for the user with the progress.
    """

    def report_stage(stage: Stage, seconds: float) -> None:
        report(f"{stage} after {seconds:.1f} s")

    factor = profile.timeouts.factor
    if isinstance(spec, QemuSpec):
        options = Options(factor=factor, report=report_stage)
        return QemuNode(spec, run, logs, options, needs=needs, progress=report)
    address = spec.address() if isinstance(spec, ZuulSpec) else spec
    return SshNode(address, run, logs, factor=factor, needs=needs, progress=report)


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
