# SPDX-License-Identifier: Apache-2.0
"""A run without Tempest: its evidence is the host checks and the API checks."""

import pytest
from unit.results.conftest import RunDir

from bsdgate.results.model import Code, Result

REPORT = (
    '<testsuites><testsuite name="{mark}"><testcase classname="{kind}" name="b">{inner}</testcase>'
    "</testsuite></testsuites>"
)


def write(run_dir: RunDir, name: str, status: int = 0, inner: str = "") -> None:
    mark = f"{run_dir.manifest['run_id']}/{name}"
    kind = name.partition("-")[2]
    report = REPORT.format(mark=mark, kind=kind, inner=inner).encode()
    head = {"kind": kind, "mark": mark, "exit_status": status}
    run_dir.attempt(name, f"{kind}.py::b\n".encode(), report, "junit", **head)


@pytest.fixture
def standalone(run_dir: RunDir) -> RunDir:
    run_dir.requires("hostchecks", "apichecks")
    write(run_dir, "01-hostchecks")
    return run_dir


def codes(run_dir: RunDir) -> set[Code]:
    return {reason.code for reason in run_dir.judge().reasons}


def test_host_checks_and_api_checks_are_complete_evidence(standalone: RunDir) -> None:
    write(standalone, "02-apichecks")
    assert standalone.judge().result is Result.PASS
    assert [each.outcome for each in standalone.judge().cases] == ["success", "success"]


def test_missing_api_checks_are_an_error(standalone: RunDir) -> None:
    assert standalone.judge().result is Result.ERROR
    assert codes(standalone) == {Code.EVIDENCE_LOST}


def test_a_failed_api_check_fails_the_run(standalone: RunDir) -> None:
    write(standalone, "02-apichecks", 1, '<failure message="401"/>')
    assert standalone.judge().result is Result.FAIL


@pytest.mark.parametrize("status", [2, 3, 4, 5, -9])
def test_an_unexpected_exit_status_of_pytest_is_an_error(standalone: RunDir, status: int) -> None:
    write(standalone, "02-apichecks", status)
    assert Code.EXIT_STATUS in codes(standalone)
    assert standalone.judge().result is Result.ERROR
