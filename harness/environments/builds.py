# SPDX-License-Identifier: Apache-2.0
"""Builds by uv, in which the code that is built has as little access as the system allows.

The build has its own home, temporary directory and installer cache, which are removed afterwards:
a later build would install files that an earlier one leaves in a shared cache. With bubblewrap, all
other files are read-only, and processes that the build leaves behind end with it.
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
"""The maximum number of seconds for a build, on a node of usual speed."""
# Not multiplied by the factor for slow nodes: the probe does no work.
_PROBE_TIMEOUT: Final = 30.0
_SANDBOX: Final = ("--die-with-parent", "--unshare-pid", "--unshare-ipc", "--ro-bind", "/", "/")
_SANDBOX_SYSTEM: Final = ("--dev", "/dev", "--proc", "/proc")
_OWN: Final = {"HOME": "home", "TMPDIR": "tmp", "UV_CACHE_DIR": "cache"}


@dataclass(frozen=True)
class Build:
    """One build: its working directory, the environment that it installs into, and its log.

    ``factor`` multiplies the time limit.
    """

    work: Path
    environment: Path
    log: Path
    factor: float = 1.0

    @property
    def source(self) -> Path:
        """The directory for the project's files; it does not exist at first."""
        return self.work / "source"

    def uv(self, *arguments: str | Path, **extra: str | None) -> None:
        """Run uv; ``extra`` are environment variables for it and for the code that it builds.

        :raises UsageError: uv is not installed, or the user's settings for it contain a password.
        :raises ProcessError: uv failed; the error ends with its last lines.
        """
        own = {name: str(self.work / folder) for name, folder in _OWN.items()}
        fixed = {"UV_PYTHON_DOWNLOADS": "never", "UV_LINK_MODE": "copy"}
        env = process.environment(**{**variables.for_builds(), **own, **fixed, **extra})
        inside = _sandbox([self.work, self.environment]) if sandbox_missing() is None else []
        command = [*inside, _find_uv(), *arguments]
        limit = _BUILD_TIMEOUT * self.factor
        process.run(command, log=self.log, timeout=limit, cwd=Path("/"), env=env)


@contextlib.contextmanager
def begun(work: Path, environment: Path, log: Path, factor: float) -> Iterator[Build]:
    """Make the directory ``work`` for a build into ``environment``; remove it at the end."""
    shutil.rmtree(work, ignore_errors=True)
    for folder in _OWN.values():
        (work / folder).mkdir(mode=0o700, parents=True)
    environment.mkdir(mode=0o700, exist_ok=True)
    try:
        yield Build(work, environment, log, factor)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def report_missing_sandbox(report: Callable[[str], None]) -> None:
    """Report why builds run without a sandbox on this machine, if they do."""
    missing = sandbox_missing()
    if missing is not None:
        report(
            f"no sandbox for builds ({missing}): writes to the base are detected, but not prevented"
        )


@functools.cache
def sandbox_missing() -> str | None:
    """Return the reason why this machine has no sandbox, or None if it has one."""
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
    """Return the path of uv: beside the running Python, else on the PATH."""
    beside = Path(sys.executable).with_name("uv")
    found = str(beside) if beside.exists() else shutil.which("uv")
    if found is None:
        raise UsageError(
            "--with needs uv, which is missing", "install it: `pip install uv`, `pkg install uv`"
        )
    return str(Path(found).absolute())
