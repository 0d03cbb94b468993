# SPDX-License-Identifier: Apache-2.0
"""The state directory and the cache directory, by the XDG Base Directory Specification."""

import os
import sys
from pathlib import Path
from typing import Final

from bsdgate.harness.errors import UsageError

PLAIN: Final = " !&'()+,-./;=@^_~"
"""The ASCII characters that a path may contain beside letters and digits.

Some of the others break a run, because they cannot be quoted: ``$`` in oslo.config, ``%`` and ``#``
in paste, ``?`` in SQLAlchemy, ``{`` in Nova, ``:`` in PATH; ``"``, backslash and backtick in the
first line of a script and in stestr's shell command. Brackets, ``*``, ``<``, ``>`` and ``|`` are
patterns or markup in tox, rich and shells, so they are refused too.
"""


def state() -> Path:
    """Return the state directory: ``BSDGATE_STATE_DIR``, or one in ``XDG_STATE_HOME``."""
    return _place("BSDGATE_STATE_DIR", "XDG_STATE_HOME", ".local/state")


def cache() -> Path:
    """Return the cache directory: ``BSDGATE_CACHE_DIR``, or one in ``XDG_CACHE_HOME``."""
    return _place("BSDGATE_CACHE_DIR", "XDG_CACHE_HOME", ".cache")


def by_default() -> list[Path]:
    """Return the state and cache directories that no BSDGATE variable sets.

    Only bsdgate uses these directories.
    """
    chosen = {"BSDGATE_STATE_DIR": state, "BSDGATE_CACHE_DIR": cache}
    return [place() for ours, place in chosen.items() if not os.environ.get(ours)]


def home(setting: str) -> Path:
    """Return the user's home directory; it is not needed if the variable ``setting`` is set.

    :raises UsageError: HOME is not set, and the system's list of users has no entry for the user.
    """
    try:
        return Path.home()
    except RuntimeError as error:
        raise UsageError(
            "you have no home directory: HOME is not set, and the system's list of users has no"
            " entry for you",
            f"set HOME, or {setting}",
        ) from error


def check_installation() -> None:
    """Raise UsageError if the path of bsdgate or of its environment fails ``check``."""
    for path in (Path(sys.prefix), Path(__file__).parent):
        check(path, "install bsdgate and its Python environment in another directory")


def check(path: Path, hint: str) -> Path:
    """Return ``path`` if OpenStack and its tests can use it and all paths below it.

    :raises UsageError: it contains a character that OpenStack cannot use; ``hint`` is the hint.
    """
    wrong = [char for char in str(path) if not _is_plain(char)]
    if wrong:
        raise UsageError(
            f"the path {str(path)!r} contains {wrong[0]!r}, which OpenStack's configuration files"
            " cannot contain",
            hint,
        )
    return path


def _is_plain(char: str) -> bool:
    if char.isascii():
        return char.isalnum() or char in PLAIN
    # Bytes that are not UTF-8 are not printable either.
    return char.isprintable()


def _place(ours: str, xdg: str, default: str) -> Path:
    if os.environ.get(ours):
        path = Path(os.environ[ours]).absolute()
    else:
        path = Path(os.environ.get(xdg) or home(ours) / default).absolute() / "bsdgate"
    return check(path, f"choose another directory with {ours}")
