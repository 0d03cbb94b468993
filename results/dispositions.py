# SPDX-License-Identifier: Apache-2.0
"""Makes the disposition (cause, excuse) of each test that did not pass, once for all readers.

The reporters, the history and the review comment read these values and do not derive them again.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from bsdgate.results.attribution import Finding, signature
from bsdgate.results.expectations import Expectation
from bsdgate.results.model import (
    Case,
    Cause,
    Disposition,
    Excuse,
    KnownFailure,
    Level,
    Outcome,
    Reason,
)
from bsdgate.results.setup_failures import tests_of

PLAIN = frozenset({Outcome.SUCCESS, Outcome.SKIP})
"""The outcomes of tests without a disposition."""


def dispose(
    cases: Sequence[Case],
    failures: Iterable[Case],
    findings: Iterable[Finding],
    entries: Mapping[str, Expectation],
    excuses: Mapping[str, Excuse],
) -> tuple[Disposition, ...]:
    """Return the dispositions of ``cases`` and of the setup ``failures``, sorted by id.

    ``entries`` are the known failures that excuse a failure, or that expect one although the test
    passed, by its id. ``excuses`` are for failures that match no known failure. None of the
    dispositions counts yet, because reasons are made from them.
    """
    causes = {finding.id: finding for finding in findings}
    known = (case.id for case in cases if case.outcome is Outcome.KNOWN_FAILURE)
    excuses = dict(excuses) | dict.fromkeys(known, Excuse.KNOWN_FAILURE)
    found = []
    for case in cases:
        if case.outcome not in PLAIN:
            finding = causes.get(case.id, Finding(case.id, Cause.UNKNOWN))
            found.append(_disposition(finding, entries.get(case.id), excuses.get(case.id)))
    # A fixture may fail in two workers: it gets one disposition.
    by_id = {failure.id: failure for failure in failures}
    for name, tests in tests_of(by_id.values(), cases).items():
        finding = _of_fixture(by_id[name], [causes[test] for test in tests if test in causes])
        # It is excused by an entry of its own, or if all tests that failed by it are excused.
        of_tests = [excuses.get(test) for test in tests]
        shared = of_tests[0] if of_tests and all(of_tests) else None
        entry = entries.get(name)
        excuse = Excuse.KNOWN_FAILURE if entry else shared
        found.append(replace(_disposition(finding, entry, excuse), tests=tests))
    return tuple(sorted(found, key=lambda one: one.id))


def _of_fixture(failure: Case, findings: Sequence[Finding]) -> Finding:
    """Return the finding of a fixture: that of its tests, if all their findings have one cause."""
    alike = len({finding.cause for finding in findings}) == 1
    cause, evidence = (findings[0].cause, findings[0].evidence) if alike else (Cause.UNKNOWN, ())
    return Finding(failure.id, cause, signature(failure), evidence)


def _disposition(finding: Finding, entry: Expectation | None, excuse: Excuse | None) -> Disposition:
    known = None
    if entry:
        known = KnownFailure(entry.bug, entry.owner, entry.reason, entry.source)
    return Disposition(
        id=finding.id,
        counts=False,
        cause=finding.cause,
        excuse=excuse,
        known_failure=known,
        signature=finding.signature,
        evidence=finding.evidence,
    )


def counted(
    dispositions: Iterable[Disposition], reasons: Iterable[Reason]
) -> tuple[Disposition, ...]:
    """Return the dispositions; those that a reason of level fail or error names count."""
    counting = {test for one in reasons if one.level is not Level.NOTE for test in one.ids}
    return tuple(replace(one, counts=one.id in counting) for one in dispositions)
