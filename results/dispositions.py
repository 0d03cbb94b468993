# SPDX-License-Identifier: Apache-2.0
"""Makes the disposition (cause and excuse) of each test or fixture that did not pass.

The reporters, the history and the review comment use dispositions and do not derive them again.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from bsdgate.results.attribution import Attribution, signature
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
    findings: Iterable[Attribution],
    entries: Mapping[str, Expectation],
    excuses: Mapping[str, Excuse],
) -> tuple[Disposition, ...]:
    """Return the dispositions of ``cases`` and of the setup ``failures``, sorted by id.

    ``entries`` are the known-failure entries that match a failure, or a test that passed although
    an entry expects a failure, by id. ``excuses`` are the excuses of other failures. ``counts`` is
    False in each disposition: it depends on reasons that are made later.
    """
    causes = {finding.id: finding for finding in findings}
    known = (case.id for case in cases if case.outcome is Outcome.KNOWN_FAILURE)
    excuses = dict(excuses) | dict.fromkeys(known, Excuse.KNOWN_FAILURE)
    found = []
    for case in cases:
        if case.outcome not in PLAIN:
            finding = causes.get(case.id, Attribution(case.id, Cause.UNKNOWN))
            found.append(_disposition(finding, entries.get(case.id), excuses.get(case.id)))
    # A fixture may fail in two workers: it gets one disposition.
    by_id = {failure.id: failure for failure in failures}
    for name, tests in tests_of(by_id.values(), cases).items():
        found_for = [causes[test] for test in (*tests, name) if test in causes]
        finding = _of_fixture(by_id[name], found_for)
        # A fixture is excused by its own entry, or if all tests that failed due to it are excused.
        of_tests = [excuses.get(test) for test in tests]
        shared = of_tests[0] if of_tests and all(of_tests) else None
        entry = entries.get(name)
        excuse = Excuse.KNOWN_FAILURE if entry else shared
        found.append(replace(_disposition(finding, entry, excuse), tests=tests))
    return tuple(sorted(found, key=lambda one: one.id))


def _of_fixture(failure: Case, findings: Sequence[Attribution]) -> Attribution:
    """Return the finding (cause, evidence) of a failed fixture.

    ``findings`` are those of the fixture and of its tests. Their cause is the fixture's cause if it
    is the same for all of them, else UNKNOWN.
    """
    alike = len({finding.cause for finding in findings}) == 1
    cause, evidence = (findings[0].cause, findings[0].evidence) if alike else (Cause.UNKNOWN, ())
    return Attribution(failure.id, cause, signature(failure), evidence)


def _disposition(
    finding: Attribution, entry: Expectation | None, excuse: Excuse | None
) -> Disposition:
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
    """Return the dispositions; ``counts`` is true if a reason of level fail or error has the id."""
    counting = {test for one in reasons if one.level is not Level.NOTE for test in one.ids}
    return tuple(replace(one, counts=one.id in counting) for one in dispositions)
