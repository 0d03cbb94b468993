# SPDX-License-Identifier: Apache-2.0
"""What a profile says explains the skips of a run."""

from bsdgate.harness.profiles import load


def test_features_lacks_and_absent_services_are_said():
    said = {one["option"]: one for one in load.load("embedded").said()}
    assert said["service_available.cinder"]["value"] == "False"
    assert said["network-agents"]["value"] == "false"
    assert said["network-agents"]["reason"]
    assert "service_available.nova" not in said
    minicloud = {one["option"]: one["value"] for one in load.load("minicloud").said()}
    assert minicloud["service_available.ironic"] == "false"
    assert list(said) == sorted(said)
