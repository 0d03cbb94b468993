# SPDX-License-Identifier: Apache-2.0
"""The user and the password for Gerrit: from the environment, or from a file in netrc's format.

They are never on a command line. No error contains a part of them.
"""

import netrc
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from bsdgate.harness.errors import UsageError

USER: Final = "BSDGATE_GERRIT_USER"
PASSWORD: Final = "BSDGATE_GERRIT_PASSWORD"  # noqa: S105 - the name of a variable
"""The variables with the user and the HTTP password of the account."""

_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user and a password."""

    user: str
    password: str = field(repr=False)


def find(
    server: str,
    file: Path | None,
    environment: Mapping[str, str],
    variables: tuple[str, str] = (USER, PASSWORD),
) -> Credentials:
    """Return the credentials for a server.

    They are in ``file`` if it is given; else in ``variables`` of the environment, in the file that
    the variable NETRC names, or in ``~/.netrc``.

    :raises UsageError: there are none, or others may read the file.
    """
    user, password = map(environment.get, variables)
    if file is None and user and password:
        return Credentials(user, password)
    if file is None and (user or password):
        raise UsageError(f"{variables[0 if user else 1]} is set alone", "set both or none of them")
    path = file or Path(environment.get("NETRC") or Path.home() / ".netrc")
    return _in_file(path, urlsplit(server).hostname or "", variables)


def _in_file(path: Path, host: str, variables: tuple[str, str]) -> Credentials:
    names = " and ".join(variables)
    hint = f"add `machine {host} login USER password PASSWORD`, or set {names}"
    try:
        with path.open(encoding="utf-8") as file:
            check_private(path, os.fstat(file.fileno()), "give a file in the format of netrc")
        # The entry ``default`` is not used: it is not meant for this server.
        entry = netrc.netrc(str(path)).hosts.get(host)
    except netrc.NetrcParseError as error:
        # The message of the parser may contain the password.
        where = f"line {error.lineno} of {path} is not in the format of netrc"
        raise UsageError(where, "correct it") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not in UTF-8", "correct it") from None
    except OSError as error:
        what = f"no credentials for {host}: cannot read {path}: {error.strerror}"
        raise UsageError(what, hint) from error
    if entry is None or not (entry[0] and entry[2]):
        raise UsageError(f"{path} has no user with a password for {host}", hint)
    return Credentials(entry[0], entry[2])


def check_private(path: Path, found: os.stat_result, hint: str) -> None:
    """Check that only the user may use an open file; ``hint`` says what the file has to be.

    :raises UsageError: others may use it, or it is not a file.
    """
    if not stat.S_ISREG(found.st_mode):
        raise UsageError(f"{path} is not a file", hint)
    if found.st_uid != os.geteuid():
        raise UsageError(f"{path} belongs to another user (id {found.st_uid})", "use your own file")
    if found.st_mode & _OTHERS:
        mode = stat.S_IMODE(found.st_mode)
        raise UsageError(f"others may use {path} (mode {mode:04o})", f"run: chmod 600 {path}")
