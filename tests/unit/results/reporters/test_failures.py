# SPDX-License-Identifier: Apache-2.0
"""Failures are grouped by cause, alike ones together, and nothing that failed is left out."""

from unit.results.reporters.made import blames, caused, failed, verdict_of

from bsdgate.results.model import Case, Cause, Code, Excuse, Level, Outcome, Reason, Result, Verdict
from bsdgate.results.reporters.failures import groups


def ids_by_cause(verdict: Verdict) -> dict[Cause | Excuse, list[str]]:
    return {group.cause: [failure.case.id for failure in group] for group in groups(verdict)}


def test_groups_stand_in_the_order_in_which_they_matter() -> None:
    cases = [failed(f"m.{cause}") for cause in Cause]
    findings = [one for cause in Cause for one in caused(cause, f"m.{cause}")]
    known = Case("m.known", Outcome.KNOWN_FAILURE, details="traceback:\nno\n")
    found = groups(verdict_of(Result.FAIL, *cases, known, findings=findings))
    assert [group.cause for group in found] == [
        *(Cause.CHANGE, Cause.UNKNOWN, Cause.NODE, Cause.HARNESS, Cause.BASE, Cause.FLAKE),
        Excuse.KNOWN_FAILURE,
    ]
    assert [group.decides for group in found] == [True] * 4 + [False] * 3


def test_without_attribution_all_failures_are_unknown() -> None:
    verdict = verdict_of(Result.FAIL, failed("m.a"), failed("m.b"), Case("m.c", Outcome.SUCCESS))
    assert ids_by_cause(verdict) == {Cause.UNKNOWN: ["m.a", "m.b"]}


def test_failures_with_one_signature_stand_side_by_side_the_most_frequent_first() -> None:
    cases = [failed(f"m.t{number}") for number in range(5)]
    alone = caused(Cause.CHANGE, "m.t0", signature="one") + caused(Cause.CHANGE, "m.t1")
    alike = caused(Cause.CHANGE, "m.t2", "m.t4", signature="two")
    (group,) = groups(
        verdict_of(Result.FAIL, *cases[:3], cases[4], findings=sorted(alone + alike, key=str))
    )
    ids = [[failure.case.id for failure in alike] for alike in group.alike]
    assert ids == [["m.t2", "m.t4"], ["m.t0"], ["m.t1"]]
    assert len(group) == 4


def test_a_flake_that_fails_the_run_is_not_folded_away() -> None:
    flake = caused(Cause.FLAKE, "m.a")
    (blamed,) = groups(
        verdict_of(Result.FAIL, failed("m.a"), reasons=[blames("m.a")], findings=flake)
    )
    assert blamed.decides
    note = Reason(Level.NOTE, Code.KNOWN_FLAKE, "flake", ("m.a",))
    (excused,) = groups(verdict_of(Result.PASS, failed("m.a"), reasons=[note], findings=flake))
    assert not excused.decides


def test_a_fixture_speaks_for_its_tests_and_has_their_cause() -> None:
    fixture = failed("setUpClass (m.A)", reason="boom", details="traceback:\nboom\n")
    members = [
        failed(f"m.A.t{n}", reason="setUpClass (m.A): boom", setup_failure="setUpClass (m.A)")
        for n in range(3)
    ]
    findings = caused(Cause.BASE, *(case.id for case in members))
    (group,) = groups(verdict_of(Result.FAIL, *members, fixtures=[fixture], findings=findings))
    (failure,) = group
    assert group.cause == Cause.BASE
    assert failure.disposition.tests == ("m.A.t0", "m.A.t1", "m.A.t2")


def test_a_fixture_with_tests_of_several_causes_has_none() -> None:
    fixture = failed("setUpClass (m.A)")
    members = [
        failed(f"m.A.t{n}", reason="setUpClass (m.A): boom", setup_failure="setUpClass (m.A)")
        for n in range(2)
    ]
    findings = caused(Cause.BASE, "m.A.t0") + caused(Cause.FLAKE, "m.A.t1")
    verdict = verdict_of(Result.FAIL, *members, fixtures=[fixture], findings=findings)
    assert ids_by_cause(verdict) == {Cause.UNKNOWN: ["setUpClass (m.A)"]}


def test_what_left_details_is_shown_whatever_its_outcome() -> None:
    twice = Case("m.a", Outcome.DUPLICATED, details="traceback:\none of them\n")
    lost = Case("m.b", Outcome.MISSING)
    assert ids_by_cause(verdict_of(Result.ERROR, twice, lost)) == {Cause.UNKNOWN: ["m.a"]}
