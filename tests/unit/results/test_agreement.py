# SPDX-License-Identifier: Apache-2.0
"""An import accepts only a consistent verdict on the run of the same directory."""

import copy
import json
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from unit.results.conftest import RunDir
from unit.results.test_golden import JUDGED

from bsdgate.results import agreement, document, evidence
from bsdgate.results.errors import EvidenceError
from bsdgate.results.judge import judge_run
from bsdgate.results.model import Code, Kind, Level, Outcome, Result, Side, State, Verdict
from bsdgate.results.policy import POLICIES
from bsdgate.results.reporters import write_all

NOW = datetime(2026, 12, 1, tzinfo=UTC)
KNOWN = """\
- {test: "*known*", bug: "https://b/1", owner: jane, reason: why, since: 2026-01-01,
   expires: 2027-01-01}
"""


@pytest.fixture
def run(
    run_dir: RunDir,
    subunit_stream: Callable[..., bytes],
    sealed: Callable[..., bytes],
    tmp_path: Path,
) -> RunDir:
    """Write a run that passes, with all outcomes that a PASS can have and with confirmations."""
    (tmp_path / "known").mkdir()
    (tmp_path / "known" / "a.yaml").write_text(KNOWN)
    run_dir.requires("tempest")
    ids = ["m.A.base", "m.A.known", "m.A.one", "m.A.skipped", "m.A.two", "m.A.xfail"]
    ends = ["fail", "fail", "success", "skip", "success", "xfail"]
    asked = "".join(f"{each}\n" for each in ids).encode()
    stream = subunit_stream(*zip(ids, ends, strict=True))
    run_dir.attempt("01-tempest", asked, sealed(stream, "01-tempest"))
    for number, side in enumerate(("change", "change", "base", "base"), 2):
        name = f"{number:02}-confirm-{side}"
        again = sealed(subunit_stream(("m.A.base", "fail")), name)
        run_dir.attempt(name, b"m.A.base\n", again, side=side, confirms="01-tempest")
    return run_dir


def document_on(run: RunDir, policy: str = "developer", **changes: Any) -> dict[str, Any]:
    """Return the verdict document of a run."""
    known = [path for path in [run.path.parent / "known"] if path.exists()]
    verdict = judge_run(run.path, known, POLICIES[policy])
    content: dict[str, Any] = json.loads(document.render(verdict))
    return content | {"judged": "2026-11-23T00:00:00+00:00"} | changes


def accepts(run: RunDir, content: dict[str, Any]) -> bool:
    """Return whether the document can be imported."""
    try:
        agreement.require(run.path, document.parse(json.dumps(content)), NOW)
    except EvidenceError:
        return False
    return True


def refused(run: RunDir, content: dict[str, Any]) -> str:
    with pytest.raises(EvidenceError) as caught:
        agreement.require(run.path, document.parse(json.dumps(content)), NOW)
    assert str(run.path / "report" / "verdict.json") in caught.value.message
    assert caught.value.hint == f"judge the run again: bsdgate report {run.path}"
    return caught.value.message


def counted(content: dict[str, Any]) -> dict[str, Any]:
    """Return the document with counts of its cases, so that these do not reveal a change."""
    cases = content["cases"] if isinstance(content["cases"], list) else []
    outcomes = [case.get("outcome") for case in cases if isinstance(case, dict)]
    counts = {str(one): outcomes.count(one) for one in Outcome}
    return content | {"counts": {"asked": len(cases)} | counts}


def test_a_document_of_the_judge_is_accepted(run: RunDir) -> None:
    content = document_on(run)
    assert content["result"] == "PASS"
    assert content["counts"]["fail"] == content["counts"]["known-failure"] == 1
    assert accepts(run, content)
    assert accepts(run, {key: value for key, value in content.items() if key != "judged"})


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("case", JUDGED)
def test_documents_on_recordings_are_accepted(run_dir: RunDir, case: str, policy: str) -> None:
    run_dir.recorded(*case.split("/"))
    assert accepts(run_dir, document_on(run_dir, policy))


def test_a_manifest_of_schema_2_is_accepted(run: RunDir) -> None:
    content = document_on(run)
    run.manifest["schema"] = 2
    run.write_manifest()
    assert accepts(run, content)


# A document that contradicts itself ------------------------------------------------------------


def test_a_pass_with_a_missing_test_is_refused(run: RunDir) -> None:
    content = document_on(run)
    content["cases"][2]["outcome"] = "missing"
    assert "there is no disposition of m.A.one" in refused(run, counted(content))
    content["dispositions"].append({"id": "m.A.one", "counts": False})
    assert "m.A.one ended as missing, but no reason lost-test" in refused(run, counted(content))


def test_a_pass_without_tests_is_refused(run: RunDir) -> None:
    content = document_on(run, cases=[], reasons=[], dispositions=[], attempts=[])
    assert "but no test was executed" in refused(run, counted(content))


@pytest.mark.parametrize("level", ["error", "fail"])
def test_a_pass_with_a_reason_to_fail_is_refused(run: RunDir, level: str) -> None:
    content = document_on(run)
    content["reasons"].append({"level": level, "code": "no-history", "message": "m", "ids": []})
    follows = {"error": "ERROR", "fail": "FAIL"}[level]
    assert f"the result is PASS, but {follows} follows from" in refused(run, content)


def test_a_reason_with_a_lowered_level_is_refused(run: RunDir) -> None:
    content = document_on(run)
    content["reasons"].append({"level": "note", "code": "truncated", "message": "m", "ids": []})
    assert "truncated has the level note, not error" in refused(run, content)


def test_a_failure_without_its_reason_is_refused(run: RunDir) -> None:
    content = document_on(run)
    content["reasons"] = [each for each in content["reasons"] if each["code"] != "fails-on-base"]
    assert "m.A.base ended as fail, but no reason fails-on-base" in refused(run, content)


def test_a_document_without_a_case_is_refused(run: RunDir) -> None:
    content = document_on(run)
    del content["cases"][2]
    assert "have 6 requested tests, but there are 5 cases" in refused(run, counted(content))


def test_a_running_attempt_without_a_following_one_is_refused(run: RunDir) -> None:
    content = document_on(run)
    content["attempts"][0]["state"] = "running"
    assert "the attempt 01-tempest is running, but no attempt follows it" in refused(run, content)


def test_a_failed_class_fixture_without_its_reason_is_refused(run: RunDir) -> None:
    content = document_on(run)
    failure = "setUpClass (m.B)"
    content["setup_failures"] = [{"id": failure, "outcome": "fail"}]
    assert f"there is no disposition of {failure}" in refused(run, content)
    content["dispositions"].append({"id": failure, "counts": False})
    assert "the fixture setUpClass (m.B) failed" in refused(run, content)


def test_a_failure_with_the_excuse_of_a_known_failure_is_refused(run: RunDir) -> None:
    content = document_on(run)
    (known,) = (case for case in content["cases"] if case["outcome"] == "known-failure")
    known["outcome"] = "fail"
    assert "ended as fail, but its excuse is known-failure" in refused(run, counted(content))


def inside(content: Any, path: Sequence[str | int]) -> Any:
    """Return the value at a path in a document."""
    for key in path:
        content = content[key]
    return content


@pytest.mark.parametrize("moment", [NOW + timedelta(minutes=11), datetime(9999, 1, 1, tzinfo=UTC)])
@pytest.mark.parametrize("place", [("judged",), ("run", "created"), ("attempts", 0, "ended")])
def test_a_time_in_the_future_is_refused(
    run: RunDir, place: tuple[str | int, ...], moment: datetime
) -> None:
    content = document_on(run)
    *path, last = place
    inside(content, path)[last] = moment.isoformat()
    if place == ("run", "created"):
        run.manifest["created"] = moment.isoformat()
        run.write_manifest()
    assert f"{moment.isoformat()}, which is in the future" in refused(run, content)


def test_a_small_difference_of_clocks_is_accepted(run: RunDir) -> None:
    assert accepts(run, document_on(run, judged=(NOW + timedelta(minutes=9)).isoformat()))


# A document of another run ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("run_id", "another"),
        ("created", "2026-11-21T00:00:00+00:00"),
        ("suite", "gate"),
        ("profile", "mine"),
        ("selection", "test_users"),
        ("release", "2026.1"),
        ("with", []),
    ],
)
def test_a_report_of_another_run_is_refused(run: RunDir, key: str, value: str | list[Any]) -> None:
    content = document_on(run)
    run.manifest[key] = value
    run.write_manifest()
    field = {"with": "sources"}.get(key, key)
    assert f"{field} is " in refused(run, content)


def test_a_report_without_a_manifest_is_refused(run: RunDir) -> None:
    content = document_on(run)
    (run.path / "manifest.json").unlink()
    assert not accepts(run, content)


# Random changes --------------------------------------------------------------------------------

NAMES = [Outcome, Level, Code, Result, State, Kind, Side]
VALUES = st.one_of(
    st.sampled_from([None, "", 0, 1, 2, 5, 6, -1, [], {}, True]),
    st.sampled_from(["9999-01-01T00:00:00+00:00", "2026-11-22T12:00:00+00:00"]),
    *(st.sampled_from([str(one) for one in each]) for each in NAMES),
    st.sampled_from(["m.A.base", "m.A.one", "m.A.two", "m.A.x"]),
)


def paths_in(value: Any, *path: str | int) -> Iterator[tuple[str | int, ...]]:
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield (*path, key)
            yield from paths_in(inner, *path, key)


def mutate(content: dict[str, Any], data: st.DataObject) -> None:
    """Replace, remove or repeat one value anywhere in the document."""
    *path, last = data.draw(st.sampled_from(list(paths_in(content))))
    inner = inside(content, path)
    how = data.draw(st.sampled_from(["replace", "remove", "repeat"]))
    if how == "replace":
        inner[last] = data.draw(VALUES)
    elif how == "remove":
        del inner[last]
    elif isinstance(inner, list) and isinstance(last, int):
        inner.insert(last, copy.deepcopy(inner[last]))


def holds(verdict: Verdict, run: RunDir) -> bool:
    """Return whether a verdict is consistent, by a check that is independent of the product."""
    ends = {
        outcome: {case.id for case in verdict.cases if case.outcome is outcome}
        for outcome in Outcome
    }
    levels = {reason.level for reason in verdict.reasons}
    by_code = {reason.code: set(reason.ids) for reason in verdict.reasons}
    excused = by_code.get(Code.FAILS_ON_BASE, set()) | by_code.get(Code.KNOWN_FLAKE, set())
    good = verdict.result is Result.PASS
    return (
        verdict.run == evidence.run_of(run.path)
        and max(verdict.run.created, verdict.judged or NOW) <= NOW + agreement.CLOCKS
        and good == levels.isdisjoint({Level.ERROR, Level.FAIL})
        and (verdict.result is Result.ERROR) == (Level.ERROR in levels)
        and not (good and (ends[Outcome.MISSING] or ends[Outcome.DUPLICATED]))
        and not (good and ends[Outcome.FAIL] - excused)
        and not (good and not ends[Outcome.SUCCESS])
        and len({case.id for case in verdict.cases}) == len(verdict.cases) == 6
    )


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), times=st.integers(1, 3), fit=st.booleans())
def test_only_consistent_documents_are_accepted(
    run: RunDir, data: st.DataObject, times: int, fit: bool
) -> None:
    content = document_on(run)
    for _ in range(times):
        mutate(content, data)
    if fit and "cases" in content:
        content = counted(content)
    if accepts(run, content):
        assert holds(document.parse(json.dumps(content)), run)


def test_a_written_report_is_accepted(run: RunDir) -> None:
    write_all(judge_run(run.path), run.path)
    assert accepts(run, json.loads((run.path / "report" / "verdict.json").read_text()))
