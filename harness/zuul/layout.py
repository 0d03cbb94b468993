# SPDX-License-Identifier: Apache-2.0
"""The layout of the example tenant with the jobs of a checkout, made by Zuul's own parser.

It is imported only in the environment of Zuul. It connects to no server.
"""

import configparser
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, Final

import yaml
import zuul.driver

_UNUSED: Final = {
    "aws": "AwsDriver",
    "azure": "AzureDriver",
    "elasticsearch": "ElasticsearchDriver",
    "gerrit.gerriteventawskinesis": "GerritAWSKinesisEventListener",
    "gerrit.gerriteventgcloudpubsub": "GerritGcloudPubsubEventListener",
    "github": "GithubDriver",
    "gitlab": "GitlabDriver",
    "kubernetes": "KubernetesDriver",
    "openstack.openstackendpoint": "OpenstackCreateStateMachine OpenstackDeleteStateMachine"
    " OpenstackProviderEndpoint",
    "pagure": "PagureDriver",
    "smtp": "SMTPDriver",
    "sql": "SQLDriver",
}
"""Modules below ``zuul.driver`` that are not used, and the classes that Zuul imports from them."""


def _replace_unused() -> None:
    """Replace the modules by empty ones with empty classes: their imports take most of the time."""
    for name, kinds in _UNUSED.items():
        module = ModuleType(f"zuul.driver.{name}")
        for kind in kinds.split():
            setattr(module, kind, type(kind, (), {"name": name}))
        sys.modules[module.__name__] = module
        if "." not in name:
            setattr(zuul.driver, name, module)


_replace_unused()

# After the modules are replaced.
from zuul import configloader, model  # noqa: E402
from zuul.lib.connections import ConnectionRegistry  # noqa: E402

OURS: Final = "freebsd/bsdgate"
"""The name of this project in the example tenant."""
TENANT: Final = Path("doc", "zuul-tenant")
CONNECTION: Final = "opendev"
BRANCH: Final = "master"
_CONFIG: Final = f"""
[connection {CONNECTION}]
driver=gerrit
server=review.example.org
user=zuul
baseurl=https://review.example.org
[connection mqtt]
driver=mqtt
server=broker.example.org
[connection static]
driver=static
[connection cloud]
driver=openstack
cloud=example
"""


@dataclass(frozen=True)
class Parsed:
    """The tenant, its layout and the connections of its projects."""

    tenant: Any
    layout: Any
    connections: Any

    @property
    def errors(self) -> Any:
        """The errors that Zuul reports, each with its file and line."""
        return self.layout.loading_errors.errors


def zuul_files(root: Path) -> list[tuple[str, Path]]:
    """Return the files of the config projects: the name of the project and the path of each."""
    folders = {OURS: root / "zuul.d", "freebsd/ci-config": root / TENANT / "zuul.d"}
    return [
        (name, path) for name, folder in folders.items() for path in sorted(folder.glob("*.yaml"))
    ]


def parse(root: Path) -> Parsed:
    """Return the layout of the example tenant, with the jobs of this checkout."""
    connections = _connections()
    source = connections.getSource(CONNECTION)
    tenant, config_projects = _tenant(root, source)
    system = model.SystemAttributes()
    system.system_id = "lint"
    context = configloader.ParseContext(
        connections, SimpleNamespace(max_hold_expiration=0), system, _Ansible()
    )
    parser = _Parser(connections, None, SimpleNamespace(), None, None, None, None, None)
    parsed = model.ParsedConfig()
    for name, path in zuul_files(root):
        tpc = config_projects[name]
        where = model.SourceContext(
            tpc.project.canonical_name, name, CONNECTION, "master", str(path.relative_to(root))
        )
        branch = parser.loadProjectYAML(path.read_text(encoding="utf-8"), where, context)
        parser.addProjectBranchConfig(context, parsed, tenant, tpc, branch, trusted=True)
    layout = parser._parseLayout(tenant, parsed, context)  # noqa: SLF001 - Zuul has no other way
    return Parsed(tenant, layout, connections)


class _Ansible:
    """Knows the version of Ansible that Zuul supports."""

    default_version = "11"

    def requestVersion(self, version: str) -> None:  # noqa: N802 - the name is Zuul's
        """Check a version that a job requests."""
        if version not in {"9", "11"}:
            raise ValueError(f"Zuul has no Ansible {version}")


class _Parser(configloader.TenantParser):
    """A parser of tenants without a scheduler."""

    def createManager(self, parse_context: Any, pipeline: Any, tenant: Any) -> Any:  # noqa: ARG002, N802
        """Return what a layout needs of a pipeline's manager."""
        return SimpleNamespace(pipeline=pipeline, tenant=tenant)


def _connections() -> Any:
    config = configparser.ConfigParser()
    config.read_string(_CONFIG)
    registry = ConnectionRegistry()
    registry.configure(config, sources=True, triggers=True, reporters=True, providers=True)
    # An endpoint of a cloud would use ZooKeeper.
    endpoint = SimpleNamespace(getImageFormat=lambda: "raw")
    registry.connections["cloud"].driver._getEndpoint = lambda *_: endpoint  # noqa: SLF001
    return registry


def _tenant(root: Path, source: Any) -> tuple[Any, dict[str, Any]]:
    """Return the example tenant, and its config projects by name."""
    data = yaml.safe_load((root / TENANT / "main.yaml").read_text(encoding="utf-8"))[0]["tenant"]
    tenant = model.Tenant(data["name"])
    tenant.max_job_timeout = data["max-job-timeout"]
    tenant.allowed_labels = tenant.disallowed_labels = None
    listed = data["source"][CONNECTION]
    trusted = {name: _project(source, name, trusted=True) for name in listed["config-projects"]}
    for tpc in trusted.values():
        tenant.addTPC(tpc)
    for group in listed["untrusted-projects"]:
        for name in group["projects"]:
            tenant.addTPC(_project(source, name, trusted=False))
    return tenant, trusted


def _project(source: Any, name: str, *, trusted: bool) -> Any:
    tpc = model.TenantProjectConfig(source.getProject(name))
    tpc.trusted = trusted
    tpc.load_classes = set(configloader.TenantParser.all_classes)
    tpc.branches = ["master"]
    return tpc
