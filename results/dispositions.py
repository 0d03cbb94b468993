# SPDX-License-Identifier: Apache-2.0
"""Makes the disposition (cause, excuse) of each test that did not pass, once for all readers.

The reporters, the history and the review comment read these values and do not derive them again.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

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

_PLAIN = frozenset({Outcome.SUCCESS, Outcome.SKIP})


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
    cases: Sequence[Case], failures: Sequence[Case], grounds: Grounds, reasons: Iterable[Reason]
) -> tuple[Disposition, ...]:
    """Return the dispositions of ``cases`` and of the setup ``failures``, sorted by id."""
    counting = {
        test_id for reason in reasons if reason.level is not Level.NOTE for test_id in reason.ids
    }
    found = [
        *_of_cases(cases, grounds, counting),
        *_of_failures(cases, failures, grounds, counting),
    ]
    return tuple(sorted(found, key=lambda one: one.id))


def _of_cases(cases: Iterable[Case], grounds: Grounds, counting: set[str]) -> Iterator[Disposition]:
    for case in cases:
        if case.outcome in _PLAIN:
            continue
        finding = grounds.findings.get(case.id)
        entry = grounds.entries.get(case.id)
        known = case.outcome is Outcome.KNOWN_FAILURE
        yield Disposition(
            id=case.id,
            counts=case.id in counting,
            cause=finding.cause if finding else Cause.UNKNOWN,
            excuse=Excuse.KNOWN_FAILURE if known else grounds.excuses.get(case.id),
            known_failure=_known(entry),
            signature=finding.signature if finding else "",
            evidence=finding.evidence if finding else (),
        )


def _of_failures(
    cases: Sequence[Case], failures: Sequence[Case], grounds: Grounds, counting: set[str]
) -> Iterator[Disposition]:
    members = tests_of(failures, cases)
    # A fixture may fail in two workers: it gets one disposition.
    for failure in {failure.id: failure for failure in failures}.values():
        tests = members[failure.id]
        finding = _shared([grounds.findings.get(test) for test in tests])
        entry = grounds.entries.get(failure.id)
        yield Disposition(
            id=failure.id,
            counts=failure.id in counting,
            cause=finding.cause if finding else Cause.UNKNOWN,
            excuse=Excuse.KNOWN_FAILURE if entry else _of_all(tests, grounds),
            known_failure=_known(entry),
            signature=signature(failure),
            evidence=finding.evidence if finding else (),
            tests=tests,
        )


def _of_all(tests: Sequence[str], grounds: Grounds) -> Excuse | None:
    """Return the excuse of a fixture: that of one of its tests, if all of them are excused."""
    excuses = dict.fromkeys(grounds.entries, Excuse.KNOWN_FAILURE) | dict(grounds.excuses)
    found = [excuses.get(test) for test in tests]
    return next(iter(found), None) if all(found) else None


def _shared(findings: Sequence[Finding | None]) -> Finding | None:
    """Return the finding of a fixture: that of its tests, if all their findings have one cause."""
    found = [finding for finding in findings if finding]
    return found[0] if len({finding.cause for finding in found}) == 1 else None


def _known(entry: Expectation | None) -> KnownFailure | None:
    if entry is None:
        return None
    return KnownFailure(entry.bug, entry.owner, entry.reason, entry.source)
