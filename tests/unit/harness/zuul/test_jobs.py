# SPDX-License-Identifier: Apache-2.0
"""The generated jobs: one for each version of the matrix, up to date, and documented."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from unit.harness.commands.calls import Call, caller

from bsdgate.harness.commands.zuul_files import outdated
from bsdgate.harness.profiles import matrix
from bsdgate.harness.profiles.matrix import Matrix
from bsdgate.harness.zuul import jobs

ROOT = Path(__file__).parents[4]


def named(kind: str, made: Matrix | None = None) -> dict[str, Any]:
    found = jobs.stanzas(made or matrix.load())
    return {stanza[kind]["name"]: stanza[kind] for stanza in found if kind in stanza}


@pytest.fixture
def zuul(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    return caller("zuul", monkeypatch, capsys)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for path in (jobs.BASE, jobs.JOBS, jobs.LABELS, jobs.PAGE):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, tmp_path / path)
    return tmp_path


def test_the_files_are_up_to_date() -> None:
    assert not outdated(ROOT), f"run: {jobs.COMMAND}"


def test_each_project_has_jobs_for_each_version() -> None:
    made = named("job")
    tested = [each for each in matrix.load().freebsd if each.architectures]
    for project in jobs.PROJECTS:
        for suite in jobs.SUITES:
            ours = [name for name in made if name.startswith(f"bsdgate-{project}-{suite}")]
            assert len(ours) == len(tested) + 1
    assert all(job["final"] for job in made.values())


def test_a_version_past_its_end_of_life_has_no_jobs() -> None:
    old = next(each.version for each in matrix.load().freebsd if not each.architectures)
    assert not [name for name in named("job") if name.endswith(f"-{old}")]


def test_a_template_has_only_jobs_that_exist() -> None:
    made = named("job")
    for template in named("project-template").values():
        for pipeline in ("check", "periodic-nightly"):
            assert set(template.get(pipeline, {"jobs": []})["jobs"]) <= set(made)


def test_a_nodeset_has_the_two_nodes() -> None:
    for name, nodeset in named("nodeset").items():
        assert [node["name"] for node in nodeset["nodes"]] == ["controller", "freebsd"]
        assert nodeset["nodes"][1]["label"] == name


def test_a_new_version_changes_the_files(zuul: Call, checkout: Path) -> None:
    text = (checkout / jobs.JOBS).read_text()
    (checkout / jobs.JOBS).write_text(text.replace("14.5", "14.9"))
    ended = zuul("generate", "--check", "--checkout", checkout)
    assert (ended.code, ended.out.startswith("zuul.d/generated.yaml:1: not up")) == (1, True)
    assert zuul("generate", "--checkout", checkout).out == "zuul.d/generated.yaml\n"
    assert (checkout / jobs.JOBS).read_text() == text
    assert zuul("generate", "--check", "--checkout", checkout).code == 0


def test_another_folder_is_refused(zuul: Call, tmp_path: Path) -> None:
    ended = zuul("generate", "--checkout", tmp_path)
    assert ended.code == 2
    assert "is not a checkout of bsdgate" in ended.err


def test_each_job_is_on_the_page() -> None:
    page = (ROOT / jobs.PAGE).read_text()
    base = yaml.safe_load((ROOT / jobs.BASE).read_text())
    names = {stanza["job"]["name"] for stanza in base if "job" in stanza} | set(named("job"))
    assert all(f"``{name}``\n    " in page for name in names)
