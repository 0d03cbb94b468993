# SPDX-License-Identifier: Apache-2.0
"""JUnit XML as pytest writes it, read case by case.

No DTD, no entities, nothing external (defusedxml). The counters in the head are not looked at.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import BinaryIO
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import iterparse

from bsdgate.results.model import Case, Code, Outcome, Reason, error
from bsdgate.results.parsers.details import REASON_BOUND, tail

ID_BOUND = 4096
ROOTS = ("testsuites", "testsuite")

# Where the call fails and the teardown breaks too, pytest writes two elements for one test.
_SECOND_ELEMENT = "failed on teardown"


def parse(stream: BinaryIO, asked: Sequence[str] = ()) -> Iterator[Case | Reason]:
    """Read a report: its cases, then what is wrong with it.

    ``asked`` are pytest's node ids. A case gets the node id that was asked where there is one,
    for the report spells ids in its own way, and "classname.name" elsewhere.
    """
    node_ids = {address(node_id): node_id for node_id in asked}
    last: Case | None = None
    try:
        for element in _testcases(stream):
            found = _case(element, node_ids)
            if isinstance(found, Case):
                if last is not None and _continues(found, last):
                    continue
                last = found
            yield found
    except DefusedXmlException as reason:
        yield error(Code.DAMAGED, f"XML with a DTD or entities is refused: {reason!r}")
    except (ParseError, ValueError, LookupError) as reason:
        if stream.tell() == 0:
            yield error(Code.EMPTY_STREAM, "the report is empty")
        else:
            yield error(Code.TRUNCATED, f"the report is not whole: {reason}")


def address(node_id: str) -> str:
    """Spell a node id as in a report: ``a/test_b.py::C::test_m[p]`` is ``a.test_b.C.test_m[p]``."""
    path, bracket, parameters = node_id.partition("[")
    file, *names = path.split("::")
    module = file.removesuffix(".py").replace("/", ".")
    return ".".join([module, *names]) + bracket + parameters


def _testcases(stream: BinaryIO) -> Iterator[Element]:
    open_elements: list[Element] = []
    for event, element in iterparse(stream, events=("start", "end"), forbid_dtd=True):
        if event == "start":
            if not open_elements and element.tag not in ROOTS:
                raise ValueError(f"<{element.tag[:80]}> is no JUnit report")
            open_elements.append(element)
            continue
        open_elements.pop()
        if element.tag == "testcase":
            yield element
        if open_elements and open_elements[-1].tag in ROOTS:
            # Forget what was read, lest the whole document stays in memory.
            open_elements[-1].clear()


def _case(element: Element, node_ids: Mapping[str, str]) -> Case | Reason:
    name = element.get("name", "")
    spelt = ".".join(filter(None, [element.get("classname"), name]))
    if not name or len(spelt) > ID_BOUND:
        return error(Code.DAMAGED, f"a test with the name {spelt[:80]!r} ({len(spelt)} characters)")
    outcome, result = _outcome(element)
    return Case(
        id=node_ids.get(spelt, spelt),
        outcome=outcome,
        seconds=_seconds(element.get("time")),
        reason=_message(result),
        details=_details(result) if outcome is Outcome.FAIL else None,
    )


def _outcome(element: Element) -> tuple[Outcome, Element | None]:
    for tag in ("error", "failure"):
        if (result := element.find(tag)) is not None:
            return Outcome.FAIL, result
    if (result := element.find("skipped")) is not None:
        expected = result.get("type") == "pytest.xfail"
        return (Outcome.XFAIL if expected else Outcome.SKIP), result
    return Outcome.SUCCESS, None


def _continues(case: Case, last: Case) -> bool:
    return (
        case.id == last.id
        and case.outcome is last.outcome is Outcome.FAIL
        and (case.reason or "").startswith(_SECOND_ELEMENT)
    )


def _message(result: Element | None) -> str | None:
    if result is None:
        return None
    return " ".join(result.get("message", "").split())[:REASON_BOUND] or None


def _details(result: Element | None) -> str | None:
    if result is None:
        return None
    return tail(result.text or result.get("message") or "") or None


def _seconds(text: str | None) -> float | None:
    try:
        seconds = float(text or "")
    except ValueError:
        return None
    return round(seconds, 6) if 0 <= seconds < float("inf") else None
