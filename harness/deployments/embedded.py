# SPDX-License-Identifier: Apache-2.0
"""The embedded cloud on a node: the services are processes of one user."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from bsdgate.harness.cloud import templates
from bsdgate.harness.cloud.spec import CloudName, checked_name
from bsdgate.harness.deployments.base import (
    Access,
    ForRunner,
    HostCheckTarget,
    Installed,
    ReportEvent,
    ReportLine,
)
from bsdgate.harness.environments import changes
from bsdgate.harness.environments.changes import Change
from bsdgate.harness.manifest import ChangedProject
from bsdgate.harness.nodes.base import Node, NodeLostError, Remote, ignore
from bsdgate.harness.profiles import boards
from bsdgate.harness.profiles.load import service_options
from bsdgate.harness.profiles.model import Profile
from bsdgate.results.codes import Code
from bsdgate.results.problems import Finding, Problem

NAME: Final = checked_name("bsdgate")
"""The name of the cloud in clouds.yaml."""
HOST: Final = "bsdgate.harness.cloud.host:CloudHost"


@dataclass(frozen=True)
class Embedded:
    """An embedded cloud, started on the node by ``cloud.host``.

    ``sources`` are the changes in the form of ``--with``. ``site`` is the directory of the cloud
    and its logs, relative to the directory of the run on the node. ``ports`` are ports that the
    user has chosen, by service. ``home`` is the directory of a cloud of ``bsdgate up``.
    """

    node: Node
    profile: Profile
    sources: Sequence[str] = ()
    site: Path = Path()
    name: CloudName = NAME
    ports: Mapping[str, int] = field(default_factory=dict)
    home: Path | None = None

    @property
    def changed(self) -> bool:
        """Whether the change under test runs in the cloud."""
        return bool(self.sources)

    def install(self, report_line: ReportLine) -> Installed:
        """Make the Python environment of the services on the node."""
        asked = changes.parse_all(self.sources, self.profile.release)
        there = [self._push_source(each) for each in asked]
        found = self.host.call(
            "prepare",
            lambda message: report_line(message["line"]),
            sources=[str(each) for each in there],
            release=self.profile.release,
            services=list(self.profile.services),
            snapshots={str(each): each.snapshot.dump() for each in there if each.snapshot},
            factor=self.node.factor.value,
        )
        built = (ChangedProject(**each) for each in found["changes"])
        return Installed(found["versions"], tuple(map(_named_as_asked, built, asked)))

    def _push_source(self, change: Change) -> Change:
        """Copy the checkout of a change to the node; return the change with its new path."""
        if change.kind != "path":
            return change
        snapshot = changes.take_snapshot(change)
        folder = self.node.push(Path(change.source), snapshot.files)
        return replace(change, source=str(folder), snapshot=snapshot)

    def start(self, report: ReportEvent) -> Access:
        """Start the services on the node, and forward their ports to this machine."""
        services = list(self.profile.services)
        nodes = boards.nodes(self.profile.boards)
        if not self.changed:
            self._push_templates(services, nodes)
        ports = self.node.choose_ports(len(services))
        limits = self.profile.with_factor(self.node.factor.value).limits
        started = self.host.call(
            "start",
            lambda message: report(message["event"]),
            folder=self._folder,
            name=self.name,
            changed=self.changed,
            services=services,
            ports={**dict(zip(services, ports, strict=True)), **self.ports},
            options=service_options(self.profile),
            nodes=nodes,
            limits=[limits.start, limits.stop],
        )
        self.node.forward(started["ports"])
        return Access(started["entry"], started["accounts"])

    def _push_templates(self, services: Sequence[str], nodes: Sequence[Mapping[str, Any]]) -> None:
        """Copy templates that the node lacks and this machine has: to make them takes minutes."""
        store = templates.default()
        wanted = self.host.call("missing_templates", ignore, services=services, nodes=nodes)
        for name in wanted:
            if store.has(name):
                folder = self.node.push(store.root / name)
                self.host.call("add_template", ignore, folder=str(folder))
                if name == wanted[0]:
                    return

    def health(self) -> Sequence[Problem]:
        """Return a problem for each service that died, or one for a lost node."""
        try:
            found = self.host.call("health", ignore, folder=self._folder)
        except NodeLostError as error:
            return [Problem(Code.NODE_LOST, error.message)]
        return [Problem(Code(code), text) for code, text in found]

    def host_checks(self) -> HostCheckTarget:
        """Return the directory of the cloud, its services, and the node."""
        variables = {
            "BSDGATE_CLOUD_DIR": self._folder,
            "BSDGATE_CLOUD_SERVICES": ",".join(self.profile.services),
            "BSDGATE_NODE_PYTHON": self.node.python,
        }
        return HostCheckTarget(variables, self.node.testinfra())

    def for_runner(self) -> ForRunner:
        """Return the default: the tests may do anything in this cloud."""
        return ForRunner()

    def collect_logs(self, folder: Path) -> None:
        """Copy the logs of the services."""
        self.node.pull(Path(self._folder) / "logs", folder)

    def without_change(self, name: str) -> "Embedded":
        """Return a cloud with the services of the release, on the same node."""
        return replace(self, site=self.site / name, sources=())

    def again(self, name: str) -> "Embedded":
        """Return another cloud with the same change, on the same node."""
        return replace(self, site=self.site / name)

    def check_base(self) -> None:
        """Check that the change has not altered the files of the node's Python environment."""
        self.host.call("check_base", ignore, log_folder=str(self.node.folder / self.site / "logs"))

    def keep(self) -> bool:
        """Let the cloud outlive this process; return whether it is still up."""
        kept: bool = self.host.call("detach", ignore, folder=self._folder)
        if kept:
            self.node.keep()
        return kept

    def end(self) -> Sequence[str]:
        """End the services."""
        left: list[str] = self.host.call("stop", ignore, folder=self._folder)
        return left

    def close(self) -> Sequence[Finding]:
        """End the services, and remove the directory of the cloud."""
        self.end()
        self.host.call("remove", ignore, folder=self._folder)
        return ()

    @property
    def host(self) -> Remote:
        """The object that starts and ends clouds on the node."""
        return self.node.remote(HOST)

    @property
    def _folder(self) -> str:
        return str(self.home or self.node.folder / self.site / "cloud")


def _named_as_asked(built: ChangedProject, asked: Change) -> ChangedProject:
    """Return a built project with the source in ``--with``, not with the copy on the node."""
    return built.model_copy(update={"source": str(asked).partition("=")[2]})
