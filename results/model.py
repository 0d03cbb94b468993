# SPDX-License-Identifier: Apache-2.0
"""The data types of the judge. All are frozen and hold data only.

parsers -> Case, Reason -> Attempt -> Evidence -> ledger, verdict -> Verdict -> reporters

The ledger has one final outcome for each requested test. Pydantic makes the JSON document of a
verdict, its schema and the rows of the history from the fields of these types and their docstrings
(document.py, store/rows.py).
"""

from collections import Counter
from collections.abc import Mapping, Sequence, Sized
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from bsdgate.results.codes import Code as Code  # noqa: PLC0414 - part of the model
from bsdgate.results.codes import Kind as Kind  # noqa: PLC0414 - part of the model
from bsdgate.results.codes import Level as Level  # noqa: PLC0414 - part of the model
from bsdgate.results.codes import Side as Side  # noqa: PLC0414 - part of the model
from bsdgate.results.codes import State as State  # noqa: PLC0414 - part of the model

DOCUMENT: Final[dict[str, Any]] = {"use_attribute_docstrings": True, "extra": "forbid"}
"""The pydantic settings of the types that are part of a document."""


class Outcome(StrEnum):
    """How a requested test ended: a final status of subunit, or one of four that the judge adds.

    - ``xfail``, ``uxsuccess``: the test declares an expected failure, and failed or passed.
    - ``known-failure``: the test failed, and an entry of the known failures excuses that.
    - ``known-failure-passed``: an entry expects a failure, but the test passed.
    - ``missing``: the test was requested, and no outcome was reported.
    - ``duplicated``: more than one outcome was reported.
    """

    SUCCESS = "success"
    FAIL = "fail"
    SKIP = "skip"
    XFAIL = "xfail"
    UXSUCCESS = "uxsuccess"
    KNOWN_FAILURE = "known-failure"
    KNOWN_FAILURE_PASSED = "known-failure-passed"
    MISSING = "missing"
    DUPLICATED = "duplicated"


RAN: Final = frozenset(Outcome) - {Outcome.SKIP, Outcome.MISSING, Outcome.DUPLICATED}
"""The outcomes of a test that was executed."""


class Result(StrEnum):
    """The result of a run. ERROR: the results are incomplete and prove nothing."""

    PASS = "PASS"  # noqa: S105 - a result, no password
    FAIL = "FAIL"
    ERROR = "ERROR"

    @property
    def exit_code(self) -> int:
        """The exit status of a command that prints this result."""
        return {Result.PASS: 0, Result.FAIL: 1, Result.ERROR: 3}[self]


@dataclass(frozen=True, slots=True)
class Case:
    """The result of one test: from a parser or, in a ledger or verdict, its final outcome."""

    __pydantic_config__ = DOCUMENT

    id: str
    """The test's id, in the form of the runner's list of tests."""
    outcome: Outcome
    """How the test ended."""
    started: datetime | None = None
    """When the test began."""
    seconds: float | None = None
    """How long the test took."""
    worker: str | None = None
    """The worker process that ran the test."""
    reason: str | None = None
    """One line: why the test was skipped, or the last line of its traceback."""
    details: str | None = None
    """Traceback and captured logs of a failure, cut to a bound."""
    setup_failure: str | None = None
    """The id of the class or module fixture that failed and made this test fail."""


@dataclass(frozen=True, slots=True)
class Timing:
    """The duration of a part of a case: an atomic action of Rally.

    ``name`` is the case's id and the path of the part, joined by ``/``.
    """

    name: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason for the result."""

    __pydantic_config__ = DOCUMENT

    level: Level
    """The effect of the reason on the result."""
    code: Code
    """The kind of the reason."""
    message: str
    """The text of the reason. The wording may change from version to version."""
    ids: tuple[str, ...] = ()
    """The ids of all tests that the reason concerns."""


Found = Case | Timing | Reason
"""What a parser finds in a stream."""


@dataclass(frozen=True, slots=True)
class Dated:
    """The time at which a whole report began; for a report without times of cases."""

    moment: datetime


def error(code: Code, message: str, ids: tuple[str, ...] = ()) -> Reason:
    """Return a reason that makes the result ERROR."""
    return Reason(Level.ERROR, code, message, ids)


def note(code: Code, message: str, ids: tuple[str, ...] = ()) -> Reason:
    """Return a reason that has no effect on the result."""
    return Reason(Level.NOTE, code, message, ids)


def count(things: Sized, noun: str) -> str:
    """Return the number with its noun: ``1 test``, ``2 tests``."""
    return f"{len(things)} {noun}{'' if len(things) == 1 else 's'}"


class Cause(StrEnum):
    """The cause of a failure; ``unknown`` if re-runs do not show it."""

    CHANGE = "change"
    BASE = "base"
    FLAKE = "flake"
    NODE = "node"
    HARNESS = "harness"
    UNKNOWN = "unknown"


class Excuse(StrEnum):
    """Why a failure does not fail the run."""

    KNOWN_FAILURE = "known-failure"
    FAILS_ON_BASE = "fails-on-base"
    KNOWN_FLAKE = "known-flake"


@dataclass(frozen=True, slots=True)
class KnownFailure:
    """The known-failure entry that a test matched."""

    __pydantic_config__ = DOCUMENT

    bug: str
    """The URL of the bug."""
    owner: str
    """The owner of the entry."""
    reason: str
    """Why the failure is expected."""
    source: str = ""
    """File and line of the entry."""


@dataclass(frozen=True, slots=True)
class Disposition:
    """How the verdict judges a test, or a class or module fixture, that did not pass.

    Each setup failure, and each test that did not end as ``success`` or ``skip``, has one.
    """

    __pydantic_config__ = DOCUMENT

    id: str
    """The id of the test, or of the fixture."""
    counts: bool
    """Whether a reason of level fail or error lists the test or fixture."""
    cause: Cause = Cause.UNKNOWN
    """The cause of the failure."""
    excuse: Excuse | None = None
    """Why the failure does not fail the run, if it is excused."""
    known_failure: KnownFailure | None = None
    """The entry that excuses the failure; if the test passed, the entry that expects a failure."""
    signature: str = ""
    """The failure without the parts that differ from run to run; equal for the same failure."""
    evidence: tuple[str, ...] = ()
    """The evidence for the cause, one line for each attempt that ran the test again."""
    tests: tuple[str, ...] = ()
    """For a setup failure: the ids of the tests that failed because of it."""


@dataclass(frozen=True, slots=True)
class RunnerRecord:
    """The runner's own record of the outcomes, in addition to its stream.

    ``reports`` is the number of tests with an outcome in the record; ``others`` has the id and the
    outcome of each test that did not succeed.
    """

    reports: int
    others: tuple[tuple[str, Outcome], ...]


@dataclass(frozen=True, slots=True)
class Attempt:
    """One execution of a runner: the requested tests, and all reports.

    ``name`` is the name of its folder ("02-tempest"); attempts are sorted by it. ``reports`` are as
    parsed, also with synthetic ids, such as ``setUpClass (C)``. ``problems`` are the faults that
    the loader, the parser and the harness found. ``confirms`` is empty, or the name of the earlier
    attempt with the failures that this attempt runs again; the reports then decide the causes,
    never the outcomes. ``test_timeout`` is the time limit of each test in seconds, 0 without one.
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
    runner_record: RunnerRecord | None = None
    timings: tuple[Timing, ...] = ()
    test_timeout: float = 0


@dataclass(frozen=True, slots=True)
class Confirmation:
    """The results of an attempt that ran failures again: ``cases`` has every requested id once.

    ``whole``: whether the attempt is complete; if not (time limit, damage), it confirms nothing.
    """

    attempt: str
    side: Side
    cases: tuple[Case, ...]
    whole: bool = True


@dataclass(frozen=True, slots=True)
class Past:
    """The outcome of a test in one earlier run without a change; a failure has a signature."""

    outcome: Outcome
    signature: str = ""


@dataclass(frozen=True, slots=True)
class Feature:
    """A setting in the profile: the value of an option of Tempest or the cloud, and the reason."""

    __pydantic_config__ = DOCUMENT

    option: str
    """``section.option`` of tempest.conf, or a name in the profile."""
    value: str
    """The value of the option."""
    reason: str
    """Why the option has that value."""


@dataclass(frozen=True, slots=True)
class Source:
    """A project under test: the source of its change, and the installed version."""

    __pydantic_config__ = DOCUMENT

    project: str
    """The project, such as ``nova``."""
    version: str = ""
    """The installed version."""
    source: str = ""
    """The path or URL in ``--with``."""
    identity: str = ""
    """The commit, or the digest of the source files."""

    def __str__(self) -> str:
        return " ".join(filter(None, (self.project, self.version, self.source, self.identity)))


@dataclass(frozen=True, slots=True)
class Run:
    """The facts about a run, as shown in reports."""

    __pydantic_config__ = DOCUMENT

    run_id: str
    """The unique id of the run."""
    created: datetime
    """When the run began. Known failures that expired before this day (UTC) excuse nothing."""
    name: str = ""
    """The name of the run directory."""
    version: str = ""
    """The version of bsdgate."""
    profile: str = ""
    """The profile, which describes the cluster."""
    suite: str = ""
    """The suite, which selects the tests."""
    release: str = ""
    """The OpenStack release."""
    selection: str = ""
    """The regular expression of ``--tests``, which selected tests of the suite; empty: all."""
    change: str = ""
    """The number of the change on the review server."""
    patchset: str = ""
    """The number of the patchset of the change."""
    sources: tuple[Source, ...] = ()
    """The projects under test."""
    facts: Mapping[str, str] = field(default_factory=dict)
    """Properties of the node, to which known failures can be limited: ``freebsd: "15.1"``."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """The installed Python distributions."""
    features: tuple[Feature, ...] = ()
    """The settings in the profile that explain skipped tests, sorted by option."""

    @property
    def changed(self) -> bool:
        """Whether a change was under test, so that there is a base (without it) to compare with."""
        return bool(self.sources or self.change)

    @property
    def under_test(self) -> str:
        """The change and the projects under test in one line; empty if there are none."""
        change = ",".join(filter(None, (self.change, self.patchset)))
        return " ".join(filter(None, (change, *map(str, self.sources))))


@dataclass(frozen=True, slots=True)
class Evidence:
    """All evidence of a run. ``owed`` are the kinds of attempts that the run must have.

    ``expectations`` are the files of known failures that are kept with the run.
    """

    run: Run
    owed: frozenset[Kind]
    attempts: tuple[Attempt, ...]
    problems: tuple[Reason, ...] = ()
    expectations: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class Summary:
    """An attempt in a verdict, without its reports."""

    __pydantic_config__ = DOCUMENT

    name: str
    """The folder of the attempt; names order attempts."""
    kind: Kind
    """The runner."""
    state: State
    """The state of the attempt."""
    exit_status: int | None = None
    """The runner's exit status; absent if it is not known."""
    asked: int = 0
    """The number of requested tests of the attempt."""
    started: datetime | None = None
    """When the attempt began."""
    ended: datetime | None = None
    """When the attempt ended."""
    side: Side = Side.CHANGE
    """The build that the attempt ran on."""
    confirms: str = ""
    """The name of the attempt with the failures that this attempt ran again; empty: it ran the
    suite."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of a run, its reasons, and how each test ended."""

    __pydantic_config__ = DOCUMENT

    run: Run
    """The run that was judged."""
    result: Result
    """The result; the most severe level among the reasons decides it."""
    reasons: tuple[Reason, ...]
    """The reasons, the most severe level first; in a level, reasons about the whole run first."""
    cases: tuple[Case, ...]
    """Every requested test exactly once, sorted by id."""
    setup_failures: tuple[Case, ...] = ()
    """Class and module fixtures that failed; they are never counted as tests."""
    attempts: tuple[Summary, ...] = ()
    """All attempts, in their order."""
    dispositions: tuple[Disposition, ...] = ()
    """One disposition for each test or fixture that did not pass, sorted by id."""
    policy: str = "developer"
    """The policy by which the run was judged."""
    unmatched: tuple[str, ...] = ()
    """Known failures in the scope of the run that matched none of its tests."""
    timings: Mapping[str, float] = field(default_factory=dict)
    """The duration of parts of cases in seconds, by the case's id and the part's name, joined by
    ``/`` (atomic actions of Rally; the median of the iterations). They are not judged."""
    judged: datetime | None = None
    """When the verdict was made. Of two verdicts on one run the later one is valid."""

    @property
    def counts(self) -> Mapping[str, int]:
        """The number of requested tests, and of tests with each outcome; counted, never stored."""
        seen = Counter(case.outcome for case in self.cases)
        return {"asked": len(self.cases)} | {str(state): seen[state] for state in Outcome}

    @property
    def seconds(self) -> float | None:
        """The duration of the attempts in seconds, without re-runs of failures; None if unknown."""
        spans = [
            (attempt.ended - attempt.started).total_seconds()
            for attempt in self.attempts
            if attempt.started and attempt.ended
            if attempt.side is Side.CHANGE and not attempt.confirms
        ]
        return sum(spans) if spans else None
