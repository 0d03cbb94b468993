# SPDX-License-Identifier: Apache-2.0
import json
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from bsdgate.results.model import Case, Code, Level, Outcome, Reason
from bsdgate.results.parsers import rally
from bsdgate.results.parsers.verification import parse

RECORDED = (
    Path(__file__).resolve().parents[3] / "golden" / "verification" / "tempest" / "stream.json"
)


@pytest.fixture
def report() -> dict[str, Any]:
    """Return a recorded report: two of its seven tests failed and three were skipped."""
    report: dict[str, Any] = json.loads(RECORDED.read_text())
    return report


def head(report: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any]
    (found,) = report["verifications"].values()
    return found


def result(report: dict[str, Any], name: str) -> dict[str, str]:
    (test,) = (each for test_id, each in report["tests"].items() if name in test_id)
    found: dict[str, str]
    (found,) = test["by_verification"].values()
    return found


def read(report: dict[str, Any]) -> tuple[dict[str, Case], list[Reason]]:
    found = list(parse(BytesIO(json.dumps(report).encode())))
    reasons = [item for item in found if isinstance(item, Reason)]
    return (
        {item.id: item for item in found if isinstance(item, Case)},
        [reason for reason in reasons if reason.level is Level.ERROR],
    )


def test_a_note_names_the_failures_that_verifications_never_contain(
    report: dict[str, Any],
) -> None:
    found = parse(BytesIO(json.dumps(report).encode()))
    notes = [item for item in found if isinstance(item, Reason)]
    assert [(item.level, item.code) for item in notes] == [(Level.NOTE, Code.NOT_REPORTED)]


def test_each_test_is_a_case_with_its_full_id(
    report: dict[str, Any],
) -> None:
    cases, problems = read(report)
    assert set(cases) == set(report["tests"])
    assert problems == []
    failed = next(case for case in cases.values() if "test_fail" in case.id)
    assert failed.outcome is Outcome.FAIL
    assert failed.id.endswith("[gate,id-4d1d6b0c-3a55-4f2c-9a6e-0d6b7f3c1a02,smoke]")
    assert failed.reason == "testtools.matchers._impl.MismatchError: 'ACTIVE' != 'ERROR'"
    assert (failed.details or "").startswith("Traceback")
    skipped = next(case for case in cases.values() if "TestSkipped.test_one" in case.id)
    assert (skipped.outcome, skipped.reason) == (
        Outcome.SKIP,
        "the volume service is not available",
    )


@pytest.mark.parametrize("status", ["xfail", "uxsuccess"])
def test_xfail_and_uxsuccess_are_outcomes_of_cases(report: dict[str, Any], status: str) -> None:
    result(report, "test_success")["status"] = status
    head(report)["success"] -= 1
    head(report)["expected_failures" if status == "xfail" else "unexpected_success"] += 1
    cases, problems = read(report)
    assert status in {case.outcome for case in cases.values()}
    assert problems == []


def test_an_unfinished_test_is_reported_and_has_no_case(
    report: dict[str, Any],
) -> None:
    result(report, "test_success")["status"] = "init"
    head(report)["success"] -= 1
    cases, (problem,) = read(report)
    assert problem.code is Code.IN_PROGRESS
    assert len(problem.ids) == 1
    assert not set(problem.ids) & set(cases)


@pytest.mark.parametrize(
    "counter",
    [
        "tests_count",
        "success",
        "failures",
        "skipped",
        "expected_failures",
        "unexpected_success",
    ],
)
def test_a_wrong_counter_is_an_error(report: dict[str, Any], counter: str) -> None:
    head(report)[counter] += 1
    _, (problem,) = read(report)
    assert problem.code is Code.DAMAGED
    assert "the report counts" in problem.message


def test_a_removed_test_contradicts_the_counters(
    report: dict[str, Any],
) -> None:
    report["tests"].popitem()
    _, (problem,) = read(report)
    assert problem.code is Code.DAMAGED


@pytest.mark.parametrize("status", ["init", "running", "crashed", "x" * 1000])
def test_an_unfinished_verification_is_an_error(report: dict[str, Any], status: str) -> None:
    head(report)["status"] = status
    _, (problem,) = read(report)
    assert problem.code is Code.TRUNCATED
    assert len(problem.message) < 200


@pytest.mark.parametrize("odd", [5, None, [], "x", {}])
def test_a_verification_with_a_malformed_head_keeps_its_tests(
    report: dict[str, Any], odd: Any
) -> None:
    whole, _ = read(report)
    (uuid,) = report["verifications"]
    report["verifications"][uuid] = odd
    cases, (problem,) = read(report)
    assert (cases, problem.code) == (whole, Code.DAMAGED)


def test_several_verifications_in_one_report_are_refused(
    report: dict[str, Any],
) -> None:
    report["verifications"]["another"] = head(report)
    cases, (problem,) = read(report)
    assert cases == {}
    assert "2 verifications: make one report of each" in problem.message


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("status", "passed"),
        ("status", None),
        ("status", ["success"]),
        ("duration", "soon"),
        ("duration", 1e300),
        ("details", 5),
    ],
)
def test_a_malformed_result_is_an_error_and_has_no_case(
    report: dict[str, Any], field: str, value: Any
) -> None:
    whole, _ = read(report)
    (odd,) = (test_id for test_id in whole if "test_success" in test_id)
    result(report, "test_success")[field] = value
    cases, (problem,) = read(report)
    assert cases == {test_id: case for test_id, case in whole.items() if test_id != odd}
    assert problem.code is Code.DAMAGED
    assert odd[:80] in problem.message


def test_a_test_in_which_the_clock_was_set_back_has_no_duration(
    report: dict[str, Any],
) -> None:
    result(report, "test_success")["duration"] = "-3600.000"
    cases, problems = read(report)
    (success,) = (case for test_id, case in cases.items() if "test_success" in test_id)
    assert (success.outcome, success.seconds, problems) == (Outcome.SUCCESS, None, [])


def test_the_sizes_of_ids_and_details_are_limited(report: dict[str, Any]) -> None:
    result(report, "test_fail")["details"] = "x" * 1_000_000
    cases, _ = read(report)
    assert max(len(case.details or "") for case in cases.values()) < 70_000
    assert max(len(case.reason or "") for case in cases.values()) <= 1000
    report["tests"]["x" * 5000] = next(iter(report["tests"].values()))
    cases, (problem,) = read(report)
    assert "5000 characters" in problem.message


def test_the_rally_parser_accepts_a_verification() -> None:
    with RECORDED.open("rb") as one, RECORDED.open("rb") as other:
        assert list(rally.parse(one, {})) == list(parse(other))


def test_a_truncated_report_is_an_error_at_every_length() -> None:
    whole = RECORDED.read_bytes().rstrip()
    for place in range(len(whole)):
        (problem,) = parse(BytesIO(whole[:place]))
        assert isinstance(problem, Reason)
        assert problem.code in {Code.TRUNCATED, Code.EMPTY_STREAM}
