# SPDX-License-Identifier: Apache-2.0
from collections.abc import Callable
from pathlib import Path

import pytest
from unit.results.conftest import RunDir

from bsdgate.results.errors import EvidenceError
from bsdgate.results.expectations import ExpectationsError
from bsdgate.results.judge import remaining
from bsdgate.results.model import Code, Kind, Result

KNOWN = """\
- {test: m.A.two, bug: "https://b/1", owner: jane, reason: why, since: 2026-01-01,
   expires: 2027-01-01}
"""


@pytest.fixture
def interrupted(run_dir: RunDir, subunit_stream: Callable[..., bytes]) -> RunDir:
    """Write a run that was stopped in the second of three tests, inside a packet."""
    stream = subunit_stream(("m.A.one", "success"), ("m.A.two", "inprogress"), ("x", "success"))
    run_dir.attempt(
        "01-tempest",
        b"m.A.one\nm.A.two\nm.A.three\n",
        stream[:-5],
        state="interrupted",
        exit_status=-15,
    )
    return run_dir


def test_a_known_failure_is_read_from_its_file(
    run_dir: RunDir,
    subunit_stream: Callable[..., bytes],
    sealed: Callable[..., bytes],
    tmp_path: Path,
) -> None:
    stream = subunit_stream(("m.A.one", "success"), ("m.A.two", "fail"))
    run_dir.attempt("01-tempest", b"m.A.one\nm.A.two\n", sealed(stream, "01-tempest"))
    (tmp_path / "known.yaml").write_text(KNOWN)
    assert run_dir.judge().result is Result.FAIL
    assert run_dir.judge(tmp_path / "known.yaml").result is Result.PASS


def test_invalid_known_failures_have_their_own_error(run_dir: RunDir, tmp_path: Path) -> None:
    (tmp_path / "known.yaml").write_text("5")
    with pytest.raises(ExpectationsError):
        run_dir.judge(tmp_path)


def test_the_remaining_tests_complete_an_interrupted_run(
    interrupted: RunDir, subunit_stream: Callable[..., bytes], sealed: Callable[..., bytes]
) -> None:
    left = remaining(interrupted.path, Kind.TEMPEST)
    assert left == ("m.A.one", "m.A.two", "m.A.three")  # the teardown of m was not seen
    assert interrupted.judge().result is Result.ERROR
    stream = subunit_stream(*((test_id, "success") for test_id in left))
    interrupted.attempt(
        "02-tempest", ("\n".join(left) + "\n").encode(), sealed(stream, "02-tempest")
    )
    verdict = interrupted.judge()
    assert verdict.result is Result.PASS
    assert [reason.code for reason in verdict.reasons] == [Code.RESUMED]


def test_a_resumed_run_keeps_the_failures_of_its_first_attempt(
    run_dir: RunDir, subunit_stream: Callable[..., bytes], sealed: Callable[..., bytes]
) -> None:
    run_dir.attempt(
        "01-tempest",
        b"m.A.one\nm.A.two\n",
        subunit_stream(("m.A.one", "fail")),
        state="interrupted",
        exit_status=-15,
    )
    stream = sealed(subunit_stream(("m.A.two", "success")), "02-tempest")
    run_dir.attempt("02-tempest", b"m.A.two\n", stream)
    assert run_dir.judge().result is Result.FAIL


def test_a_kind_of_evidence_without_an_attempt_cannot_be_resumed(run_dir: RunDir) -> None:
    with pytest.raises(EvidenceError, match="rally"):
        remaining(run_dir.path, Kind.RALLY)
