# SPDX-License-Identifier: Apache-2.0
"""Command lines for the login shell of another machine, whichever shell that is.

ssh gives the words of a command, with spaces between, to the user's login shell: on FreeBSD that
may be tcsh, in which no quotation marks protect ``!``. A backslash before a character that is not
a letter or a digit protects it in every shell.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

_SPECIAL: Final = re.compile(r"[^A-Za-z0-9_./-]", re.ASCII)
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")


def quote(word: str) -> str:
    """Return the word as a login shell takes it for one word.

    :raises ValueError: it has a control character, which no form protects in all shells.
    """
    if _CONTROL.search(word):
        raise ValueError(f"no login shell takes {word!r} as a word")
    return _SPECIAL.sub(lambda found: _protected(found[0]), word) or "''"


def _protected(char: str) -> str:
    # A character beyond ASCII has no meaning to a shell.
    return f"\\{char}" if char.isascii() else char


def command(argv: Iterable[str | Path]) -> str:
    """Return the line with which a login shell becomes this program."""
    return " ".join(["exec", *(quote(str(word)) for word in argv)])


def script(text: str, *arguments: str) -> str:
    """Return the line with which a login shell becomes a POSIX shell that runs ``text``.

    Lines of the text are commands; ``$1`` and so on are the arguments.
    """
    line = "; ".join(each.strip() for each in text.strip().splitlines())
    return command(["/bin/sh", "-c", line, "sh", *arguments])
