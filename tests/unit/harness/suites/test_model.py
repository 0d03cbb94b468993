# SPDX-License-Identifier: Apache-2.0
"""bsdgate.harness.suites."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from bsdgate.harness.errors import UsageError
from bsdgate.harness.profiles import load as profiles
from bsdgate.harness.profiles.model import Exclusion
from bsdgate.harness.suites import model

WHY = "A reason to be read"
# Real ids of Tempest 47, and one of our plugin.
IDS = [
    "tempest.api.identity.v3.test_tokens.TokensV3Test.test_validate_token[id-a9512ac3,smoke]",
    "tempest.api.identity.v3.test_tokens.TokensV3Test.test_create_token[id-6f8e4436]",
    "tempest.api.compute.volumes.test_attach_volume.AttachVolumeTestJSON.test_attach[id-52e9045a]",
    "tempest.api.volume.test_volumes_get.VolumesGetTest.test_volume_create[id-27fb0e9f,smoke]",
    (
        "tempest.scenario.test_network_basic_ops.TestNetworkBasicOps.test_network_basic_ops"
        "[compute,id-f323b3ba,network,smoke]"
    ),
    "neutron_tempest_plugin.sfc.tests.api.test_sfc.SfcTest.test_create[id-1]",
    "ironic_tempest_plugin.tests.api.admin.test_nodes.TestNodes.test_create_node[id-4e939eb2]",
    "ironic_tempest_plugin.tests.api.rbac_defaults.test_nodes.TestNodeSystemReader.test_list",
    "bsdgate.tempest_plugin.tests.identity.test_catalogue.CatalogueTest.test_all[id-2]",
]


def suite(**fields: Any) -> model.Suite:
    includes = [
        {"area": "identity", "tests": r"^tempest\.api\.identity\.", "reason": WHY},
        {"area": "late", "tests": "test_validate_token", "reason": WHY},
    ]
    given = {"name": "s", "description": "d", "runner": "tempest", "includes": includes, **fields}
    return model.Suite.model_validate(given)


def test_first_inclusion_gives_the_area() -> None:
    selection = model.select(suite(), IDS)
    assert selection.ids == (IDS[0], IDS[1])
    assert selection.counts() == {"identity": (2, 0)}


def test_tag_is_an_attribute_and_not_a_part_of_the_name() -> None:
    tagged = [{"area": "a", "tests": ".", "tagged": "smoke", "reason": WHY}]
    ids = ["a.test_smoke[id-1]", "a.test_x[id-2,smoke]", "a.smoke", "a.test_y[smokey]"]
    assert model.select(suite(includes=tagged), ids).ids == ("a.test_x[id-2,smoke]",)


def test_tests_that_are_left_out_have_a_reason() -> None:
    excludes = [{"tests": "test_create_token", "reason": "Not this one here"}]
    selection = model.select(suite(excludes=excludes), IDS)
    assert selection.ids == (IDS[0],)
    assert selection.excluded == {IDS[1]: "Not this one here"}
    assert selection.counts() == {"identity": (1, 1)}


def test_exclusions_of_the_profile_are_left_out_with_a_reason() -> None:
    cannot = [Exclusion(tests="validate", reason="No tokens in this cluster")]
    selection = model.select(suite(), IDS, cannot=cannot)
    assert selection.excluded == {IDS[0]: "No tokens in this cluster"}


def test_regular_expression_narrows_without_excluding() -> None:
    selection = model.select(suite(), IDS, only="create")
    assert (selection.ids, selection.excluded) == ((IDS[1],), {})


@pytest.mark.parametrize(
    ("only", "text"),
    [
        ("no_such_test", "suite s with --tests 'no_such_test' selects no test"),
        ("(", r"--tests '\(' is not a regular expression"),
    ],
)
def test_selection_of_nothing_is_an_error(only: str, text: str) -> None:
    with pytest.raises(UsageError, match=text):
        model.select(suite(), IDS, only=only)


def test_an_empty_selection_is_an_error_with_the_reasons() -> None:
    cannot = [Exclusion(tests="identity", reason="No identity in this cluster")]
    with pytest.raises(UsageError, match="all of its 2 tests: No identity in this cluster"):
        model.select(suite(), IDS, cannot=cannot)


def test_no_tests_at_all_is_an_error() -> None:
    with pytest.raises(UsageError, match="suite s selects no test"):
        model.select(suite(), [])


@given(
    ids=st.lists(st.sampled_from(IDS), min_size=1, unique=True),
    name=st.sampled_from(["smoke", "gate", "nightly"]),
)
def test_each_included_id_is_either_selected_or_left_out(ids: list[str], name: str) -> None:
    chosen_suite = model.load(name)
    wanted = {
        test
        for test in ids
        for rule in chosen_suite.includes
        if re.search(rule.tests, test)
        and (rule.tagged is None or rule.tagged in model.attributes(test))
    }
    try:
        selection = model.select(chosen_suite, ids, cannot=profiles.load("embedded").excludes)
    except UsageError:
        return
    assert set(selection.ids) | set(selection.excluded) == wanted
    assert not set(selection.ids) & set(selection.excluded)
    assert list(selection.ids) == [test for test in ids if test in selection.ids]
    assert sum(map(sum, selection.counts().values())) == len(wanted)


@pytest.mark.parametrize("name", model.names())
def test_a_suite_is_valid_and_named_like_its_file(name: str) -> None:
    assert model.load(name).name == name


def test_smoke_of_the_embedded_cloud() -> None:
    selection = model.select(model.load("smoke"), IDS, cannot=profiles.load("embedded").excludes)
    assert selection.ids == (IDS[0], IDS[6], IDS[8])
    assert list(selection.excluded) == [IDS[4]]


def test_nightly_leaves_out_nothing_without_a_reason() -> None:
    selection = model.select(model.load("nightly"), IDS, cannot=profiles.load("embedded").excludes)
    assert set(selection.ids) | set(selection.excluded) == set(IDS)
    assert set(selection.excluded) == {IDS[3], IDS[4], IDS[5]}


def test_rally_suite_has_a_workload_per_area() -> None:
    workloads = [
        "Authenticate.keystone",
        "IronicNodes.create_and_delete_node",
        "NovaServers.boot_and_delete_server",
        "NeutronNetworks.create_and_list_networks",
    ]
    selection = model.select(model.load("rally-smoke"), workloads)
    assert set(selection.counts()) == {"identity", "baremetal", "compute", "network"}


def test_task_is_for_rally_only() -> None:
    with pytest.raises(ValidationError, match="with the runner rally needs a task"):
        suite(task="x.yaml")
    with pytest.raises(ValidationError, match="with the runner rally needs a task"):
        suite(runner="rally")


def test_credentials_are_for_tempest_only() -> None:
    with pytest.raises(ValidationError, match="credentials are only for the runner tempest"):
        suite(runner="rally", task="x.yaml", credentials="dynamic")


def test_credentials_are_dynamic_by_default() -> None:
    assert suite().credentials == "dynamic"
    assert suite(credentials="pre-provisioned").credentials == "pre-provisioned"
    with pytest.raises(ValidationError, match="pre-provisioned"):
        suite(credentials="static")


def test_unknown_suite_is_refused_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="no suite 'smok'") as caught:
        model.load("smok")
    assert "did you mean smoke? Known: gate, ironic-api, nightly, rally-smoke, smoke" in str(
        caught.value
    )
