# SPDX-License-Identifier: Apache-2.0
"""Rally's smoke suite, from the command line to the verdict."""

import json

import pytest
from functional.place import Place

WORKLOADS = {
    "Authenticate.keystone": 20,
    "IronicNodes.create_and_delete_node": 8,
    "NeutronNetworks.create_and_delete_networks": 8,
    "NovaServers.boot_and_delete_server": 4,
}


@pytest.mark.timeout(300)
def test_rally_smoke_passes_and_leaves_nothing_behind(place: Place) -> None:
    done = place.bsdgate("run", "--suite", "rally-smoke")
    assert done.code == 0, done
    (run,) = (place.state / "runs").iterdir()
    verdict = json.loads((run / "report" / "verdict.json").read_text())
    assert (verdict["result"], verdict["reasons"]) == ("PASS", [])
    outcomes = {case["id"]: case["outcome"] for case in verdict["cases"]}
    assert {name: outcomes.get(name) for name in WORKLOADS} == dict.fromkeys(WORKLOADS, "success")
    asked = json.loads((run / "evidence" / "02-rally" / "asked.json").read_text())
    assert {entry["name"]: entry["iterations"] for entry in asked} == WORKLOADS
    assert {"IronicNodes.create_and_delete_node/ironic.create_node"} <= verdict["timings"].keys()
    assert all(seconds > 0 for seconds in verdict["timings"].values())
    place.wait_until_empty()
    assert place.stray_files() == []
