# SPDX-License-Identifier: Apache-2.0
"""The embedded deployment, on a fake node."""

from pathlib import Path
from typing import Any

import pytest
from fakes.node import FakeNode
from unit.harness.deployments.test_contract import DeploymentContract, drop

from bsdgate.harness.deployments.base import Deployment
from bsdgate.harness.deployments.embedded import HOST, Embedded
from bsdgate.harness.errors import UsageError
from bsdgate.harness.nodes.base import TimeoutFactor
from bsdgate.harness.profiles.load import load
from bsdgate.results.codes import Code

CHANGED = {"project": "keystone", "source": "/k", "version": "30.0.1", "identity": "sha256:1"}


ACCOUNTS = [{"username": "test-1", "password": "secret"}]


class FakeHost:
    """A ``cloud.host.CloudHost`` without clouds."""

    def __init__(self) -> None:
        self.clouds: dict[str, dict[str, Any]] = {}
        self.problems: list[tuple[str, str]] = []
        self.left: list[str] = []
        self.closed = False
        self.snapshots: dict[str, Any] = {}
        self.factor = 0.0
        self.services: list[str] = []
        self.missing: list[str] = []
        self.added: list[str] = []

    def prepare(
        self,
        report: Any,
        *,
        sources: list[str],
        release: str,
        services: list[str],
        snapshots: Any,
        factor: float,
    ) -> dict[str, Any]:
        self.services = services
        report({"line": f"preparing {release}"})
        self.snapshots = snapshots
        self.factor = factor
        built = [CHANGED | {"source": text.partition("=")[2]} for text in sources]
        return {"versions": {"keystone": "30.0.1"}, "changes": built}

    def missing_templates(self, _report: Any, **_: Any) -> list[str]:
        return self.missing

    def add_template(self, _report: Any, *, folder: str) -> None:
        self.added.append(Path(folder).name)

    def start(self, report: Any, *, folder: str, **cloud: Any) -> dict[str, Any]:
        if folder in self.clouds:
            raise UsageError("a cloud is up already", "end it")
        self.clouds[folder] = cloud
        report({"event": {"event": "ready"}})
        entry = {"auth": {"auth_url": "http://127.0.0.1:5000/v3"}}
        return {"entry": entry, "accounts": ACCOUNTS, "ports": [5000, 8774]}

    def health(self, _report: Any, *, folder: str) -> list[tuple[str, str]]:
        return self.problems if folder in self.clouds else [("cloud-not-ready", "it is down")]

    def detach(self, _report: Any, *, folder: str) -> bool:
        return folder in self.clouds

    def stop(self, _report: Any, *, folder: str) -> list[str]:
        return self.left if self.clouds.pop(folder, None) else []

    def remove(self, _report: Any, *, folder: str) -> None: ...

    def check_base(self, _report: Any, *, log_folder: str) -> None: ...

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def host() -> FakeHost:
    return FakeHost()


@pytest.fixture
def node(tmp_path: Path, host: FakeHost) -> FakeNode:
    node = FakeNode(tmp_path, {HOST: host})
    node.connect()
    return node


class TestEmbeddedOnAFakeNode(DeploymentContract):
    @pytest.fixture
    def deployment(self, node: FakeNode) -> Deployment:
        return Embedded(node, load("embedded"))


class TestChangedEmbeddedOnAFakeNode(DeploymentContract):
    @pytest.fixture
    def deployment(self, node: FakeNode) -> Deployment:
        return Embedded(node, load("embedded"), ["keystone=30.0.1"])


def test_the_factor_of_the_node_is_used_on_the_node(node: FakeNode, host: FakeHost) -> None:
    node.factor = TimeoutFactor.measured(3.0, 1.0)
    deployment, usual = Embedded(node, load("embedded")), load("embedded").limits
    deployment.install(drop)
    deployment.start(drop)
    assert host.factor == 3
    (cloud,) = host.clouds.values()
    assert cloud["limits"] == [3 * usual.start, 3 * usual.stop]


def test_the_node_needs_only_the_services_of_the_profile(node: FakeNode, host: FakeHost) -> None:
    Embedded(node, load("keystone")).install(drop)
    assert host.services == ["keystone"]


@pytest.mark.parametrize(
    ("here", "added"),
    [
        (["cloud-1", "schema-keystone-1"], ["cloud-1"]),
        (["schema-keystone-1"], ["schema-keystone-1"]),
        ([], []),
    ],
)
def test_templates_of_this_machine_are_copied_to_the_node(
    node: FakeNode,
    host: FakeHost,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    here: list[str],
    added: list[str],
) -> None:
    monkeypatch.setenv("BSDGATE_CACHE_DIR", str(tmp_path / "cache"))
    for name in here:
        folder = tmp_path / "cache" / "templates" / name
        folder.mkdir(parents=True)
        (folder / "origin").write_text("/data")
    host.missing = ["cloud-1", "schema-keystone-1", "schema-nova-1"]
    Embedded(node, load("embedded")).start(drop)
    assert host.added == added


def test_no_template_is_copied_for_a_change(
    node: FakeNode, host: FakeHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BSDGATE_CACHE_DIR", str(tmp_path / "cache"))
    folder = tmp_path / "cache" / "templates" / "cloud-1"
    folder.mkdir(parents=True)
    (folder / "origin").write_text("/data")
    host.missing = ["cloud-1"]
    Embedded(node, load("embedded"), ["keystone=30.0.1"]).start(drop)
    assert host.added == []


def test_its_accounts_are_those_of_the_cloud(node: FakeNode) -> None:
    assert Embedded(node, load("embedded")).start(drop).accounts == ACCOUNTS


def test_its_ports_are_forwarded(node: FakeNode) -> None:
    Embedded(node, load("embedded")).start(drop)
    assert node.forwarded == [5000, 8774]


def test_each_cloud_has_its_own_directory(node: FakeNode, host: FakeHost) -> None:
    first = Embedded(node, load("embedded"), ["keystone=30.0.1"])
    for each in (first, first.again("again"), first.without_change("base")):
        each.start(drop)
    expected = [node.folder / site / "cloud" for site in ("", "again", "base")]
    assert [Path(folder) for folder in host.clouds] == expected
    assert [cloud["changed"] for cloud in host.clouds.values()] == [True, True, False]


def test_a_service_that_died_is_a_problem(node: FakeNode, host: FakeHost) -> None:
    cloud = Embedded(node, load("embedded"))
    cloud.start(drop)
    host.problems = [("service-died", "nova died")]
    ((code, text),) = ((one.code, one.text) for one in cloud.health())
    assert (code, text) == (Code.SERVICE_DIED, "nova died")


def test_a_lost_node_is_a_problem_of_the_node(node: FakeNode) -> None:
    cloud = Embedded(node, load("embedded"))
    cloud.start(drop)
    node.lose()
    (problem,) = cloud.health()
    assert problem.code is Code.NODE_LOST
    assert "does not answer" in problem.text


def test_processes_that_outlived_the_cloud_are_returned_once(
    node: FakeNode, host: FakeHost
) -> None:
    cloud = Embedded(node, load("embedded"))
    cloud.start(drop)
    host.left = ["a-daemon (process 7)"]
    assert (list(cloud.end()), list(cloud.end())) == (["a-daemon (process 7)"], [])


def test_the_host_checks_get_the_folder_and_the_interpreter(node: FakeNode) -> None:
    checks = Embedded(node, load("embedded")).host_checks()
    assert checks.variables == {
        "BSDGATE_CLOUD_DIR": str(node.folder / "cloud"),
        "BSDGATE_CLOUD_SERVICES": "keystone,glance,placement,neutron,nova,ironic",
        "BSDGATE_NODE_PYTHON": node.python,
    }
    assert list(checks.testinfra) == list(node.testinfra())


def test_only_the_files_of_the_snapshot_are_copied_to_the_node(
    node: FakeNode, host: FakeHost, tmp_path: Path
) -> None:
    checkout = tmp_path / "keystone"
    checkout.mkdir()
    for name in ("setup.cfg", "code.py"):
        (checkout / name).write_text(name)
    (checkout / "build").mkdir()
    (checkout / "build" / "left.py").write_text("made")
    installed = Embedded(node, load("embedded"), (f"keystone={checkout}",)).install(drop)
    assert node.pushed == {checkout: (Path("code.py"), Path("setup.cfg"))}
    there = f"keystone={node.folder / 'pushed' / 'keystone'}"
    files = {"files": ["code.py", "setup.cfg"], "tracked": False, "version": None}
    assert host.snapshots == {there: files}
    (built,) = installed.changes
    assert (built.source, built.identity) == (str(checkout), "sha256:1")


def test_a_version_needs_no_files_on_the_node(node: FakeNode, host: FakeHost) -> None:
    Embedded(node, load("embedded"), ("keystone=30.0.0",)).install(drop)
    assert (node.pushed, host.snapshots) == ({}, {})


def test_a_cloud_that_is_kept_keeps_its_ports(node: FakeNode) -> None:
    deployment = Embedded(node, load("embedded"))
    assert not deployment.keep()
    assert not node.kept
    deployment.install(drop)
    deployment.start(drop)
    assert deployment.keep()
    assert node.kept


def test_a_cloud_can_have_a_directory_and_ports_of_the_user(node: FakeNode, host: FakeHost) -> None:
    home = Path("/home/ann/clouds/mine")
    deployment = Embedded(node, load("embedded"), home=home, ports={"nova": 8774})
    deployment.install(drop)
    deployment.start(drop)
    assert host.clouds[str(home)]["ports"]["nova"] == 8774
    assert host.clouds[str(home)]["ports"]["keystone"] == 0
