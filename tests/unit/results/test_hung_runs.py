# SPDX-License-Identifier: Apache-2.0
"""Run directories of runs that reached the time limit, genuine and forged."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from unit.results.conftest import RunDir

from bsdgate.results.attribution import RERUNS
from bsdgate.results.judge import to_confirm
from bsdgate.results.model import Cause, Code, Level, Result, Side, Verdict

TIME_LIMIT_REACHED = {"code": "time-limit", "text": "the tests did not end within 20 s"}
ALARM = b"Traceback (most recent call last):\nfixtures._fixtures.timeout.TimeoutException\n"


def hangs(test_id: str) -> tuple[dict[str, Any], tuple[str, str]]:
    """Return the packets of a test that Tempest's time limit ended."""
    attached = {"test_id": test_id, "file_name": "traceback", "file_bytes": ALARM, "eof": True}
    return {**attached, "mime_type": "text/plain"}, (test_id, "fail")


@pytest.fixture
def attempt(
    run_dir: RunDir, subunit_stream: Callable[..., bytes], sealed: Callable[..., bytes]
) -> Callable[..., Path]:
    """Return a function that writes an attempt of schema 2."""

    def write(
        name: str,
        asked: Sequence[str],
        packets: Sequence[tuple[str, str] | dict[str, Any]],
        **head: Any,
    ) -> Path:
        stream = sealed(subunit_stream(*packets), name)
        fields = {"schema": 2, "test_timeout": 5, **head}
        return run_dir.attempt(
            name, "".join(f"{one}\n" for one in asked).encode(), stream, **fields
        )

    return write


@pytest.fixture
def limited(attempt: Callable[..., Path]) -> Path:
    """Write an attempt at its time limit with m.A.two in progress; the run has a change."""
    packets = ("m.A.one", "success"), ("m.A.two", "inprogress")
    ids = ("m.A.one", "m.A.two", "m.A.three")
    return attempt("01-tempest", ids, packets, exit_status=-15, problems=[TIME_LIMIT_REACHED])


@pytest.fixture
def confirmed(limited: Path, attempt: Callable[..., Path]) -> None:
    """Write the same attempt with confirmations on both builds."""
    for number, side in enumerate(("change", "change", "base", "base"), 2):
        packets = hangs("m.A.two") if side == "change" else [("m.A.two", "success")]
        name = f"{number:02}-confirm-{side}"
        attempt(name, ["m.A.two"], packets, side=side, confirms="01-tempest")


def edit(folder: Path, **fields: Any) -> None:
    head = json.loads((folder / "attempt.json").read_text())
    (folder / "attempt.json").write_text(json.dumps(head | fields))


def levels(verdict: Verdict) -> dict[Code, Level]:
    return {reason.code: reason.level for reason in verdict.reasons}


@pytest.mark.usefixtures("limited")
def test_a_test_in_progress_at_the_time_limit_is_run_again_on_both_builds(run_dir: RunDir) -> None:
    assert run_dir.judge().result is Result.ERROR
    with_change, base = to_confirm(run_dir.path)
    assert (with_change.side, base.side) == (Side.CHANGE, Side.BASE)
    for rerun in (with_change, base):
        assert (rerun.attempt, rerun.times, rerun.ids) == ("01-tempest", RERUNS, ("m.A.two",))
        assert rerun.hung


@pytest.mark.usefixtures("confirmed")
def test_a_hang_because_of_the_change_is_a_failure(run_dir: RunDir) -> None:
    verdict = run_dir.judge()
    assert verdict.result is Result.FAIL
    (finding,) = (one for one in verdict.dispositions if one.signature)
    assert (finding.id, finding.cause) == ("m.A.two", Cause.CHANGE)
    assert finding.evidence == (
        "02-confirm-change, with the change: fail, the same failure",
        "03-confirm-change, with the change: fail, the same failure",
        "04-confirm-base, on the base: success",
        "05-confirm-base, on the base: success",
    )
    assert to_confirm(run_dir.path) != ()


def test_no_test_is_run_again_if_there_is_another_problem(run_dir: RunDir, limited: Path) -> None:
    died = {"code": "service-died", "text": "nova died"}
    edit(limited, problems=[TIME_LIMIT_REACHED, died])
    assert to_confirm(run_dir.path) == ()


def test_no_test_is_run_again_if_none_was_in_progress(
    run_dir: RunDir, attempt: Callable[..., Path]
) -> None:
    asked = ("m.A.one", "m.A.two")
    attempt(
        "01-tempest",
        asked,
        [("m.A.one", "success")],
        exit_status=-15,
        problems=[TIME_LIMIT_REACHED],
    )
    assert to_confirm(run_dir.path) == ()


def test_a_failure_by_the_time_limit_of_a_test_is_run_again_as_a_hang(
    run_dir: RunDir, attempt: Callable[..., Path]
) -> None:
    packets = (*hangs("m.A.two"), ("m.A.one", "fail"))
    attempt("01-tempest", ("m.A.one", "m.A.two"), packets)
    found = [(one.side, one.hung, one.ids) for one in to_confirm(run_dir.path)]
    assert found[:2] == [(Side.CHANGE, False, ("m.A.one",)), (Side.CHANGE, True, ("m.A.two",))]


@pytest.mark.usefixtures("confirmed")
def test_a_changed_stream_beside_a_hang_is_an_error(run_dir: RunDir) -> None:
    for folder in sorted((run_dir.path / "evidence").iterdir()):
        stream = folder / "stream.subunit"
        kept = stream.read_bytes()
        stream.write_bytes(kept[:-9])
        verdict = run_dir.judge()
        assert verdict.result is Result.ERROR, folder.name
        assert levels(verdict)[Code.DIGEST_MISMATCH] is Level.ERROR
        stream.write_bytes(kept)
    assert run_dir.judge().result is Result.FAIL


FORGED: tuple[list[Any], ...] = (
    [],
    [TIME_LIMIT_REACHED],
    [TIME_LIMIT_REACHED, TIME_LIMIT_REACHED],
    ["the tests did not end within 20 s"],
    [{"code": "known-failure", "text": "x"}],
    [{"code": "left-behind", "text": "x"}],
    [{"code": "time-limit", "text": "x", "level": "note"}],
    [{"code": "in-progress", "text": "x"}],
)


@pytest.mark.usefixtures("confirmed")
@pytest.mark.parametrize("state", ["ended", "interrupted", "running"])
@pytest.mark.parametrize("problems", FORGED, ids=str)
def test_no_forged_problem_makes_a_run_with_lost_tests_pass(
    run_dir: RunDir, problems: list[Any], state: str
) -> None:
    """Forged problems of any attempt do not hide the tests that did not run either."""
    for folder in sorted((run_dir.path / "evidence").iterdir()):
        kept = (folder / "attempt.json").read_text()
        edit(folder, problems=problems, state=state)
        verdict = run_dir.judge()
        assert verdict.result is not Result.PASS, folder.name
        named = {one for reason in verdict.reasons for one in reason.ids}
        lost = {case.id for case in verdict.cases if case.outcome == "missing"}
        assert lost <= named
        (folder / "attempt.json").write_text(kept)


@pytest.mark.parametrize("problems", FORGED[1:], ids=str)
def test_a_forged_problem_is_an_error(
    run_dir: RunDir, attempt: Callable[..., Path], problems: list[Any]
) -> None:
    folder = attempt("01-tempest", ["m.A.one"], [("m.A.one", "success")])
    assert run_dir.judge().result is Result.PASS
    edit(folder, problems=problems)
    assert run_dir.judge().result is Result.ERROR
