# SPDX-License-Identifier: Apache-2.0
"""A verdict as JUnit XML, for programs that read nothing else.

The verdict itself is a test called "verdict": a reader that counts failures cannot take an ERROR
for a pass.
"""

from collections import Counter
from collections.abc import Iterator
from itertools import chain
from xml.etree.ElementTree import Element, SubElement, tostring
from xml.sax.saxutils import quoteattr

from bsdgate.results.model import Case, Code, Outcome, Result, Verdict
from bsdgate.results.reporters.failures import blamed, groups, mostly
from bsdgate.results.reporters.text import narrowing, plain

_FAILING = {
    Outcome.FAIL: "failure",
    Outcome.UXSUCCESS: "failure",
    Outcome.MISSING: "error",
    Outcome.DUPLICATED: "error",
    Outcome.SKIP: "skipped",
    Outcome.XFAIL: "skipped",
}
_FAILED_VERDICT = {Result.FAIL: "failure", Result.ERROR: "error"}
_EXCUSED = {outcome: tag for outcome, tag in _FAILING.items() if tag != "failure"} | {
    Outcome.FAIL: "skipped"
}
_EXCUSING = frozenset({Code.EXONERATED, Code.FLAKED, Code.UNEXPECTED_SUCCESS})


def render(verdict: Verdict) -> str:
    """Write ``verdict`` as one JUnit test suite."""
    return "".join(parts(verdict))


def parts(verdict: Verdict) -> Iterator[str]:
    """Write ``verdict`` piece by piece, so that never all of it is in memory."""
    tags = _Tags(verdict)
    told = Counter(map(tags.of, chain(verdict.fixtures, verdict.cases)))
    if verdict.result is not Result.PASS:
        told[_FAILED_VERDICT[verdict.result]] += 1
    counts = {
        "name": _text(", ".join(filter(None, ["bsdgate", narrowing(verdict.run)]))),
        "tests": str(1 + len(verdict.fixtures) + len(verdict.cases)),
        "failures": str(told["failure"]),
        "errors": str(told["error"]),
        "skipped": str(told["skipped"]),
        "timestamp": verdict.run.created.isoformat(),
        "time": f"{sum(case.seconds or 0 for case in verdict.cases):.3f}",
    }
    attributes = "".join(f" {name}={quoteattr(value)}" for name, value in counts.items())
    yield "<?xml version='1.0' encoding='utf-8'?>\n<testsuites>\n"
    yield f"<testsuite{attributes}>\n"
    if verdict.run.selection:
        yield _written(_selection(verdict.run.selection))
    yield _written(_verdict(verdict))
    for case in chain(verdict.fixtures, verdict.cases):
        yield _written(_case(case, tags.of(case), tags.causes.get(case.id), tags.like(case)))
    yield "</testsuite>\n</testsuites>\n"


class _Tags:
    """What a case is in JUnit's terms, in the light of the verdict's reasons."""

    def __init__(self, verdict: Verdict) -> None:
        excused = {
            test_id
            for reason in verdict.reasons
            if reason.code in _EXCUSING
            for test_id in reason.ids
        }
        if verdict.result is Result.PASS:
            # The tests of such a fixture are excused, and it with them.
            excused.update(fixture.id for fixture in verdict.fixtures)
        self._excused = excused - blamed(verdict)
        self.causes = {finding.id: finding.cause for finding in verdict.findings}
        self._first = {
            failure.case.id: alike[0].case.id
            for group in groups(verdict)
            for alike in group.alike
            for failure in alike[1:]
            if failure.case.id != alike[0].case.id
        }

    def like(self, case: Case) -> str | None:
        """The id of the failure before this one that it is like, which has the traceback."""
        return self._first.get(case.id)

    def of(self, case: Case) -> str | None:
        # What the policy lets pass must not fail here: nobody would know why.
        tags = _EXCUSED if case.id in self._excused else _FAILING
        return tags.get(case.outcome)


def _selection(pattern: str) -> Element:
    element = Element("properties")
    SubElement(element, "property", name="selection", value=_text(pattern))
    return element


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
                yield _text(f"{len(alike)} fail alike ({alike[0].signature}): {ids}")


def _case(case: Case, tag: str | None, cause: str | None, like: str | None) -> Element:
    head, bracket, parameters = case.id.partition("[")
    classname, _, name = head.rpartition(".")
    element = Element(
        "testcase", classname=_text(classname), name=_text(name + bracket + parameters)
    )
    if case.seconds is not None:
        element.set("time", f"{case.seconds:.6f}")
    if tag is not None:
        message = f"{case.outcome}: {case.reason or 'no reason given'}"
        result = SubElement(element, tag, message=_text(message))
        if cause:
            result.set("type", cause)
        if case.details and like:
            result.text = _text(f"fails as {like} does")
        elif case.details:
            result.text = "\n".join(_text(line) for line in case.details.splitlines())
    return element


def _written(element: Element) -> str:
    return tostring(element, encoding="unicode") + "\n"


def _text(text: str) -> str:
    """XML has no place for control characters, not even escaped."""
    return plain(text.replace("\n", " ").replace("\t", "    "))
