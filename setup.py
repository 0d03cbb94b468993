# SPDX-License-Identifier: Apache-2.0
"""Writes the commit of the checkout to the package: an installed package has no git history."""

import os
import shutil
import subprocess
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

ROOT = Path(__file__).resolve().parent
COMMIT_FILE = "commit.txt"


def write_commit(package: Path) -> None:
    """Write the commit of the checkout; an unpacked sdist keeps the file that it came with."""
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        return
    environment = {name: text for name, text in os.environ.items() if not name.startswith("GIT_")}
    done = subprocess.run(
        [git, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == 0:
        (package / COMMIT_FILE).write_text(done.stdout, encoding="ascii")


class BuildWithCommit(build_py):
    """Makes the files of a wheel; an editable installation reads the commit with git."""

    def run(self) -> None:
        """Copy the files, then write the commit."""
        super().run()
        if not self.editable_mode:
            write_commit(Path(self.build_lib, "bsdgate"))


class ArchiveWithCommit(sdist):
    """Makes the files of an sdist."""

    def make_release_tree(self, base_dir: str, files: list[str]) -> None:
        """Copy the files, then write the commit."""
        super().make_release_tree(base_dir, files)
        write_commit(Path(base_dir, "src", "bsdgate"))


setup(cmdclass={"build_py": BuildWithCommit, "sdist": ArchiveWithCommit})
