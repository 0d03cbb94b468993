# SPDX-License-Identifier: Apache-2.0
"""A command for people to read: a line to paste and its last output, without secrets."""

import os
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_TAIL_LINES: Final = 20
_TAIL_BYTES: Final = 16384
HIDDEN: Final = "***"
"""The text that replaces a secret."""

_SECRET_NAME = re.compile(r"passw|passphrase|secret|token|credential|api_?key", re.IGNORECASE)
# A password may contain "@", and in a database's URL "/"; digits before "/" are a port.
_URL_PASSWORD = re.compile(r"""(?<=://)([^/@\s:"'\[]*):(?:[^/\s"']*|(?!\d*/)[^@\s"']*)(?=@)""")
# A token for HTTP is often written in place of the user.
_URL_TOKEN = re.compile(r"""(https?://)[^/@:\s"']+(?=@)""")


@dataclass(frozen=True)
class Command:
    """A command with its working directory, environment and log file."""

    argv: tuple[str, ...]
    cwd: Path
    env: Mapping[str, str]
    log: Path

    def pasteable(self) -> str:
        """Return a shell line that runs the same command, without its secrets."""
        env = [
            f"{name}={HIDDEN if _SECRET_NAME.search(name) else value}"
            for name, value in sorted(self.env.items())
        ]
        line = shlex.join(["env", "-i", *env, *_without_secrets(self.argv)])
        return f"cd {shlex.quote(str(self.cwd))} && {without_url_passwords(line)}"

    def secrets(self) -> set[str]:
        """Return the values that must not be printed."""
        masked = zip(self.argv, _without_secrets(self.argv), strict=True)
        values = {real.partition("=")[2] or real for real, shown in masked if real != shown}
        values |= {value for name, value in self.env.items() if _SECRET_NAME.search(name)}
        return {value for value in values if len(value) >= len(HIDDEN) * 2}

    def last_lines(self, offset: int) -> str:
        """Return the end of what this command wrote to its log, from byte ``offset`` on."""
        with self.log.open("rb") as log:
            size = log.seek(0, os.SEEK_END)
            log.seek(max(offset, size - _TAIL_BYTES))
            text = log.read().decode("utf-8", "backslashreplace")
        for secret in self.secrets():
            text = text.replace(secret, HIDDEN)
        lines = without_url_passwords(text).splitlines()[-_TAIL_LINES:]
        return "\n".join(f"  | {line}" for line in lines)


def without_url_passwords(text: str) -> str:
    """Return the text with the passwords and possible tokens in its URLs hidden."""
    return _URL_TOKEN.sub(rf"\1{HIDDEN}", _URL_PASSWORD.sub(rf"\1:{HIDDEN}", text))


def _without_secrets(argv: Sequence[str]) -> list[str]:
    shown: list[str] = []
    hide_next = False
    for word in argv:
        name, equals, _ = word.partition("=")
        secret_option = name.startswith("-") and _SECRET_NAME.search(name) is not None
        if secret_option and equals:
            word = f"{name}={HIDDEN}"
        elif hide_next and not word.startswith("-"):
            word = HIDDEN
        shown.append(word)
        hide_next = secret_option and not equals
    return shown
