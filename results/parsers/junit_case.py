# SPDX-License-Identifier: Apache-2.0
"""One <testcase> of a JUnit report: its attributes and the elements in it."""

import re
from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime

from bsdgate.results.model import Outcome
from bsdgate.results.parsers import details
from bsdgate.results.parsers.details import REASON_BOUND, Tail, last_line
from bsdgate.results.parsers.documents import duration, moment

FAILURES = ("error", "failure")
_RESULTS = (*FAILURES, "skipped")
_OUTPUTS = ("system-out", "system-err")
TEXTS = frozenset({*_RESULTS, *_OUTPUTS})
"""The parser keeps the text of these elements in a <testcase>."""

# The messages of pytest about a file or class that it could not collect, or that was skipped.
_COLLECTION = {"error": "collection failure", "skipped": "collection skipped"}
_SKIPPED_AT = re.compile(r""", \d+, (['"])(?:Skipped: )?(.*)\1\)\s*\Z""", re.DOTALL)

# Kyua reports an expected failure only in system-err, before the output of the test.
_KYUA_XFAIL = "Expected failure result details\n---"
_KYUA_SKIP = "Skipped result details\n---"
_KYUA_HEADS = (_KYUA_XFAIL, _KYUA_SKIP, "Test case metadata\n---")
_KYUA_START = re.compile(r"^Timing information\n-+\n\nStart time: (\S{1,40})$", re.MULTILINE)

# The only mark of a test that pytest did not execute because of xfail(run=False).
_PYTEST_NOT_RUN = "[NOTRUN]"

# If there are several attachments, subunit2junitxml puts each between lines of three braces.
_ATTACHMENT_END = re.compile(r"\n\}\}\}\s*\Z")

# The values that some tools write into the attributes status and result of a success.
_SUCCESSFUL = frozenset({"run", "completed", "passed", "pass", "success", "successful", "ok"})


class CaseElement:
    """A <testcase>. ``offset`` is the byte of the report at which its first child element begins.

    ``unknown`` is the tag of a child that no known tool writes, None if there is none.
    """

    def __init__(self, attributes: Mapping[str, str]) -> None:
        self._attributes = attributes
        self._results: dict[str, Mapping[str, str]] = {}
        self._texts: defaultdict[str, Tail] = defaultdict(Tail)
        self._current = ""
        self.offset: int | None = None
        self.unknown: str | None = None

    def begin(self, tag: str, attributes: Mapping[str, str], offset: int) -> None:
        """Record the start of a child; of several with the same tag, the first message counts."""
        self._current = tag
        if self.offset is None:
            self.offset = offset
        if tag in _RESULTS:
            self._results.setdefault(tag, attributes)
        elif tag not in TEXTS and tag != "properties":
            self.unknown = tag

    def text(self, data: str) -> None:
        """Record text of the child that began last."""
        self._texts[self._current].add(data.encode())

    @property
    def full_name(self) -> str:
        """The name in the report, ``classname.name``; empty if the test has none."""
        name, classname = self._attributes.get("name", ""), self._attributes.get("classname")
        return f"{classname}.{name}" if classname and name else name

    @property
    def seconds(self) -> float | None:
        """The duration; None if it is not known."""
        try:
            return duration(self._attributes.get("time"))
        except (ValueError, TypeError):
            return None

    @property
    def started(self) -> datetime | None:
        """The start time; only Kyua reports it, in system-err."""
        written = self._kyua
        match = _KYUA_START.search(written) if written.startswith(_KYUA_HEADS) else None
        return moment(match[1]) if match else None

    def outcome(self) -> tuple[Outcome, str | None]:
        """Return the outcome that the known children show, and its reason in one line."""
        for tag in FAILURES:
            if tag in self._results:
                if self._results[tag].get("type") == "unittest.case._UnexpectedSuccess":
                    return Outcome.UXSUCCESS, None
                return Outcome.FAIL, self._message(tag)
        if "skipped" in self._results:
            skipped = self._results["skipped"]
            executed = not skipped.get("message", "").startswith(_PYTEST_NOT_RUN)
            expected = executed and skipped.get("type") == "pytest.xfail"
            reason = self._message("skipped") or self._kyua_reason(_KYUA_SKIP)
            return (Outcome.XFAIL if expected else Outcome.SKIP), reason
        if self._kyua.startswith(_KYUA_XFAIL):
            return Outcome.XFAIL, self._kyua_reason(_KYUA_XFAIL)
        return Outcome.SUCCESS, None

    def contradiction(self) -> str | None:
        """Return the attribute that contradicts a success, if there is one."""
        for name in ("status", "result"):
            value = self._attributes.get(name)
            if value is not None and value.lower() not in _SUCCESSFUL:
                return f'{name}="{value[:80]}"'
        return None

    def not_collected(self) -> str | None:
        """Return why pytest did not collect, or skipped, this file or class; None for a test."""
        for tag, message in _COLLECTION.items():
            result = self._results.get(tag, {})
            if result.get("message") == message and "type" not in result:
                text = self._texts[tag].kept
                skipped = _SKIPPED_AT.search(text)
                reason = skipped[2] if skipped else re.sub(r"\AE\s+", "", last_line(text) or "")
                return f"{message}: {' '.join(reason.split())}"[:REASON_BOUND]
        return None

    def details(self) -> str | None:
        """Return the text of the failures, then the output of the test, cut to CASE_BOUND."""
        parts = []
        room = details.CASE_BOUND
        for tag in (*FAILURES, *_OUTPUTS):
            content = self._texts[tag].within(room, details.whole_from(self.offset))
            if tag in self._results and not content.strip():
                content = details.tail(self._results[tag].get("message", ""))
            if content.strip():
                parts.append(f"{tag}:\n{content}" if tag in _OUTPUTS else content)
                room -= len(content)
        return "\n".join(parts) or None

    def _message(self, tag: str) -> str | None:
        """Return the attribute "message" of a child; if it is empty, the last line of its text."""
        message = self._results[tag].get("message", "")[: details.HEAD_BOUND]
        line = " ".join(message.split())[:REASON_BOUND]
        return line or last_line(_ATTACHMENT_END.sub("", self._texts[tag].kept))

    @property
    def _kyua(self) -> str:
        return self._texts["system-err"].head

    def _kyua_reason(self, heading: str) -> str | None:
        """Return the paragraph after ``heading``; None if system-err does not begin with it."""
        if not self._kyua.startswith(heading):
            return None
        _, _, rest = self._kyua.partition("\n\n")
        return " ".join(rest.partition("\n\n")[0].split())[:REASON_BOUND] or None
