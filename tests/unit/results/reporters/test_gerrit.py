# SPDX-License-Identifier: Apache-2.0
"""The review of a buildset: the vote, the message and its limits, the mark, the request."""

import os
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from unit.results.reporters.made import attributions, failed, failure_reason, hostile, verdict_of

from bsdgate.results.model import (
    Case,
    Cause,
    Code,
    Level,
    Outcome,
    Reason,
    Result,
    Verdict,
)
from bsdgate.results.reporters import gerrit
from bsdgate.results.reporters.gerrit import About, Build
from bsdgate.results.reporters.review import TAG, Buildset, LineComment, Review, marked

GOLDEN = Path(__file__).resolve().parents[3] / "golden" / "reviews"
REWRITE = os.environ.get("BSDGATE_GOLDEN") == "rewrite"
BUILDSET = Buildset(912345, 3, "8f3c2d", datetime(2026, 11, 29, 1, 40, tzinfo=UTC))
ABOUT = About(
    'Comment "recheck" to run the tests again',
    "freebsd-ci@example.org",
    "https://wiki.example.org/bsdgate",
)
LOGS = "https://logs.example.org"
USERS = "tempest.api.identity.admin.v3.test_users.UsersV3TestJSON.test_list_users[id-8d1c,smoke]"
TOKENS = "tempest.api.identity.v3.test_tokens.TokensV3Test.test_create_token[id-6f8e,smoke]"
FREEBSD = {"system": "FreeBSD 15.1-RELEASE", "freebsd": "15.1", "architecture": "amd64"}
LINUX = {"system": "Linux 6.1.0", "architecture": "amd64"}


def on_patchset(verdict: Verdict, run_id: str, **fields: Any) -> Verdict:
    """Return the verdict as one on the patchset of BUILDSET."""
    about = {"change": "912345", "patchset": "3", "profile": "embedded", "release": "2026.2"}
    return replace(verdict, run=replace(verdict.run, run_id=run_id, **about | fields))


def passed(run_id: str = "p", **fields: Any) -> Verdict:
    cases = [Case(USERS, Outcome.SUCCESS), Case(TOKENS, Outcome.SKIP)]
    return on_patchset(verdict_of(Result.PASS, *cases), run_id, **{"facts": FREEBSD} | fields)


def failing(run_id: str = "f", cause: Cause = Cause.CHANGE, **fields: Any) -> Verdict:
    case = failed(USERS, reason="AssertionError: 404 != 200")
    found = verdict_of(
        Result.FAIL,
        case,
        Case(TOKENS, Outcome.SUCCESS),
        reasons=[failure_reason(USERS)],
        findings=attributions(cause, USERS),
    )
    return on_patchset(found, run_id, **{"facts": FREEBSD} | fields)


def lost(run_id: str = "e", **fields: Any) -> Verdict:
    reason = Reason(Level.ERROR, Code.NODE_LOST, "the node did not answer for 60 s")
    found = verdict_of(Result.ERROR, Case(USERS, Outcome.MISSING), reasons=[reason])
    return on_patchset(found, run_id, **{"facts": FREEBSD} | fields)


PASS, FAIL = Build("passes", passed()), Build("fails", failing())
ERROR, ABSENT = Build("lost", lost()), Build("absent", None, "Zuul: NODE_FAILURE")
NARROWED = Build("narrowed", passed("n", selection="users"))
NARROWED_FAIL = Build("narrowed-fails", failing("nf", selection="users"))
OTHER_PATCHSET = Build("other-patchset", passed("o", patchset="2"))
OTHER_CHANGE = Build("other-change", failing("oc", change="7"))
NO_CHANGE = Build("no-change", passed("x", change="", patchset=""))


def shown_only(build: Build) -> Build:
    return replace(build, voting=False)


def names(builds: Sequence[Build]) -> str:
    return " ".join(build.job if build.voting else f"({build.job})" for build in builds)


def reviewed(*builds: Build) -> Review:
    return gerrit.review(builds, BUILDSET, ABOUT)


@pytest.mark.parametrize(
    ("builds", "vote"),
    [
        ([PASS], 1),
        ([FAIL], -1),
        ([ERROR], 0),
        ([ABSENT], 0),
        ([], 0),
        ([PASS, FAIL], -1),
        ([ERROR, FAIL], -1),
        ([ABSENT, FAIL], -1),
        ([PASS, ERROR], 0),
        ([PASS, ABSENT], 0),
        ([NARROWED], 0),
        ([PASS, NARROWED], 0),
        ([NARROWED_FAIL], -1),
        ([shown_only(PASS)], 0),
        ([shown_only(FAIL)], 0),
        ([PASS, shown_only(FAIL)], 1),
        ([PASS, shown_only(ERROR)], 1),
        ([PASS, shown_only(ABSENT)], 1),
        ([PASS, shown_only(NARROWED)], 1),
        ([FAIL, shown_only(PASS)], -1),
        ([ERROR, shown_only(PASS)], 0),
        ([OTHER_PATCHSET], 0),
        ([OTHER_CHANGE], 0),
        ([NO_CHANGE], 0),
        ([PASS, OTHER_CHANGE], 0),
        ([PASS, replace(PASS, verdict=passed("again"))], 0),
        ([PASS, replace(PASS, job="same run")], 0),
    ],
    ids=lambda value: names(value) if isinstance(value, list) else None,
)
def test_the_vote_follows_from_the_voting_jobs(builds: Sequence[Build], vote: int) -> None:
    assert reviewed(*builds).labels == ({"Verified": vote} if vote else {})
    assert reviewed(*reversed(builds)).labels == ({"Verified": vote} if vote else {})


def test_without_a_label_there_is_no_vote() -> None:
    assert gerrit.review([FAIL], BUILDSET, ABOUT, label=None).labels == {}
    assert gerrit.review([FAIL], BUILDSET, ABOUT, label="FreeBSD").labels == {"FreeBSD": -1}


def many(number: int) -> list[Build]:
    """Return jobs with long names, URLs, ids and messages."""
    ids = [f"tempest.{'x' * 900}.Test.test_{n}" for n in range(number)]
    cases = [failed(each, reason=f"{'☃' * 900} {each[-9:]}") for each in ids]
    verdict = verdict_of(Result.FAIL, *cases, reasons=[failure_reason(*ids)])
    return [
        Build(f"{'j' * 900}{n}", on_patchset(verdict, str(n)), url=f"{LOGS}/{'u' * 900}")
        for n in range(number)
    ]


GOLDENS = {
    "pass": [
        Build("bsdgate-keystone-smoke", passed("1"), url=f"{LOGS}/1/report.html"),
        Build("bsdgate-embedded", passed("2", facts=LINUX), url=f"{LOGS}/2/report.html"),
    ],
    "fail": [
        Build("bsdgate-embedded", passed("2", facts=LINUX), url=f"{LOGS}/2/report.html"),
        Build("bsdgate-keystone-smoke", failing("1"), url=f"{LOGS}/1/report.html"),
        Build("bsdgate-keystone-gate", lost("3"), voting=False),
    ],
    "unknown-cause": [Build("bsdgate-keystone-smoke", failing("1", Cause.UNKNOWN))],
    "error": [
        Build("bsdgate-keystone-smoke", lost("1"), url=f"{LOGS}/1/report.html"),
        Build("bsdgate-embedded", passed("2")),
        Build("bsdgate-nova-smoke", None, "Zuul ended the build with NODE_FAILURE"),
    ],
    "narrowed": [Build("embedded-smoke", passed("1", selection="test_users", facts=LINUX))],
    "non-voting": [Build("bsdgate-keystone-smoke", failing("1"), voting=False)],
    "hostile": [Build("x\n* y", on_patchset(hostile(), "1"), url="a\nb")],
    "many": many(40),
}


@pytest.mark.parametrize("name", GOLDENS)
def test_a_message_is_as_recorded(name: str) -> None:
    message = reviewed(*GOLDENS[name]).message
    file = GOLDEN / f"{name}.txt"
    if REWRITE:
        assert not os.environ.get("CI"), "golden files are rewritten by people, not by CI"
        file.write_text(f"{message}\n")
    assert f"{message}\n" == file.read_text()


@pytest.mark.parametrize(
    "builds",
    [*GOLDENS.values(), [], many(2)],
    ids=[*GOLDENS, "no job", "two long"],
)
def test_a_message_has_limits_and_ends_with_its_mark(builds: Sequence[Build]) -> None:
    message = reviewed(*builds).message
    assert len(message.splitlines()) <= gerrit.LINES_BOUND
    assert len(message.encode()) < 16_000
    assert marked(message) == BUILDSET
    assert [line for line in message.splitlines() if line.startswith("bsdgate 9")] == [
        BUILDSET.mark
    ]


def test_a_failure_of_several_jobs_is_shown_once() -> None:
    builds = [Build("a", failing("1")), Build("b", failing("2"))]
    assert reviewed(*builds).message.count("AssertionError") == 1


def test_a_failed_policy_is_the_reason_if_no_test_failed() -> None:
    reason = Reason(Level.FAIL, Code.EXPECTATION_EXPIRED, "1 known failure is past its last day")
    verdict = on_patchset(
        verdict_of(Result.FAIL, Case(USERS, Outcome.SUCCESS), reasons=[reason]), "1"
    )
    head = reviewed(Build("gate", verdict)).message.splitlines()[0]
    assert head == "FAIL: 1 known failure is past its last day (expectation-expired)."


@pytest.mark.parametrize(
    ("cause", "code", "words"),
    [
        (Cause.BASE, Code.FAILS_ON_BASE, "1 that failed on the base too"),
        (Cause.FLAKE, Code.KNOWN_FLAKE, "1 that passed when run again"),
    ],
)
def test_a_failure_that_does_not_count_is_explained(cause: Cause, code: Code, words: str) -> None:
    reason = Reason(Level.NOTE, code, "1 test", (USERS,))
    findings = attributions(cause, USERS)
    verdict = verdict_of(Result.PASS, failed(USERS), reasons=[reason], findings=findings)
    message = reviewed(Build("gate", on_patchset(verdict, "1"))).message
    assert message.startswith("PASS: no failure in 1 job counts against this change.")
    assert f"1 failed; not counted: {words}" in message


def test_only_the_first_line_of_a_reason_is_shown() -> None:
    reason = Reason(Level.ERROR, Code.NODE_LOST, "the node does not answer: 255\n  | closed")
    verdict = verdict_of(Result.ERROR, Case(USERS, Outcome.MISSING), reasons=[reason])
    head = reviewed(Build("gate", on_patchset(verdict, "1"))).message.splitlines()[0]
    assert "the node does not answer: 255 (node-lost)." in head


def test_the_folder_of_a_profile_is_not_shown() -> None:
    message = reviewed(Build("a", passed(profile="/home/jane/ours.yaml"))).message
    assert "profile ours.yaml" in message
    assert "jane" not in message


def test_comments_are_those_of_failed_jobs_without_repetition() -> None:
    comment, other = LineComment("a.py", 3, "Boom"), LineComment("a.py", 4, "Boom")
    builds = [
        Build("a", failing("1"), comments=(comment, other)),
        Build("b", failing("2"), comments=(comment,)),
        Build("c", lost("3"), comments=(LineComment("a.py", 9, "lost"),)),
        Build("d", passed("4"), comments=(LineComment("a.py", 9, "passed"),)),
        Build("e", failing("5", patchset="2"), comments=(LineComment("a.py", 9, "other"),)),
    ]
    assert reviewed(*builds).comments == (comment, other)


def test_the_request_has_the_patchset_the_tag_and_what_the_review_has() -> None:
    whole = Review(BUILDSET, "m", {"Verified": -1}, (LineComment("a.py", 3, "Boom"),))
    assert whole.path == "/a/changes/912345/revisions/3/review"
    assert whole.body() == {
        "message": "m",
        "tag": TAG,
        "labels": {"Verified": -1},
        "comments": {"a.py": [{"line": 3, "message": "Boom", "unresolved": False}]},
        "omit_duplicate_comments": True,
    }
    assert Review(BUILDSET, "m").body() == {"message": "m", "tag": TAG}


@pytest.mark.parametrize(
    "message",
    [
        "",
        "\n\n",
        f"{BUILDSET.mark}\nfrom another line",
        f"> {BUILDSET.mark}",
        f"{BUILDSET.mark} more",
        "bsdgate 1,2 buildset x yesterday",
        "bsdgate 1,2 buildset x 2026-11-29T01:40:00",
        "bsdgate 1,2 buildset x y 2026-11-29T01:40:00Z",
    ],
)
def test_other_text_is_no_mark(message: str) -> None:
    assert marked(message) is None


@pytest.mark.parametrize("microseconds", [0, 1, 999_999])
def test_a_mark_is_read_as_written(microseconds: int) -> None:
    buildset = replace(BUILDSET, started=BUILDSET.started + timedelta(microseconds=microseconds))
    assert marked(f"Patch Set 3: Verified+1\n\ntext\n{buildset.mark}\n") == buildset


@pytest.mark.parametrize(
    ("patchset", "seconds", "before"),
    [(3, 0, False), (3, 1, True), (3, -1, False), (4, -9, True), (2, 9, False)],
)
def test_the_later_patchset_then_the_later_buildset_is_valid(
    patchset: int, seconds: int, before: bool
) -> None:
    started = BUILDSET.started + timedelta(seconds=seconds)
    other = replace(BUILDSET, patchset=patchset, uuid="other", started=started)
    assert BUILDSET.is_before(other) is before
