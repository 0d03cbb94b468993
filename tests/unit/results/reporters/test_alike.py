# SPDX-License-Identifier: Apache-2.0
"""Failures with the same signature: a report shows one traceback and lists all tests."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from unit.results.conftest import RunDir
from unit.results.reporters.made import attributions, failed, verdict_of

from bsdgate.results.attribution import attribute
from bsdgate.results.model import Case, Cause, Code, Level, Reason, Result, Verdict
from bsdgate.results.reporters import html, junit, text, zuul
from bsdgate.results.reporters.failures import groups, mostly

TRACEBACK = (
    "traceback:\nTraceback (most recent call last):\n"
    '  File "/x/tempest/api/test_{0}.py", line {0}, in setUp\n    create_server()\n'
    "tempest.lib.exceptions.Forbidden: Quota exceeded for cores: requested {0}0000\n"
)


def quota(number: int, test_id: str | None = None) -> Case:
    """Return the failure of a test because a quota is exceeded."""
    details = TRACEBACK.replace("test_{0}", "base").format(number)
    reason = details.splitlines()[-1]
    return failed(test_id or f"m.A.t{number}", reason=reason, details=details)


def verdict_on(
    *cases: Case,
    changed: bool = False,
    fixtures: Sequence[Case] = (),
    cause: Cause | None = None,
) -> Verdict:
    findings = attribute(cases, change=changed)
    if cause:
        findings = tuple(replace(finding, cause=cause) for finding in findings)
    blamed = [Reason(Level.FAIL, Code.TESTS_FAILED, "failed", tuple(one.id for one in cases))]
    found = verdict_of(Result.FAIL, *cases, reasons=blamed, findings=findings, fixtures=fixtures)
    return replace(found, run=replace(found.run, change="I1" if changed else ""))


EIGHT = [quota(number) for number in range(1, 9)]
OTHER = failed("m.B.other", reason="ValueError: 5", details="traceback:\nValueError: 5\n")
MOST = "8 of 9 failures are alike: tempest.lib.exceptions.Forbidden: Quota exceeded for cores"


def test_the_text_has_one_traceback_of_alike_failures() -> None:
    shown = text.render(verdict_on(*EIGHT, OTHER))
    assert shown.count("create_server()") == 1
    assert shown.count("\n--- ") == 2
    ids = "".join(f"    m.A.t{number}\n" for number in range(1, 9))
    head = "--- 8 fail alike: fail tempest.lib.exceptions.Forbidden: Quota exceeded for cores"
    assert f"{head}: requested 10000\n{ids}    cause: Not attributed\n" in shown
    assert "--- m.B.other: fail ValueError: 5\n" in shown
    assert f"  mostly {MOST}" in shown
    assert shown.index("mostly") < shown.index("FAIL tests-failed")


def test_the_text_lists_a_limited_number_of_alike_failures() -> None:
    shown = text.render(verdict_on(*(quota(number) for number in range(60)), OTHER))
    assert "--- 60 fail alike" in shown
    assert "    and 40 more, listed in verdict.json\n    cause: " in shown
    assert "--- m.B.other" in shown


def test_junit_has_one_traceback_of_alike_failures() -> None:
    verdict = verdict_on(*EIGHT, OTHER)
    (suite,) = ElementTree.fromstring(junit.render(verdict))
    texts = {case.get("name"): case.findtext("failure") for case in suite.iter("testcase")}
    assert "create_server()" in (texts["t1"] or "")
    assert {texts[f"t{number}"] for number in range(2, 9)} == {"fails like m.A.t1"}
    assert "ValueError: 5" in (texts["other"] or "")
    messages = [str(one.get("message")) for one in suite.iter("failure")]
    assert sum("requested" in message for message in messages) == 9  # each, and the verdict's
    assert MOST in messages[0]
    (out,) = (one.text for one in suite.iter("system-out"))
    assert out is not None
    assert out.startswith("8 fail alike (tempest.lib.exceptions.Forbidden: Quota exceeded")
    assert out.endswith("m.A.t1, m.A.t2, m.A.t3, m.A.t4, m.A.t5, m.A.t6, m.A.t7, m.A.t8")


def test_a_class_fixture_that_failed_twice_has_both_tracebacks() -> None:
    fixture = quota(1, "tearDownClass (m.A)")
    written = junit.render(verdict_on(fixtures=[fixture, fixture]))
    assert "fails like" not in written
    assert written.count("create_server()") == 2


def test_the_first_warning_is_the_failure_of_most_tests() -> None:
    warnings = zuul.render(verdict_on(*EIGHT, OTHER))["zuul"]["warnings"]
    assert warnings[1].startswith(MOST)
    assert warnings[2].startswith("FAIL tests-failed")


def test_fixtures_of_several_classes_can_be_alike() -> None:
    fixtures = [quota(number, f"setUpClass (m.{number})") for number in range(4)]
    verdict = verdict_on(fixtures=fixtures)
    shown = text.render(verdict)
    assert "--- 4 fail alike" in shown
    assert shown.count("create_server()") == 1
    assert "4 of 4 failures are alike" in shown
    assert "4 fail alike" in html.render(verdict)


@pytest.mark.parametrize(
    ("alike", "others", "expected"), [(2, 0, ""), (3, 3, ""), (3, 2, "3 of 5")]
)
def test_most_is_more_than_half_and_at_least_three(alike: int, others: int, expected: str) -> None:
    lone = [
        failed(f"m.B.{name}", reason=f"{name}: odd", details=f"traceback:\n{name}: odd\n")
        for name in "abcde"[:others]
    ]
    verdict = verdict_on(*(quota(number) for number in range(alike)), *lone)
    assert mostly(verdict)[: len("3 of 5")] == expected


def test_excused_failures_are_not_the_failure_of_most_tests() -> None:
    found = verdict_of(
        Result.PASS,
        *(failed(f"m.t{number}") for number in range(9)),
        findings=attributions(
            Cause.FLAKE, *(f"m.t{number}" for number in range(9)), signature="same"
        ),
    )
    assert mostly(found) == ""


def test_without_a_change_the_cause_base_is_shown_as_the_release() -> None:
    verdict = verdict_on(OTHER, cause=Cause.BASE)
    assert "    cause: Not a change: the release itself fails\n" in text.render(verdict)
    assert "Not a change: the release itself fails" in html.render(verdict)
    (group,) = groups(verdict)
    assert (group.cause, group.decides) == (Cause.BASE, True)
    with_change = verdict_on(OTHER, cause=Cause.BASE, changed=True)
    assert "    cause: The base (without the change)\n" in text.render(with_change)


def test_a_problem_of_the_whole_run_is_the_first_reason(
    run_dir: RunDir, subunit_stream: Callable[..., bytes], sealed: Callable[..., bytes]
) -> None:
    stream = subunit_stream(("m.C.one", "success"), ("m.C.one", "success"))
    asked = b"m.C.one\nm.C.two\n"
    died = ["nova-compute ended with status 1"]
    run_dir.attempt("01-tempest", asked, sealed(stream, "01-tempest"), problems=died)
    first, *others = run_dir.judge().reasons
    assert (first.code, first.message) == (Code.HARNESS_PROBLEM, f"01-tempest: {died[0]}")
    assert {Code.LOST_TEST, Code.DUPLICATED} <= {one.code for one in others}
