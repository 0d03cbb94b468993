# SPDX-License-Identifier: Apache-2.0
"""Converts verdict.json and history rows of an earlier bsdgate to the present model.

Version 3 had findings (the cause of each failure) instead of dispositions (the cause and the
excuse). Known failures were ``xfail`` and ``uxsuccess``; a failed test class fixture
was in the text of a reason; the change and its projects were texts. The functions take and return
parsed JSON; the caller validates the result.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from bsdgate.results.model import Outcome

FROM: Final = 3

_CODES: Final = {
    "untold": "not-reported",
    "exonerated": "fails-on-base",
    "flaked": "known-flake",
    "fixture-failed": "setup-failed",
}
_OUTCOMES: Final = {"xfail": "known-failure", "uxsuccess": "known-failure-passed"}
_KNOWN: Final = re.compile(r"known failure (\S+) \((.*?)\): (.*)", re.DOTALL)
_PLAIN: Final = ("success", "skip")

Fields = dict[str, Any]


def document(old: Mapping[str, Any]) -> Fields:
    """Return a verdict document of version 3 as one of version 4.

    :raises ValueError: the document contradicts itself.
    """
    fixtures = {failure["id"] for failure in old["fixtures"]}
    asked = Counter(asked=len(old["cases"]))
    if Counter(**old["counts"]) != asked + _outcomes(old["cases"]):
        raise ValueError("the counts do not match the cases")
    if old["run_id"] != old["run"]["run_id"]:
        raise ValueError("run_id and run.run_id differ")
    cases = [_case(case, fixtures) for case in old["cases"]]
    failures = [dict(failure) for failure in old["fixtures"]]
    found, outcomes = reasons(old["reasons"]), _outcomes(cases)
    made = {
        "schema": 4,
        "counts": dict(asked) | {outcome: outcomes[outcome] for outcome in Outcome},
        "run": run(old["run"]),
        "reasons": found,
        "cases": cases,
        "setup_failures": failures,
        "dispositions": dispositions(old["findings"], found, [*cases, *failures]),
    }
    same = ("result", "policy", "attempts", "unmatched", "timings", "judged")
    return made | {name: old[name] for name in same if name in old}


def run(old: Mapping[str, Any]) -> Fields:
    """Return the fields of a run in version 4."""
    change, _, patchset = old["change"].partition(",")
    sources = [_source(text) for text in old["sources"]]
    return dict(old) | {"change": change, "patchset": patchset, "sources": sources}


def _source(text: str) -> Fields:
    # Only the path may have spaces, not the project, the version or the commit.
    project, _, rest = text.partition(" ")
    version, _, rest = rest.partition(" ")
    source, _, identity = rest.rpartition(" ")
    fields = {"project": project, "version": version, "source": source, "identity": identity}
    return {name: value for name, value in fields.items() if value or name == "project"}


def reasons(old: Iterable[Mapping[str, Any]]) -> list[Fields]:
    """Return the reasons, with the codes of version 4."""
    return [dict(reason) | {"code": _CODES.get(reason["code"], reason["code"])} for reason in old]


def dispositions(
    findings: Iterable[Mapping[str, Any]],
    found: Sequence[Mapping[str, Any]],
    cases: Iterable[Mapping[str, Any]] = (),
) -> list[Fields]:
    """Return the dispositions that follow from the findings and from ``found``.

    ``found`` are the reasons, with the codes of version 4. ``cases`` are the tests and the failed
    fixtures; without them only ids with a finding get a disposition.
    """
    by_id = {finding["id"]: finding for finding in findings}
    known = {case["id"]: case for case in cases if case["outcome"] not in _PLAIN}
    tests = defaultdict(list)
    for case in known.values():
        tests[case.get("setup_failure")].append(case["id"])
    made = [
        _disposition(test, by_id.get(test, {}), known.get(test, {}), found)
        for test in sorted(known.keys() | by_id.keys())
    ]
    return [one | {"tests": tests.get(one["id"], [])} for one in made]


def _disposition(
    test_id: str,
    finding: Mapping[str, Any],
    case: Mapping[str, Any],
    found: Sequence[Mapping[str, Any]],
) -> Fields:
    naming = [reason for reason in found if test_id in reason["ids"]]
    codes = {reason["code"] for reason in naming}
    excuse = next((code for code in ("fails-on-base", "known-flake") if code in codes), None)
    known = _known(case)
    if known and case["outcome"] == "known-failure":
        excuse = "known-failure"
    blamed = any(reason["level"] != "note" for reason in naming)
    fields = {"id": test_id, "counts": blamed, "excuse": excuse, "known_failure": known}
    if finding:
        fields |= {name: finding[name] for name in ("cause", "signature")}
        fields["evidence"] = finding["shown_by"]
    return {name: value for name, value in fields.items() if value is not None}


def _case(old: Mapping[str, Any], fixtures: set[str]) -> Fields:
    case = dict(old)
    if _known(case):
        case["outcome"] = _OUTCOMES.get(case["outcome"], case["outcome"])
    if case["outcome"] == "fail" and not case.get("details"):
        fixture, separator, _ = (case.get("reason") or "").partition(": ")
        if separator and fixture in fixtures:
            case["setup_failure"] = fixture
    return case


def _known(case: Mapping[str, Any]) -> Fields | None:
    match = _KNOWN.fullmatch(case.get("reason") or "")
    if match is None or case["outcome"] not in {*_OUTCOMES, *_OUTCOMES.values()}:
        return None
    return dict(zip(("bug", "owner", "reason"), match.groups(), strict=True))


def _outcomes(cases: Iterable[Mapping[str, Any]]) -> Counter[str]:
    return Counter(case["outcome"] for case in cases)
