# SPDX-License-Identifier: Apache-2.0
"""bsdgate.harness.environments.git, which changes no repository and runs none of its programs."""

import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from packaging.version import Version

from bsdgate.harness import process
from bsdgate.harness.environments import changes, git

RELEASE = "2026.2"
PINNED = Version("30.0.0")

# Variables by which git reads or writes elsewhere, or runs a program.
HARMFUL = (
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_ASKPASS",
    "GIT_ATTR_SOURCE",
    "GIT_CEILING_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_CONFIG",
    "GIT_CONFIG_COUNT",
    "GIT_CONFIG_GLOBAL",
    "GIT_CONFIG_PARAMETERS",
    "GIT_DEFAULT_HASH",
    "GIT_DIR",
    "GIT_EXEC_PATH",
    "GIT_EXTERNAL_DIFF",
    "GIT_GRAFT_FILE",
    "GIT_INDEX_FILE",
    "GIT_INDEX_VERSION",
    "GIT_LITERAL_PATHSPECS",
    "GIT_NAMESPACE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_REPLACE_REF_BASE",
    "GIT_SHALLOW_FILE",
    "GIT_TEMPLATE_DIR",
    "GIT_TRACE",
    "GIT_TRACE2_EVENT",
    "GIT_TRACE_SETUP",
    "GIT_WORK_TREE",
)


class Users:
    """A user's checkout, with a change in the index and one that is not in it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "package").mkdir(parents=True)
        (root / "setup.py").write_text("")
        (root / "PKG-INFO").write_text("")
        self.git("init", "--quiet", "--initial-branch=master")
        for number in range(2):
            (root / "package" / "__init__.py").write_text(f"n = {number}\n")
            self.git("add", "--all")
            self.git("commit", "--quiet", "--message", "x")
        self.git("tag", "30.0.0")
        self.git("rm", "--quiet", "PKG-INFO")
        (root / "package" / "staged.py").write_text("s = 1\n")
        self.git("add", "package/staged.py")
        (root / "package" / "new.py").write_text("u = 1\n")

    def git(self, *arguments: str) -> None:
        who = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
        subprocess.run(["git", *who, *arguments], cwd=self.root, check=True)

    def state(self) -> dict[str, tuple[bytes, int]]:
        """Return the bytes and the change time of every file, also those of the repository."""
        files = (each for each in self.root.rglob("*") if each.is_file())
        return {str(each): (each.read_bytes(), each.stat().st_mtime_ns) for each in files}

    def used(self) -> tuple[object, ...]:
        """Use the checkout in every way that ``--with`` does; return the results."""
        with tempfile.TemporaryDirectory() as name:
            folder, log = Path(name), Path(name) / "git.log"
            change = changes.parse(f"keystone={self.root}", RELEASE)
            resolved = changes.resolve(change, log)
            version = changes.unpack(resolved, folder / "copy", PINNED, log)
            listed = git.read(folder / "copy", "ls-files", log=log)
            return resolved, version, listed, changes.changed_files([change])


@pytest.fixture
def users(tmp_path: Path) -> Users:
    return Users(tmp_path / "keystone")


@pytest.fixture
def without(users: Users) -> tuple[object, object]:
    """Return the checkout's state, and the results without variables, once for all examples."""
    return users.state(), users.used()


@contextmanager
def planted(**variables: str) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        yield


def test_in_a_hook_the_users_index_is_not_written(users: Users) -> None:
    """git passes the index to a pre-commit hook, by a relative or an absolute path."""
    before, expected = users.state(), users.used()
    index = str(users.root / ".git" / "index")
    with planted(GIT_INDEX_FILE=index, GIT_DIR=str(users.root / ".git"), GIT_PREFIX=""):
        assert users.used() == expected
    assert users.state() == before


VALUES = st.sampled_from(
    ["", "0", "1", "true", "/absent", ".git/index", "{root}/.git/index", "{root}/.git", "{root}"]
)
NAMES = st.sampled_from(HARMFUL) | st.from_regex(r"GIT_[A-Z0-9_]{1,12}", fullmatch=True)


@pytest.mark.timeout(180)  # each example runs git a dozen times
@settings(
    max_examples=4, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(variables=st.dictionaries(NAMES, VALUES, min_size=1, max_size=8))
@example(variables=dict.fromkeys(HARMFUL, "{root}/.git/index"))
@example(variables=dict.fromkeys(HARMFUL, "1"))
def test_variables_of_git_change_neither_the_result_nor_the_users_checkout(
    users: Users, without: tuple[object, object], variables: dict[str, str]
) -> None:
    before, expected = without
    real = {name: value.format(root=users.root) for name, value in variables.items()}
    with planted(**real):
        assert users.used() == expected
    assert users.state() == before


def fsmonitor(users: Users, command: str) -> None:
    users.git("config", "core.fsmonitor", command)


def hooks(users: Users, command: str) -> None:
    for name in ("post-index-change", "post-checkout", "pre-auto-gc", "reference-transaction"):
        hook = users.root / ".git" / "hooks" / name
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(f"#!/bin/sh\n{command}\n")
        hook.chmod(0o755)


def filters(users: Users, command: str) -> None:
    for key in ("clean", "smudge", "process"):
        users.git("config", f"filter.A=b.{key}", command)
    users.git("config", "filter.A=b.required", "true")
    (users.root / ".gitattributes").write_text("* filter=A=b\n")


def differ(users: Users, command: str) -> None:
    users.git("config", "diff.external", command)
    users.git("config", "diff.x.textconv", command)
    users.git("config", "diff.x.command", command)
    (users.root / ".gitattributes").write_text("* diff=x\n")


def promisor(users: Users, command: str) -> None:
    users.git("config", "core.repositoryFormatVersion", "1")
    users.git("config", "extensions.partialClone", "origin")
    users.git("config", "remote.origin.promisor", "true")
    users.git("config", "remote.origin.url", f"ext::sh -c {command.replace(' ', '% ')}")
    users.git("config", "protocol.ext.allow", "always")
    users.git("config", "branch.master.remote", "origin")
    users.git("config", "branch.master.merge", "refs/heads/master")
    (users.root / ".git" / "refs" / "remotes" / "origin").mkdir(parents=True)
    (users.root / ".git" / "refs" / "remotes" / "origin" / "HEAD").write_text("a" * 40 + "\n")


@pytest.mark.parametrize("plant", [fsmonitor, hooks, filters, differ, promisor])
def test_programs_that_a_repository_configures_are_not_run(
    users: Users, tmp_path: Path, plant: Callable[[Users, str], None]
) -> None:
    evidence = tmp_path / "evidence"
    plant(users, f"touch {evidence}")
    # git reads files that seem to have changed.
    os.utime(users.root / "setup.py", (1, 1))
    *_, touched = users.used()
    assert touched == ("PKG-INFO", "package/__init__.py", "package/staged.py")
    assert not evidence.exists()


def test_a_directory_is_not_read_as_a_part_of_the_repository_above(
    users: Users, tmp_path: Path
) -> None:
    below = users.root / "below"
    (below / ".git").mkdir(parents=True)
    with pytest.raises(process.ProcessError, match="not a git repository"):
        git.read(below, "ls-files", log=tmp_path / "git.log")
