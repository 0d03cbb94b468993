# SPDX-License-Identifier: Apache-2.0
"""The codes of reasons and the states of attempts: a public interface, part of verdict.json."""

from enum import StrEnum
from typing import Self


class Level(StrEnum):
    """The effect of a reason on the result. A note has none."""

    ERROR = "error"
    FAIL = "fail"
    NOTE = "note"


class Code(StrEnum):
    """The kind of a reason, as a code that programs can compare."""

    # The level of each reason with the code. None: the level depends on the policy, or on the
    # condition in the comment beside the code.
    level: Level | None

    def __new__(cls, value: str, level: Level | None = Level.ERROR) -> Self:
        """Make a code from its value and its level."""
        code = str.__new__(cls, value)
        code._value_ = value
        code.level = level
        return code

    # The request.
    NOTHING_ASKED = "nothing-asked"
    """No test was requested from an attempt."""
    ASKED_TWICE = "asked-twice"
    """The list of requested tests has a test more than once."""
    NO_LIST = "no-list", None
    """There is no list of requested tests, so lost tests cannot be detected."""
    NOTHING_RAN = "nothing-ran"
    """Not one test of a runner was executed."""
    # Evidence is absent or damaged.
    NO_EVIDENCE = "no-evidence"
    """The run has no evidence, or its manifest does not list the expected evidence."""
    EVIDENCE_LOST = "evidence-lost"
    """A file or an attempt that the run recorded is missing."""
    ATTEMPT_UNREADABLE = "attempt-unreadable"
    """A file of an attempt cannot be read."""
    ATTEMPT_RUNNING = "attempt-running"
    """The harness was killed while the tests ran."""
    INTERRUPTED = "interrupted"
    """The run was interrupted and not resumed."""
    RESUME_MISMATCH = "resume-mismatch"
    """A resumed run did not request exactly the tests that had no outcome."""
    FOREIGN_EVIDENCE = "foreign-evidence"
    """A file belongs to another run, change, attempt or time."""
    DIGEST_MISMATCH = "digest-mismatch"
    """A file does not have the recorded SHA-256."""
    EMPTY_STREAM = "empty-stream"
    """The runner's report is empty."""
    TRUNCATED = "truncated"
    """A file is truncated: its end is missing."""
    NO_SEAL = "no-seal", Level.NOTE
    """The stream has no seal (the last packet that bsdgate adds), so it may be incomplete."""
    STRAY = "stray-output", Level.NOTE
    """The stream has text, or attachments, between the outcomes of tests."""
    NOT_REPORTED = "not-reported", Level.NOTE
    """The format of the report leaves out some kinds of failures."""
    UNDATED = "undated", None
    """No report has a time, so the day on which known failures must be valid is a guess."""
    DAMAGED = "damaged"
    """A file does not have the expected format."""
    TOO_LARGE = "too-large"
    """A file or a report exceeds the maximum size or number."""
    # The requested tests and the reports do not agree.
    LOST_TEST = "lost-test"
    """Requested tests have no outcome."""
    UNFINISHED = "unfinished", Level.FAIL
    """Tests have no outcome because the time limit was reached, and the change is the cause."""
    IN_PROGRESS = "in-progress"
    """Tests began and did not end."""
    DUPLICATED = "duplicated"
    """Tests have more than one report."""
    UNASKED = "unasked"
    """There are reports of tests that were not requested."""
    ITERATIONS = "iterations"
    """Rally did not run all requested iterations or hooks."""
    # Another record of the same tests disagrees.
    WORKER_LOST = "worker-lost"
    """A worker process of the runner ended with an error."""
    EXIT_STATUS = "exit-status"
    """The runner's exit status contradicts its report."""
    CONTRADICTED = "contradicted"
    """The runner's own record has other outcomes than its stream."""
    LEFT_BEHIND = "left-behind", None
    """Processes outlived the cloud or the tests and had to be killed, or resources of the run could
    not be removed from a cloud that is not bsdgate's own."""
    FOREIGN_ALTERED = "foreign-altered", Level.FAIL
    """Resources that the run has not made changed, and requests of the run contained their ids."""
    FOREIGN_CHANGED = "foreign-changed", Level.NOTE
    """Resources that the run has not made changed; no request of the run contained their ids."""
    # The versions of FreeBSD and OpenStack, on the day on which the run began.
    END_OF_LIFE = "end-of-life", None
    """The version of FreeBSD, or the release of OpenStack, was past its end of life."""
    END_OF_LIFE_NEAR = "end-of-life-near", Level.NOTE
    """The end of life of the version or release was at most 60 days away."""
    NOT_IN_MATRIX = "not-in-matrix", Level.NOTE
    """The matrix does not have this version of FreeBSD with this architecture and release."""
    # The node before and after the tests (results.inspections), and the messages of its kernel.
    NODE_NOT_AS_ASKED = "node-not-as-asked"
    """The node does not have the version of FreeBSD that was requested."""
    NODE_CHANGED = "node-changed"
    """The versions or packages of the node changed during the run."""
    NODE_REBOOTED = "node-rebooted"
    """The node was rebooted during the run."""
    KERNEL_PANIC = "kernel-panic"
    """The kernel of the node panicked."""
    OUT_OF_MEMORY = "out-of-memory"
    """The node ran out of memory, and its kernel killed a process."""
    PROCESS_CRASHED = "process-crashed"
    """A process of the user that runs the services ended on a signal such as SIGSEGV."""
    CLOCK_DIFFERS = "clock-differs", Level.NOTE
    """The clock of the node differed from the clock of the controller, or was set in the run."""
    # Problems that the harness found (results.problems).
    SERVICE_DIED = "service-died"
    """A service of the cloud died while the tests ran."""
    NODE_LOST = "node-lost"
    """The node did not answer any more."""
    CLOUD_LOST = "cloud-lost"
    """The cloud did not answer any more, or refused the credentials."""
    CLOUD_NOT_READY = "cloud-not-ready"
    """The cloud was not ready."""
    TIME_LIMIT = "time-limit", None  # a failure if the change is the cause, else an error
    """The tests did not end within their time limit."""
    RUNNER_FAILED = "runner-failed"
    """The runner could not do its work."""
    RUNNER_REFUSED = "runner-refused"
    """The runner rejected its command or its input."""
    RECORD_MISSING = "record-missing"
    """The runner kept no record of its run, so the stream cannot be cross-checked."""
    RECORD_UNREADABLE = "record-unreadable"
    """The runner's own record cannot be read."""
    BASE_ALTERED = "base-altered"
    """The base environment, which runs without the change, was modified."""
    HARNESS_PROBLEM = "harness-problem"
    """A problem in evidence of an earlier bsdgate, which had no codes."""
    # The tests themselves.
    TESTS_FAILED = "tests-failed", Level.FAIL
    """Tests failed without an excuse."""
    SETUP_FAILED = "setup-failed", Level.FAIL
    """Class or module fixtures failed without an excuse."""
    UNEXPECTED_SUCCESS = "unexpected-success", None
    """Tests passed that were expected to fail or to be skipped."""
    EXPECTATION_EXPIRED = "expectation-expired", None
    """Known failures are past their last day."""
    EXPECTATION_INVALID = "expectation-invalid", None
    """Known failures have no bug or no owner; they excuse nothing."""
    KNOWN_FAILURE = "known-failure", Level.NOTE
    """Tests failed and are excused by known failures."""
    EXPECTATION_UNMATCHED = "expectation-unmatched", Level.NOTE
    """Known failures matched no test in many runs, or a property in their scope is not known."""
    RESUMED = "resumed", Level.NOTE
    """The run was interrupted and resumed."""
    # Less was tested than could have been.
    COVERAGE_LOST = "coverage-lost", Level.NOTE
    """Tests were skipped, and nothing explains it."""
    FEWER_RAN = "fewer-ran", None  # an error if the versions are the same, else a note
    """Tests that ran in the last good run did not run."""
    NARROWED = "narrowed", None
    """Only some tests of the suite were requested (``--tests``)."""
    NO_HISTORY = "no-history", None
    """The history could not be read."""
    # The cause of failures.
    FAILS_ON_BASE = "fails-on-base", None
    """Tests fail in the same way on the base, which is the build without the change."""
    KNOWN_FLAKE = "known-flake", Level.NOTE
    """Tests failed that sometimes fail without the change too, and passed when run again."""
    PASS_RATE_FELL = "pass-rate-fell", Level.FAIL
    """Flakes fail more often than before."""
    NODE_FAILED = "node-failed"
    """Tests failed because of the machine, such as a full disk."""
    NOT_CONFIRMED = "not-confirmed", Level.NOTE
    """A re-run of failures was interrupted or reached its time limit, so it confirms nothing."""


class Kind(StrEnum):
    """The runner that produced an attempt's evidence."""

    TEMPEST = "tempest"
    HOSTCHECKS = "hostchecks"
    APICHECKS = "apichecks"
    RALLY = "rally"


class Side(StrEnum):
    """The build that an attempt ran on: with the change under test, or the base without it."""

    CHANGE = "change"
    BASE = "base"


class State(StrEnum):
    """The state of an attempt.

    ``running`` in evidence means that the harness was killed, ``found`` that bsdgate did not record
    the files.
    """

    RUNNING = "running"
    ENDED = "ended"
    INTERRUPTED = "interrupted"
    FOUND = "found"
