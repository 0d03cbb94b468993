# SPDX-License-Identifier: Apache-2.0
"""A verdict as JUnit XML, for programs that read no other format.

The verdict itself is a test named "verdict", so that a program that counts failures does not take
an ERROR for a pass.
"""

from collections.abc import Iterator
from xml.etree.ElementTree import Element, SubElement, tostring

from bsdgate.results.model import Case, Cause, Disposition, Outcome, Result, Verdict
from bsdgate.results.reporters.failures import groups, mostly
from bsdgate.results.reporters.text import narrowing, plain

_TAGS = {
    Outcome.FAIL: "failure",
    Outcome.UXSUCCESS: "failure",
    Outcome.KNOWN_FAILURE_PASSED: "failure",
    Outcome.MISSING: "error",
    Outcome.DUPLICATED: "error",
    Outcome.SKIP: "skipped",
    Outcome.XFAIL: "skipped",
    Outcome.KNOWN_FAILURE: "skipped",
}
_TAGS_EXCUSED = _TAGS | {Outcome.FAIL: "skipped", Outcome.KNOWN_FAILURE_PASSED: None}
_FAILED_VERDICT = {Result.FAIL: "failure", Result.ERROR: "error"}


def render(verdict: Verdict) -> str:
    """Write ``verdict`` as one JUnit test suite."""
    cases = [*verdict.setup_failures, *verdict.cases]
    dispositions = {one.id: one for one in verdict.dispositions}
    # By the id of a failure: an earlier failure with its signature, which shows the traceback.
    like = {
        failure.case.id: alike[0].case.id
        for group in groups(verdict)
        for alike in group.alike
        for failure in alike[1:]
        if failure.case.id != alike[0].case.id
    }
    name = ", ".join(filter(None, ["bsdgate", narrowing(verdict.run)]))
    suite = Element("testsuite", name=_text(name), tests=str(1 + len(cases)))
    if verdict.run.selection:
        properties = SubElement(suite, "properties")
        SubElement(properties, "property", name="selection", value=_text(verdict.run.selection))
    suite.append(_verdict(verdict))
    suite.extend(_case(case, dispositions.get(case.id), like.get(case.id)) for case in cases)
    for attribute, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(attribute, str(len(suite.findall(f"testcase/{tag}"))))
    suite.set("timestamp", verdict.run.created.isoformat())
    suite.set("time", f"{sum(case.seconds or 0 for case in verdict.cases):.3f}")
    suites = Element("testsuites")
    suites.append(suite)
    suites.text = suite.text = "\n"
    for element in (suite, *suite):
        element.tail = "\n"
    return f"<?xml version='1.0' encoding='utf-8'?>\n{tostring(suites, encoding='unicode')}\n"


def _verdict(verdict: Verdict) -> Element:
    element = Element("testcase", classname="bsdgate", name="verdict")
    said = "; ".join(filter(None, [mostly(verdict), *(one.message for one in verdict.reasons)]))
    message = _text(f"{verdict.result}: {said}")
    if verdict.result is not Result.PASS:
        SubElement(element, _FAILED_VERDICT[verdict.result], message=message)
        if alike := list(_alike(verdict)):
            SubElement(element, "system-out").text = "\n".join(alike)
    elif said:
        SubElement(element, "system-out").text = message
    return element


def _alike(verdict: Verdict) -> Iterator[str]:
    for group in groups(verdict):
        for alike in group.alike if group.decides else ():
            if len(alike) > 1:
                ids = ", ".join(failure.case.id for failure in alike)
                yield _text(f"{len(alike)} fail alike ({alike[0].disposition.signature}): {ids}")


def _case(case: Case, found: Disposition | None, like: str | None) -> Element:
    head, bracket, parameters = case.id.partition("[")
    classname, _, name = head.rpartition(".")
    name += bracket + parameters
    element = Element("testcase", classname=_text(classname), name=_text(name))
    if case.seconds is not None:
        element.set("time", f"{case.seconds:.6f}")
    if (tag := _tag(case, found)) is not None:
        message = f"{case.outcome}: {case.reason or 'no reason given'}"
        result = SubElement(element, tag, message=_text(message))
        if found and (found.signature or found.cause is not Cause.UNKNOWN):
            result.set("type", found.cause)
        if case.details and like:
            result.text = _text(f"fails like {like}")
        elif case.details:
            result.text = "\n".join(map(_text, case.details.splitlines()))
    return element


def _tag(case: Case, found: Disposition | None) -> str | None:
    """Return the tag of the JUnit element for the outcome of a case; None for a success."""
    # A failure is written as a skip or a success only if the policy accepts it.
    passed = case.outcome is Outcome.KNOWN_FAILURE_PASSED
    excused = found is not None and not found.counts and (found.excuse or passed)
    return (_TAGS_EXCUSED if excused else _TAGS).get(case.outcome)


def _text(text: str) -> str:
    """Replace control characters, which XML does not allow even if they are escaped."""
    return plain(text.replace("\n", " ").replace("\t", "    "))
