# SPDX-License-Identifier: Apache-2.0
"""Runs git so that neither the caller's environment nor a repository changes its behaviour.

The caller may be a git hook: its GIT_INDEX_FILE would make git write the user's index. A repository
may not be trusted: its configuration can contain programs that git starts.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from bsdgate.harness import process, variables

REMOTE_PROTOCOLS: Final = ("file", "git", "http", "https", "ssh")
"""The allowed protocols. All others are helper programs, such as ``ext::COMMAND``."""

# Not multiplied by the factor for slow nodes: the first limit is for the network, and the second
# for a git that hangs.
_REMOTE_TIMEOUT: Final = 600.0
_LOCAL_TIMEOUT: Final = 120.0

_FIXED: Final = {
    # A question that the user does not see would wait until the time limit.
    "GIT_TERMINAL_PROMPT": "0",
    # Reading a repository must not rewrite its index, nor fetch missing objects.
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_NO_LAZY_FETCH": "1",
}
_CONFIGURED: Final = {
    "core.fsmonitor": "false",
    "core.hooksPath": os.devnull,
    "submodule.recurse": "false",
}
# The programs of a filter driver; if it were required, git would refuse a file without them.
_FILTER: Final = {"clean": "", "smudge": "", "process": "", "required": "false"}


def read(folder: Path, *arguments: str, log: Path) -> bytes:
    """Run git in the repository ``folder``, without its hooks and filters; return the output.

    :raises ProcessError: git failed, or there is no repository in that very directory.
    """
    listed = _run(folder, "config", "--list", "--name-only", "-z", log=log, configured=_CONFIGURED)
    filters = {name.rpartition(".")[0] for name in _names(listed) if name.startswith("filter.")}
    off = {f"{each}.{key}": value for each in filters for key, value in _FILTER.items()}
    return _run(folder, *arguments, log=log, configured=_CONFIGURED | off)


def fetch(folder: Path, *arguments: str, log: Path) -> bytes:
    """Run git, which may use the network, in a ``folder`` of bsdgate; return the output.

    :raises ProcessError: git failed.
    """
    return _run(folder, *arguments, log=log, configured=_CONFIGURED, remote=True)


def _names(listed: bytes) -> list[str]:
    return [os.fsdecode(name) for name in listed.split(b"\0") if name]


def _run(
    folder: Path,
    *arguments: str,
    log: Path,
    configured: Mapping[str, str],
    remote: bool = False,
) -> bytes:
    output = log.with_suffix(".out")
    output.unlink(missing_ok=True)
    process.run(
        ["git", *arguments],
        log=log,
        timeout=_REMOTE_TIMEOUT if remote else _LOCAL_TIMEOUT,
        cwd=folder,
        env=_environment(folder, configured, remote=remote),
        stdout=output,
    )
    return output.read_bytes()


def _environment(folder: Path, configured: Mapping[str, str], *, remote: bool) -> dict[str, str]:
    env = process.environment(**variables.for_git(), **_FIXED)
    # git looks for a repository only in the directory itself, in none above it.
    env["GIT_CEILING_DIRECTORIES"] = str(folder.parent)
    env["GIT_ALLOW_PROTOCOL"] = ":".join(REMOTE_PROTOCOLS) if remote else "none"
    env["GIT_CONFIG_COUNT"] = str(len(configured))
    for number, (key, value) in enumerate(configured.items()):
        env[f"GIT_CONFIG_KEY_{number}"], env[f"GIT_CONFIG_VALUE_{number}"] = key, value
    return env
