# SPDX-License-Identifier: Apache-2.0
"""Where bsdgate keeps what outlives a command, by the XDG base directories."""

import os
import sys
from pathlib import Path
from typing import Final

from bsdgate.harness.errors import UsageError

PLAIN: Final = " !&'()+,-./;=@^_~"
"""The characters of ASCII that a path may have beside letters and digits.

Of the others some end a run, since what is written there cannot quote them: ``$`` in oslo.config,
``%`` and ``#`` in paste, ``?`` in SQLAlchemy, ``{`` in Nova, ``:`` in PATH; ``"``, backslash and
backtick in the first line of a script and in stestr's line for the shell. Brackets, ``*``, ``<``,
``>`` and ``|`` are patterns or markup to tox, to rich and to shells, and are refused with them.
"""


def state() -> Path:
    """Return the folder of clouds and runs: ``BSDGATE_STATE_DIR``, or under ``XDG_STATE_HOME``."""
    return _place("BSDGATE_STATE_DIR", "XDG_STATE_HOME", ".local/state")


def cache() -> Path:
    """Return the folder of what can be made again: ``BSDGATE_CACHE_DIR``, or ``XDG_CACHE_HOME``."""
    return _place("BSDGATE_CACHE_DIR", "XDG_CACHE_HOME", ".cache")


def by_default() -> list[Path]:
    """Return those of the two folders that the user has not chosen: they are bsdgate's own."""
    chosen = {"BSDGATE_STATE_DIR": state, "BSDGATE_CACHE_DIR": cache}
    return [place() for ours, place in chosen.items() if not os.environ.get(ours)]


def home(setting: str) -> Path:
    """Return the user's home; ``setting`` is the variable that makes it unnecessary.

    :raises UsageError: there is none: no HOME, and no entry for the user in the system's list.
    """
    try:
        return Path.home()
    except RuntimeError as error:
        raise UsageError(
            "you have no home directory: HOME is not set, and the system does not know your user",
            f"set HOME, or {setting}",
        ) from error


def check_installation() -> None:
    """Raise UsageError where bsdgate or its environment lies below a path that is not plain."""
    for path in (Path(sys.prefix), Path(__file__).parent):
        check(path, "put bsdgate, and the environment that it runs in, into another folder")


def check(path: Path, hint: str) -> Path:
    """Return ``path`` if OpenStack and its tests can live below it.

    :raises UsageError: it has a character that they cannot handle; ``hint`` is the next step.
    """
    wrong = [char for char in str(path) if not _is_plain(char)]
    if wrong:
        raise UsageError(
            f"the path {str(path)!r} has {wrong[0]!r} in it, which OpenStack's configuration files"
            " cannot hold",
            hint,
        )
    return path


def _is_plain(char: str) -> bool:
    if char.isascii():
        return char.isalnum() or char in PLAIN
    # What is no UTF-8 is not printable either.
    return char.isprintable()


def _place(ours: str, xdg: str, default: str) -> Path:
    if os.environ.get(ours):
        path = Path(os.environ[ours]).absolute()
    else:
        path = Path(os.environ.get(xdg) or home(ours) / default).absolute() / "bsdgate"
    return check(path, f"choose another place with {ours}")
