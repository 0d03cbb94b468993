# SPDX-License-Identifier: Apache-2.0
"""The mark of an attempt in its JUnit report."""

import hashlib
import json
from pathlib import Path

import pytest
from unit.results.conftest import RunDir

from bsdgate.results import attempts
from bsdgate.results.model import Code, Level, Result

REPORT = (
    b'<testsuites><testsuite name="%s"><testcase classname="a" name="b"/></testsuite></testsuites>'
)


@pytest.mark.parametrize("kind", ["run", "attempt", "none"])
def test_a_report_without_the_mark_of_its_attempt_is_refused(run_dir: RunDir, kind: str) -> None:
    run_dir.requires("hostchecks")
    mark = f"{run_dir.manifest['run_id']}/01-hostchecks"
    folder = run_dir.attempt(
        "01-hostchecks", b"a.py::b\n", REPORT % mark.encode(), "junit", mark=mark
    )
    assert run_dir.judge().result is Result.PASS
    other = {"run": mark.replace("0", "1"), "attempt": mark.replace("01-", "02-"), "none": "pytest"}
    report = REPORT % other[kind].encode()
    (folder / "stream.xml").write_bytes(report)
    head = json.loads((folder / "attempt.json").read_text())
    head["sha256"]["stream.xml"] = hashlib.sha256(report).hexdigest()
    (folder / "attempt.json").write_text(json.dumps(head))
    verdict = run_dir.judge()
    assert verdict.result is Result.ERROR
    errors = [reason.code for reason in verdict.reasons if reason.level is Level.ERROR]
    assert errors == [Code.FOREIGN_EVIDENCE]


def test_a_mark_is_found_with_reads_of_any_size(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"0123456789" * 3 + b"MARK" + b"0123456789")
    for size in range(1, 50):
        with (tmp_path / "file").open("rb") as file:
            tee = attempts.Tee(file, "MARK")
            while tee.read(size):
                pass
        assert tee.marked
