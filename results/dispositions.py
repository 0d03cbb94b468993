# SPDX-License-Identifier: Apache-2.0
"""Makes the disposition (cause, excuse) of each test that did not pass, once for all readers.

The reporters, the history and the review comment read these values and do not derive them again.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

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


@dataclass(frozen=True, slots=True)
class Grounds:
    """What is known about the failures of a run, each by id.

    ``entries`` are the known failures that excuse a failure, or that expect one although the test
    passed. ``excuses`` are for failures that match no known failure.
    """

    findings: Mapping[str, Finding] = field(default_factory=dict)
    entries: Mapping[str, Expectation] = field(default_factory=dict)
    excuses: Mapping[str, Excuse] = field(default_factory=dict)


def dispose(
    cases: Sequence[Case], failures: Sequence[Case], grounds: Grounds
) -> tuple[Disposition, ...]:
    """Return the dispositions of ``cases`` and of the setup ``failures``, sorted by id.

    None of them counts yet, because reasons are made from them.
    """
    found = [*_of_cases(cases, grounds), *_of_failures(cases, failures, grounds)]
    return tuple(sorted(found, key=lambda one: one.id))


def counted(
    dispositions: Iterable[Disposition], reasons: Iterable[Reason]
) -> tuple[Disposition, ...]:
    """Return the dispositions; those that a reason of level fail or error names count."""
    counting = {test for one in reasons if one.level is not Level.NOTE for test in one.ids}
    return tuple(replace(one, counts=one.id in counting) for one in dispositions)


def _of_cases(cases: Iterable[Case], grounds: Grounds) -> Iterator[Disposition]:
    for case in cases:
        if case.outcome in PLAIN:
            continue
        finding = grounds.findings.get(case.id, Finding(case.id, Cause.UNKNOWN))
        known = case.outcome is Outcome.KNOWN_FAILURE
        yield Disposition(
            id=case.id,
            counts=False,
            cause=finding.cause,
            excuse=Excuse.KNOWN_FAILURE if known else grounds.excuses.get(case.id),
            known_failure=_known(grounds.entries.get(case.id)),
            signature=finding.signature,
            evidence=finding.evidence,
        )


def _of_failures(
    cases: Sequence[Case], failures: Sequence[Case], grounds: Grounds
) -> Iterator[Disposition]:
    excuses = dict.fromkeys(grounds.entries, Excuse.KNOWN_FAILURE) | dict(grounds.excuses)
    # A fixture may fail in two workers: it gets one disposition.
    by_id = {failure.id: failure for failure in failures}
    for name, tests in tests_of(by_id.values(), cases).items():
        found = [grounds.findings[test] for test in tests if test in grounds.findings]
        alike = len({finding.cause for finding in found}) == 1
        finding = found[0] if alike else Finding(name, Cause.UNKNOWN)
        # A fixture is excused if all tests that failed by it are.
        of_tests = [excuses.get(test) for test in tests]
        excused = of_tests[0] if of_tests and all(of_tests) else None
        entry = grounds.entries.get(name)
        yield Disposition(
            id=name,
            counts=False,
            cause=finding.cause,
            excuse=Excuse.KNOWN_FAILURE if entry else excused,
            known_failure=_known(entry),
            signature=signature(by_id[name]),
            evidence=finding.evidence,
            tests=tests,
        )


def _known(entry: Expectation | None) -> KnownFailure | None:
    if entry is None:
        return None
    return KnownFailure(entry.bug, entry.owner, entry.reason, entry.source)
