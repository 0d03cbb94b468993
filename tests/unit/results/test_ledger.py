# SPDX-License-Identifier: Apache-2.0
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bsdgate.results.ledger import reconcile, unreported
from bsdgate.results.model import (
    Attempt,
    Case,
    Code,
    Kind,
    Level,
    Outcome,
    RunnerRecord,
    Side,
    State,
    error,
)

SUCCESS, FAIL, SKIP = Outcome.SUCCESS, Outcome.FAIL, Outcome.SKIP
ASKED = ("m.A.one", "m.A.two", "m.B.one[id-1,smoke]")


def attempt(
    reports: list[tuple[str, Outcome]],
    asked: tuple[str, ...] = ASKED,
    name: str = "01-tempest",
    **fields: Any,
) -> Attempt:
    whole: dict[str, Any] = {
        "kind": Kind.TEMPEST,
        "state": State.ENDED,
        "exit_status": 0,
        "reports": tuple(Case(test_id, outcome, reason="why") for test_id, outcome in reports),
    }
    return Attempt(name=name, asked=tuple(asked), **whole | fields)


def outcomes(*attempts: Attempt) -> dict[str, str]:
    return {case.id: str(case.outcome) for case in reconcile(attempts).cases}


def codes(*attempts: Attempt) -> dict[Code, tuple[str, ...]]:
    return {
        reason.code: reason.ids
        for reason in reconcile(attempts).reasons
        if reason.level is Level.ERROR
    }


ALL = [(test_id, SUCCESS) for test_id in ASKED]


def test_complete_evidence_has_no_errors() -> None:
    assert codes(attempt(ALL)) == {}
    assert set(outcomes(attempt(ALL)).values()) == {"success"}


def test_a_test_without_an_outcome_is_missing() -> None:
    assert codes(attempt(ALL[1:])) == {Code.LOST_TEST: ("m.A.one",)}
    assert outcomes(attempt(ALL[1:]))["m.A.one"] == "missing"


def test_a_test_with_two_outcomes_is_duplicated() -> None:
    found = attempt([*ALL, ("m.A.one", FAIL)])
    assert codes(found) == {Code.DUPLICATED: ("m.A.one",)}
    (case,) = (case for case in reconcile([found]).cases if case.id == "m.A.one")
    assert (case.outcome, case.reason) == (Outcome.DUPLICATED, "reported 2 times: fail, success")


def test_an_unasked_report_is_an_error() -> None:
    assert codes(attempt([*ALL, ("m.A.three", SUCCESS)])) == {Code.UNASKED: ("m.A.three",)}


def test_an_empty_list_of_tests_is_an_error() -> None:
    assert set(codes(attempt([], asked=()))) == {Code.NOTHING_ASKED, Code.NOTHING_RAN}


def test_a_test_that_is_asked_twice_is_an_error() -> None:
    assert codes(attempt(ALL, asked=(*ASKED, ASKED[0]))) == {Code.ASKED_TWICE: ("m.A.one",)}


def test_an_attempt_with_only_skips_is_an_error() -> None:
    assert set(codes(attempt([(test_id, SKIP) for test_id in ASKED]))) == {Code.NOTHING_RAN}


@pytest.mark.parametrize("outcome", [SKIP, FAIL])
def test_each_asked_test_of_a_class_has_the_outcome_of_its_class_fixture(outcome: Outcome) -> None:
    found = attempt([("setUpClass (m.A)", outcome), (ASKED[2], SUCCESS)])
    assert outcomes(found) == {
        "m.A.one": outcome,
        "m.A.two": outcome,
        "m.B.one[id-1,smoke]": "success",
    }
    assert codes(found) == {}
    assert "why" in (reconcile([found]).cases[0].reason or "")


def test_a_failed_module_fixture_fails_every_test_of_the_module() -> None:
    found = attempt([("setUpModule (m)", FAIL)])
    assert set(outcomes(found).values()) == {"fail"}
    assert [fixture.id for fixture in reconcile([found]).setup_failures] == ["setUpModule (m)"]


def test_a_module_that_cannot_be_imported_fails_its_tests() -> None:
    assert set(outcomes(attempt([("unittest.loader._FailedTest.m", FAIL)])).values()) == {"fail"}


def test_a_failed_tear_down_is_listed_beside_the_outcomes() -> None:
    found = attempt([*ALL, ("tearDownClass (m.A)", FAIL)])
    assert set(outcomes(found).values()) == {"success"}
    assert [fixture.id for fixture in reconcile([found]).setup_failures] == ["tearDownClass (m.A)"]
    assert codes(found) == {}


def test_a_failed_set_up_of_another_worker_is_listed_beside_the_outcomes() -> None:
    found = attempt([*ALL, ("setUpClass (m.A)", FAIL)])
    assert set(outcomes(found).values()) == {"success"}
    assert len(reconcile([found]).setup_failures) == 1


def test_a_test_that_ran_in_a_skipped_class_is_duplicated() -> None:
    assert Code.DUPLICATED in codes(attempt([*ALL, ("setUpClass (m.A)", SKIP)]))


def test_a_class_fixture_does_not_apply_to_classes_with_similar_names() -> None:
    asked = ("m.A.one", "m.AB.one", "m.A-B.one", "m.A[x].one", "m.A.B.one")
    found = attempt([("setUpClass (m.A)", SKIP), *((each, SUCCESS) for each in asked[1:4])], asked)
    assert codes(found) == {}
    assert [case.id for case in reconcile([found]).cases if case.outcome is SKIP] == [
        "m.A.B.one",
        "m.A.one",
    ]


def test_two_workers_may_skip_the_same_class() -> None:
    found = attempt([("setUpClass (m.A)", SKIP), ("setUpClass (m.A)", SKIP), ALL[2]])
    assert codes(found) == {}


def test_a_class_fixture_of_a_class_that_was_not_asked_is_an_error() -> None:
    assert codes(attempt([*ALL, ("setUpClass (m.C)", SKIP)])) == {
        Code.UNASKED: ("setUpClass (m.C)",)
    }


def test_a_class_fixture_with_the_outcome_success_is_an_error() -> None:
    assert Code.UNASKED in codes(attempt([*ALL[2:], ("setUpClass (m.A)", SUCCESS)]))


@pytest.mark.parametrize(
    ("test_id", "code"),
    [("process-returncode", Code.WORKER_LOST), ("subunit.parser", Code.DAMAGED)],
)
def test_a_failed_worker_that_stestr_reports_is_an_error(test_id: str, code: Code) -> None:
    assert codes(attempt([*ALL, (test_id, FAIL)])) == {code: (test_id,)}


def test_a_problem_that_the_harness_recorded_is_an_error() -> None:
    problem = error(Code.HARNESS_PROBLEM, "nova died")
    (reason,) = reconcile([attempt(ALL, problems=(problem,))]).reasons
    assert (reason.code, reason.message) == (Code.HARNESS_PROBLEM, "01-tempest: nova died")


def test_a_running_attempt_is_an_error() -> None:
    assert set(codes(attempt(ALL, state=State.RUNNING))) == {Code.ATTEMPT_RUNNING}


def interrupted(reports: list[tuple[str, Outcome]], **fields: Any) -> Attempt:
    """Return an interrupted attempt in which tests ran one after another, a second each."""
    found = attempt(reports, state=State.INTERRUPTED, exit_status=None, **fields)
    return replace(found, reports=timed(found.reports))


def timed(reports: Sequence[Case]) -> tuple[Case, ...]:
    began = datetime(2026, 11, 22, tzinfo=UTC)
    moments = (began + timedelta(seconds=number) for number in range(len(reports)))
    return tuple(
        replace(case, started=moment, seconds=1.0)
        for case, moment in zip(reports, moments, strict=True)
    )


def test_an_interrupted_attempt_alone_is_an_error() -> None:
    assert set(codes(interrupted(ALL[:1]))) == {Code.INTERRUPTED, Code.LOST_TEST}


DONE = ("k.Z.zero", SUCCESS)
"""A test of a module that ended before the interruption."""
WHOLE = ("k.Z.zero", *ASKED)


def test_a_resumed_run_is_complete() -> None:
    cut = error(Code.TRUNCATED, "cut"), error(Code.IN_PROGRESS, "begun")
    first = interrupted([DONE, ALL[0]], asked=WHOLE, problems=cut)
    second = attempt(ALL, name="02-tempest")
    assert codes(first, second) == {}
    assert set(outcomes(second, first).values()) == {"success"}


@pytest.mark.parametrize(
    ("reports", "left"),
    [
        ([DONE], WHOLE),  # the teardown of the module was not seen
        ([DONE, ALL[0]], ASKED),
        ([DONE, ("m.A.one", FAIL)], ASKED[1:]),  # a rerun cannot repair the failure
        ([DONE, ("m.A.one", SKIP)], ASKED),
        ([DONE, *ALL], ASKED),
        ([DONE, *ALL[:2], ("tearDownClass (m.A)", FAIL)], ASKED[2:]),
        ([DONE, ("setUpClass (m.A)", SKIP)], ASKED[2:]),
        ([], WHOLE),
    ],
)
def test_a_resumed_run_completes_the_tests_of_unfinished_modules(
    reports: list[tuple[str, Outcome]], left: tuple[str, ...]
) -> None:
    first = interrupted(reports, asked=WHOLE)
    assert unreported(first) == left
    second = attempt([(test_id, SUCCESS) for test_id in left], left, name="02-tempest")
    ledger = reconcile([first, second])
    assert [reason.code for reason in ledger.reasons] == [Code.RESUMED]
    assert len(ledger.setup_failures) == sum(test == "tearDownClass (m.A)" for test, _ in reports)
    failed = {case.id for case in ledger.cases if case.outcome is FAIL}
    assert failed == {test for test, outcome in reports if (test, outcome) == ("m.A.one", FAIL)}


@pytest.mark.parametrize("asked", [WHOLE, ASKED[1:]])
def test_a_resumed_run_that_asks_for_other_tests_is_an_error(asked: tuple[str, ...]) -> None:
    second = attempt([(test_id, SUCCESS) for test_id in asked], asked=asked, name="02-tempest")
    assert Code.RESUME_MISMATCH in codes(interrupted([DONE, ALL[0]], asked=WHOLE), second)


def test_damage_is_not_excused_by_an_interruption() -> None:
    damage = (error(Code.DAMAGED, "garbage"),)
    first = interrupted([DONE, ALL[0]], asked=WHOLE, problems=damage)
    assert set(codes(first, attempt(ALL, name="02-tempest"))) == {Code.DAMAGED}


def test_repeated_reports_of_a_class_fixture_add_no_errors() -> None:
    twice = [("setUpClass (m.A)", SKIP)] * 1000
    assert set(codes(attempt([*ALL, *twice]))) == {Code.DUPLICATED}
    failed = attempt([("setUpClass (m.A)", FAIL), ("setUpClass (m.A)", FAIL), ALL[2]])
    assert codes(failed) == {}
    assert len(reconcile([failed]).setup_failures) == 2


def test_a_test_asked_in_two_complete_attempts_is_duplicated() -> None:
    assert set(codes(attempt(ALL), attempt(ALL, name="02-tempest"))) == {Code.DUPLICATED}


def test_a_contradiction_to_the_record_of_the_runner_is_an_error() -> None:
    found = attempt(ALL, runner_record=RunnerRecord(3, (("m.A.one", FAIL),)))
    assert codes(found) == {Code.CONTRADICTED: ("m.A.one",)}


def test_without_a_list_no_report_is_unasked() -> None:
    unlisted: dict[str, Any] = {"state": State.FOUND, "exit_status": None}
    found = attempt(
        [*ALL, ("setUpClass (m.C)", FAIL), ("setUpClass (m.D)", SKIP)],
        problems=(error(Code.NO_LIST, "no list"),),
        **unlisted,
    )
    assert set(codes(found)) == {Code.NO_LIST}
    assert [fixture.id for fixture in reconcile([found]).setup_failures] == ["setUpClass (m.C)"]


def test_external_evidence_needs_no_exit_status() -> None:
    assert codes(attempt(ALL, state=State.FOUND, exit_status=None)) == {}


# Failures that were run again --------------------------------------------------------------

FAILED = [("m.A.one", FAIL), *ALL[1:]]


def again(
    reports: list[tuple[str, Outcome]],
    asked: tuple[str, ...] = ("m.A.one",),
    name: str = "02-confirm-change",
    **fields: Any,
) -> Attempt:
    return attempt(reports, asked, name, **{"confirms": "01-tempest"} | fields)


def test_a_failure_that_is_run_again_keeps_its_outcome() -> None:
    ledger = reconcile([attempt(FAILED), again([("m.A.one", SUCCESS)])])
    assert ledger.reasons == ()
    assert Counter(case.outcome for case in ledger.cases) == {FAIL: 1, SUCCESS: 2}
    (found,) = ledger.confirmations
    assert (found.attempt, found.side, found.whole) == ("02-confirm-change", Side.CHANGE, True)
    assert [(case.id, case.outcome) for case in found.cases] == [("m.A.one", SUCCESS)]


def test_a_test_that_failed_by_its_class_fixture_can_be_run_again() -> None:
    first = attempt([("setUpClass (m.A)", FAIL), ALL[2]])
    base = again([("m.A.one", FAIL), ("m.A.two", FAIL)], ASKED[:2], side=Side.BASE)
    ledger = reconcile([base, first])
    assert ledger.reasons == ()
    assert [found.side for found in ledger.confirmations] == [Side.BASE]


@pytest.mark.parametrize(
    "fields",
    [
        {"asked": ASKED[1:2]},
        {"confirms": "03-tempest"},
        {"confirms": "02-confirm-change"},
        {"kind": Kind.HOSTCHECKS},
    ],
)
def test_a_confirmation_of_a_test_that_did_not_fail_in_its_attempt_is_an_error(
    fields: dict[str, Any],
) -> None:
    asked = fields.pop("asked", ASKED[:1])
    second = again([(test_id, SUCCESS) for test_id in asked], asked, **fields)
    assert codes(attempt(FAILED), second) == {Code.UNASKED: asked}
    assert not reconcile([attempt(FAILED), second]).confirmations[0].whole


@pytest.mark.parametrize(
    ("reports", "fields", "code"),
    [
        ([], {}, Code.LOST_TEST),
        ([("m.A.one", SUCCESS), ("m.A.one", FAIL)], {}, Code.DUPLICATED),
        ([("m.A.one", SUCCESS), ("m.A.two", FAIL)], {}, Code.UNASKED),
        ([("m.A.one", SUCCESS), ("process-returncode", FAIL)], {}, Code.WORKER_LOST),
        ([("m.A.one", SUCCESS)], {"exit_status": 1}, Code.EXIT_STATUS),
        ([("m.A.one", SUCCESS)], {"state": State.RUNNING}, Code.ATTEMPT_RUNNING),
        ([("m.A.one", SUCCESS)], {"problems": (error(Code.DAMAGED, "x"),)}, Code.DAMAGED),
        ([("m.A.one", SUCCESS)], {"runner_record": RunnerRecord(0, ())}, Code.CONTRADICTED),
    ],
)
def test_incomplete_evidence_of_a_confirmation_is_an_error(
    reports: list[tuple[str, Outcome]], fields: dict[str, Any], code: Code
) -> None:
    ledger = reconcile([attempt(FAILED), again(reports, **fields)])
    assert {reason.code for reason in ledger.reasons} == {code}
    assert not ledger.confirmations[0].whole
    assert Counter(case.outcome for case in ledger.cases) == {FAIL: 1, SUCCESS: 2}


def test_a_confirmation_with_a_failed_class_fixture_is_not_complete() -> None:
    broken = again([("m.A.one", SUCCESS), ("tearDownClass (m.A)", FAIL)])
    ledger = reconcile([attempt(FAILED), broken])
    assert ledger.reasons == ()
    assert not ledger.confirmations[0].whole


def test_a_confirmation_at_its_time_limit_is_not_complete_and_a_note() -> None:
    late = again([], state=State.INTERRUPTED, problems=(error(Code.TRUNCATED, "cut"),))
    ledger = reconcile([attempt(FAILED), late])
    assert [(reason.level, reason.code) for reason in ledger.reasons] == [
        (Level.NOTE, Code.NOT_CONFIRMED)
    ]
    assert not ledger.confirmations[0].whole


@pytest.mark.parametrize("code", [Code.DIGEST_MISMATCH, Code.EVIDENCE_LOST, Code.FOREIGN_EVIDENCE])
def test_another_problem_of_a_confirmation_at_its_time_limit_is_an_error(code: Code) -> None:
    late = again([], state=State.INTERRUPTED, problems=(error(code, "it may have said fail"),))
    assert set(codes(attempt(FAILED), late)) == {code}


def test_outcomes_before_the_time_limit_of_a_confirmation_are_kept() -> None:
    late = again([("m.A.one", SUCCESS)], state=State.INTERRUPTED)
    (found,) = reconcile([attempt(FAILED), late]).confirmations
    assert [case.outcome for case in found.cases] == [SUCCESS]
    assert not found.whole


def test_a_confirmation_without_its_attempt_is_an_error() -> None:
    assert reconcile([again([("m.A.one", SUCCESS)])]).cases == ()
    assert set(codes(again([("m.A.one", SUCCESS)]))) == {Code.UNASKED}
