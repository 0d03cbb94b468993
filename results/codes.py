# SPDX-License-Identifier: Apache-2.0
"""The codes of reasons: a public interface, part of verdict.json."""

from enum import StrEnum


class Code(StrEnum):
    """What a reason is about, in a form that a program can compare."""

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
    NOT_REPORTED = "not-reported"
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
    # Another record of the same tests disagrees.
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
    SETUP_FAILED = "setup-failed"
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
    # The cause of failures.
    FAILS_ON_BASE = "fails-on-base"
    KNOWN_FLAKE = "known-flake"
    PASS_RATE_FELL = "pass-rate-fell"  # noqa: S105 - a reason, no password
    NODE_FAILED = "node-failed"
    NOT_CONFIRMED = "not-confirmed"
