# SPDX-License-Identifier: Apache-2.0
"""A verdict as JUnit XML, for programs that read nothing else.

The verdict itself is a test called "verdict": a reader that counts failures cannot take an ERROR
for a pass.
"""

import itertools
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from bsdgate.results.model import Case, Level, Outcome, Result, Verdict
from bsdgate.results.reporters.text import plain

_FAILING = {
    Outcome.FAIL: "failure",
    Outcome.UXSUCCESS: "failure",
    Outcome.MISSING: "error",
    Outcome.DUPLICATED: "error",
    Outcome.SKIP: "skipped",
    Outcome.XFAIL: "skipped",
}


def render(verdict: Verdict) -> str:
    """Write ``verdict`` as one JUnit test suite."""
    root = Element("testsuites")
    suite = SubElement(root, "testsuite", name="bsdgate")
    _add_verdict(suite, verdict)
    failing = (reason.ids for reason in verdict.reasons if reason.level is Level.FAIL)
    blamed = frozenset(itertools.chain.from_iterable(failing))
    for case in (*verdict.fixtures, *verdict.cases):
        # An unexpected success that the policy lets pass must not fail here.
        passed = case.outcome is Outcome.UXSUCCESS and case.id not in blamed
        _add_case(suite, case, None if passed else _FAILING.get(case.outcome))
    suite.attrib |= {
        "tests": str(len(suite)),
        "failures": str(len(suite.findall("testcase/failure"))),
        "errors": str(len(suite.findall("testcase/error"))),
        "skipped": str(len(suite.findall("testcase/skipped"))),
        "timestamp": verdict.run.created.isoformat(),
        "time": f"{sum(case.seconds or 0 for case in verdict.cases):.3f}",
    }
    indent(root)
    return "<?xml version='1.0' encoding='utf-8'?>\n" + tostring(root, encoding="unicode") + "\n"


def _add_verdict(suite: Element, verdict: Verdict) -> None:
    element = SubElement(suite, "testcase", classname="bsdgate", name="verdict")
    if verdict.result is not Result.PASS:
        tag = "failure" if verdict.result is Result.FAIL else "error"
        said = "; ".join(reason.message for reason in verdict.reasons)
        SubElement(element, tag, message=_text(f"{verdict.result}: {said}"))


def _add_case(suite: Element, case: Case, tag: str | None) -> None:
    head, bracket, parameters = case.id.partition("[")
    classname, _, name = head.rpartition(".")
    element = SubElement(
        suite, "testcase", classname=_text(classname), name=_text(name + bracket + parameters)
    )
    if case.seconds is not None:
        element.set("time", f"{case.seconds:.6f}")
    if tag is not None:
        message = f"{case.outcome}: {case.reason or 'no reason given'}"
        result = SubElement(element, tag, message=_text(message))
        if case.details:
            result.text = "\n".join(_text(line) for line in case.details.splitlines())


def _text(text: str) -> str:
    """XML has no place for control characters, not even escaped."""
    return plain(text.replace("\n", " ").replace("\t", "    "))
