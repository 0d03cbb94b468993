# SPDX-License-Identifier: Apache-2.0
"""bsdgate.harness.deployments.table."""

from importlib import metadata
from pathlib import Path

import pytest
import yaml
from unit.harness.manifests import manifest

from bsdgate.harness.deployments import connection, table
from bsdgate.harness.deployments.connection import CloudConnection
from bsdgate.harness.deployments.embedded import Embedded
from bsdgate.harness.deployments.standing import Standing
from bsdgate.harness.errors import InfrastructureError, UsageError
from bsdgate.harness.manifest import AskedCloud
from bsdgate.harness.nodes.local import LocalNode
from bsdgate.harness.nodes.qemu.console import Stage
from bsdgate.harness.nodes.qemu.node import QemuNode
from bsdgate.harness.nodes.specs import QemuSpec
from bsdgate.harness.nodes.ssh import SshNode
from bsdgate.harness.profiles.load import load
from bsdgate.harness.run_dir import RunDir

AUTH = {"auth_url": "http://x/v3", "username": "u", "password": "p", "project_name": "q"}


def test_by_default_it_is_an_embedded_cloud_on_this_machine(tmp_path: Path) -> None:
    with RunDir.create(tmp_path, manifest()) as folder:
        node, deployment = table.make(load("embedded"), folder, ["keystone=30.0.1"])
    assert isinstance(node, LocalNode)
    assert isinstance(deployment, Embedded)
    assert (deployment.node, deployment.changed) == (node, True)


def test_services_must_be_installed_only_for_a_cloud_on_this_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = metadata.version

    def without_nova(name: str) -> str:
        if name == "nova":
            raise metadata.PackageNotFoundError
        return real(name)

    monkeypatch.setattr(metadata, "version", without_nova)
    standing = AskedCloud(name="theirs", prefix="mine")
    table.check("ssh://me@there", None, load("embedded"))
    table.check(None, standing, load("embedded"))
    table.check(None, None, load("keystone"))
    with pytest.raises(UsageError, match="nova is not installed"):
        table.check(None, None, load("embedded"))


def test_with_on_it_is_on_another_machine(tmp_path: Path) -> None:
    with RunDir.create(tmp_path, manifest(on="ssh://me@there:2222")) as folder:
        node, deployment = table.make(load("embedded"), folder, [])
    assert isinstance(node, SshNode)
    assert str(node.address) == "ssh://me@there:2222"
    assert isinstance(deployment, Embedded)


@pytest.mark.filterwarnings("ignore")  # openstacksdk imports deprecated modules
def test_a_standing_cloud_has_more_time_to_answer_with_a_factor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clouds_yaml = tmp_path / "clouds.yaml"
    clouds_yaml.write_text(yaml.safe_dump({"clouds": {"theirs": {"auth": AUTH}}}))
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(clouds_yaml))
    asked = AskedCloud(name="theirs", prefix="mine")
    with RunDir.create(tmp_path, manifest(cloud=asked)) as folder:
        _, deployment = table.make(load("embedded").with_factor(3), folder, [])
    assert isinstance(deployment, Standing)
    assert isinstance(deployment.cloud, CloudConnection)
    assert (deployment.cloud.name, deployment.entry.name) == ("theirs", "theirs")
    assert deployment.cloud.timeout == 3 * connection.TIMEOUT


def test_with_on_the_node_can_be_a_guest_in_qemu(tmp_path: Path) -> None:
    lines: list[str] = []
    with RunDir.create(tmp_path, manifest(on="qemu:14.4")) as folder:
        node, deployment = table.make(load("embedded"), folder, [], lines.append)
    assert isinstance(node, QemuNode)
    node.options.report(Stage.KERNEL, 2.34)
    assert lines == ["kernel after 2.3 s"]
    assert (node.spec, node.name) == (QemuSpec("14.4"), "qemu-14.4")
    assert isinstance(deployment, Embedded)


def test_with_on_the_node_can_be_one_of_a_zuul_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inventory = tmp_path / "inventory.yaml"
    inventory.write_text("all: {hosts: {freebsd: {ansible_host: there, ansible_user: zuul}}}")
    monkeypatch.setenv("BSDGATE_ZUUL_INVENTORY", str(inventory))
    table.check("zuul:freebsd", None, load("embedded"))
    with RunDir.create(tmp_path, manifest(on="zuul:freebsd")) as folder:
        node, _ = table.make(load("embedded"), folder, [])
    assert isinstance(node, SshNode)
    assert str(node.address) == "ssh://zuul@there"
    with pytest.raises(UsageError, match="has no host other"):
        table.check("zuul:other", None, load("embedded"))
    with pytest.raises(UsageError, match="cannot be kept"):
        table.check_keep("zuul:freebsd")
    table.check_keep("ssh://me@there")
    table.check_keep(None)


def test_a_missing_qemu_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InfrastructureError, match="no program qemu-system-"):
        table.check("qemu", None, load("embedded"))
    with pytest.raises(UsageError, match="is not a version"):
        table.check("qemu:nonsense", None, load("embedded"))
    table.check("ssh://me@there", None, load("embedded"))
    table.check(None, None, load("embedded"))
