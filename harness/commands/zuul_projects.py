# SPDX-License-Identifier: Apache-2.0
"""The projects of ``bsdgate zuul run``: copies of checkouts, with their commits."""

import configparser
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bsdgate.harness import process
from bsdgate.harness.environments import git, sources
from bsdgate.harness.errors import UsageError
from bsdgate.harness.zuul.executor.order import Project


def prepare(given: Sequence[tuple[str | None, Path]], folder: Path) -> list[Project]:
    """Copy checkouts into the new directory ``folder``, with their uncommitted changes.

    :raises UsageError: a checkout is not one, or the name of its project is not known.
    """
    folder.mkdir()
    return [
        _copy(name or _name(path), path.absolute(), folder / str(number))
        for number, (name, path) in enumerate(given)
    ]


def _name(path: Path) -> str:
    """Return the name of a project as its .gitreview has it."""
    parser = configparser.ConfigParser()
    try:
        parser.read_string((path / ".gitreview").read_text(encoding="utf-8"))
        return parser["gerrit"]["project"].removesuffix(".git")
    except (OSError, UnicodeDecodeError, KeyError, configparser.Error) as error:
        raise UsageError(
            f"--project {path}: its file .gitreview has no name of the project ({error})",
            f"give the name: --project openstack/keystone={path}",
        ) from error


def _copy(name: str, path: Path, target: Path) -> Project:
    """Copy a checkout: a clone of its commit, with the files as they are."""
    with tempfile.TemporaryDirectory(prefix="bsdgate-") as scratch:
        log = Path(scratch) / "git.log"
        try:
            commit = git.read(path, "rev-parse", "HEAD", log=log).decode().strip()
            message = git.read(path, "log", "-1", "--format=%B", log=log).decode(errors="replace")
            options = ("--quiet", "--no-checkout", "--no-hardlinks", "--template=")
            git.fetch(target.parent, "clone", *options, "--", str(path), target.name, log=log)
            # As in the workspace of Zuul: no remote, so that no branch is newer than the change.
            git.fetch(target, "remote", "remove", "origin", log=log)
            git.fetch(target, "reset", "--quiet", log=log)
        except process.ProcessError as error:
            raise UsageError(
                f"--project {path}: this is not a git checkout with a commit:\n{error.message}",
                "give the directory of a checkout",
            ) from error
        sources.copy(path, sources.find(path, log), target)
    return Project(name, str(target), commit, message.strip())
