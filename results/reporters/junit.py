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

from bsdgate.results.model import Case, Cause, Outcome, Result, Verdict
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
    return "".join(_parts(verdict))


def _parts(verdict: Verdict) -> Iterator[str]:
    tags = _Tags(verdict)
    numbers = Counter(map(tags.of, chain(verdict.setup_failures, verdict.cases)))
    if verdict.result is not Result.PASS:
        numbers[_FAILED_VERDICT[verdict.result]] += 1
    counts = {
        "name": _text(", ".join(filter(None, ["bsdgate", narrowing(verdict.run)]))),
        "tests": str(1 + len(verdict.setup_failures) + len(verdict.cases)),
        "failures": str(numbers["failure"]),
        "errors": str(numbers["error"]),
        "skipped": str(numbers["skipped"]),
        "timestamp": verdict.run.created.isoformat(),
        "time": f"{sum(case.seconds or 0 for case in verdict.cases):.3f}",
    }
    attributes = "".join(f" {name}={quoteattr(value)}" for name, value in counts.items())
    yield "<?xml version='1.0' encoding='utf-8'?>\n<testsuites>\n"
    yield f"<testsuite{attributes}>\n"
    if verdict.run.selection:
        yield _written(_selection(verdict.run.selection))
    yield _written(_verdict(verdict))
    for case in chain(verdict.setup_failures, verdict.cases):
        yield _written(_case(case, tags.of(case), tags.cause(case), tags.like(case)))
    yield "</testsuite>\n</testsuites>\n"


class _Tags:
    """The JUnit element of each case, by its disposition."""

    def __init__(self, verdict: Verdict) -> None:
        self._dispositions = {one.id: one for one in verdict.dispositions}
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

    def cause(self, case: Case) -> str | None:
        """The cause of a failure, where one was looked for."""
        found = self._dispositions.get(case.id)
        return (
            found.cause if found and (found.signature or found.cause is not Cause.UNKNOWN) else None
        )

    def of(self, case: Case) -> str | None:
        """The element of JUnit's that says how the case ended; None for a success."""
        found = self._dispositions.get(case.id)
        # Only failures that the policy accepts may pass here.
        passed = case.outcome is Outcome.KNOWN_FAILURE_PASSED
        excused = found is not None and not found.counts and (found.excuse or passed)
        return (_TAGS_EXCUSED if excused else _TAGS).get(case.outcome)


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
                yield _text(f"{len(alike)} fail alike ({alike[0].disposition.signature}): {ids}")


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
    """Replace control characters, which XML cannot contain, even escaped."""
    return plain(text.replace("\n", " ").replace("\t", "    "))
