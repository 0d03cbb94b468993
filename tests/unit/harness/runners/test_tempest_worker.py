# SPDX-License-Identifier: Apache-2.0
"""The shell line by which stestr starts the tests, in a folder with any name."""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from bsdgate.harness.runners.tempest_worker import QuotedProcessor

# As stestr.config_file has it.
TEMPLATE = '${PYTHON} -c "import sys; print(*sys.argv[1:])" "x y" $LISTOPT $IDOPTION'
NAMES = ["plain", "my folder", "it's", "$(touch trap)", "`touch trap`", 'a"b', "a;b", "#a", "a\\b"]


@pytest.mark.parametrize("name", NAMES)
def test_a_path_is_one_word_and_is_not_obeyed(
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
    """``${PYTHON}`` is what another release of stestr could write in another way."""
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
