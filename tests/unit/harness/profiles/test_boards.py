# SPDX-License-Identifier: Apache-2.0
"""The options and nodes of Ironic for the boards of a profile."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from bsdgate.harness.cloud import seed, templates
from bsdgate.harness.errors import ConfigurationError
from bsdgate.harness.profiles import boards, load

EMBEDDED = Path(load.__file__).parent / "embedded.yaml"


def ironic(name: str) -> Any:
    return load.service_options(load.load(name))["ironic"]


def test_ironic_has_the_drivers_of_the_boards() -> None:
    assert ironic("embedded")["DEFAULT"] == {
        "enabled_hardware_types": "fake-hardware",
        "enabled_power_interfaces": "fake",
        "enabled_boot_interfaces": "fake,pxe",
    }
    netperf = ironic("netperf")["DEFAULT"]
    assert netperf["enabled_hardware_types"] == "ipmi,redfish"
    assert netperf["enabled_boot_interfaces"] == "ipxe,pxe,http-ipxe"
    assert ironic("morello")["DEFAULT"]["enabled_power_interfaces"] == "pdu-snmp"


def test_options_in_the_profile_override_those_for_its_boards(tmp_path: Path) -> None:
    content = yaml.safe_load(EMBEDDED.read_bytes())
    content["services"]["ironic"] = {"options": {"DEFAULT": {"enabled_boot_interfaces": "fake"}}}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(content))
    options = ironic(str(tmp_path / "mine.yaml"))["DEFAULT"]
    assert options["enabled_boot_interfaces"] == "fake"
    assert options["enabled_hardware_types"] == "fake-hardware"


def test_without_boards_nothing_is_set() -> None:
    assert load.service_options(load.load("minicloud"))["nova"]["DEFAULT"]
    assert boards.options(()) == {}


def test_each_board_is_a_node() -> None:
    (node,) = boards.nodes(load.load("morello").boards)
    assert node == {
        "name": "morello",
        "driver": "pdu",
        "power_interface": "pdu-snmp",
        "boot_interface": "ipxe",
        "resource_class": "morello",
        "properties": {"cpu_arch": "aarch64"},
        "traits": ["CUSTOM_CHERI_PURECAP", "CUSTOM_CHERI_HYBRID"],
    }
    (fake,) = boards.nodes(load.load("embedded").boards)
    assert fake["console_interface"] == "no-console"


def test_the_nodes_are_enrolled(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []
    baremetal = SimpleNamespace(
        create_node=lambda **fields: made.append(fields),
        set_node_traits=lambda _node, traits: made.append(traits),
        set_node_provision_state=lambda _node, verb, wait: made.append((verb, wait)),
    )
    monkeypatch.setattr(seed, "connect", lambda _spec: SimpleNamespace(baremetal=baremetal))
    nodes = [{"name": "one", "traits": ["CUSTOM_X"]}]
    seed.resources(SimpleNamespace(has=lambda _name: False, nodes=nodes))  # type: ignore[arg-type]
    assert made == [{"name": "one"}, ["CUSTOM_X"], ("manage", True), ("provide", True)]


def test_the_name_of_a_template_depends_on_the_nodes() -> None:
    assert templates.cloud_name(["ironic"]) != templates.cloud_name(["ironic"], [{"name": "one"}])


def test_morello_is_refused_and_the_missing_driver_is_named() -> None:
    with pytest.raises(ConfigurationError) as caught:
        load.load_local("morello")
    nodes, board = caught.value.problems
    assert "morello.yaml:7:3: nodes: the source zuul is not supported by this version" in nodes
    assert "boards.0.power: 'pdu-snmp': Ironic's driver pdu is missing on this machine" in board
    assert "(allowed: fake)" in board
    known = "embedded or ironic-standalone or keystone"
    assert caught.value.hint == f"choose one that can: --profile {known}"


def test_every_board_with_hardware_is_named(tmp_path: Path) -> None:
    content = yaml.safe_load(EMBEDDED.read_bytes())
    (fake,) = content["boards"]
    content["boards"] = [
        fake,
        fake | {"name": "two", "power": "ipmi"},
        fake | {"name": "three", "power": "redfish"},
    ]
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(ConfigurationError) as caught:
        load.load_local(str(tmp_path / "mine.yaml"))
    assert ["driver ipmi" in each for each in caught.value.problems] == [True, False]
    assert "driver redfish" in caught.value.problems[1]
