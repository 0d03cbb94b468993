# SPDX-License-Identifier: Apache-2.0
"""A profile explains the skips of a run."""

from bsdgate.harness.profiles import load


def test_features_lacks_and_absent_services_explain_skips() -> None:
    reasons = {one["option"]: one for one in load.load("embedded").skip_reasons()}
    assert reasons["service_available.cinder"]["value"] == "False"
    assert reasons["network-agents"]["value"] == "false"
    assert reasons["network-agents"]["reason"]
    assert "service_available.nova" not in reasons
    minicloud = {one["option"]: one["value"] for one in load.load("minicloud").skip_reasons()}
    assert minicloud["service_available.ironic"] == "false"
    assert list(reasons) == sorted(reasons)
