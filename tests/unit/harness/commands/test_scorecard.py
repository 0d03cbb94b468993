# SPDX-License-Identifier: Apache-2.0
"""The scorecard of profiles, suites and runs."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bsdgate.harness.commands import scorecard
from bsdgate.harness.errors import UsageError
from bsdgate.results import document
from bsdgate.results.model import Case, Outcome, Result, Run, Verdict

IDS = [
    "tempest.api.compute.test_x.C.one[id-1]",
    "tempest.api.compute.test_x.C.two[id-2]",
    "tempest.api.volume.test_x.C.one[id-3]",
    "ironic_tempest_plugin.tests.api.test_x.C.one[id-4]",
]


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    file = tmp_path / "ids.txt"
    file.write_text("\n".join(["Some words", *IDS]))
    return file


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    monkeypatch.setenv("BSDGATE_STATE_DIR", str(tmp_path / "state"))

    def add(name: str, profile: str, **outcomes: Outcome) -> Path:
        cases = tuple(
            Case(test, outcomes[test.split(".")[-1][:3]], reason="Cold migration not available.")
            for test in sorted(IDS[:2])
            if test.split(".")[-1][:3] in outcomes
        )
        run = Run(name, datetime(2026, 11, 22, tzinfo=UTC), profile=profile)
        folder = tmp_path / "state" / "runs" / name / "report"
        folder.mkdir(parents=True)
        verdict = Verdict(run, Result.PASS, (), cases)
        (folder / "verdict.json").write_text(document.render(verdict))
        return folder / "verdict.json"

    return add


def row(out: str, profile: str, area: str = "all") -> list[str]:
    """Numbers of one profile's table: run, expected skip, cannot, to do, tests."""
    lines = out[out.index(f"profile {profile} ") :].splitlines()
    return next(line.split()[1:] for line in lines if line.startswith(f"{area} "))


def test_the_newest_outcome_of_each_test_counts(
    listed: Path, state: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    state("20260101-gate", "embedded", one=Outcome.SUCCESS, two=Outcome.SUCCESS)
    state("20260102-smoke", "embedded", one=Outcome.SKIP)
    state("20260103-smoke", "embedded", two=Outcome.MISSING)
    state("20260104-smoke", "morello", two=Outcome.SUCCESS)
    scorecard.show(["embedded"], (), listed, None)
    out = capsys.readouterr().out
    assert row(out, "embedded", "tempest.api.compute") == ["1", "1", ".", ".", "2"]
    assert row(out, "embedded") == ["1", "1", "1", "1", "4"]


def test_tests_of_a_service_that_the_profile_lacks_are_expected_to_skip(
    listed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scorecard.show(["minicloud"], (), listed, None)
    out = capsys.readouterr().out
    assert "service_available.ironic is false: The profile has no ironic" in out
    assert row(out, "minicloud") == [".", "1", "1", "2", "4"]


def test_all_profiles_are_shown_and_the_page_is_written(
    listed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "card.html"
    scorecard.show((), (), listed, page)
    out = capsys.readouterr().out
    for profile in ("embedded", "freebsd", "minicloud", "morello", "netperf"):
        assert row(out, profile)[-1] == "4"
        assert f"Profile {profile}" in page.read_text()


def test_a_test_that_one_suite_excludes_may_be_selected_by_another(
    listed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    slow = listed.read_text().replace("[id-2]", "[id-2,slow]")
    listed.write_text(slow)
    scorecard.show(["embedded"], ["gate"], listed, None)
    assert row(capsys.readouterr().out, "embedded", "tempest.api.compute")[2] == "1"
    scorecard.show(["embedded"], ["gate", "nightly"], listed, None)
    assert row(capsys.readouterr().out, "embedded", "tempest.api.compute")[2] == "."


def test_a_verdict_that_cannot_be_read_is_reported(
    listed: Path, state: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    state("20260101-gate", "embedded", one=Outcome.SUCCESS).write_text("{}")
    scorecard.show(["embedded"], (), listed, None)
    output = capsys.readouterr()
    assert "20260101-gate: write its reports again with `bsdgate report " in output.err
    assert row(output.out, "embedded")[0] == "."


@pytest.mark.parametrize("content", [None, "nothing here\n", "\udcff"])
def test_a_missing_or_invalid_list_is_an_error(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "ids.txt"
    if content is not None:
        file.write_text(content, errors="surrogateescape")
    with pytest.raises(UsageError, match=r"ids\.txt"):
        scorecard.show(["embedded"], (), file, None)
