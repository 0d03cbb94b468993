# SPDX-License-Identifier: Apache-2.0
"""Reads JUnit XML of pytest, stestr (through subunit2junitxml) and Kyua, test by test.

The parser is strict: it refuses a document type, and so entities and external files. The counters
of a suite are not results, but it is an error if they count more failures than the suite contains.
A test with an unknown element is not a success.

The module uses expat directly. ``xml.etree.ElementTree.iterparse`` was tried and fails three cases:

- A long text: iterparse keeps the whole text of an element, 1 GiB of memory for one of 64 MiB.
  This module keeps only the beginning and the end of a text.
- One huge attribute: expat before 2.6 reads an unfinished tag again from its start with each block.
  iterparse reads blocks of one size, which takes 17 s for an attribute of 16 MiB. This module
  reads a next block that is as large as the unfinished tag.
- A hostile report: iterparse keeps all elements within a test, and all names of elements.

iterparse also cannot refuse a document type, and does not give the byte at which an element begins.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import BinaryIO, NoReturn
from xml.parsers import expat

from bsdgate.results.ids import ID_BOUND, collection
from bsdgate.results.model import Case, Code, Dated, Outcome, Reason, error
from bsdgate.results.parsers.details import Kept
from bsdgate.results.parsers.documents import moment
from bsdgate.results.parsers.junit_case import FAILURES, TEXTS, CaseElement
from bsdgate.results.parsers.junit_ids import containers_by_report_name, ids_by_report_name

CHUNK = 1 << 16
ROOTS = ("testsuites", "testsuite")

TOKEN_BOUND = 16 << 20
"""The maximum number of bytes of a tag with attributes, or of a comment: expat keeps all of them.

pytest writes a whole assertion, with all compared values, into one attribute.
"""

NAMES_BOUND = 1000
"""The maximum number of different names of elements and attributes: expat keeps all of them."""

DEPTH_BOUND = 50

# If both the call and the teardown of a test fail, pytest writes two elements for it.
_SECOND_ELEMENT = "failed on teardown"

_COUNTERS = {"error": "errors", "failure": "failures"}
_DIGITS = 20


class _RefusedError(Exception):
    """The report breaks a rule or exceeds a bound; the cases before that place are kept."""

    def __init__(self, message: str, code: Code = Code.DAMAGED) -> None:
        super().__init__(message)
        self.reason = error(code, message)


def parse(stream: BinaryIO, asked: Sequence[str] = ()) -> Iterator[Case | Reason | Dated]:
    """Yield the cases of a report, and its problems.

    ``asked`` are the requested ids. The report has only names, "classname.name": the id of a case
    is the requested id with that name, or the name itself if there is no such id.
    """
    reader = _Reader(asked)
    size = begun = 0
    chunk = b"start"
    try:
        while chunk:
            # expat reads an unfinished tag again from its start: add as many bytes as the tag has.
            chunk = stream.read(max(CHUNK, begun))
            size += len(chunk)
            reader.parser.Parse(chunk, not chunk)
            yield from reader.found
            reader.found.clear()
            begun = size - reader.parser.CurrentByteIndex
            reader.check_bounds(begun)
    except (_RefusedError, expat.ExpatError, ValueError, LookupError) as reason:
        yield from reader.found
        yield _problem(reason, size, cut=not chunk)


class _Reader:
    """Adds cases and problems to ``found`` from the events of expat."""

    def __init__(self, asked: Sequence[str]) -> None:
        self._ids = ids_by_report_name(asked)
        self._containers = containers_by_report_name(self._ids.values())
        self._names: dict[str, str] = {}
        self.found: list[Case | Reason | Dated] = []
        self._depth = 0
        self._case: CaseElement | None = None  # the open <testcase>
        self._case_depth = 0
        self._kept = Kept()
        self._failed: set[str] = set()
        self._failures: Counter[str] = Counter()  # number so far, by tag
        self._suites: list[tuple[Mapping[str, str], Counter[str]]] = []
        self.parser = parser = expat.ParserCreate(intern=self._names)
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        # Entities need no handler: they can be declared only in a document type.
        parser.StartDoctypeDeclHandler = _refuse_doctype

    def check_bounds(self, begun: int) -> None:
        """Refuse a report that fills expat's memory; ``begun``: the bytes of an unfinished tag."""
        if begun > TOKEN_BOUND:
            at = self.parser.CurrentByteIndex
            message = f"the tag or comment at byte {at} has more than {TOKEN_BOUND} bytes"
            raise _RefusedError(message, Code.TOO_LARGE)
        if len(self._names) > NAMES_BOUND:
            raise _RefusedError(f"more than {NAMES_BOUND} names of elements and attributes")

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > DEPTH_BOUND:
            raise _RefusedError(f"elements are nested more than {DEPTH_BOUND} levels deep")
        if self._case is not None:
            self._start_within(self._case, tag, attributes)
        elif tag == "testcase" and self._depth > 1:
            self._case, self._case_depth = CaseElement(attributes), self._depth
        elif tag in FAILURES:
            self.found.append(error(Code.DAMAGED, f"<{tag}> is not in a <testcase>"))
        elif tag in ROOTS:
            if begun := moment(attributes.get("timestamp")):
                self.found.append(Dated(begun))
            counters = {tag: attributes.get(name, "")[:_DIGITS] for tag, name in _COUNTERS.items()}
            self._suites.append((counters, self._failures.copy()))
        elif self._depth == 1:
            raise _RefusedError(
                f"the root element is <{tag[:80]}>, not <testsuites> or <testsuite>"
            )

    def _start_within(self, case: CaseElement, tag: str, attributes: dict[str, str]) -> None:
        if tag == "testcase":
            raise _RefusedError("a <testcase> is within another <testcase>")
        if self._depth == self._case_depth + 1:
            case.begin(tag, attributes, self.parser.CurrentByteIndex)
            if tag in FAILURES:
                self._failures[tag] += 1
            self.parser.CharacterDataHandler = case.text if tag in TEXTS else None
        elif tag in FAILURES:
            self.found.append(error(Code.DAMAGED, f"<{tag}> is not directly in a <testcase>"))

    def _end(self, tag: str) -> None:
        self._depth -= 1
        if self._case is None:
            if tag in ROOTS:
                self.found += _uncounted(*self._suites.pop(), self._failures)
        elif self._depth == self._case_depth:
            self.parser.CharacterDataHandler = None
        elif self._depth < self._case_depth:
            case, self._case = self._case, None
            self.found += self._finish(case)

    def _finish(self, case: CaseElement) -> Iterator[Case | Reason]:
        name = case.full_name
        if not name or len(name) > ID_BOUND:
            shown = f"the name of a test, {name[:80]!r}, has {len(name)} characters"
            yield error(Code.DAMAGED, f"{shown}; it must have 1 to {ID_BOUND} characters")
            return
        test_id = self._ids.get(name, name)
        outcome, reason = case.outcome()
        if not_collected := case.not_collected():
            test_id, reason = collection(self._containers.get(name, name)), not_collected
        problem = None
        if case.unknown is not None:
            problem = f"the element <{case.unknown[:80]}> in a test is unknown"
        elif outcome is Outcome.SUCCESS and (attribute := case.contradiction()):
            problem = f"a test without a failure has the attribute {attribute}"
        if problem:
            yield error(Code.DAMAGED, problem, (test_id,))
        if outcome is Outcome.FAIL:
            if test_id in self._failed and (reason or "").startswith(_SECOND_ELEMENT):
                return
            self._failed.add(test_id)
        elif problem:
            return
        details = self._kept.keep(case.details() if outcome is Outcome.FAIL else None, case.offset)
        yield Case(test_id, outcome, case.started, case.seconds, reason=reason, details=details)


def _problem(reason: Exception, size: int, *, cut: bool) -> Reason:
    if isinstance(reason, _RefusedError):
        return reason.reason
    if not size:
        return error(Code.EMPTY_STREAM, "the report is empty")
    if cut:
        return error(Code.TRUNCATED, f"the report is truncated: {reason}")
    return error(Code.DAMAGED, f"the report is not valid XML: {reason}")


def _uncounted(
    counters: Mapping[str, str], before: Counter[str], after: Counter[str]
) -> Iterator[Reason]:
    """Yield an error if a suite counts more failures than it contains."""
    for tag, number in counters.items():
        found = after[tag] - before[tag]
        if number.isdecimal() and int(number) > found:
            message = f"a suite counts {number} {_COUNTERS[tag]}, but contains {found}"
            yield error(Code.CONTRADICTED, message)


def _refuse_doctype(*_: object) -> NoReturn:
    raise _RefusedError("the report has a document type (<!DOCTYPE>), which is refused")
