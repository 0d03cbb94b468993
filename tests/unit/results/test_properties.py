# SPDX-License-Identifier: Apache-2.0
"""Properties of the verdict on any run directory.

Less evidence or more failures never improve a verdict, and the order of evidence does not matter.
An added failure is one that the runner reported. Evidence is lost after it was recorded: the seal
of the stream and the exit status are those of the complete evidence. Digests are calculated after
the damage, so that the ledger, the parsers and the cross-checks must detect it without them.
"""

import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from subunit.v2 import StreamResultToBytes
from unit.results.conftest import RunDir

from bsdgate.results.agreement import contradictions
from bsdgate.results.judge import judge_run
from bsdgate.results.model import Result, Verdict
from bsdgate.results.policy import CHECK

RANK = [Result.PASS, Result.FAIL, Result.ERROR]
TESTS = [f"m.{name}.{test}" for name in "AB" for test in ("one", "two[id-1,smoke]", "three")]
CHECKS = [f"checks/test_host.py::test_{name}" for name in ("disk", "clock[utc]")]
TERMINAL = ["success", "fail", "skip", "xfail", "uxsuccess"]

fast = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@dataclass(frozen=True)
class Part:
    """One attempt: asked tests, remaining reports, attempt.json, number of recorded reports."""

    name: str
    asked: tuple[str, ...]
    reports: tuple[tuple[str, str], ...]
    head: dict[str, Any] = field(default_factory=dict)
    recorded: int = 0
    cut: int | None = None

    @property
    def parser(self) -> str:
        return "junit" if self.head.get("kind") == "hostchecks" else "subunit"


def packets(*reports: tuple[str, str]) -> bytes:
    out = BytesIO()
    writer = StreamResultToBytes(out)
    for test_id, outcome in reports:
        writer.status(test_id=test_id, test_status="inprogress")
        writer.status(test_id=test_id, test_status=outcome)
    return out.getvalue()


def stream(part: Part, seal: Callable[..., bytes]) -> bytes:
    if part.parser == "junit":
        tags = {"fail": '<failure message="why"/>', "skip": '<skipped message="why"/>'}
        cases = "".join(
            f"<testcase classname='checks.test_host' name={quoteattr(name.partition('::')[2])}>"
            f"{tags.get(outcome, '')}</testcase>"
            for name, outcome in part.reports
        )
        whole = f"<testsuites><testsuite>{cases}</testsuite></testsuites>".encode()
    else:
        left = packets(*part.reports)
        recorded = packets(*[("any", "success")] * part.recorded)
        whole = left + seal(recorded, part.name)[len(recorded) :]
    return whole if part.cut is None else whole[: part.cut % len(whole)]


@pytest.fixture
def judged(run_dir: RunDir, sealed: Callable[..., bytes], tmp_path: Path) -> Callable[..., Verdict]:
    """Write parts as a run directory and judge it."""

    def judge(parts: list[Part]) -> Verdict:
        place = Path(tempfile.mkdtemp(dir=tmp_path))
        run = type(run_dir)(place / "run")
        run.manifest["evidence"] = ["tempest", "hostchecks"]
        run.write_manifest()
        for part in parts:
            asked = "".join(f"{each}\n" for each in part.asked).encode()
            run.attempt(part.name, asked, stream(part, sealed), part.parser, **part.head)
        verdict = judge_run(run.path, policy=CHECK)
        # An import must accept the verdict of the judge.
        assert list(contradictions(verdict, datetime.now(UTC))) == []
        shutil.rmtree(place)
        return verdict

    return judge


def part(name: str, reports: list[tuple[str, str]], **head: Any) -> Part:
    """Return a complete attempt with these reports and the matching exit status."""
    failed = any(outcome == "fail" for _, outcome in reports)
    status = int(failed and head.get("kind") == "hostchecks")
    asked = tuple(test_id for test_id, _ in reports)
    return Part(name, asked, tuple(reports), {"exit_status": status} | head, len(reports))


@st.composite
def whole_runs(draw: st.DrawFn) -> list[Part]:
    """Generate complete runs, some with confirmations of their failures."""
    checks = [(each, draw(st.sampled_from(TERMINAL[:3]))) for each in CHECKS]
    outcomes = st.sampled_from(TERMINAL + 6 * ["success"])
    tests = draw(st.lists(st.sampled_from(TESTS), unique=True, min_size=1))
    parts = [
        part("01-hostchecks", checks, kind="hostchecks"),
        part("02-tempest", [(each, draw(outcomes)) for each in tests], kind="tempest"),
    ]
    failed = [test_id for test_id, outcome in parts[1].reports if outcome == "fail"]
    if failed != [] and draw(st.booleans()):
        for number, side in enumerate(("change", "change", "base", "base"), 3):
            again = [(each, draw(st.sampled_from(["fail", "fail", "success"]))) for each in failed]
            about = {"kind": "tempest", "side": side, "confirms": "02-tempest"}
            parts.append(part(f"{number:02}-confirm-{side}", again, **about))
    return parts


def changed(parts: list[Part], number: int, **fields: Any) -> list[Part]:
    return [*parts[:number], replace(parts[number], **fields), *parts[number + 1 :]]


def first_attempts(parts: list[Part]) -> list[int]:
    """Return the indexes of the attempts that are not confirmations."""
    return [number for number, one in enumerate(parts) if "confirms" not in one.head]


@st.composite
def with_less(
    draw: st.DrawFn,
    parts: list[Part],
    ways: Sequence[str] = (
        "report",
        "cut",
        "attempt",
        "interrupted",
        "running",
    ),
) -> list[Part]:
    """Generate the same runs with some evidence lost."""
    if not first_attempts(parts):
        return parts
    number = draw(st.sampled_from(first_attempts(parts)))
    lost = parts[number]
    how = draw(st.sampled_from(ways))
    if how == "report":
        gone = draw(st.sampled_from(lost.reports or [None]))
        return changed(parts, number, reports=tuple(one for one in lost.reports if one != gone))
    if how == "cut":
        return changed(parts, number, cut=draw(st.integers(0, 10_000)))
    if how == "attempt":
        return parts[:number] + parts[number + 1 :]
    if how == "asked":
        return changed(parts, number, asked=lost.asked[1:])
    kept = lost.reports[: draw(st.integers(0, len(lost.reports)))]
    head = lost.head | {"state": how, "exit_status": None}
    return changed(parts, number, reports=kept, head=head)


@st.composite
def with_a_failure(draw: st.DrawFn, parts: list[Part]) -> list[Part]:
    """Generate the same runs with one more failure outside the confirmations.

    In a confirmation, a failure on the base can excuse the change.
    """
    if not first_attempts(parts):
        return parts
    number = draw(st.sampled_from(first_attempts(parts)))
    one = parts[number]
    reports, recorded, head = list(one.reports), one.recorded, one.head
    if reports != [] and draw(st.booleans()):
        place = draw(st.integers(0, len(reports) - 1))
        reports[place] = (reports[place][0], "fail")
    else:
        made = ["setUpClass (m.A)", "tearDownClass (m.B)", "process-returncode", "x.y.z"]
        reports.append((draw(st.sampled_from(TESTS + made)), "fail"))
        recorded += 1
    if one.parser == "junit" and head["exit_status"] == 0:
        head = head | {"exit_status": 1}
    return changed(parts, number, reports=tuple(reports), recorded=recorded, head=head)


@fast
@given(st.data(), whole_runs())
def test_less_evidence_never_improves_a_verdict(
    judged: Callable[..., Verdict], data: st.DataObject, parts: list[Part]
) -> None:
    less = data.draw(with_less(parts) | with_less(parts, ["asked"]))
    assert RANK.index(judged(less).result) >= RANK.index(judged(parts).result)


@fast
@given(st.data(), whole_runs())
def test_one_failure_more_never_improves_a_verdict(
    judged: Callable[..., Verdict], data: st.DataObject, parts: list[Part]
) -> None:
    before, after = judged(parts), judged(data.draw(with_a_failure(parts)))
    if before.result is Result.ERROR:
        # If all tests were skipped, a failure is the first test that ran.
        assert after.result is not Result.PASS
    else:
        assert RANK.index(after.result) >= RANK.index(before.result)


@fast
@given(st.data(), whole_runs())
def test_another_result_never_becomes_a_pass(
    judged: Callable[..., Verdict], data: st.DataObject, parts: list[Part]
) -> None:
    for _ in range(3):
        if judged(parts).result is not Result.PASS:
            break
        parts = data.draw(with_less(parts) | with_a_failure(parts))
    else:
        return
    worse = data.draw(with_less(parts) | with_a_failure(parts))
    assert judged(worse).result is not Result.PASS


@fast
@given(st.data(), whole_runs())
def test_the_order_of_evidence_does_not_matter(
    judged: Callable[..., Verdict], data: st.DataObject, parts: list[Part]
) -> None:
    shuffled = [
        replace(
            one,
            asked=tuple(data.draw(st.permutations(one.asked))),
            reports=tuple(data.draw(st.permutations(one.reports))),
        )
        for one in data.draw(st.permutations(parts))
    ]
    assert judged(shuffled) == judged(parts)


@st.composite
def confirmed_runs(draw: st.DrawFn) -> list[Part]:
    """Generate runs with one failure that was run again twice on each side."""
    parts = [
        part("01-hostchecks", [(each, "success") for each in CHECKS], kind="hostchecks"),
        part("02-tempest", [("m.A.one", "fail"), ("m.A.two", "success")], kind="tempest"),
    ]
    for number, side in enumerate(("change", "change", "base", "base"), 3):
        about = {"kind": "tempest", "side": side, "confirms": "02-tempest"}
        again = [("m.A.one", draw(st.sampled_from(["fail", "success", "skip"])))]
        parts.append(part(f"{number:02}-confirm-{side}", again, **about))
    return parts


@fast
@given(st.data(), confirmed_runs())
def test_losing_confirmations_never_improves_a_verdict(
    judged: Callable[..., Verdict], data: st.DataObject, parts: list[Part]
) -> None:
    number = data.draw(st.integers(2, len(parts) - 1))
    lost = parts[number]
    if data.draw(st.booleans()):
        less = parts[:number]
    else:
        state = {"state": "interrupted", "exit_status": None}
        less = changed(parts, number, reports=(), head=lost.head | state)
    assert RANK.index(judged(less).result) >= RANK.index(judged(parts).result)
