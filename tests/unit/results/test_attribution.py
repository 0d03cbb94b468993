# SPDX-License-Identifier: Apache-2.0
import time
from dataclasses import replace

import pytest

from bsdgate.results.attribution import (
    HANGS_BOUND,
    IDS_BOUND,
    SIGNATURE_BOUND,
    Attribution,
    attribute,
    falls,
    known_flake,
    plan,
    signature,
)
from bsdgate.results.model import (
    Case,
    Cause,
    Code,
    Confirmation,
    Outcome,
    Past,
    Side,
    error,
    note,
)
from bsdgate.results.passrate import EARLIER_RUNS
from bsdgate.results.time_limits import NOT_ENDED

TRACEBACK = """\
traceback:
Traceback (most recent call last):
  File "/somewhere/tempest/api/test_policies.py", line {line}, in test_create
    self.assertEqual(blob, policy['blob'])
  File "/somewhere/testtools/testcase.py", line 394, in assertEqual
    raise mismatch_error

log:
2026-11-22 18:31:10,297 INFO [tempest.lib] Request {number}
"""


def failing(
    test_id: str = "m.A.one", reason: str = "MismatchError: 1 != 2", line: int = 10
) -> Case:
    return Case(
        test_id, Outcome.FAIL, reason=reason, details=TRACEBACK.format(line=line, number=line)
    )


def again(name: str, side: Side, case: Case, *, whole: bool = True) -> Confirmation:
    return Confirmation(name, side, (case,), whole)


CHANGE_FAILS = [again(f"0{n}-change", Side.CHANGE, failing()) for n in (3, 4)]
BASE_FAILS = [again(f"0{n}-base", Side.BASE, failing()) for n in (5, 6)]
PASSED = Case("m.A.one", Outcome.SUCCESS)
CHANGE_PASSES = [again(f"0{n}-change", Side.CHANGE, PASSED) for n in (3, 4)]
BASE_PASSES = [again(f"0{n}-base", Side.BASE, PASSED) for n in (5, 6)]
BASE_FAILS_OTHERWISE = [
    again(f"0{n}-base", Side.BASE, failing(reason="Gone: no such")) for n in (5, 6)
]

CHANGE_FAILS_OTHERWISE = [
    again(f"0{n}-change", Side.CHANGE, failing(reason="Gone: no such")) for n in (3, 4)
]
BASE_SKIPS = [again("06-base", Side.BASE, Case("m.A.one", Outcome.SKIP))]
LATER = [replace(one, attempt=f"1{one.attempt[1:]}") for one in BASE_FAILS]
"""The failures of the base in a second round."""

CUT_SHORT = [replace(one, whole=False) for one in BASE_FAILS]
SERVERS = ("0c6ee0b2-1d8b-4d0e-9f4c-0fb5bd1d0c11", "5f0c5a1e-6a8b-4c0d-9e7f-3a2b1c0d9e8f")


@pytest.mark.parametrize(
    ("confirmations", "cause"),
    [
        ([], Cause.UNKNOWN),
        (CHANGE_FAILS, Cause.UNKNOWN),
        (BASE_FAILS, Cause.BASE),
        (BASE_FAILS[:1], Cause.UNKNOWN),
        (CHANGE_FAILS + BASE_FAILS[:1], Cause.UNKNOWN),
        (CHANGE_FAILS + BASE_PASSES[:1], Cause.UNKNOWN),
        (CHANGE_FAILS[:1] + BASE_PASSES, Cause.UNKNOWN),
        (CHANGE_FAILS + BASE_PASSES, Cause.CHANGE),
        (CHANGE_FAILS + BASE_FAILS, Cause.BASE),
        (CHANGE_FAILS + BASE_FAILS_OTHERWISE, Cause.CHANGE),
        ([*CHANGE_FAILS, BASE_FAILS[0], BASE_PASSES[1]], Cause.FLAKE),
        (CHANGE_PASSES + BASE_PASSES, Cause.FLAKE),
        (CHANGE_PASSES + BASE_FAILS, Cause.BASE),
        ([CHANGE_FAILS[0], CHANGE_PASSES[1]], Cause.FLAKE),
        (CHANGE_FAILS + CUT_SHORT, Cause.UNKNOWN),
        # The base does not excuse a failure that only the change has.
        (CHANGE_FAILS_OTHERWISE + BASE_FAILS, Cause.FLAKE),
        ([CHANGE_FAILS[0], CHANGE_FAILS_OTHERWISE[1], *BASE_FAILS], Cause.FLAKE),
        # Later failures of the base do not replace its earlier success or skip.
        ([*CHANGE_FAILS, replace(BASE_PASSES[0], whole=False), *LATER], Cause.FLAKE),
        ([*CHANGE_FAILS, BASE_FAILS[0], *BASE_SKIPS], Cause.UNKNOWN),
        ([*CHANGE_FAILS, *BASE_SKIPS, *LATER], Cause.FLAKE),
        ([*CHANGE_FAILS, *CUT_SHORT, *LATER], Cause.BASE),
    ],
)
def test_the_cause_follows_from_the_confirmations(
    confirmations: list[Confirmation], cause: Cause
) -> None:
    (finding,) = attribute([failing()], confirmations, change=True)
    assert finding.cause is cause
    assert attribute([failing()], confirmations[::-1], change=True) == (finding,)


def test_without_a_change_a_repeated_failure_has_the_cause_base() -> None:
    assert attribute([failing()], CHANGE_FAILS, change=False)[0].cause is Cause.BASE
    assert attribute([failing()], change=False)[0].cause is Cause.UNKNOWN


def test_an_attribution_has_its_evidence() -> None:
    (finding,) = attribute([failing()], CHANGE_FAILS + BASE_FAILS_OTHERWISE, change=True)
    assert finding.evidence[0] == "03-change, with the change: fail, the same failure"
    assert finding.evidence[-1].startswith("06-base, on the base: fail, another failure: Gone")


@pytest.mark.parametrize(
    "code", [Code.SERVICE_DIED, Code.CLOUD_NOT_READY, Code.HARNESS_PROBLEM], ids=str
)
def test_a_problem_of_the_cloud_gives_the_cause_node(code: Code) -> None:
    died = error(code, "02-tempest: nova died with status -9")
    (finding,) = attribute([failing()], CHANGE_FAILS, [died], change=True)
    assert (finding.cause, finding.evidence) == (Cause.NODE, (died.message,))


@pytest.mark.parametrize(
    "code",
    [
        Code.TIME_LIMIT,
        Code.RUNNER_FAILED,
        Code.RUNNER_REFUSED,
        Code.RECORD_MISSING,
        Code.RECORD_UNREADABLE,
        Code.BASE_ALTERED,
    ],
    ids=str,
)
def test_other_problems_give_the_cause_harness(code: Code) -> None:
    problem = error(code, "02-tempest: the tests did not end within 7200 s")
    (finding,) = attribute([failing()], CHANGE_FAILS, [problem], change=True)
    assert (finding.cause, finding.evidence) == (Cause.HARNESS, (problem.message,))


def test_a_full_disk_gives_the_cause_node() -> None:
    full = failing(reason="OSError: [Errno 28] No space left on device")
    assert attribute([full], CHANGE_FAILS, change=True)[0].cause is Cause.NODE


def test_a_failure_with_lost_evidence_has_the_cause_harness() -> None:
    lost = error(Code.LOST_TEST, "1 requested test without an outcome")
    assert attribute([failing()], [], [lost], change=True)[0].cause is Cause.HARNESS
    assert attribute([failing()], [], [note(Code.RESUMED, "x")], change=True)[0].cause is (
        Cause.UNKNOWN
    )


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (f"Timeout: server {SERVERS[0]} in 61 s", f"Timeout: server {SERVERS[1]} in 7 s"),
        ("Gone: tempest-Net-12 2026-11-22T18:31:10Z", "Gone: tempest-Net-9 2027-01-02T03:04:05Z"),
        ("IOError: /tmp/a/b.txt", "IOError: /var/tmp/other/c.txt"),
    ],
)
def test_the_signature_does_not_depend_on_variable_values(one: str, other: str) -> None:
    assert signature(failing(reason=one, line=10)) == signature(failing(reason=other, line=99))


def test_different_failures_have_different_signatures() -> None:
    assert signature(failing(reason="Forbidden")) != signature(failing(reason="NotFound"))
    elsewhere = replace(failing(), details=(failing().details or "").replace("test_create", "x"))
    assert signature(elsewhere) != signature(failing())


ALARM = "fixtures._fixtures.timeout.TimeoutException"
ENDED_BY_TIME_LIMIT = """\
traceback:
Traceback (most recent call last):
  File "/somewhere/tempest/api/test_policies.py", line 9, in test_create
    self.client.{call}(policy)
  File "/somewhere/{where}", line 30, in {call}
    raise TimeoutException()
fixtures._fixtures.timeout.TimeoutException
"""


@pytest.mark.parametrize(
    "other",
    [
        failing(reason=ALARM),
        failing(reason=f"{ALARM}; tempest.lib.exceptions.Conflict: in use"),
        Case(
            "m.A.one",
            Outcome.FAIL,
            reason=ALARM,
            details=ENDED_BY_TIME_LIMIT.format(call="show_server", where="ssl.py"),
        ),
        Case("m.A.one", Outcome.FAIL, reason="did not end within 300 s"),
    ],
)
def test_all_tests_that_did_not_end_have_the_same_signature(other: Case) -> None:
    details = ENDED_BY_TIME_LIMIT.format(call="create_policy", where="time.py")
    assert signature(other) == signature(failing(reason=ALARM)) == NOT_ENDED
    assert signature(replace(other, reason=ALARM, details=details)) == NOT_ENDED


@pytest.mark.parametrize(
    "other",
    [
        failing(reason=f"AssertionError: {ALARM} not raised"),
        failing(reason="did not end within 300 s"),
        failing(reason="urllib3.exceptions.ReadTimeoutError: read timed out"),
        Case("m.A.one", Outcome.FAIL, reason="the server did not end within 300 s"),
    ],
)
def test_other_failures_about_time_have_their_own_signature(other: Case) -> None:
    assert signature(other) != NOT_ENDED


CALLED = """\
traceback:
Traceback (most recent call last):
  File "/x/tempest/api/compute/test_servers.py", line 9, in test_create
    self.client.{call}(server)
  File "/x/tempest/lib/services/compute/servers_client.py", line 30, in {call}
    resp = self.get(url)
  File "/x/tempest/lib/services/compute/base_compute_client.py", line 48, in request
    resp, resp_body = super().request(
  File "/x/tempest/lib/common/rest_client.py", line 831, in _error_checker
    raise {error}
tempest.lib.exceptions.{error}: {says}
Details: {{'code': 1}}
"""


def refused(
    call: str = "show_server", error: str = "NotFound", says: str = "Object not found"
) -> Case:
    details = CALLED.format(call=call, error=error, says=says)
    return Case("m.A.one", Outcome.FAIL, reason="Details: {'code': 1}", details=details)


def test_the_signature_has_the_exception_before_the_last_line() -> None:
    assert signature(refused()) == (
        "tempest.lib.exceptions.NotFound: Object not found Details: {'code': 1}"
        " @ servers_client.py:show_server"
    )
    assert signature(refused()) != signature(refused(error="Conflict", says="An object exists"))


def test_the_signature_depends_on_the_refused_call_of_an_api() -> None:
    assert signature(refused()) != signature(refused(call="delete_server"))


def test_signatures_of_too_long_texts_are_different_and_limited() -> None:
    one, other = (failing(reason=f"E: {'long ' * 100}; {last}") for last in ("F: x", "G: y"))
    assert signature(one) != signature(other)
    assert len(signature(one)) == SIGNATURE_BOUND


@pytest.mark.parametrize("text", ["a", "/", "1 ", "0x", "1.", "a-", "File "])
def test_the_signature_of_a_long_message_is_computed_fast(text: str) -> None:
    traceback = TRACEBACK.partition("\n\n")[0] + "\n" + text * (60_000 // len(text))
    began = time.process_time()
    signature(replace(failing(reason=text), details=traceback))
    assert time.process_time() - began < 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("204 != 500", "204 != 404"),
        ("AssertionError: 1 != 2", "AssertionError: 1 != 3"),
        ("Got 3 of 12 ports.", "Got 3 of 11 ports."),
    ],
)
def test_the_signature_depends_on_short_numbers(one: str, other: str) -> None:
    assert signature(failing(reason=one)) != signature(failing(reason=other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("at 127.0.0.1:40123", "at 127.0.0.1:8080"),
        ("took 1.25 s", "took 12.5 s"),
        ("within 60 seconds", "within 7 seconds"),
        ("on 2026-11-25", "on 2027-01-02"),
        ("id 12345", "id 98765"),
        ("node7 is gone", "node12 is gone"),
    ],
)
def test_the_signature_does_not_depend_on_other_numbers(one: str, other: str) -> None:
    assert signature(failing(reason=one)) == signature(failing(reason=other))


def test_the_signature_of_many_blank_lines_is_computed_fast() -> None:
    blank = replace(failing(), details="Traceback:\n" + " \n" * 60_000)
    began = time.process_time()
    signature(blank)
    assert time.process_time() - began < 1


def test_the_plan_runs_failures_again_on_both_builds() -> None:
    with_change, base = plan({"02-tempest": ["b", "a"]}, change=True)
    assert (with_change.attempt, with_change.side) == ("02-tempest", Side.CHANGE)
    assert (with_change.times, with_change.ids) == (2, ("a", "b"))
    assert (base.side, base.times, base.ids) == (Side.BASE, 2, ("a", "b"))
    assert [rerun.side for rerun in plan({"02-tempest": ["a"]}, change=False)] == [Side.CHANGE]


def test_the_plan_is_empty_without_failures_with_too_many_or_with_lost_tests() -> None:
    many = [str(number) for number in range(IDS_BOUND + 1)]
    assert plan({}, change=True) == ()
    assert plan({"02-tempest": many}, change=True) == ()
    assert plan({"02-tempest": many[1:]}, change=True) != ()
    lost = error(Code.LOST_TEST, "lost")
    assert plan({"02-tempest": ["a"]}, [lost], change=True) == ()


def test_the_plan_separates_tests_that_a_time_limit_ended() -> None:
    failed = {"02-tempest": ["b", "a", "c"]}
    assert [(one.side, one.hung, one.ids) for one in plan(failed, change=True, hung={"b"})] == [
        (Side.CHANGE, False, ("a", "c")),
        (Side.CHANGE, True, ("b",)),
        (Side.BASE, False, ("a", "c")),
        (Side.BASE, True, ("b",)),
    ]


def test_the_plan_omits_hung_tests_above_their_limit() -> None:
    ids = [f"t{number}" for number in range(HANGS_BOUND + 1)]
    assert plan({"02-tempest": ids}, change=True, hung=set(ids)) == ()
    assert plan({"02-tempest": ids[1:]}, change=True, hung=set(ids[1:])) != ()
    (rerun,) = plan({"02-tempest": ["a", *ids]}, change=False, hung=set(ids))
    assert (rerun.hung, rerun.ids) == (False, ("a",))


def past(failures: int, runs: int, mark: str = "s") -> list[Past]:
    return [Past(Outcome.FAIL, mark)] * failures + [Past(Outcome.SUCCESS)] * (runs - failures)


@pytest.mark.parametrize(
    ("earlier", "known"),
    [
        (past(2, EARLIER_RUNS), True),
        (past(2, EARLIER_RUNS - 1), False),
        (past(1, 200), False),
        (past(0, 200), False),
        (past(EARLIER_RUNS, EARLIER_RUNS), False),
        (past(5, 100, mark="another"), False),
        (past(2, 19) + [Past(Outcome.SKIP)] * 50, False),
    ],
)
def test_a_flake_is_known_from_enough_earlier_runs(earlier: list[Past], known: bool) -> None:
    flake = known_flake(Attribution("m.A.one", Cause.FLAKE, "s"), earlier)
    assert flake.known is known
    assert flake.why


def test_a_flake_that_fails_more_often_is_a_fall() -> None:
    finding = Attribution("m.A.one", Cause.FLAKE, "s")
    newest_first = past(5, 8) + past(1, 190)
    (fall,) = falls([finding], {"m.A.one": newest_first}, ran=1000)
    assert fall.id == "m.A.one"
    assert falls([finding], {"m.A.one": past(0, 100) + past(6, 90)}, ran=1000) == ()
    assert falls([], {}, ran=1000) == ()


def test_a_flake_has_passed_again_only_if_all_reruns_passed() -> None:
    def passed_again(confirmations: list[Confirmation]) -> bool:
        (finding,) = attribute([failing()], confirmations, change=True)
        return finding.passed_again

    assert passed_again(CHANGE_PASSES)
    assert not passed_again(CHANGE_PASSES[:1])
    assert not passed_again([CHANGE_PASSES[0], CHANGE_FAILS[1]])
    assert not passed_again([replace(one, whole=False) for one in CHANGE_PASSES])
    failed_once = again("02-change", Side.CHANGE, failing(), whole=False)
    assert not passed_again([failed_once, *CHANGE_PASSES])
