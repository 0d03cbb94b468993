# SPDX-License-Identifier: Apache-2.0
"""The data for zuul_return: its form, its size limits and its content."""

import json
import time
from typing import Any

import pytest
from unit.results.reporters.made import attributions, failed, failure_reason, verdict_of

from bsdgate.results.model import Case, Cause, Code, Level, Outcome, Reason, Result, Verdict
from bsdgate.results.reporters import zuul
from bsdgate.results.reporters.servicelogs import Line, Lines

USERS = "keystone/api/users.py"


def traceback(*frames: tuple[str, int]) -> str:
    lines = (f'  File "{file}", line {line}, in get\n' for file, line in frames)
    return "traceback:\nTraceback (most recent call last):\n" + "".join(lines) + "Boom\n"


def commented(verdict: Verdict, *changed: str, **logs: Lines) -> Any:
    found = {test_id.replace("_", "."): lines for test_id, lines in logs.items()}
    return zuul.render(verdict, changed=changed, logs=found)["zuul"]["file_comments"]


def test_a_pass_has_a_link_to_its_report_and_no_warnings() -> None:
    data = zuul.render(verdict_of(Result.PASS, Case("m.a", Outcome.SUCCESS)))
    assert data["zuul"]["artifacts"][0] == {
        "name": "bsdgate report",
        "url": "report/report.html",
        "metadata": {"type": "html_report", "result": "PASS"},
    }
    assert data["zuul"]["warnings"] == []
    assert data["zuul"]["file_comments"] == {}


def test_warnings_have_the_reasons_and_the_tests() -> None:
    reasons = [
        Reason(Level.ERROR, Code.LOST_TEST, "lost", ("m.lost",)),
        failure_reason(*(f"m.t{number}" for number in range(7))),
        Reason(Level.NOTE, Code.FAILS_ON_BASE, "excused", ("m.base",)),
        Reason(Level.NOTE, Code.KNOWN_FAILURE, "nothing new", ("m.known",)),
    ]
    verdict = verdict_of(Result.ERROR, Case("m.a", Outcome.SUCCESS), reasons=reasons)
    assert zuul.render(verdict)["zuul"]["warnings"] == [
        "bsdgate ERROR: 1 asked: 1 success",
        "ERROR lost-test: lost: m.lost",
        "FAIL tests-failed: 7 tests failed: m.t0, m.t1, m.t2, m.t3, m.t4 and 2 more",
        "NOTE fails-on-base: excused: m.base",
    ]


@pytest.mark.parametrize(
    "code", [Code.FEWER_RAN, Code.COVERAGE_LOST, Code.END_OF_LIFE, Code.END_OF_LIFE_NEAR]
)
def test_some_notes_are_warnings_of_a_pass_too(code: Code) -> None:
    reasons = [Reason(Level.NOTE, code, "1 test gone", ("m.gone",))]
    verdict = verdict_of(Result.PASS, Case("m.a", Outcome.SUCCESS), reasons=reasons)
    assert zuul.render(verdict)["zuul"]["warnings"][1:] == [f"NOTE {code}: 1 test gone: m.gone"]


def test_warnings_and_comments_have_limited_sizes() -> None:
    ids = tuple(f"m.{'x' * 5000}{number}" for number in range(500))
    reasons = [Reason(Level.FAIL, Code.TESTS_FAILED, f"{n}" * 900, ids) for n in range(99)]
    paths = [f"lib/file_{number}.py" for number in range(300)]
    cases = [
        failed(test_id, reason="y" * 9000, details=traceback((f"/x/{path}", 3)))
        for test_id, path in zip(ids, paths, strict=False)
    ]
    data = zuul.render(verdict_of(Result.FAIL, *cases, reasons=reasons), changed=paths)
    assert len("\n".join(data["zuul"]["warnings"])) < 8_000
    assert data["zuul"]["warnings"][-1].startswith("and 91 more reasons")
    assert len(data["zuul"]["file_comments"]) == zuul.COMMENTS_BOUND
    assert len(json.dumps(data)) < 80_000


def test_a_comment_is_at_the_last_line_of_the_traceback_in_a_changed_file() -> None:
    details = traceback(
        ("/v/site-packages/keystone/api/users.py", 5), (f"/v/{USERS}", 9), ("/v/x.py", 1)
    )
    case = failed("m.a", reason="Boom", details=details)
    found = attributions(Cause.CHANGE, "m.a")
    assert commented(verdict_of(Result.FAIL, case, findings=found), USERS) == {
        USERS: [{"line": 9, "level": "error", "message": "m.a: Boom"}]
    }


def test_the_comment_on_a_failure_of_unknown_cause_is_a_warning() -> None:
    verdict = verdict_of(Result.FAIL, failed("m.a", details=traceback((f"/v/{USERS}", 9))))
    assert commented(verdict, USERS)[USERS][0]["level"] == "warning"


def test_a_traceback_of_a_service_takes_precedence_over_that_of_the_test() -> None:
    lines = tuple(
        Line(
            "12:00", "keystone", "ERROR", f'keystone.x   File "/v/{USERS}", line {line}, in g', own
        )
        for line, own in ((33, True), (44, False))
    )
    verdict = verdict_of(Result.FAIL, failed("m.a", details=traceback((f"/v/{USERS}", 9))))
    assert commented(verdict, USERS, m_a=Lines(lines))[USERS][0]["line"] == 33


def test_failures_at_the_same_line_share_a_comment() -> None:
    cases = [failed(f"m.t{n}", reason="r", details=traceback((f"/v/{USERS}", 9))) for n in range(3)]
    ((comment,),) = commented(verdict_of(Result.FAIL, *cases), USERS).values()
    assert comment["message"] == "m.t0: r, and 2 more that fail here"


@pytest.mark.parametrize(
    ("frame", "changed"),
    [
        ("/v/keystone/api/users.py", "keystone/api/groups.py"),
        ("/v/mykeystone/api/users.py", USERS),
        ("/v/setup.py", "setup.py"),
    ],
)
def test_there_is_no_comment_on_an_unchanged_file(frame: str, changed: str) -> None:
    verdict = verdict_of(Result.FAIL, failed("m.a", details=traceback((frame, 9))))
    assert commented(verdict, changed) == {}


def test_a_changed_file_below_an_import_root_is_found() -> None:
    verdict = verdict_of(Result.FAIL, failed("m.a", details=traceback(("/v/pkg/x.py", 9))))
    assert list(commented(verdict, "src/pkg/x.py")) == ["src/pkg/x.py"]


@pytest.mark.parametrize("cause", [Cause.BASE, Cause.FLAKE, Cause.NODE, Cause.HARNESS])
def test_there_is_no_comment_on_a_failure_with_another_cause_than_the_change(cause: Cause) -> None:
    case = failed("m.a", details=traceback((f"/v/{USERS}", 9)))
    verdict = verdict_of(
        Result.FAIL, case, reasons=[failure_reason("m.a")], findings=attributions(cause, "m.a")
    )
    assert commented(verdict, USERS) == {}


def test_many_failures_and_changed_files_are_compared_fast() -> None:
    details = traceback(*((f"/v/pkg/{number}.py", 3) for number in range(1000)))
    cases = [failed(f"m.t{number}", details=details) for number in range(40)]
    changed = [f"pkg/{'a' * 200}/{number}.py" for number in range(500)]
    verdict = verdict_of(Result.FAIL, *cases)
    began = time.process_time()
    assert commented(verdict, *changed) == {}
    assert time.process_time() - began < 1
