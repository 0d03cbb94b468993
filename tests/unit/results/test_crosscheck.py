# SPDX-License-Identifier: Apache-2.0
import json
from datetime import UTC, datetime, timedelta
from io import BytesIO

import pytest
import testtools
from subunit import TestProtocolClient as ProtocolClient

from bsdgate.results.crosscheck import SLACK, contradictions, record
from bsdgate.results.model import Attempt, Case, Code, Kind, Outcome, RunnerRecord, State

BEGAN = datetime(2026, 11, 22, 12, tzinfo=UTC)
ENDED = BEGAN + timedelta(minutes=1)


@pytest.mark.parametrize(
    ("kind", "status", "failed", "consistent"),
    [
        (Kind.TEMPEST, 0, True, True),
        (Kind.TEMPEST, 0, False, True),
        (Kind.TEMPEST, 1, True, False),
        (Kind.TEMPEST, 100, False, False),
        (Kind.TEMPEST, -9, False, False),
        (Kind.TEMPEST, None, False, False),
        (Kind.HOSTCHECKS, 0, False, True),
        (Kind.HOSTCHECKS, 1, True, True),
        (Kind.HOSTCHECKS, 0, True, False),
        (Kind.HOSTCHECKS, 1, False, False),
        (Kind.HOSTCHECKS, 3, True, False),
        (Kind.RALLY, 0, True, True),
        (Kind.RALLY, 2, True, True),
        (Kind.RALLY, 2, False, False),
        (Kind.RALLY, 1, True, False),
    ],
)
def test_the_exit_status_is_compared_with_the_stream(
    kind: Kind, status: int | None, failed: bool, consistent: bool
) -> None:
    attempt = Attempt("01-x", kind, State.ENDED, status, (), ())
    assert (contradictions(attempt, failed=failed) == []) is consistent


@pytest.mark.parametrize(
    ("kind", "status", "failed", "message"),
    [
        (Kind.TEMPEST, None, False, "the runner's exit status is not known"),
        (Kind.TEMPEST, 100, True, "tempest ended with status 100, which failed tests do not cause"),
        (Kind.HOSTCHECKS, 3, True, "pytest ended with status 3, which failed tests do not cause"),
        (Kind.HOSTCHECKS, 0, True, "pytest ended with status 0, but the report has failures"),
        (Kind.HOSTCHECKS, 1, False, "pytest ended with status 1, but the report has no failure"),
        (Kind.RALLY, 1, True, "rally ended with status 1, which a failed SLA does not cause"),
        (
            Kind.RALLY,
            2,
            False,
            "rally ended with status 2 (an SLA failed), but the report has no failure",
        ),
    ],
)
def test_a_contradicting_exit_status_is_explained(
    kind: Kind, status: int | None, failed: bool, message: str
) -> None:
    attempt = Attempt("01-x", kind, State.ENDED, status, (), ())
    (reason,) = contradictions(attempt, failed=failed)
    assert (reason.code, reason.message) == (Code.EXIT_STATUS, f"01-x: {message}")


@pytest.mark.parametrize("state", [State.INTERRUPTED, State.RUNNING, State.FOUND])
def test_the_exit_status_is_checked_only_if_the_runner_ended(state: State) -> None:
    attempt = Attempt("01-x", Kind.TEMPEST, state, -15, (), ())
    assert contradictions(attempt, failed=False) == []


@pytest.mark.parametrize(
    ("moment", "message"),
    [
        (BEGAN, None),
        (ENDED, None),
        (BEGAN - SLACK, None),
        (ENDED + SLACK, None),
        (BEGAN - 2 * SLACK, "from before the attempt began"),
        (ENDED + 2 * SLACK, "from after the attempt ended"),
        (BEGAN - timedelta(days=1), "from before the attempt began"),
    ],
)
@pytest.mark.parametrize("state", [State.ENDED, State.INTERRUPTED])
def test_reports_outside_the_time_of_the_attempt_are_foreign(
    moment: datetime, message: str | None, state: State
) -> None:
    reports = [Case("a", Outcome.SUCCESS, BEGAN), Case("b", Outcome.SUCCESS, moment)]
    reports.append(Case("c", Outcome.SKIP))
    attempt = Attempt("01-x", Kind.TEMPEST, state, 0, (), reports, started=BEGAN, ended=ENDED)
    found = contradictions(attempt, failed=False)
    assert [reason.code for reason in found] == ([Code.FOREIGN_EVIDENCE] if message else [])
    assert not message or message in found[0].message


def test_without_the_times_of_the_attempt_all_reports_are_accepted() -> None:
    attempt = Attempt("01-x", Kind.TEMPEST, State.ENDED, 0, (), [Case("a", Outcome.SUCCESS, BEGAN)])
    assert contradictions(attempt, failed=False) == []


def cases_of(*reports: tuple[str, Outcome]) -> list[Case]:
    return [Case(test_id, outcome) for test_id, outcome in reports]


GOOD, BAD, LEFT = ("a", Outcome.SUCCESS), ("b", Outcome.FAIL), ("c", Outcome.SKIP)


@pytest.mark.parametrize(
    ("reports", "ids"),
    [
        ((GOOD, BAD, LEFT), None),
        ((LEFT, GOOD, BAD), None),
        ((GOOD, ("b", Outcome.SUCCESS), LEFT), ("b",)),
        ((("a", Outcome.FAIL), BAD, LEFT), ("a",)),
        ((GOOD, BAD, ("c", Outcome.SUCCESS)), ("c",)),
        ((("a", Outcome.FAIL), ("b", Outcome.SUCCESS), LEFT), ("a", "b")),
        ((GOOD, ("b", Outcome.XFAIL), LEFT), ("b",)),
        ((BAD, LEFT), ()),
        ((GOOD, GOOD, BAD, LEFT), ()),
        ((GOOD, LEFT), ("b",)),
        ((GOOD, BAD, BAD, LEFT), ("b",)),
    ],
)
def test_an_outcome_that_differs_from_the_record_of_the_runner_is_an_error(
    reports: tuple[tuple[str, Outcome], ...], ids: tuple[str, ...] | None
) -> None:
    record = RunnerRecord(3, (BAD, LEFT))
    attempt = Attempt(
        "01-x", Kind.TEMPEST, State.ENDED, 0, (), cases_of(*reports), runner_record=record
    )
    found = contradictions(attempt, failed=True)
    assert {reason.code for reason in found} == ({Code.CONTRADICTED} if ids is not None else set())
    assert tuple(each for reason in found for each in reason.ids) == (ids or ())


# stestr's repository -----------------------------------------------------------------------


class Remoted(testtools.PlaceHolder):
    """A placeholder of a test that ran in another process."""


@pytest.fixture
def repository() -> bytes:
    """Return a stream of stestr with each outcome, and with details that resemble outcomes."""
    out = BytesIO()
    client = ProtocolClient(out)
    mean = {"log": testtools.content.text_content("failure: m.A.liar\n]\nsuccess: m.A.liar\n0\r\n")}
    for name, add in (
        ("success", client.addSuccess),
        ("failure", client.addFailure),
        ("error", client.addError),
        ("skip", client.addSkip),
        ("xfail", client.addExpectedFailure),
        ("uxsuccess", client.addUnexpectedSuccess),
    ):
        test = Remoted(f"m.A.{name}[id-1,smoke]")
        client.time(BEGAN)
        client.tags({"worker-0"}, set())
        client.startTest(test)
        add(test, details=mean)
        client.stopTest(test)
    client.addSkip(Remoted("m.B.plain"), "two\nlines")
    client.addSuccess(Remoted("m.B.bare"))
    return out.getvalue()


def test_the_repository_of_stestr_is_read(repository: bytes) -> None:
    assert json.loads(record(BytesIO(repository))) == {
        "reports": 8,
        "others": [
            ["m.A.error[id-1,smoke]", "fail"],
            ["m.A.failure[id-1,smoke]", "fail"],
            ["m.A.skip[id-1,smoke]", "skip"],
            ["m.A.uxsuccess[id-1,smoke]", "uxsuccess"],
            ["m.A.xfail[id-1,smoke]", "xfail"],
            ["m.B.plain", "skip"],
        ],
    }


def test_the_record_of_an_empty_repository_is_empty() -> None:
    assert json.loads(record(BytesIO())) == {"reports": 0, "others": []}


def test_a_truncated_repository_is_an_error_or_has_fewer_reports(repository: bytes) -> None:
    for place in range(len(repository) - 1):
        try:
            found = json.loads(record(BytesIO(repository[:place])))
        except ValueError:
            continue
        assert found["reports"] < 8


@pytest.mark.parametrize(
    "content",
    [
        b"\xb3)\x01\x0c",
        b"garbage\n",
        b"success: \xff\n",
        b"failure: a [\n",
        b"failure: a [ multipart\nlog\n",
        b"failure: a [ multipart\nContent-Type: text/plain\nlog\n-5\r\nabc",
        b"failure: a [ multipart\nContent-Type: text/plain\nlog\nFFFFFFFF\r\nabc",
    ],
)
def test_other_content_than_a_repository_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match="own record"):
        record(BytesIO(content))
