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
    """A run that was stopped in its second of three tests, in the middle of a packet."""
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


def test_broken_known_failures_are_an_error_of_their_own(run_dir: RunDir, tmp_path: Path) -> None:
    (tmp_path / "known.yaml").write_text("5")
    with pytest.raises(ExpectationsError):
        run_dir.judge(tmp_path)


def test_what_remains_is_asked_again_and_makes_the_run_whole(
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


def test_a_resumed_run_remembers_its_first_failures(
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


def test_nothing_to_resume_is_an_error(run_dir: RunDir) -> None:
    with pytest.raises(EvidenceError, match="rally"):
        remaining(run_dir.path, Kind.RALLY)
