# SPDX-License-Identifier: Apache-2.0
"""The environment variables of the caller that a child inherits: those listed here, no others.

What is started runs the code of a change under test, or its tests. A caller's environment holds
passwords, tokens and agents (a history's URL, a CI's tokens, clouds), and settings that bend a run.
"""

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from bsdgate.harness.command_line import without_url_passwords
from bsdgate.harness.errors import UsageError

_COMMON: Final = (
    "PATH",  # programs are found by it
    "HOME",  # programs keep their settings there, unless the child gets a home of its own
    "USER",  # a container may have no entry for the user's id, by which it would be looked up
    "LOGNAME",  # the same, as POSIX calls it
    "LANG",  # the encoding of what is read and written
    "LANGUAGE",  # the language of messages
    r"LC_[A-Z]+",  # both, by category
    "TZ",  # the time zone of logs, which are compared with ours
    "TMPDIR",  # the user's choice of a place with room
    "LD_LIBRARY_PATH",  # a Python outside the system's places finds its libraries by it
)
_NETWORK: Final = (
    r"(?i:https?_proxy|all_proxy|no_proxy)",  # the way out of a closed network
    r"SSL_CERT_(FILE|DIR)",  # whom to trust beside the system's list
    "REQUESTS_CA_BUNDLE",  # the same, as pip has it
    "CURL_CA_BUNDLE",  # the same, as git's library has it
)
_GIT: Final = (
    r"GIT_SSL_CA(INFO|PATH)",  # the same, as git has it
    "SSH_AUTH_SOCK",  # the keys for ssh; git runs no code of a change
    "SUDO_UID",  # git lets root read the repositories of the user who called sudo
)
_INSTALLER: Final = (
    r"UV_(DEFAULT_INDEX|INDEX|INDEX_URL|EXTRA_INDEX_URL|FIND_LINKS)",  # where packages are
    r"UV_(INDEX_STRATEGY|INSECURE_HOST)",  # how indexes are used
    r"UV_(NATIVE_TLS|SYSTEM_CERTS)",  # whom to trust
    r"UV_(HTTP_TIMEOUT|HTTP_RETRIES|OFFLINE)",  # how long to try, or not at all
    r"UV_(CONFIG_FILE|NO_CONFIG)",  # the file that may say the same
    "NETRC",  # the file with the passwords of indexes
)
# uv reads none of pip's variables, and many a site has set only those.
_PIP: Final = {
    "PIP_INDEX_URL": "UV_DEFAULT_INDEX",
    "PIP_EXTRA_INDEX_URL": "UV_INDEX",
    "PIP_FIND_LINKS": "UV_FIND_LINKS",
    "PIP_TRUSTED_HOST": "UV_INSECURE_HOST",
    "PIP_CERT": "SSL_CERT_FILE",
}
_FILES: Final = {"NETRC": ".netrc", "UV_CONFIG_FILE": ".config/uv/uv.toml"}
_SAME: Final = {
    "UV_DEFAULT_INDEX": ("UV_DEFAULT_INDEX", "UV_INDEX_URL"),
    "UV_INDEX": ("UV_INDEX", "UV_EXTRA_INDEX_URL"),
}
_LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")


def common() -> dict[str, str]:
    """Return what every child inherits."""
    return _listed(_COMMON)


def for_git() -> dict[str, str]:
    """Return what git inherits beside that."""
    return _network() | _listed(_GIT)


def for_builds() -> dict[str, str]:
    """Return what an installer inherits beside ``common``, and with it the code that it builds.

    Of pip's variables, uv gets the meaning where the user has set none of uv's own.

    :raises UsageError: one holds a password, which the change under test would get to know.
    """
    found = _network() | _listed(_INSTALLER)
    for theirs, ours in _PIP.items():
        if os.environ.get(theirs) and not any(name in found for name in _SAME.get(ours, (ours,))):
            separator = "," if ours == "UV_FIND_LINKS" else " "
            found[ours] = separator.join(os.environ[theirs].split())
    # A build has a home of its own, in which the user's files are not found.
    for name, path in _FILES.items():
        if name not in found and (Path.home() / path).is_file():
            found[name] = str(Path.home() / path)
    for name, value in found.items():
        if without_url_passwords(value) != value:
            raise UsageError(
                f"{name} holds a password or token, which what is built would get to know: "
                f"{without_url_passwords(value)}",
                "keep it in ~/.netrc, and the URL without it; or unset the variable",
            )
    return found


def _listed(patterns: Iterable[str]) -> dict[str, str]:
    allowed = re.compile("|".join(patterns))
    return {name: value for name, value in os.environ.items() if allowed.fullmatch(name)}


def _network() -> dict[str, str]:
    """Return how to reach other machines; no proxy stands before loopback."""
    found = _listed(_NETWORK)
    direct = found.get("no_proxy") or found.get("NO_PROXY") or ""
    missing = [host for host in _LOOPBACK if host not in direct.split(",")]
    found["no_proxy"] = found["NO_PROXY"] = ",".join(filter(None, [direct, *missing]))
    return found
