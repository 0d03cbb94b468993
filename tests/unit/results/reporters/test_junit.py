# SPDX-License-Identifier: Apache-2.0
"""The JUnit report: its counts, and its failures, which follow the verdict."""

from typing import Any
from xml.etree import ElementTree

import pytest
from unit.results.conftest import RunDir
from unit.results.reporters.made import attributions, failed, failure_reason, verdict_of

from bsdgate.results.model import Case, Cause, Code, Level, Outcome, Reason, Result, Verdict
from bsdgate.results.reporters import junit


def suite_of(verdict: Verdict) -> Any:
    (suite,) = ElementTree.fromstring(junit.render(verdict))
    return suite


def failing(suite: Any) -> list[str]:
    return [
        case.get("name")
        for case in suite
        if case.find("failure") is not None or case.find("error") is not None
    ]


@pytest.fixture(params=["subunit/outcomes", "subunit/kill-inside", "subunit/clean", "junit/pytest"])
def recorded(request: pytest.FixtureRequest, run_dir: RunDir) -> Verdict:
    run_dir.recorded(*request.param.split("/"))
    return run_dir.judge()


def test_counts_agree_with_the_cases_and_the_verdict_is_a_case(recorded: Verdict) -> None:
    suite = suite_of(recorded)
    assert (
        int(suite.get("tests"))
        == len(suite)
        == 1 + len(recorded.cases) + len(recorded.setup_failures)
    )
    for attribute, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        assert int(suite.get(attribute)) == len(suite.findall(f"testcase/{tag}"))
    assert bool(failing(suite)) is (recorded.result is not Result.PASS)
    if recorded.result is Result.ERROR:
        assert suite[0].find("error") is not None


@pytest.mark.parametrize(("level", "fails"), [(Level.NOTE, False), (Level.FAIL, True)])
@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        (Code.UNEXPECTED_SUCCESS, Outcome.KNOWN_FAILURE_PASSED),
        (Code.FAILS_ON_BASE, Outcome.FAIL),
        (Code.KNOWN_FLAKE, Outcome.FAIL),
    ],
)
def test_a_case_fails_only_if_its_reason_fails_the_run(
    level: Level, fails: bool, code: Code, outcome: Outcome
) -> None:
    reason = Reason(level, code, "m", ("a.b",))
    result = Result.FAIL if fails else Result.PASS
    suite = suite_of(verdict_of(result, Case("a.b", outcome), reasons=[reason]))
    assert failing(suite) == (["verdict", "b"] if fails else [])


def test_a_test_that_is_excused_and_fails_the_run_is_a_failure() -> None:
    excused = Reason(Level.NOTE, Code.KNOWN_FLAKE, "m", ("a.b",))
    verdict = verdict_of(Result.FAIL, failed("a.b"), reasons=[excused, failure_reason("a.b")])
    assert failing(suite_of(verdict)) == ["verdict", "b"]


def test_a_failed_test_without_a_reason_is_a_failure() -> None:
    assert failing(suite_of(verdict_of(Result.PASS, failed("a.b")))) == ["b"]


def test_the_class_fixture_of_excused_tests_is_no_failure() -> None:
    fixture = failed("setUpClass (a.B)")
    excused = Reason(Level.NOTE, Code.FAILS_ON_BASE, "m", ("a.B.c",))
    test = failed("a.B.c", setup_failure=fixture.id)
    verdict = verdict_of(Result.PASS, test, reasons=[excused], fixtures=[fixture])
    assert failing(suite_of(verdict)) == []


def test_the_type_of_a_failure_is_its_cause() -> None:
    verdict = verdict_of(Result.FAIL, failed("a.b"), findings=attributions(Cause.CHANGE, "a.b"))
    assert suite_of(verdict)[-1].find("failure").get("type") == "change"
