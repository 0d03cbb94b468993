# SPDX-License-Identifier: Apache-2.0
"""Failures that are alike: every report shows one traceback of them and names them all."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from unit.results.conftest import RunDir
from unit.results.reporters.made import caused, failed, verdict_of

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
    """The failure of a test for which there is no room left."""
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


def test_the_text_has_one_traceback_of_them() -> None:
    shown = text.render(verdict_on(*EIGHT, OTHER))
    assert shown.count("create_server()") == 1
    assert shown.count("\n--- ") == 2
    ids = "".join(f"    m.A.t{number}\n" for number in range(1, 9))
    head = "--- 8 fail alike: fail tempest.lib.exceptions.Forbidden: Quota exceeded for cores"
    assert f"{head}: requested 10000\n{ids}    cause: Not attributed\n" in shown
    assert "--- m.B.other: fail ValueError: 5\n" in shown
    assert f"  mostly {MOST}" in shown
    assert shown.index("mostly") < shown.index("FAIL tests-failed")


def test_the_text_names_not_too_many_of_them() -> None:
    shown = text.render(verdict_on(*(quota(number) for number in range(60)), OTHER))
    assert "--- 60 fail alike" in shown
    assert "    and 40 more, listed in verdict.json\n    cause: " in shown
    assert "--- m.B.other" in shown


def test_junit_has_one_traceback_of_them() -> None:
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


def test_a_fixture_that_failed_twice_keeps_its_traceback() -> None:
    fixture = quota(1, "tearDownClass (m.A)")
    written = junit.render(verdict_on(fixtures=[fixture, fixture]))
    assert "fails like" not in written
    assert written.count("create_server()") == 2


def test_the_review_says_first_what_most_of_them_have_in_common() -> None:
    said = zuul.render(verdict_on(*EIGHT, OTHER))["zuul"]["warnings"]
    assert said[1].startswith(MOST)
    assert said[2].startswith("FAIL tests-failed")


def test_fixtures_of_several_classes_are_alike() -> None:
    fixtures = [quota(number, f"setUpClass (m.{number})") for number in range(4)]
    verdict = verdict_on(fixtures=fixtures)
    shown = text.render(verdict)
    assert "--- 4 fail alike" in shown
    assert shown.count("create_server()") == 1
    assert "4 of 4 failures are alike" in shown
    assert "4 fail alike" in html.render(verdict)


@pytest.mark.parametrize(("alike", "others", "said"), [(2, 0, ""), (3, 3, ""), (3, 2, "3 of 5")])
def test_most_is_more_than_half_and_not_two(alike: int, others: int, said: str) -> None:
    lone = [
        failed(f"m.B.{name}", reason=f"{name}: odd", details=f"traceback:\n{name}: odd\n")
        for name in "abcde"[:others]
    ]
    verdict = verdict_on(*(quota(number) for number in range(alike)), *lone)
    assert mostly(verdict)[: len("3 of 5")] == said


def test_what_is_excused_is_not_what_most_have_in_common() -> None:
    found = verdict_of(
        Result.PASS,
        *(failed(f"m.t{number}") for number in range(9)),
        findings=caused(Cause.FLAKE, *(f"m.t{number}" for number in range(9)), signature="same"),
    )
    assert mostly(found) == ""


def test_without_a_change_the_release_itself_fails() -> None:
    verdict = verdict_on(OTHER, cause=Cause.BASE)
    assert "    cause: Not a change: the release itself fails\n" in text.render(verdict)
    assert "Not a change: the release itself fails" in html.render(verdict)
    (group,) = groups(verdict)
    assert (group.cause, group.decides) == (Cause.BASE, True)
    with_change = verdict_on(OTHER, cause=Cause.BASE, changed=True)
    assert "    cause: The base (without the change)\n" in text.render(with_change)


def test_what_is_of_the_whole_run_stands_before_what_it_explains(
    run_dir: RunDir, subunit_stream: Callable[..., bytes], sealed: Callable[..., bytes]
) -> None:
    stream = subunit_stream(("m.C.one", "success"), ("m.C.one", "success"))
    asked = b"m.C.one\nm.C.two\n"
    died = ["nova-compute ended with status 1"]
    run_dir.attempt("01-tempest", asked, sealed(stream, "01-tempest"), problems=died)
    first, *others = run_dir.judge().reasons
    assert (first.code, first.message) == (Code.HARNESS_PROBLEM, f"01-tempest: {died[0]}")
    assert {Code.LOST_TEST, Code.DUPLICATED} <= {one.code for one in others}
