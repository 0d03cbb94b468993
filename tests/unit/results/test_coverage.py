# SPDX-License-Identifier: Apache-2.0
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from bsdgate.results.coverage import explanations, fewer_ran, lost
from bsdgate.results.coverage.rules import ALWAYS, RULES
from bsdgate.results.model import Case, Code, Feature, Level, Outcome

ROOT = Path(__file__).parents[3]
RECORDED = json.loads((ROOT / "tests" / "golden" / "skips" / "gate.json").read_text())["skips"]
# Features that a cloud without agents, OVN or BGP lacks; only its profile can declare that.
MISSING_FEATURES = [
    "network-extension.dhcp_agent_scheduler",
    "network-extension.evpn",
    "network-extension.external-gateway-multihoming",
    "network-extension.ovn-bgp",
    "network-extension.router-interface-fip",
    "network-agents",
    "default-subnetpool",
    "image-import.glance-download",
]


def embedded() -> list[Feature]:
    """Return the features in the profile of the recorded run."""
    text = (ROOT / "harness" / "profiles" / "embedded.yaml").read_text()
    declared = yaml.safe_load(text)["features"]
    return [Feature(option, str(one["value"]), one["reason"]) for option, one in declared.items()]


def missing_features() -> list[Feature]:
    return [Feature(name, "false", "The profile says so") for name in MISSING_FEATURES]


def skip(text: str | None, test_id: str = "m.C.one") -> Case:
    return Case(test_id, Outcome.SKIP, reason=text)


def why(text: str, *features: Feature) -> str | None:
    return explanations([skip(text)], features).get("m.C.one")


@pytest.mark.parametrize("one", RECORDED, ids=lambda one: one["text"][:60])
def test_each_recorded_skip_is_explained_by_the_profile(one: dict[str, Any]) -> None:
    case = skip(one["text"], one["id"])
    found = explanations([case], embedded() + missing_features())
    assert found[one["id"]]
    assert lost([case], found) == []


def test_each_missing_feature_explains_a_recorded_skip() -> None:
    cases = [skip(one["text"], one["id"]) for one in RECORDED]
    for name in MISSING_FEATURES:
        kept = [feature for feature in missing_features() if feature.option != name]
        assert len(explanations(cases, embedded() + kept)) < len(cases)


def test_a_feature_that_the_profile_declares_as_available_explains_nothing() -> None:
    text = "LiveMigrationTest skipped as live-migration is not available"
    option = "compute-feature-enabled.live_migration"
    assert why(text, Feature(option, "False", "one host")) == f"{option} is False: one host"
    assert why(text, Feature(option, "True", "two hosts")) is None
    assert why(text) is None  # Tempest assumes that the feature is available


@pytest.mark.parametrize(
    ("text", "option", "explaining", "contradicting", "default"),
    [
        ("Less than 2 compute nodes, skipping multinode tests.", "compute.min_compute_nodes",
         "1", "2", True),
        ("These tests rely on ipmi enabled", "baremetal.enabled_hardware_types",
         "fake-hardware,redfish", "redfish, ipmi", False),
        ("do_secure_hash is enabled", "image-feature-enabled.do_secure_hash",
         "True", "False", True),
        ("Image format testing is not configured", "image.images_manifest_file",
         "", "/images.yaml", True),
        ("Skipped because the volume service is not available", "service_available.cinder",
         "False", "True", False),
        ("Cinder is not available", "service_available.cinder", "False", "True", False),
        ("Server does not support web-download import method", "image-import.web-download",
         "false", "true", False),
        ("Skipped because network extension: l3-ha is not enabled", "network-extension.l3-ha",
         "false", "true", False),
        ("DVR extension not enabled.", "network-extension.DVR", "false", "true", False),
        ("DiskConfig extension not enabled.", "compute-feature-enabled.disk_config",
         "false", "true", False),
    ],
)  # fmt: skip
def test_an_option_explains_a_skip_that_needs_another_value(
    text: str, option: str, explaining: str, contradicting: str, default: bool
) -> None:
    assert why(text, Feature(option, explaining, "so"))
    assert why(text, Feature(option, contradicting, "so")) is None
    assert bool(why(text)) is default


def test_the_text_of_a_skip_can_be_an_explanation() -> None:
    assert why("Skipped until bug: https://launchpad.net/bugs/1 is resolved.")
    assert why("Skipped because I feel like it") is None
    assert explanations([skip(None)], []) == {}


def test_a_failure_that_upstream_reports_as_a_skip_is_lost_coverage() -> None:
    hidden = (
        "Marked as unstable and skipped because of bug: https://launchpad.net/bugs/1, failure was: "
    )
    assert why(hidden + "Timeout") is None
    cinder = Feature("service_available.cinder", "False", "no Cinder")
    assert "no Cinder" in (why(hidden + "Cinder is not available", cinder) or "")
    (reason,) = lost([skip(hidden + "Timeout")], {})
    assert (reason.level, reason.code, reason.ids) == (
        Level.NOTE,
        Code.COVERAGE_LOST,
        ("m.C.one",),
    )
    assert "a failure reported as a skip" in reason.message


def test_a_longer_text_is_not_explained() -> None:
    text = "Cold migration not available. Or is it?"
    assert why(text, Feature("compute-feature-enabled.cold_migration", "False", "so")) is None


def test_lost_coverage_is_grouped_by_text_the_most_frequent_first() -> None:
    cases = [skip("a", "m.C.1"), skip("b", "m.C.3"), skip("b", "m.C.2"), skip("c", "m.C.4")]
    reasons = lost(cases, {"m.C.4"})
    assert [one.ids for one in reasons] == [("m.C.2", "m.C.3"), ("m.C.1",)]
    assert reasons[0].message == "2 tests skipped, nothing explains it: b"


def test_long_texts_are_shortened_and_all_ids_are_listed() -> None:
    cases = [skip(f"{number} " + "x" * 5000, f"m.C.{number}") for number in range(200)]
    reasons = lost(cases, {})
    assert len(reasons) == 21
    assert max(len(one.message) for one in reasons) < 250
    assert {test for one in reasons for test in one.ids} == {case.id for case in cases}


def test_rules_have_an_option_texts_and_a_reason() -> None:
    for rule in RULES:
        assert rule.option
        assert rule.texts
    for always in ALWAYS:
        assert len(always.reason) > 10


# The number of tests that ran ------------------------------------------------------------------

UUID = "869bc8e8-0be6-4dd7-a9ee-cb5e7fdcfd5f"


def ran(*ids: str) -> list[Case]:
    return [Case(one, Outcome.SUCCESS) for one in ids]


def test_fewer_tests_of_the_same_versions_are_an_error_that_lists_them() -> None:
    cases = [*ran("a", "b"), skip("x", "c"), Case("d", Outcome.MISSING)]
    (reason,) = fewer_ran(cases, ["a", "b", "c", "d", "e"], same_versions=True)
    assert (reason.level, reason.code, reason.ids) == (Level.ERROR, Code.FEWER_RAN, ("c", "d", "e"))


def test_failed_tests_count_as_run() -> None:
    cases = [Case("a", Outcome.FAIL), Case("b", Outcome.XFAIL), Case("c", Outcome.UXSUCCESS)]
    assert fewer_ran(cases, ["a", "b", "c"], same_versions=True) == []


def test_fewer_tests_of_other_versions_are_a_note() -> None:
    (reason,) = fewer_ran(ran("a"), ["a", "b"], same_versions=False)
    assert (reason.level, reason.ids) == (Level.NOTE, ("b",))


@pytest.mark.parametrize("same_versions", [False, True])
def test_a_renamed_test_counts_as_run(same_versions: bool) -> None:
    before, after = f"m.C.old[id-{UUID}]", f"m.C.new[id-{UUID},smoke]"
    assert fewer_ran(ran(after), [before], same_versions=same_versions) == []


def test_a_new_test_does_not_replace_a_missing_one() -> None:
    (reason,) = fewer_ran(ran("a", "new"), ["a", "b"], same_versions=True)
    assert (reason.level, reason.ids) == (Level.ERROR, ("b",))


def test_an_explained_test_need_not_run() -> None:
    cases = [*ran("a"), skip("x", "b")]
    assert fewer_ran(cases, ["a", "b", "c"], same_versions=True, explained={"b", "c"}) == []
    assert fewer_ran(ran("a", "b"), ["a", "b"], same_versions=True, explained={"b"}) == []
    (reason,) = fewer_ran(cases, ["a", "b", "c"], same_versions=True, explained={"b"})
    assert reason.ids == ("c",)


IDS = st.sets(st.sampled_from("abcdef"))


@given(IDS, IDS, IDS, IDS, st.booleans())
def test_losing_tests_never_improves_the_level(
    now: set[str], gone: set[str], baseline: set[str], explained: set[str], same: bool
) -> None:
    def worst(ids: set[str]) -> int:
        reasons = fewer_ran(ran(*ids), baseline, same_versions=same, explained=explained)
        return min((list(Level).index(one.level) for one in reasons), default=len(Level))

    assert worst(now - gone) <= worst(now)
