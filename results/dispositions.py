# SPDX-License-Identifier: Apache-2.0
"""What the verdict makes of each test that did not simply pass, put together once for all readers.

Reporters, the history and the review comment read these values; none of them derives its own.
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
    """What is known of the failures of a run, each by id.

    ``entries`` are the known failures that excuse a failure, or that expect one of a test that
    passed. ``excuses`` are of failures that are not known.
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
    # A fixture may fail twice, for two workers: what is made of it is one thing.
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
    """The excuse of a fixture: one of its tests, if all of them are excused."""
    known = dict.fromkeys(grounds.entries, Excuse.KNOWN_FAILURE)
    found = [(known | dict(grounds.excuses)).get(test) for test in tests]
    return next(iter(found), None) if all(found) else None


def _shared(findings: Sequence[Finding | None]) -> Finding | None:
    """The finding of a fixture: that of its tests, if all that have one have the same cause."""
    found = [finding for finding in findings if finding]
    return found[0] if len({finding.cause for finding in found}) == 1 else None


def _known(entry: Expectation | None) -> KnownFailure | None:
    if entry is None:
        return None
    return KnownFailure(entry.bug, entry.owner, entry.reason, entry.source)
