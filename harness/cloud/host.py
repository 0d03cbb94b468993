# SPDX-License-Identifier: Apache-2.0
"""The embedded clouds of one machine, in a class with JSON arguments and results.

A deployment calls the methods on the node of its cloud (``nodes.base.Remote``). The directory of a
cloud identifies it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import urlsplit

from bsdgate.harness import folders, paths
from bsdgate.harness.cloud import templates
from bsdgate.harness.cloud.client import Cloud
from bsdgate.harness.cloud.service import distributions
from bsdgate.harness.cloud.spec import Limits, checked_name
from bsdgate.harness.environments import changes, environment
from bsdgate.harness.nodes.base import Report

LOG: Final = "base.log"
LAST_LINES: Final = 10
"""The number of log lines in the problem of a service that died."""

SERVICE_DIED: Final = "service-died"
NOT_READY: Final = "cloud-not-ready"


class CloudHost:
    """Starts and ends embedded clouds on this machine."""

    def __init__(self) -> None:
        self._environments: dict[bool, environment.Environment] = {}
        self._clouds: dict[str, Cloud] = {}

    def prepare(
        self,
        report: Report,
        *,
        sources: Sequence[str],
        release: str,
        services: Sequence[str],
        snapshots: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
        factor: float = 1.0,
    ) -> dict[str, Any]:
        """Make the environment of the services; ``sources`` are changes in the form of ``--with``.

        ``snapshots`` has the fields of ``changes.Snapshot`` for each change with a path. ``factor``
        multiplies the time limits.
        Return ``versions`` by distribution, and ``changes``, a list of fields of ChangedProject.
        """

        def report_line(text: str) -> None:
            report({"line": text})

        changed = bool(sources)
        if changed not in self._environments:
            # Only once, because this lists the files of the base, before code of the change runs.
            wanted = [
                replace(change, snapshot=changes.Snapshot.load(snapshots[str(change)]))
                if str(change) in snapshots
                else change
                for change in changes.parse_all(sources, release)
            ]
            self._environments[changed] = environment.prepare(
                wanted,
                release,
                paths.cache(),
                report_line,
                factor,
                needed=distributions(services),
            )
        prepared = self._environments[changed]
        return {
            "versions": prepared.versions(),
            "changes": [each.model_dump() for each in prepared.changes],
        }

    def missing_templates(
        self, _report: Report, *, services: Sequence[str], nodes: Sequence[Mapping[str, Any]]
    ) -> list[str]:
        """Return the names of templates with which a cloud without a change would start sooner.

        The first template replaces all others.
        """
        store = templates.default()
        whole = templates.cloud_name(services, nodes)
        if store.has(whole):
            return []
        schemas = [templates.schema_name(name) for name in services]
        return [whole, *(name for name in schemas if not store.has(name))]

    def add_template(self, _report: Report, *, folder: str) -> None:
        """Add a template that was copied to this machine; ``folder`` is its directory."""
        templates.default().add(Path(folder))

    def start(
        self,
        report: Report,
        *,
        folder: str,
        name: str,
        changed: bool,
        services: Sequence[str],
        ports: Mapping[str, int],
        options: Mapping[str, Any],
        nodes: Sequence[Mapping[str, Any]],
        limits: tuple[float, float],
    ) -> dict[str, Any]:
        """Start a cloud with or without the change; the messages are events of the supervisor.

        ``limits`` are the time limits in seconds for the start and for the end. Return the
        ``entry`` for clouds.yaml, the ``accounts`` for tests in Tempest's format, and the ``ports``
        of the services.
        """
        path = Path(folder)
        folders.make(path.parent)
        cloud = Cloud.start(
            path,
            name=checked_name(name),
            python=self._environments[changed].python,
            templates=templates.default().root,
            services=services,
            ports=ports,
            options=options,
            nodes=nodes,
            limits=Limits(*limits),
            on_event=lambda event: report({"event": event}),
        )
        self._clouds[folder] = cloud
        urls = [service["url"] for service in cloud.status()["services"].values()]
        found = [urlsplit(url).port for url in urls]
        return {
            "entry": cloud.clouds_yaml_entry(),
            "accounts": cloud.spec.accounts(),
            "ports": found,
        }

    def health(self, _report: Report, *, folder: str) -> list[tuple[str, str]]:
        """Return the problems of a cloud, each as a code and a text."""
        status = Cloud(Path(folder)).status()
        if status["state"] == "ready":
            return []
        died = [
            (SERVICE_DIED, _death(name, service))
            for name, service in status["services"].items()
            if service["state"] == "died"
        ]
        return died or [(NOT_READY, f"the cloud is {status['state']}")]

    def home(self, _report: Report, *, name: str) -> str:
        """Return the directory of a cloud of ``bsdgate up``, by its name."""
        return str(paths.state() / "clouds" / checked_name(name))

    def status(self, _report: Report, *, folder: str) -> dict[str, Any] | None:
        """Return the status of a cloud and the names of its logs; None if there is no cloud."""
        path = Path(folder)
        if not path.exists():
            return None
        logs = sorted(each.stem for each in (path / "logs").glob("*.log"))
        return {**Cloud(path).status(), "logs": logs}

    def detach(self, _report: Report, *, folder: str) -> bool:
        """Let the cloud outlive this process; return whether it is still up."""
        cloud = self._cloud(folder)
        if not cloud.alive():
            return False
        cloud.detach()
        self._clouds.pop(folder, None)
        return True

    def stop(self, _report: Report, *, folder: str) -> list[str]:
        """End a cloud; return the processes that outlived it and were killed."""
        return self._cloud(folder).stop()

    def remove(self, _report: Report, *, folder: str) -> None:
        """Remove the directory of a cloud that has ended."""
        self._cloud(folder).clean()
        self._clouds.pop(folder, None)

    def check_base(self, _report: Report, *, log_folder: str) -> None:
        """Check that the change has altered no file of the base."""
        for prepared in self._environments.values():
            folders.make(Path(log_folder))
            prepared.check_base_unaltered(Path(log_folder) / LOG)

    def close(self) -> None:
        """End all clouds that are not detached."""
        for cloud in self._clouds.values():
            cloud.stop()
        self._clouds.clear()

    def _cloud(self, folder: str) -> Cloud:
        return self._clouds.get(folder) or Cloud(Path(folder))


def _death(name: str, service: Mapping[str, Any]) -> str:
    last = "\n".join(_last_lines(Path(service["log"])))
    return f"{name} died with status {service['exit_status']}; its last lines:\n{last}"


def _last_lines(log: Path) -> list[str]:
    try:
        return log.read_text(errors="replace").splitlines()[-LAST_LINES:]
    except FileNotFoundError:
        return []
