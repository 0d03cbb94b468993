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
    """Return the word, quoted for any login shell.

    :raises ValueError: the word has a control character, which cannot be quoted for all shells.
    """
    if _CONTROL.search(word):
        raise ValueError(f"{word!r} cannot be quoted for all login shells")
    return _SPECIAL.sub(lambda found: _protected(found[0]), word) or "''"


def _protected(char: str) -> str:
    # Characters outside ASCII have no special meaning in a shell.
    return f"\\{char}" if char.isascii() else char


def command(argv: Iterable[str | Path]) -> str:
    """Return a line by which a login shell replaces itself with this program."""
    return " ".join(["exec", *(quote(str(word)) for word in argv)])


def script(text: str, *arguments: str) -> str:
    """Return a line by which a login shell replaces itself with a POSIX shell that runs ``text``.

    Each line of the text is a command; ``$1`` and so on are the arguments.
    """
    line = "; ".join(each.strip() for each in text.strip().splitlines())
    return command(["/bin/sh", "-c", line, "sh", *arguments])
