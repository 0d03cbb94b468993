# SPDX-License-Identifier: Apache-2.0
"""The shell command by which stestr starts the tests, in a directory with any name."""

import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bsdgate.harness.runners.tempest_worker import (
    MODULES_BOUND,
    QuotedProcessor,
    make_repository,
)

# As stestr.config_file has it.
TEMPLATE = '${PYTHON} -c "import sys; print(*sys.argv[1:])" "x y" $LISTOPT $IDOPTION'
NAMES = ["plain", "my folder", "it's", "$(touch trap)", "`touch trap`", 'a"b', "a;b", "#a", "a\\b"]


@pytest.mark.parametrize("name", NAMES)
def test_a_path_is_one_word_for_the_shell(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / name
    folder.mkdir()
    python = folder / "python"
    python.symlink_to(sys.executable)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "executable", str(python))
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    processor = QuotedProcessor(
        ["m.A.one", "m.A.two"], TEMPLATE, "--list", "--load-list $IDFILE", None, concurrency=2
    )
    with processor:
        listed = processor.list_file_name
        said = subprocess.check_output(processor.cmd, shell=True, text=True)  # noqa: S602 - as stestr does
    assert said.strip() == f"x y --load-list {listed}"
    assert listed.startswith(f"{folder}/")
    assert not (tmp_path / "trap").exists()


def test_the_template_of_stestr_is_the_one_that_is_quoted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another release of stestr could replace ``${PYTHON}``."""
    from stestr import config_file
    from stestr.repository import file as repository

    monkeypatch.setenv("PYTHON", "python")
    monkeypatch.setattr("stestr.test_processor.TestProcessorFixture", QuotedProcessor)
    (tmp_path / ".stestr.conf").write_text("[DEFAULT]\ntest_path=x\ntop_dir=y\n")
    repository.RepositoryFactory().initialise(str(tmp_path))
    conf = config_file.TestrConf(str(tmp_path / ".stestr.conf"))
    processor = conf.get_run_command(repo_url=str(tmp_path))
    python = shlex.quote(sys.executable)
    assert processor.template.startswith(f"{python} -m stestr.subunit_runner.run ")
    assert 'discover -t "y" "x"' in processor.template


def test_a_repository_is_made_once_and_its_records_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from stestr.repository import util

    monkeypatch.chdir(tmp_path)
    make_repository()
    inserter = util.get_repo_open().get_inserter()
    inserter.startTestRun()
    inserter.stopTestRun()
    make_repository()
    assert util.get_repo_open().count() == 1


DISCOVER = '${PYTHON} -m stestr.subunit_runner.run discover -t "a b" "c d" $LISTOPT $IDOPTION'


def lines(ids: list[str], monkeypatch: pytest.MonkeyPatch, **options: Any) -> list[str]:
    """Return the shell commands that would start the processes of a run."""
    started: list[str] = []

    def start(_self: object, line: str) -> subprocess.Popen[bytes]:
        started.append(line)
        return subprocess.Popen(["true"], stdin=subprocess.PIPE)

    monkeypatch.setattr("stestr.test_processor.TestProcessorFixture", QuotedProcessor)
    monkeypatch.setattr(QuotedProcessor, "_start_process", start)
    processor = QuotedProcessor(ids, DISCOVER, "--list", "--load-list $IDFILE", None, **options)
    with processor:
        for process in processor.run_tests():
            process.wait()
    return started


def test_each_process_imports_the_modules_of_its_own_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    ids = ["p.one.A.t[id-1.5]", "p.one.B.t(x.y)", "p.two.C.t"]
    groups = [ids[:2], ids[2:]]
    monkeypatch.setattr("stestr.scheduler.partition_tests", lambda *_: groups)
    first, second = lines(ids, monkeypatch, concurrency=2)
    assert ".run p.one  --load-list " in first
    assert ".run p.two  --load-list " in second


def test_a_single_process_imports_the_modules_of_all_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    (line,) = lines(["p.two.C.t", "p.one.A.t"], monkeypatch, concurrency=1)
    assert ".run p.one p.two  --load-list " in line


def test_tests_of_very_many_modules_are_discovered(monkeypatch: pytest.MonkeyPatch) -> None:
    ids = [f"p.m{number}.A.t" for number in range(MODULES_BOUND + 1)]
    (line,) = lines(ids, monkeypatch, concurrency=1)
    assert '.run discover -t "a b" "c d"  --load-list ' in line
