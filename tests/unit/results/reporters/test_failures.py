# SPDX-License-Identifier: Apache-2.0
"""Failures are grouped by cause and by signature, and none is left out."""

from unit.results.reporters.made import attributions, failed, failure_reason, verdict_of

from bsdgate.results.model import Case, Cause, Code, Excuse, Level, Outcome, Reason, Result, Verdict
from bsdgate.results.reporters.failures import groups


def ids_by_cause(verdict: Verdict) -> dict[Cause | Excuse, list[str]]:
    return {group.cause: [failure.case.id for failure in group] for group in groups(verdict)}


def test_groups_are_ordered_by_their_cause() -> None:
    cases = [failed(f"m.{cause}") for cause in Cause]
    findings = [one for cause in Cause for one in attributions(cause, f"m.{cause}")]
    known = Case("m.known", Outcome.KNOWN_FAILURE, details="traceback:\nno\n")
    found = groups(verdict_of(Result.FAIL, *cases, known, findings=findings))
    assert [group.cause for group in found] == [
        *(Cause.CHANGE, Cause.UNKNOWN, Cause.NODE, Cause.HARNESS, Cause.BASE, Cause.FLAKE),
        Excuse.KNOWN_FAILURE,
    ]
    assert [group.decides for group in found] == [True] * 4 + [False] * 3


def test_without_attribution_all_failures_have_an_unknown_cause() -> None:
    verdict = verdict_of(Result.FAIL, failed("m.a"), failed("m.b"), Case("m.c", Outcome.SUCCESS))
    assert ids_by_cause(verdict) == {Cause.UNKNOWN: ["m.a", "m.b"]}


def test_failures_are_grouped_by_signature_the_most_frequent_first() -> None:
    cases = [failed(f"m.t{number}") for number in range(5)]
    alone = attributions(Cause.CHANGE, "m.t0", signature="one") + attributions(Cause.CHANGE, "m.t1")
    alike = attributions(Cause.CHANGE, "m.t2", "m.t4", signature="two")
    (group,) = groups(
        verdict_of(Result.FAIL, *cases[:3], cases[4], findings=sorted(alone + alike, key=str))
    )
    ids = [[failure.case.id for failure in alike] for alike in group.alike]
    assert ids == [["m.t2", "m.t4"], ["m.t0"], ["m.t1"]]
    assert len(group) == 4


def test_a_flake_that_fails_the_run_is_in_a_deciding_group() -> None:
    flake = attributions(Cause.FLAKE, "m.a")
    (blamed,) = groups(
        verdict_of(Result.FAIL, failed("m.a"), reasons=[failure_reason("m.a")], findings=flake)
    )
    assert blamed.decides
    note = Reason(Level.NOTE, Code.KNOWN_FLAKE, "flake", ("m.a",))
    (excused,) = groups(verdict_of(Result.PASS, failed("m.a"), reasons=[note], findings=flake))
    assert not excused.decides


def test_a_class_fixture_represents_its_tests_with_their_cause() -> None:
    fixture = failed("setUpClass (m.A)", reason="boom", details="traceback:\nboom\n")
    members = [
        failed(f"m.A.t{n}", reason="setUpClass (m.A): boom", setup_failure="setUpClass (m.A)")
        for n in range(3)
    ]
    findings = attributions(Cause.BASE, *(case.id for case in members))
    (group,) = groups(verdict_of(Result.FAIL, *members, fixtures=[fixture], findings=findings))
    (failure,) = group
    assert group.cause == Cause.BASE
    assert failure.disposition.tests == ("m.A.t0", "m.A.t1", "m.A.t2")


def test_a_class_fixture_with_tests_of_several_causes_has_an_unknown_cause() -> None:
    fixture = failed("setUpClass (m.A)")
    members = [
        failed(f"m.A.t{n}", reason="setUpClass (m.A): boom", setup_failure="setUpClass (m.A)")
        for n in range(2)
    ]
    findings = attributions(Cause.BASE, "m.A.t0") + attributions(Cause.FLAKE, "m.A.t1")
    verdict = verdict_of(Result.FAIL, *members, fixtures=[fixture], findings=findings)
    assert ids_by_cause(verdict) == {Cause.UNKNOWN: ["setUpClass (m.A)"]}


def test_a_case_with_details_is_listed_with_any_outcome() -> None:
    twice = Case("m.a", Outcome.DUPLICATED, details="traceback:\none of them\n")
    lost = Case("m.b", Outcome.MISSING)
    assert ids_by_cause(verdict_of(Result.ERROR, twice, lost)) == {Cause.UNKNOWN: ["m.a"]}
