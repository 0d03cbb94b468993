# SPDX-License-Identifier: Apache-2.0
"""A run against a standing cloud with only Keystone and Ironic."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from functional import foreign
from functional.place import Place, UpCloud
from functional.run_folder import runs
from functional.sdk import connected

from bsdgate.harness.deployments import connection, inventory

# openstacksdk emits warnings about itself.
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(400)]

PROFILE = Path(__file__).parent / "profiles" / "two-services.yaml"
SOME = r"tempest\.api\.identity\.admin\.v3\.test_(domains|roles)|ironic_tempest_plugin"
PREFIX = "ours"
SERVICES: Sequence[str] = ("identity", "baremetal")


def test_a_cloud_of_two_services_passes_and_resources_of_others_are_identical(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    up = place.bsdgate("up", "--name", "two", "--profile", PROFILE)
    assert up.code == 0, up
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(place.clouds_yaml))
    with connected(UpCloud(place, "two")) as client:
        paths = foreign.fill(client)
        assert len(paths) >= 50
        before = foreign.contents(client, paths)
        arguments = ("--cloud", "two", "--profile", PROFILE, "--prefix", PREFIX)
        done = place.bsdgate("run", *arguments, "--tests", SOME)
        assert done.code == 0, done
        folder = runs(place)[-1]
        assert folder.verdict["result"] == "PASS"
        assert any("ironic_tempest_plugin" in each for each in folder.asked("01-tempest"))
        assert json.dumps(foreign.contents(client, paths)) == json.dumps(before)
    found = inventory.take(connection.CloudConnection("two"), SERVICES).values()
    assert not [str(each) for each in found if each.name.startswith(PREFIX)]
    # No release of Ironic has morello's driver yet.
    done = place.bsdgate("run", "--cloud", "two", "--profile", "morello", "--prefix", PREFIX)
    assert done.code == 2, done
    assert "has no driver 'pdu', which the profile morello requires" in done.text
    done = place.bsdgate("run", "--cloud", "two", "--prefix", PREFIX)
    assert done.code == 2, done
    assert "has no image, placement, network, compute" in done.text
