# SPDX-License-Identifier: Apache-2.0
"""Builds: uv, run so that the code that it builds reaches as little as the system allows.

The build has a home, a folder of temporary files and an installer's cache of its own, which are
removed afterwards: what one build leaves in a shared cache, a later one would install. Where there
is bubblewrap, all else is read-only, and processes that the build leaves behind end with it.
"""

import contextlib
import functools
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bsdgate.harness import process, variables
from bsdgate.harness.errors import UsageError

_BUILD_TIMEOUT: Final = 900.0
_PROBE_TIMEOUT: Final = 30.0
_SANDBOX: Final = ("--die-with-parent", "--unshare-pid", "--unshare-ipc", "--ro-bind", "/", "/")
_SANDBOX_SYSTEM: Final = ("--dev", "/dev", "--proc", "/proc")
_OWN: Final = {"HOME": "home", "TMPDIR": "tmp", "UV_CACHE_DIR": "cache"}


@dataclass(frozen=True)
class Build:
    """One build: the folder that it works in, the environment that it installs into, its log."""

    work: Path
    environment: Path
    log: Path

    @property
    def source(self) -> Path:
        """Where the project's files are put, to be built; it is not there yet."""
        return self.work / "source"

    def uv(self, *arguments: str | Path, **extra: str | None) -> None:
        """Run uv; ``extra`` are variables for it and for what it builds.

        :raises UsageError: there is no uv, or the user's settings for it hold a password.
        :raises ProcessError: uv failed; the error ends with its last lines.
        """
        own = {name: str(self.work / folder) for name, folder in _OWN.items()}
        fixed = {"UV_PYTHON_DOWNLOADS": "never", "UV_LINK_MODE": "copy"}
        env = process.environment(**{**variables.for_builds(), **own, **fixed, **extra})
        inside = _sandbox([self.work, self.environment]) if sandbox_missing() is None else []
        command = [*inside, _find_uv(), *arguments]
        process.run(command, log=self.log, timeout=_BUILD_TIMEOUT, cwd=Path("/"), env=env)


@contextlib.contextmanager
def begun(work: Path, environment: Path, log: Path) -> Iterator[Build]:
    """Make the folder ``work`` for a build into ``environment``; remove it at the end."""
    shutil.rmtree(work, ignore_errors=True)
    for folder in _OWN.values():
        (work / folder).mkdir(mode=0o700, parents=True)
    environment.mkdir(mode=0o700, exist_ok=True)
    try:
        yield Build(work, environment, log)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def say_what_is_missing(say: Callable[[str], None]) -> None:
    """Say it if builds run without a sandbox here, and why."""
    missing = sandbox_missing()
    if missing is not None:
        say(
            f"no sandbox for builds ({missing}): what they write is found afterwards, not prevented"
        )


@functools.cache
def sandbox_missing() -> str | None:
    """Return why there is no sandbox here, or None if there is one."""
    if shutil.which("bwrap") is None:
        return "bubblewrap is not installed"
    with tempfile.TemporaryDirectory() as folder:
        probe = [*_sandbox([Path(folder)]), "true"]
        try:
            process.run(probe, log=Path(folder) / "log", timeout=_PROBE_TIMEOUT)
        except process.ProcessError as error:
            return f"bubblewrap does not work: {error.message.splitlines()[-1].strip(' |')}"
    return None


def _sandbox(writable: Sequence[Path]) -> list[str]:
    binds = [word for path in writable for word in ("--bind", str(path), str(path))]
    return ["bwrap", *_SANDBOX, *_SANDBOX_SYSTEM, *binds, "--"]


def _find_uv() -> str:
    """Return uv: that of the package where there is one, else that of the system."""
    beside = Path(sys.executable).with_name("uv")
    found = str(beside) if beside.exists() else shutil.which("uv")
    if found is None:
        raise UsageError(
            "--with needs uv, which is not there", "install it: `pip install uv`, `pkg install uv`"
        )
    return str(Path(found).absolute())
