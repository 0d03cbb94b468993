# SPDX-License-Identifier: Apache-2.0
"""bsdgate.harness.profiles.load, and the profiles of bsdgate."""

import importlib
import re
import warnings
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name
from pydantic import ValidationError

from bsdgate.harness.errors import ConfigurationError, UsageError
from bsdgate.harness.profiles import load, releases
from bsdgate.harness.profiles.model import Board, Profile

ALL = load.names()


def tempest_options() -> set[str]:
    """Return the options of Tempest and the upstream plugins, as section.option."""
    with warnings.catch_warnings():
        # Tempest imports its deprecated modules.
        warnings.simplefilter("ignore", DeprecationWarning)
        tempest_config = importlib.import_module("tempest.config")
        ironic_config = importlib.import_module("ironic_tempest_plugin.config")
        neutron_config = importlib.import_module("neutron_tempest_plugin.config")
    groups = [
        *tempest_config._opts,
        (ironic_config.baremetal_group, ironic_config.BaremetalGroup),
        (tempest_config.service_available_group, [ironic_config.ironic_service_option]),
        (neutron_config.neutron_group, neutron_config.NeutronPluginOptions),
    ]
    return {
        f"{group.name}.{option.dest}"
        for group, options in groups
        if group is not None
        for option in options
    }


def test_all_clusters_have_a_profile() -> None:
    assert {"embedded", "freebsd", "morello", "netperf", "minicloud"} <= set(ALL)


@pytest.mark.parametrize("name", ALL)
def test_a_profile_is_valid_and_named_like_its_file(name: str) -> None:
    assert load.load(name).name == name


@pytest.mark.parametrize("name", ALL)
def test_features_are_options_of_tempest(name: str) -> None:
    assert not set(load.load(name).features) - tempest_options()


def test_embedded_has_all_services_and_boards_without_hardware() -> None:
    profile = load.load("embedded")
    assert set(profile.services) == {"keystone", "glance", "placement", "neutron", "nova", "ironic"}
    assert [board.power for board in profile.boards] == ["fake"]
    assert profile.overrides()["validation.run_validation"] == "False"
    assert profile.overrides()["compute.build_timeout"] == "60"


def test_clusters_have_the_right_boards() -> None:
    assert [board.power for board in load.load("morello").boards] == ["pdu-snmp"]
    assert [board.power for board in load.load("netperf").boards] == ["ipmi", "redfish"]
    assert "CUSTOM_CHERI_PURECAP" in load.load("morello").boards[0].traits
    assert load.load("minicloud").boards == ()


def test_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="there is no profile 'embeddet'") as caught:
        load.load("embeddet")
    assert "did you mean embedded?" in str(caught.value)
    assert "minicloud" in str(caught.value)


def test_profile_can_be_a_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    text = (Path(load.__file__).parent / "embedded.yaml").read_text()
    path.write_text(text.replace("name: embedded", "name: mine", 1))
    assert load.load(str(path)).name == "mine"
    path.write_text(text.replace('release: "2026.2"', 'release: "1999.1"'))
    with pytest.raises(ConfigurationError, match="no constraints for release '1999.1'"):
        load.load(str(path))


def test_board_without_redfish_has_no_virtual_media() -> None:
    fields = {"name": "b", "architecture": "amd64", "boot": ["virtual-media"]}
    Board(**fields, power="redfish", resource_class="x")
    with pytest.raises(ValidationError, match="virtual-media needs power: redfish, not pdu-snmp"):
        Board(**fields, power="pdu-snmp", resource_class="x")


def test_boards_need_ironic_and_names_of_their_own() -> None:
    fields = load.load("morello").model_dump()
    with pytest.raises(ValidationError, match="boards need the service ironic"):
        Profile.model_validate({**fields, "services": {"keystone": {}}})
    with pytest.raises(ValidationError, match="more than one board is called morello"):
        Profile.model_validate({**fields, "boards": fields["boards"] * 2})


def test_release_pins_what_is_for_this_system() -> None:
    pins = releases.pins("2026.2")
    assert str(pins[canonicalize_name("keystone")]) == "30.0.0"
    assert "oslo-db" in pins
    assert "colorama" not in pins, "it is for Windows"
    assert len(pins) > 200


def test_each_reason_is_a_sentence() -> None:
    for name in ALL:
        profile = load.load(name)
        reasons = [feature.reason for feature in profile.features.values()]
        reasons += [exclude.reason for exclude in profile.excludes]
        assert not [each for each in reasons if not re.match(r"[A-Za-z].{15,}[^.]$", each)]


@pytest.mark.parametrize(
    ("services", "problem"),
    [
        (["nova"], "nova needs glance, keystone, neutron, placement"),
        (["glance", "neutron"], "glance needs keystone; neutron needs keystone"),
        (["ironic", "glance"], "glance needs keystone; only ironic can run alone"),
        (["keystone", "ironic"], ""),
        (["ironic"], ""),
    ],
)
def test_services_have_what_they_need(services: list[str], problem: str) -> None:
    fields = load.load("embedded").model_dump() | {"services": {name: {} for name in services}}
    fields["boards"] = ()
    if not problem:
        assert list(Profile.model_validate(fields).services) == services
        return
    with pytest.raises(ValidationError, match=problem):
        Profile.model_validate(fields)
