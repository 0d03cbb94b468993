# SPDX-License-Identifier: Apache-2.0
"""JUnit XML as pytest, stestr (through subunit2junitxml) and Kyua write it, read case by case.

Plain expat: no DTD is let through, hence no entities and nothing external. What expat would keep
in memory (one tag or comment, open elements, distinct names) has bounds here. The counters in a
head are not believed, but failures that only they know of were lost. What is not understood is
never a success.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from math import inf
from typing import BinaryIO, NoReturn
from xml.parsers import expat

from bsdgate.results.ids import ID_BOUND, collection
from bsdgate.results.model import Case, Code, Dated, Outcome, Reason, error
from bsdgate.results.parsers.address import by_spelling, collectors
from bsdgate.results.parsers.details import (
    CASE_BOUND,
    HEAD_BOUND,
    REASON_BOUND,
    Kept,
    Tail,
    last_line,
    tail,
    whole_from,
)
from bsdgate.results.parsers.documents import moment

CHUNK = 1 << 16
ROOTS = ("testsuites", "testsuite")

TOKEN_BOUND = 16 << 20
"""Bytes of one tag with its attributes, or of one comment: expat keeps it until it has its end.

pytest writes a whole assertion, with all that it compared, into one attribute.
"""

NAMES_BOUND = 1000
"""Different names of elements and attributes: expat keeps them for good."""

DEPTH_BOUND = 50

# Where the call fails and the teardown breaks too, pytest writes two elements for one test.
_SECOND_ELEMENT = "failed on teardown"

# What pytest says of a file or class that it could not collect, or that skips itself.
_COLLECTION = {"error": "collection failure", "skipped": "collection skipped"}
_SKIPPED_AT = re.compile(r""", \d+, (['"])(?:Skipped: )?(.*)\1\)\s*\Z""", re.DOTALL)

# Kyua tells of an expected failure only here, in front of what the test itself wrote.
_KYUA_XFAIL = "Expected failure result details\n---"
_KYUA_SKIP = "Skipped result details\n---"

_KYUA_HEADS = (_KYUA_XFAIL, _KYUA_SKIP, "Test case metadata\n---")
_KYUA_START = re.compile(r"^Timing information\n-+\n\nStart time: (\S{1,40})$", re.MULTILINE)

# pytest's xfail(run=False): the test was not executed. It has no other mark in a report.
_PYTEST_NOT_RUN = "[NOTRUN]"

# subunit2junitxml puts each of several attachments between lines of three braces.
_ATTACHMENT_END = re.compile(r"\n\}\}\}\s*\Z")

# What some writers say of a test beside its elements, where it did succeed.
_RAN_WELL = frozenset({"run", "completed", "passed", "pass", "success", "successful", "ok"})

_SUCCESS = Outcome.SUCCESS  # looked up once, not for each case
_RESULTS = ("error", "failure", "skipped")
_COUNTED = {"error": "errors", "failure": "failures"}
_DIGITS = 20
_OUTPUTS = ("system-out", "system-err")
_TEXTS = frozenset({*_RESULTS, *_OUTPUTS})


class _RefusedError(Exception):
    """The report goes against a bound or a rule; what has been read of it stands."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.reason = error(code, message)


def parse(stream: BinaryIO, asked: Sequence[str] = ()) -> Iterator[Case | Reason | Dated]:
    """Read a report: its cases, then what is wrong with it.

    ``asked`` are the ids that were asked to run. A case gets the one that was asked where there
    is one, for the report spells ids in its own way, and "classname.name" elsewhere.
    """
    return _Reader(by_spelling(asked)).read(stream)


class _Reader:
    """Takes what expat sees and makes cases of it."""

    def __init__(self, ids: Mapping[str, str]) -> None:
        self._ids = ids
        self._collectors: Mapping[str, str] | None = None  # made if one of them reports
        self._names: dict[str, str] = {}
        self._found: list[Case | Reason | Dated] = []
        self._depth = 0
        self._within = 0  # depth of the elements in the test that is open
        self._test: Mapping[str, str] | None = None  # that test's attributes
        self._children: _Children | None = None
        self._kept = Kept()
        self._failed: set[str] = set()
        self._counted: Counter[str] = Counter()
        self._suites: list[tuple[dict[str, str], Counter[str]]] = []
        self._parser = parser = expat.ParserCreate(intern=self._names)
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        # No handler for entities is needed: they can only be declared in a document type.
        parser.StartDoctypeDeclHandler = _refuse_doctype

    def read(self, stream: BinaryIO) -> Iterator[Case | Reason | Dated]:
        """Yield the cases of the report as it is read, then what is wrong with it."""
        size = begun = 0
        chunk = b"start"
        try:
            while chunk:
                # expat looks at a begun tag from its start each time: read as much again.
                chunk = stream.read(max(CHUNK, begun))
                size += len(chunk)
                self._parser.Parse(chunk, not chunk)
                yield from self._drain()
                begun = size - self._parser.CurrentByteIndex
                self._check_bounds(begun)
        except (_RefusedError, expat.ExpatError, ValueError, LookupError) as reason:
            yield from self._drain()
            yield _complaint(reason, size, cut=not chunk)

    def _drain(self) -> list[Case | Reason | Dated]:
        found, self._found = self._found, []
        return found

    def _check_bounds(self, begun: int) -> None:
        if begun > TOKEN_BOUND:
            at = self._parser.CurrentByteIndex
            message = f"a tag or comment of more than {TOKEN_BOUND} bytes, at byte {at}"
            raise _RefusedError(Code.TOO_LARGE, message)
        if len(self._names) > NAMES_BOUND:
            raise _RefusedError(Code.DAMAGED, f"more than {NAMES_BOUND} names of elements")

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        depth = self._depth = self._depth + 1
        if tag == "testcase" and depth > 1:
            if self._test is not None:
                raise _RefusedError(Code.DAMAGED, "a test within a test")
            self._test, self._within = attributes, depth + 1
        elif self._test is not None:
            if depth == self._within:
                self._begin(tag, attributes)
            elif tag in _COUNTED:
                self._found.append(error(Code.DAMAGED, f"<{tag}> not directly within a test"))
        elif tag in _COUNTED:
            self._found.append(error(Code.DAMAGED, f"<{tag}> of no test"))
        elif tag in ROOTS:
            self._begin_suite(attributes)
        elif depth == 1:
            raise _RefusedError(Code.DAMAGED, f"<{tag[:80]}> is no JUnit report")
        if depth > DEPTH_BOUND:
            raise _RefusedError(Code.DAMAGED, f"elements are nested more than {DEPTH_BOUND} deep")

    def _begin_suite(self, attributes: dict[str, str]) -> None:
        if dated := moment(attributes.get("timestamp")):
            self._found.append(Dated(dated))
        said = {name: attributes.get(name, "0")[:_DIGITS] for name in _COUNTED.values()}
        self._suites.append((said, self._counted.copy()))

    def _begin(self, tag: str, attributes: dict[str, str]) -> None:
        """An element directly within a test."""
        if self._children is None:
            self._children = _Children(self._parser.CurrentByteIndex)
        self._children.begin(tag, attributes)
        if tag in _COUNTED:
            self._counted[_COUNTED[tag]] += 1
        self._parser.CharacterDataHandler = self._children.text if tag in _TEXTS else None

    def _end(self, tag: str) -> None:
        depth = self._depth = self._depth - 1
        test = self._test
        if test is None:
            if tag in ROOTS:
                self._found += _uncounted(*self._suites.pop(), self._counted)
            return
        if depth < self._within - 1:
            self._test = None
            self._finish(test)
        elif depth < self._within:
            self._parser.CharacterDataHandler = None

    def _finish(self, test: Mapping[str, str]) -> None:
        """Make a case of the test that has just ended; nearly always it has no children."""
        children, self._children = self._children, None
        name = test.get("name", "")
        classname = test.get("classname")
        spelt = f"{classname}.{name}" if classname else name
        if not name or len(spelt) > ID_BOUND:
            message = f"a test with the name {spelt[:80]!r} ({len(spelt)} characters)"
            self._found.append(error(Code.DAMAGED, message))
            return
        case = Case(self._ids.get(spelt, spelt), _SUCCESS, None, _seconds(test.get("time")))
        if children is not None:
            case = children.applied(case, self._kept)
            if why := children.uncollected():
                case = replace(case, id=self._collection(spelt), reason=why)
            if children.strange is not None:
                message = f"<{children.strange[:80]}> in a test is not understood"
                self._found.append(error(Code.DAMAGED, message, (case.id,)))
                if case.outcome is not Outcome.FAIL:
                    return
        if case.outcome is Outcome.FAIL:
            if case.id in self._failed and (case.reason or "").startswith(_SECOND_ELEMENT):
                return
            self._failed.add(case.id)
        elif case.outcome is _SUCCESS and (said := _contradiction(test)):
            message = f"a test without a failure {said}"
            self._found.append(error(Code.DAMAGED, message, (case.id,)))
            return
        self._found.append(case)

    def _collection(self, spelt: str) -> str:
        if self._collectors is None:
            self._collectors = collectors(self._ids.values())
        return collection(self._collectors.get(spelt, spelt))


class _Children:
    """The elements within one <testcase>; ``offset`` is the first one's byte of the report."""

    def __init__(self, offset: int) -> None:
        self._offset = offset
        self._current = ""
        self._results: dict[str, Mapping[str, str]] = {}
        self._texts: dict[str, Tail] = {}
        self.strange: str | None = None  # an element that no known writer writes

    def begin(self, tag: str, attributes: Mapping[str, str]) -> None:
        """Take the begin of an element; of several failures the first one's message is told."""
        self._current = tag
        if tag in _RESULTS:
            self._results.setdefault(tag, attributes)
        elif tag not in _TEXTS and tag != "properties":
            self.strange = tag

    def text(self, data: str) -> None:
        """Take text of the element that has begun."""
        text = self._texts.get(self._current)
        if text is None:
            text = self._texts[self._current] = Tail()
        text.add(data)

    def applied(self, case: Case, kept: Kept) -> Case:
        """``case`` as it ended by those of these elements that are known."""
        outcome, reason = self._outcome()
        details = self._details() if outcome is Outcome.FAIL else None
        details = kept.keep(details, self._offset)
        begun = self._kyua_start()
        return replace(case, outcome=outcome, started=begun, reason=reason, details=details)

    def _kyua_start(self) -> datetime | None:
        written = self._texts["system-err"].head if "system-err" in self._texts else ""
        match = _KYUA_START.search(written) if written.startswith(_KYUA_HEADS) else None
        return moment(match[1]) if match else None

    def _outcome(self) -> tuple[Outcome, str | None]:
        results = self._results
        for tag in ("error", "failure"):
            if tag in results:
                if results[tag].get("type") == "unittest.case._UnexpectedSuccess":
                    return Outcome.UXSUCCESS, None
                return Outcome.FAIL, self._message(tag)
        told = self._texts["system-err"].head if "system-err" in self._texts else ""
        if "skipped" in results:
            skipped = results["skipped"]
            ran = not skipped.get("message", "").startswith(_PYTEST_NOT_RUN)
            expected = ran and skipped.get("type") == "pytest.xfail"
            why = self._message("skipped") or _kyua(told, _KYUA_SKIP)
            return (Outcome.XFAIL if expected else Outcome.SKIP), why
        if told.startswith(_KYUA_XFAIL):
            return Outcome.XFAIL, _kyua(told, _KYUA_XFAIL)
        return Outcome.SUCCESS, None

    def uncollected(self) -> str | None:
        """Why pytest could not collect what it names here, or skipped it; None if it is a test."""
        for tag, said in _COLLECTION.items():
            result = self._results.get(tag, {})
            if result.get("message") == said and "type" not in result:
                text = self._texts[tag].kept if tag in self._texts else ""
                skipped = _SKIPPED_AT.search(text)
                why = skipped[2] if skipped else re.sub(r"\AE\s+", "", last_line(text) or "")
                return f"{said}: {' '.join(why.split())}"[:REASON_BOUND]
        return None

    def _message(self, tag: str) -> str | None:
        """Why: the attribute, or where there is none the text's last line."""
        said = self._results[tag].get("message", "")[:HEAD_BOUND]
        message = " ".join(said.split())[:REASON_BOUND]
        text = self._texts.get(tag)
        return message or (last_line(_ATTACHMENT_END.sub("", text.kept)) if text else None)

    def _details(self) -> str | None:
        """The text of the failures, then what the test wrote, while there is room."""
        parts = []
        room = CASE_BOUND
        for tag in (*_RESULTS[:2], *_OUTPUTS):
            text = self._texts.get(tag)
            content = text.within(room, whole_from(self._offset)) if text else ""
            if tag in self._results and not content.strip():
                content = tail(self._results[tag].get("message", ""))
            if content.strip():
                parts.append(f"{tag}:\n{content}" if tag in _OUTPUTS else content)
                room -= len(content)
        return "\n".join(parts) or None


def _complaint(reason: Exception, size: int, *, cut: bool) -> Reason:
    if isinstance(reason, _RefusedError):
        return reason.reason
    if not size:
        return error(Code.EMPTY_STREAM, "the report is empty")
    if cut:
        return error(Code.TRUNCATED, f"the report is not whole: {reason}")
    return error(Code.DAMAGED, f"the report is not XML: {reason}")


def _contradiction(test: Mapping[str, str]) -> str | None:
    """What a test's attributes say against its success."""
    for name in ("status", "result"):
        if (said := test.get(name)) is not None and said.lower() not in _RAN_WELL:
            return f'has {name}="{said[:80]}"'
    return None


def _uncounted(
    said: Mapping[str, str], before: Counter[str], after: Counter[str]
) -> Iterator[Reason]:
    """Failures that a suite's head tells of and that were not in it."""
    for name in _COUNTED.values():
        there = after[name] - before[name]
        if said[name].isdecimal() and int(said[name]) > there:
            message = f"a suite tells of {said[name]} {name}, and {there} are there"
            yield error(Code.CONTRADICTED, message)


def _refuse_doctype(*_: object) -> NoReturn:
    raise _RefusedError(Code.DAMAGED, "XML with a document type is refused, and so are entities")


def _kyua(told: str, heading: str) -> str | None:
    """Kyua's reason: the first paragraph below the heading and its underline."""
    if not told.startswith(heading):
        return None
    _, _, rest = told.partition("\n\n")
    return " ".join(rest.partition("\n\n")[0].split())[:REASON_BOUND] or None


def _seconds(text: str | None) -> float | None:
    try:
        seconds = float(text or "")
    except ValueError:
        return None
    return seconds if 0 <= seconds < inf else None
