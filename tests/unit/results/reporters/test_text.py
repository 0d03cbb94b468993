# SPDX-License-Identifier: Apache-2.0
"""The text report."""

import pytest
from unit.results.conftest import RunDir
from unit.results.reporters.made import attributions, failed, failure_reason, verdict_of

from bsdgate.results.model import Case, Cause, Code, Level, Outcome, Reason, Result
from bsdgate.results.reporters import text


@pytest.mark.parametrize("case", ["outcomes", "kill-inside", "clean"])
def test_the_text_begins_and_ends_with_the_result(run_dir: RunDir, case: str) -> None:
    run_dir.recorded("subunit", case)
    verdict = run_dir.judge()
    lines = text.render(verdict).splitlines()
    assert lines[0].startswith(f"{verdict.result}: ")
    assert lines[-1] == f"{verdict.result}: {text.describe_counts(verdict)}"


@pytest.mark.parametrize(
    ("result", "outcome", "output"),
    [
        (Result.PASS, Outcome.SUCCESS, "every requested test has one outcome, and none failed"),
        (
            Result.PASS,
            Outcome.FAIL,
            "every requested test has one outcome, and all failures are excused",
        ),
        (Result.FAIL, Outcome.FAIL, "the results are complete, and tests failed"),
        (
            Result.FAIL,
            Outcome.SUCCESS,
            "the results are complete, and the policy developer requires more",
        ),
        (Result.ERROR, Outcome.FAIL, "results incomplete: no verdict"),
    ],
)
def test_the_first_line_explains_the_result(result: Result, outcome: Outcome, output: str) -> None:
    verdict = verdict_of(result, Case("m.a", outcome))
    assert text.render(verdict).startswith(f"{result}: {output}\n")


def test_the_text_has_each_reason_and_the_end_of_each_traceback() -> None:
    case = failed("m.A.one", details="traceback:\nfile\nValueError: 5\n\nlog:\nnoise\n")
    reasons = [
        Reason(Level.ERROR, Code.LOST_TEST, "many", tuple(f"m.t{n}" for n in range(25))),
        failure_reason("m.A.one"),
    ]
    output = text.render(verdict_of(Result.ERROR, case, reasons=reasons))
    assert "\nERROR lost-test: many\n    m.t0\n" in output
    assert "\nFAIL tests-failed: 1 tests failed\n" in output
    assert "and 5 more, listed in verdict.json" in output
    assert "ValueError: 5" in output
    assert "noise" not in output


def test_the_length_of_lines_is_limited() -> None:
    long = "x" * 65_000
    case = failed(f"m.{long}", reason=long, details=f"traceback:\n{long}\nValueError: {long}\n")
    found = attributions(Cause.CHANGE, case.id, evidence=(long,))
    reasons = [Reason(Level.FAIL, Code.TESTS_FAILED, long, (case.id,))]
    lines = text.render(verdict_of(Result.FAIL, case, reasons=reasons, findings=found)).splitlines()
    assert max(map(len, lines)) == text.LINE_SHOWN
    assert [line[:19] for line in lines if line.endswith("xx…")] == [
        "FAIL tests-failed: ",
        "    m." + "x" * 13,
        "--- m." + "x" * 13,
        "      " + "x" * 13,
        "    " + "x" * 15,
        "    ValueError: xxx",
    ]


def test_the_number_of_shown_failures_is_limited() -> None:
    cases = [failed(f"m.t{number:02}") for number in range(13)]
    assert "and 3 more failures" in text.render(verdict_of(Result.FAIL, *cases))


def test_the_text_has_the_cause_of_a_failure_and_its_evidence() -> None:
    found = attributions(Cause.CHANGE, "m.a", evidence=("03-tempest, on the base: success",))
    output = text.render(verdict_of(Result.FAIL, failed("m.a"), findings=found))
    assert "    cause: The change\n      03-tempest, on the base: success\n" in output


def test_excused_failures_are_listed_without_tracebacks() -> None:
    reasons = [Reason(Level.NOTE, Code.FAILS_ON_BASE, "1 of the base", ("m.a",))]
    cases = [
        failed("m.a", details="the traceback"),
        Case("m.b", Outcome.KNOWN_FAILURE, details="no"),
    ]
    output = text.render(
        verdict_of(Result.PASS, *cases, reasons=reasons, findings=attributions(Cause.BASE, "m.a"))
    )
    assert "NOTE fails-on-base: 1 of the base\n    m.a\n" in output
    assert "the traceback" not in output
    assert "m.b" not in output


def test_a_class_fixture_has_the_number_of_its_failed_tests() -> None:
    fixture = failed("setUpClass (m.A)", reason="boom")
    members = [
        failed(f"m.A.t{n}", reason="setUpClass (m.A): boom", setup_failure="setUpClass (m.A)")
        for n in range(3)
    ]
    output = text.render(verdict_of(Result.FAIL, *members, fixtures=[fixture]))
    assert output.count("--- ") == 1
    assert "3 tests failed because of it" in output


@pytest.mark.parametrize(
    ("seconds", "output"),
    [
        (0, "0.0 s"),
        (0.0123, "12 ms"),
        (5.04, "5.0 s"),
        (125.4, "2 min 05 s"),
        (119.7, "2 min 00 s"),
        (3780, "1 h 03 min"),
    ],
)
def test_durations_have_units_that_depend_on_their_length(seconds: float, output: str) -> None:
    assert text.duration(seconds) == output
