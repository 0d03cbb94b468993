# SPDX-License-Identifier: Apache-2.0
"""bsdgate.harness.identity."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from pydantic import BaseModel, ValidationError

from bsdgate import harness
from bsdgate.harness import identity
from bsdgate.harness.identity import Settings, describe, digest_of

PERSON = {
    f"GIT_{role}_{what}": text
    for role in ("AUTHOR", "COMMITTER")
    for what, text in (("NAME", "a"), ("EMAIL", "a@example.org"))
}


def git(folder: Path, *words: str) -> str:
    done = subprocess.run(
        ["git", *words],
        cwd=folder,
        env=os.environ | PERSON,
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.strip()


def committed(root: Path) -> str:
    """Commit the files in ``root``, and return the commit."""
    git(root, "init", "--quiet")
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message=x")
    return git(root, "rev-parse", "HEAD")


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """Make a checkout's package with links like those of bsdgate, without a commit."""
    made = tmp_path / "checkout" / "src" / "bsdgate"
    made.mkdir(parents=True)
    (made / "__init__.py").write_text("")
    (tmp_path / "checkout" / "harness").mkdir()
    (tmp_path / "checkout" / "harness" / "cli.py").write_text("1\n")
    (made / "harness").symlink_to("../../harness")
    return made


# The digest ------------------------------------------------------------------------------------


def test_digest_includes_every_file_and_its_name(package: Path) -> None:
    part = package / "harness" / "cli.py"
    found = [digest_of(package)]
    part.write_text("2\n")
    found.append(digest_of(package))
    part.rename(part.with_name("new.py"))
    found.append(digest_of(package))
    (package / "harness" / "profile.yaml").write_text("")
    found.append(digest_of(package))
    assert len(set(found)) == 4


def test_digest_leaves_out_files_of_tools_and_files_that_are_not_shipped(package: Path) -> None:
    before = digest_of(package)
    (package / "harness" / "__pycache__").mkdir()
    left_out = ("__pycache__/cli.pyc", "cli.py~", ".cli.py.swp", "old.pyc", "README.rst")
    for name in left_out:
        (package / "harness" / name).write_bytes(b"x")
    (package / identity.COMMIT_FILE).write_text("x")
    assert digest_of(package) == before


def test_a_copy_without_links_has_the_same_digest(package: Path, tmp_path: Path) -> None:
    copy = tmp_path / "site-packages" / "bsdgate"
    shutil.copytree(package, copy, symlinks=False)
    assert digest_of(copy) == digest_of(package)


# The commit ------------------------------------------------------------------------------------


def test_commit_is_the_present_one_of_the_checkout(package: Path) -> None:
    root = package.parents[1]
    commit = committed(root)
    assert describe(package) == commit
    (root / "harness" / "cli.py").write_text("2\n")
    assert describe(package) == f"{commit}-dirty"
    later = committed(root)
    assert describe(package) == later != commit


def test_environment_does_not_lead_git_to_another_repository(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = committed(package.parents[1])
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").write_text("")
    committed(tmp_path / "other")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "other" / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(tmp_path / "other"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "index"))
    assert describe(package) == commit
    assert not (tmp_path / "index").exists()


def test_installed_package_has_the_commit_that_it_was_built_from(tmp_path: Path) -> None:
    """Even if its environment is inside the checkout of another project."""
    package = tmp_path / "other" / ".venv" / "site-packages" / "bsdgate"
    package.mkdir(parents=True)
    committed_other = tmp_path / "other"
    (committed_other / "file").write_text("")
    committed(committed_other)
    assert describe(package) == ""
    (package / identity.COMMIT_FILE).write_text("0123abcd\n")
    assert describe(package) == "0123abcd"


def test_without_git_the_commit_is_not_known(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    committed(package.parents[1])
    monkeypatch.setenv("PATH", str(tmp_path))
    assert describe(package) == ""


@pytest.mark.parametrize(
    ("commit", "text"),
    [("", ""), ("0123456789abcdef", "+g0123456789ab"), ("0123abcd-dirty", "+g0123abcd.dirty")],
)
def test_version_ends_with_the_commit(
    commit: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(identity, "describe", lambda _: commit)
    assert identity.version.__wrapped__() == harness.version() + text


# Settings --------------------------------------------------------------------------------------


class Part(BaseModel):
    options: dict[str, bool | int | float | str] = {}
    names: tuple[str, ...] = ()


def test_equal_settings_do_not_differ() -> None:
    one = Settings.of(Part(options={"a": 1, "b": 2}))
    other = Settings.of(Part(options={"b": 2, "a": 1}))
    assert one.sha256 == other.sha256
    assert one.differences(other) == []


@pytest.mark.parametrize("other", [True, 1.0, "1", 2])
def test_values_that_differ_for_a_service_differ(other: object) -> None:
    before = Settings.of(Part.model_validate({"options": {"a": 1}}))
    now = Settings.of(Part.model_validate({"options": {"a": other}}))
    assert before.sha256 != now.sha256
    (difference,) = before.differences(now)
    assert difference.startswith("options.a is ")
    assert difference.endswith("and was 1")


def test_added_and_removed_keys_are_reported() -> None:
    before, now = Settings.of(Part(names=("a", "b"))), Settings.of(Part(names=("a",)))
    assert before.differences(now) == ['names.1 is null, and was "b"']
    assert now.differences(before) == ['names.1 is "b", and was null']


def test_content_and_digest_of_settings_must_match() -> None:
    made = Settings.of(Part(names=("a",)))
    with pytest.raises(ValidationError, match="not the SHA-256 of the content"):
        Settings(content=made.content | {"names": []}, sha256=made.sha256)
