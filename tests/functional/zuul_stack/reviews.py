# SPDX-License-Identifier: Apache-2.0
"""Changes of an author: pushed with git, with as many patchsets as a test needs."""

import shutil
import subprocess
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from functional.gerrit import ADMIN, AUTHOR, Gerrit


@dataclass(frozen=True)
class Change:
    """A change in Gerrit, with the checkout from which it was pushed."""

    gerrit: Gerrit
    number: int
    key: str
    checkout: Path

    @property
    def revision(self) -> str:
        """The commit of the current patchset."""
        found: str = self._get("?o=CURRENT_REVISION")["current_revision"]
        return found

    def amend(self, files: Mapping[str, str | None]) -> None:
        """Push another patchset; a file without content is removed."""
        _commit(self.checkout, files, "--amend", "--no-edit")
        _push(self.checkout)

    def comment(self, message: str) -> None:
        """Comment as the author, for instance ``recheck``."""
        path = f"/changes/{self.number}/revisions/current/review"
        self.gerrit.call(AUTHOR, "POST", path, {"message": message})

    def abandon(self) -> None:
        self.gerrit.abandon(self.number)

    def merge(self) -> None:
        """Approve and submit the change as an administrator."""
        path = f"/changes/{self.number}/revisions/current/review"
        self.gerrit.admin("POST", path, {"labels": {"Code-Review": 2}})
        self.gerrit.admin("POST", f"/changes/{self.number}/submit", {})

    def messages(self, who: str) -> list[str]:
        return self.gerrit.messages(self.number, who)

    def vote(self, who: str) -> int:
        return self.gerrit.vote(self.number, who)

    def _get(self, query: str) -> Any:
        return self.gerrit.admin("GET", f"/changes/{self.number}{query}")


def push(
    gerrit: Gerrit,
    folder: Path,
    files: Mapping[str, str | None],
    project: str = "demo",
    footer: str = "",
) -> Change:
    """Push a new change with these files on the head of the project.

    ``footer`` is a line of the commit message, such as ``Depends-On: URL``.
    """
    key = f"I{uuid.uuid4().hex}00000000"
    checkout = folder / key
    url = gerrit.url.replace("://", f"://{':'.join(ADMIN)}@")
    _git(folder, "clone", "--quiet", f"{url}/a/{project}", str(checkout))
    lines = ["A change", "", *([footer] if footer else []), f"Change-Id: {key}"]
    _commit(checkout, files, "-m", "\n".join(lines))
    _push(checkout)
    (found,) = gerrit.admin("GET", f"/changes/?q=change:{key}")
    return Change(gerrit, found["_number"], key, checkout)


def _commit(checkout: Path, files: Mapping[str, str | None], *options: str) -> None:
    for name, content in files.items():
        if content is None:
            (checkout / name).unlink()
        else:
            (checkout / name).parent.mkdir(parents=True, exist_ok=True)
            (checkout / name).write_text(content)
    _git(checkout, "add", "--all")
    who = ["-c", "user.name=Administrator", "-c", "user.email=admin@example.com"]
    _git(checkout, *who, "commit", "--quiet", *options)


def _push(checkout: Path) -> None:
    _git(checkout, "push", "--quiet", "origin", "HEAD:refs/for/master")


def _git(folder: Path, *arguments: str) -> None:
    git = shutil.which("git") or "git"
    done = subprocess.run(
        [git, *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"git {arguments}:\n{done.stdout}{done.stderr}"
