# SPDX-License-Identifier: Apache-2.0
"""bsdgate.harness.nodes.zuul."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from bsdgate.harness.errors import UsageError
from bsdgate.harness.nodes import specs
from bsdgate.harness.nodes.address import Address
from bsdgate.harness.nodes.zuul import INVENTORY, ZuulSpec


@pytest.fixture
def inventory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "inventory.yaml"
    monkeypatch.setenv(INVENTORY, str(path))
    return path


def write(path: Path, variables: Any) -> None:
    hosts = {"controller": {"ansible_connection": "local"}, "freebsd": variables}
    path.write_text(yaml.safe_dump({"all": {"hosts": hosts, "vars": {}}}))


@pytest.mark.parametrize(
    ("variables", "address"),
    [
        ({"ansible_host": "192.0.2.7"}, Address("192.0.2.7")),
        (
            {"ansible_host": "2001:db8::7", "ansible_port": 2222, "ansible_user": "zuul"},
            Address("2001:db8::7", "zuul", 2222),
        ),
        (
            {"ansible_host": "node", "bsdgate_ssh_config": "/w/ssh/config"},
            Address("node", config=Path("/w/ssh/config")),
        ),
    ],
)
def test_the_address_is_that_of_the_host_in_the_inventory(
    inventory: Path, variables: Any, address: Address
) -> None:
    write(inventory, variables)
    assert ZuulSpec("freebsd").address() == address


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("all: [", "inventory.yaml:2:1: not YAML"),
        ("all: []", "is not an inventory"),
        ("", "is not an inventory"),
        ("all: {hosts: {controller: {}}}", "has no host freebsd, only controller"),
        ("all: {hosts: {}}", "has no host freebsd, only no host"),
        ("all: {hosts: {freebsd: null}}", "the host freebsd has no ansible_host"),
        ("all: {hosts: {freebsd: {ansible_host: a b}}}", "not a valid ssh://USER@HOST"),
        ("all: {hosts: {freebsd: {ansible_host: a, ansible_port: 99999}}}", "ssh://a:99999"),
        ("all: {hosts: {freebsd: {ansible_host: '-oProxyCommand=x'}}}", "not a valid ssh://"),
    ],
)
def test_an_inventory_that_is_not_usable_is_refused_with_its_path(
    inventory: Path, text: str, message: str
) -> None:
    inventory.write_text(text)
    with pytest.raises(UsageError, match=message) as error:
        ZuulSpec("freebsd").address()
    assert str(inventory) in error.value.message
    assert error.value.hint


def test_without_an_inventory_the_error_names_the_variable(
    inventory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match=r"inventory\.yaml: cannot be read: No such file"):
        ZuulSpec("freebsd").address()
    monkeypatch.delenv(INVENTORY)
    with pytest.raises(UsageError, match=f"needs {INVENTORY}"):
        ZuulSpec("freebsd").address()


def test_no_cloud_can_be_kept_on_a_node_of_a_build() -> None:
    assert specs.parse_lasting("ssh://me@there") == Address("there", "me")
    with pytest.raises(UsageError, match="cannot be kept on a node of a Zuul build"):
        specs.parse_lasting("zuul:freebsd")
