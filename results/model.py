# SPDX-License-Identifier: Apache-2.0
"""The values that flow through the judge; all frozen, none of them does any work.

parsers -> Case, Reason -> Attempt -> Evidence -> ledger, verdict -> Verdict -> reporters
"""

from collections import Counter
from collections.abc import Mapping, Sequence, Sized
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class Outcome(StrEnum):
    """The one state in which an asked test ends: subunit's terminal states and two of ours."""

    SUCCESS = "success"
    FAIL = "fail"
    SKIP = "skip"
    XFAIL = "xfail"
    UXSUCCESS = "uxsuccess"
    MISSING = "missing"
    DUPLICATED = "duplicated"


RAN = frozenset({Outcome.SUCCESS, Outcome.FAIL, Outcome.XFAIL, Outcome.UXSUCCESS})
"""The outcomes of a test whose body was executed."""


class Result(StrEnum):
    """A run's result. ERROR means that the evidence proves nothing either way."""

    PASS = "PASS"  # noqa: S105 - a result, no password
    FAIL = "FAIL"
    ERROR = "ERROR"

    @property
    def exit_code(self) -> int:
        """What a process that judges ends with."""
        return {Result.PASS: 0, Result.FAIL: 1, Result.ERROR: 3}[self]


class Level(StrEnum):
    """What a reason does to the result; a note does nothing."""

    ERROR = "error"
    FAIL = "fail"
    NOTE = "note"


class Code(StrEnum):
    """Why, in a form that a program can compare. Part of the verdict document's schema."""

    # Nothing, or not the right thing, was asked.
    NOTHING_ASKED = "nothing-asked"
    ASKED_TWICE = "asked-twice"
    NO_LIST = "no-list"
    NOTHING_RAN = "nothing-ran"
    # Evidence is absent or damaged.
    NO_EVIDENCE = "no-evidence"
    EVIDENCE_LOST = "evidence-lost"
    ATTEMPT_UNREADABLE = "attempt-unreadable"
    ATTEMPT_RUNNING = "attempt-running"
    INTERRUPTED = "interrupted"
    RESUME_MISMATCH = "resume-mismatch"
    FOREIGN_EVIDENCE = "foreign-evidence"
    DIGEST_MISMATCH = "digest-mismatch"
    EMPTY_STREAM = "empty-stream"
    TRUNCATED = "truncated"
    NO_SEAL = "no-seal"
    STRAY = "stray-output"
    UNTOLD = "untold"
    UNDATED = "undated"
    DAMAGED = "damaged"
    TOO_LARGE = "too-large"
    # What was asked and what reported back do not agree.
    LOST_TEST = "lost-test"
    UNFINISHED = "unfinished"
    IN_PROGRESS = "in-progress"
    DUPLICATED = "duplicated"
    UNASKED = "unasked"
    ITERATIONS = "iterations"
    # A second witness says otherwise.
    WORKER_LOST = "worker-lost"
    EXIT_STATUS = "exit-status"
    CONTRADICTED = "contradicted"
    LEFT_BEHIND = "left-behind"
    # What the harness saw go wrong (results.problems); the last is of evidence without codes.
    SERVICE_DIED = "service-died"
    CLOUD_NOT_READY = "cloud-not-ready"
    TIME_LIMIT = "time-limit"
    RUNNER_FAILED = "runner-failed"
    RUNNER_REFUSED = "runner-refused"
    RECORD_MISSING = "record-missing"
    RECORD_UNREADABLE = "record-unreadable"
    BASE_ALTERED = "base-altered"
    HARNESS_PROBLEM = "harness-problem"
    # The tests themselves.
    TESTS_FAILED = "tests-failed"
    FIXTURE_FAILED = "fixture-failed"
    UNEXPECTED_SUCCESS = "unexpected-success"
    EXPECTATION_EXPIRED = "expectation-expired"
    EXPECTATION_INVALID = "expectation-invalid"
    KNOWN_FAILURE = "known-failure"
    EXPECTATION_UNMATCHED = "expectation-unmatched"
    RESUMED = "resumed"
    # Less was tested than could have been.
    COVERAGE_LOST = "coverage-lost"
    FEWER_RAN = "fewer-ran"
    NARROWED = "narrowed"
    NO_HISTORY = "no-history"
    # Whose a failure is.
    EXONERATED = "exonerated"
    FLAKED = "flaked"
    PASS_RATE_FELL = "pass-rate-fell"  # noqa: S105 - a reason, no password
    NODE_FAILED = "node-failed"
    NOT_CONFIRMED = "not-confirmed"


@dataclass(frozen=True, slots=True)
class Case:
    """One test: what a report says of it or, after the ledger, how it ended.

    ``seconds`` is its duration, ``worker`` the lane that ran it, ``reason`` one line (why it was
    skipped, the failure's last line), ``details`` the bounded traceback and logs of a failure.
    """

    id: str
    outcome: Outcome
    started: datetime | None = None
    seconds: float | None = None
    worker: str | None = None
    reason: str | None = None
    details: str | None = None


@dataclass(frozen=True, slots=True)
class Timing:
    """How long a part of a case took that is no test by itself: an atomic action of Rally's.

    ``name`` is the case's id and the way to the part in it, put together with ``/``.
    """

    name: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Reason:
    """One contribution to the result, with the ids of all tests it is about."""

    level: Level
    code: Code
    message: str
    ids: tuple[str, ...] = ()


Found = Case | Timing | Reason
"""What a parser finds in a stream."""


@dataclass(frozen=True, slots=True)
class Dated:
    """When a report says that it was begun, where its cases do not say when they were."""

    moment: datetime


def error(code: Code, message: str, ids: tuple[str, ...] = ()) -> Reason:
    """A reason that forbids any result but ERROR."""
    return Reason(Level.ERROR, code, message, ids)


def note(code: Code, message: str, ids: tuple[str, ...] = ()) -> Reason:
    """A reason that a reader should know and that changes nothing."""
    return Reason(Level.NOTE, code, message, ids)


def count(things: Sized, noun: str) -> str:
    """Say how many there are: ``1 test``, ``2 tests``."""
    return f"{len(things)} {noun}{'' if len(things) == 1 else 's'}"


class Cause(StrEnum):
    """Whose a failure is. UNKNOWN where nothing has been tried that could tell."""

    CHANGE = "change"
    BASE = "base"
    FLAKE = "flake"
    NODE = "node"
    HARNESS = "harness"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Finding:
    """Whose the failure of ``id`` is, and what shows it, one line for each piece of evidence.

    ``signature`` is the failure with all that differs from run to run taken out: two failures
    of a test are the same failure if their signatures are equal.
    """

    id: str
    cause: Cause
    signature: str = ""
    shown_by: tuple[str, ...] = ()


class Kind(StrEnum):
    """What produced an attempt's evidence."""

    TEMPEST = "tempest"
    HOSTCHECKS = "hostchecks"
    RALLY = "rally"


class Side(StrEnum):
    """Which build an attempt ran on: with the change under test, or without it."""

    CHANGE = "change"
    BASE = "base"


class State(StrEnum):
    """How far the harness got with an attempt. RUNNING in evidence means it was killed.

    FOUND is what no harness of ours recorded: files from elsewhere.
    """

    RUNNING = "running"
    ENDED = "ended"
    INTERRUPTED = "interrupted"
    FOUND = "found"


@dataclass(frozen=True, slots=True)
class Witness:
    """What the runner itself recorded beside its stream.

    ``reports`` is how many tests ended by its record, ``others`` the id and outcome of each that
    did not plainly succeed.
    """

    reports: int
    others: tuple[tuple[str, Outcome], ...]


@dataclass(frozen=True, slots=True)
class Attempt:
    """One execution of a runner: what it was asked and everything that reported back.

    ``name`` is its folder ("02-tempest") and orders attempts. ``reports`` are as the parser gave
    them, synthetic ids included; ``problems`` are what the loader, the parser and the harness saw
    go wrong. An attempt that runs failures again names in ``confirms`` the attempt in which they
    failed; what it reports speaks for the cause, never for the outcome. ``test_timeout`` is how
    many seconds each test had, where the runner saw to that.
    """

    name: str
    kind: Kind
    state: State
    exit_status: int | None
    asked: tuple[str, ...]
    reports: Sequence[Case]
    problems: tuple[Reason, ...] = ()
    started: datetime | None = None
    ended: datetime | None = None
    side: Side = Side.CHANGE
    confirms: str = ""
    witness: Witness | None = None
    timings: tuple[Timing, ...] = ()
    test_timeout: float = 0


@dataclass(frozen=True, slots=True)
class Confirmation:
    """What an attempt that ran failures again found: ``cases`` has every id it was asked, once.

    Where it is not ``whole`` (its time was up, its evidence is damaged) it confirms nothing.
    """

    attempt: str
    side: Side
    cases: tuple[Case, ...]
    whole: bool = True


@dataclass(frozen=True, slots=True)
class Past:
    """How a test ended in one earlier run without a change; failures have a signature."""

    outcome: Outcome
    signature: str = ""


@dataclass(frozen=True, slots=True)
class Feature:
    """What the profile says of an option of Tempest's, or of the cloud, and why."""

    option: str
    value: str
    reason: str


@dataclass(frozen=True, slots=True)
class Run:
    """What a reader of a report wants to know of the run. ``created`` also dates expectations.

    ``facts`` are what known failures are scoped by, such as ``("freebsd", "15.1")``, and
    ``versions`` the installed distributions, both sorted pairs. ``features`` are what skips are
    explained by, sorted by option. ``selection`` is the regular expression that narrowed the suite
    to some of its tests; empty where all of them were asked.
    """

    run_id: str
    created: datetime
    name: str = ""
    version: str = ""
    profile: str = ""
    suite: str = ""
    release: str = ""
    selection: str = ""
    change: str = ""
    sources: tuple[str, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()
    versions: tuple[tuple[str, str], ...] = ()
    features: tuple[Feature, ...] = ()

    @property
    def changed(self) -> bool:
        """Whether a change was under test, so that there is a base to compare with."""
        return bool(self.sources or self.change)


@dataclass(frozen=True, slots=True)
class Evidence:
    """All of a run's evidence. ``owed`` are the kinds of attempts that the run promised."""

    run: Run
    owed: frozenset[Kind]
    attempts: tuple[Attempt, ...]
    problems: tuple[Reason, ...] = ()


@dataclass(frozen=True, slots=True)
class Summary:
    """An attempt in a verdict: its head without its reports."""

    name: str
    kind: Kind
    state: State
    exit_status: int | None
    asked: int
    started: datetime | None = None
    ended: datetime | None = None
    side: Side = Side.CHANGE
    confirms: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The judge's answer. ``cases`` holds every asked id exactly once, sorted by id.

    ``fixtures`` are failed class and module fixtures: failures, but never counted as tests.
    ``findings`` say whose each failure is, sorted by id; ``policy`` is the policy's name.
    ``unmatched`` are the known failures in whose scope the run was and that spoke of none of its
    tests, each as a text that stays the same from run to run. ``timings`` are those of the cases'
    parts, each name once, sorted by name; they are measured, never judged. ``judged`` is when a
    verdict was made that is kept: of two on one run the later holds.
    """

    run: Run
    result: Result
    reasons: tuple[Reason, ...]
    cases: Sequence[Case]
    fixtures: tuple[Case, ...] = ()
    attempts: tuple[Summary, ...] = field(default=())
    findings: tuple[Finding, ...] = ()
    policy: str = "developer"
    unmatched: tuple[str, ...] = ()
    timings: tuple[Timing, ...] = ()
    judged: datetime | None = None

    @property
    def counts(self) -> Mapping[str, int]:
        """Number of asked tests and of tests in each state; counted, never carried along."""
        seen = Counter(case.outcome for case in self.cases)
        return {"asked": len(self.cases)} | {str(state): seen[state] for state in Outcome}

    @property
    def seconds(self) -> float | None:
        """How long the run's own attempts took, those left out that only confirm failures."""
        spans = [
            (attempt.ended - attempt.started).total_seconds()
            for attempt in self.attempts
            if attempt.started and attempt.ended
            if attempt.side is Side.CHANGE and not attempt.confirms
        ]
        return sum(spans) if spans else None
