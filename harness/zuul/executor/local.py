# SPDX-License-Identifier: Apache-2.0
"""Zuul's executor for one build on this machine, without a Zuul.

Zuul's own code prepares and runs the playbooks. These are the differences: each project is a
directory that the user gives, and nothing is fetched with git; there is no bubblewrap; ssh uses the
settings, keys and agent of the user; a semaphore is not waited for.
"""

import configparser
import json
import logging
import platform
import sys
import zlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

from zuul.driver.nullwrap import NullwrapDriver
from zuul.executor import logreceiver, server
from zuul.lib.ansible import AnsibleManager
from zuul.zk.zkobject import ZKContext

from bsdgate.harness.zuul.executor.job import Frozen
from bsdgate.harness.zuul.executor.order import End, Order
from bsdgate.harness.zuul.layout import OURS, Parsed

SETUP_SECONDS: Final = 60
"""The time limit for the connection to the nodes, as in an executor."""


class Executor(SimpleNamespace):
    """What a build needs of an executor. ``end`` is the end of the build."""

    def __init__(self, order: Order, parsed: Parsed, job: Any) -> None:
        """Prepare Ansible with Zuul's modules, and the site variables."""
        folder = Path(order.folder)
        site = folder / "site-variables.json"
        site.write_text(json.dumps(order.site), encoding="utf-8")
        config = configparser.ConfigParser(interpolation=None)
        config.read_dict({"executor": {"variables": str(site)}})
        stored = SimpleNamespace(get=lambda _: (zlib.compress(job.serialize(None)), None))
        context = ZKContext(stored, None, None, logging.getLogger("zuul"))
        wrapper = NullwrapDriver()
        wrapper.cgroup_manager = None
        super().__init__(
            end=End("ERROR", "the build ended without a result"),
            config=config,
            zk_context=context,
            ansible_manager=_ansible(folder),
            ansible_callbacks={},
            connections=SimpleNamespace(
                drivers={"nullwrap": wrapper}, getSource=parsed.connections.getSource
            ),
            execution_wrapper=wrapper,
            hostname=platform.node(),
            default_username="zuul",
            jobdir_root=str(folder),
            keep_jobdir=True,
            log_console_port=server.DEFAULT_STREAM_PORT,
            management_events={None: None},
            semaphore_handler=SimpleNamespace(
                acquireFromInfo=lambda *_: True, releaseFromInfo=lambda *_: None
            ),
            setup_timeout=SETUP_SECONDS,
            statsd=None,
            stop_worker_parent_conn=SimpleNamespace(send=lambda _: None),
            verbose=False,
        )

    def startBuild(self, request: Any, start: float) -> None:  # noqa: N802 - Zuul calls it
        """Do nothing: no scheduler waits for the start."""

    def updateBuildStatus(self, request: Any, data: Any) -> None:  # noqa: N802 - Zuul calls it
        """Do nothing: no scheduler shows the status."""

    def finishJob(self, unique: str) -> None:  # noqa: N802 - Zuul calls it
        """Do nothing: no other build waits for this one."""

    def completeBuild(self, request: Any, result: dict[str, Any]) -> None:  # noqa: ARG002, N802
        """Store the end of the build. Zuul runs a job without a result again."""
        self.job.end_time = self.job.time_starting_build
        detail = result.get("error_detail") or result.get("exception") or ""
        self.end = End(
            result.get("result", "ERROR") or "RETRY",
            detail,
            result.get("warnings", ()),
            result.get("data", {}),
        )


class Build(server.AnsibleJob):
    """A build with projects that are directories on this machine."""

    def __init__(self, executor: Executor, frozen: Frozen, order: Order) -> None:
        """Read the job as an executor does."""
        request = SimpleNamespace(uuid=order.build, tenant_name=None, span_context=None)
        super().__init__(executor, request, frozen.arguments)
        # Zuul's method looks the class up in its module.
        server.LogReceiver = Receiver
        executor.job = self
        self._order = order
        self._places: dict[str, Path] = {}
        # The agent of the user has the keys.
        self.ssh_agent = SimpleNamespace(
            env={}, start=lambda: None, add=lambda _: None, stop=lambda: None
        )

    def loadRepoState(self) -> None:  # noqa: N802 - the name is Zuul's
        """Have no state: nothing is fetched."""
        self.repo_state: dict[str, Any] = {}

    def checkoutTrustedProject(self, project: Any, branch: str, args: Any) -> str:  # noqa: ARG002, N802
        """Return the directory of a config project."""
        info = self.jobdir.getTrustedProject(project.canonical_name, branch)
        info = info or self.jobdir.addTrustedProject(project.canonical_name, branch)
        return self._link(project, info)

    def checkoutUntrustedProject(self, project: Any, branch: str, args: Any) -> str:  # noqa: ARG002, N802
        """Return the directory of another project."""
        info = self.jobdir.getUntrustedProject(project.canonical_name, branch)
        info = info or self.jobdir.addUntrustedProject(project.canonical_name, branch)
        return self._link(project, info)

    def _link(self, project: Any, info: Any) -> str:
        """Make a link to the directory of a project, where an executor would clone it."""
        link = Path(info.root, project.canonical_hostname, project.name)
        if not link.is_symlink():
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(self._folder_of(project))
        return str(link)

    def _folder_of(self, project: Any) -> Path:
        if project.name == OURS:
            return Path(self._order.checkout)
        if project.name in self._places:
            return self._places[project.name]
        raise server.ExecutorError(
            f"the job has playbooks, roles or variables of {project.name}:"
            f" give --project {project.name}=PATH"
        )

    def setNodeInfo(self) -> None:  # noqa: N802 - the name is Zuul's
        """Set the addresses of the nodes. The controller is this machine."""
        super().setNodeInfo()
        for node in self.nodeset.getNodes():
            given = next(filter(None, map(self._order.nodes.get, node.name)), None)
            if given is None:
                node.connection_type, node.interface_ip = "local", "127.0.0.1"
                node.python_path = sys.executable
            else:
                node.connection_type, node.interface_ip = "ssh", given.host
                node.connection_port, node.username = given.port, given.user
                node.python_path = "auto"
                node.host_keys = given.host_keys

    def _execute(self) -> None:
        """Prepare and run the playbooks. This is Zuul's method without git, nodes and ZooKeeper."""
        self._place_projects()
        self.loadIncludeVars()
        self.preparePlaybooks(self.arguments)
        self.writeLoggingConfig()
        self.prepareVars(self.arguments, self.prepareNodes(self.arguments))
        self.writeDebugInventory()
        result, _, detail = self.runPlaybooks(self.arguments)
        data, _ = self.getResultData()
        server.pop_redactions_from_result_data(data, logger=self.log)
        self.warnings.extend(server.get_warnings_from_result_data(data, logger=self.log))
        completed = {"result": result, "error_detail": detail, "data": data}
        self.executor_server.completeBuild(
            self.build_request, completed | {"warnings": self.warnings}
        )

    def _place_projects(self) -> None:
        """Put the projects where ``src_dir`` says."""
        places = self.arguments["zuul"]["projects"]
        by_name = {place["name"]: place["src_dir"] for place in places.values()}
        for each in self._order.projects:
            target = Path(self.jobdir.work_root, by_name[each.name])
            target.parent.mkdir(parents=True, exist_ok=True)
            Path(each.folder).rename(target)
            self._places[each.name] = target


class Receiver(logreceiver.LogReceiver):
    """Receives the output of the job, and prints it."""

    def _addLineToJobOutput(self, message: bytes) -> None:  # noqa: N802 - the name is Zuul's
        super()._addLineToJobOutput(message)
        sys.stdout.buffer.write(message + b"\n")
        sys.stdout.buffer.flush()


def _ansible(folder: Path) -> Any:
    """Return a manager for the Ansible of this environment, with Zuul's modules."""
    installed = folder / "installed"
    installed.mkdir()
    for version in ("9", "11"):
        (installed / version).symlink_to(sys.prefix)
    manager = AnsibleManager(str(folder / "modules"), runtime_install_root=str(installed))
    manager.copyAnsibleFiles()
    return manager
