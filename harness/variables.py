# SPDX-License-Identifier: Apache-2.0
"""The caller's environment variables that a child process inherits: only those in this module.

Child processes run the code of a change under test, or its tests. A caller's environment contains
passwords, tokens and agents (history URL, CI tokens, clouds), and settings that change a run.
"""

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from bsdgate.harness.command_line import without_url_passwords
from bsdgate.harness.errors import UsageError

_COMMON: Final = (
    "PATH",  # the directories of programs
    "HOME",  # the directory of programs' settings, unless the child process gets its own
    "USER",  # a container may have no entry for the user's id to look it up
    "LOGNAME",  # the same, by its name in POSIX
    "LANG",  # the encoding of texts
    "LANGUAGE",  # the language of messages
    r"LC_[A-Z]+",  # both, by category
    "TZ",  # the time zone of logs, which are compared with ours
    "TMPDIR",  # the user's choice of a directory for temporary files
    "LD_LIBRARY_PATH",  # the libraries of a Python outside the system's directories
)
_NETWORK: Final = (
    r"(?i:https?_proxy|all_proxy|no_proxy)",  # the proxies of the network
    r"SSL_CERT_(FILE|DIR)",  # trusted certificates beside the system's
    "REQUESTS_CA_BUNDLE",  # the same for pip
    "CURL_CA_BUNDLE",  # the same for git's library
)
_GIT: Final = (
    r"GIT_SSL_CA(INFO|PATH)",  # the same for git
    "SSH_AUTH_SOCK",  # the keys for ssh; git runs no code of a change
    "SUDO_UID",  # with it, root may read the repositories of the user who called sudo
)
_INSTALLER: Final = (
    r"UV_(DEFAULT_INDEX|INDEX|INDEX_URL|EXTRA_INDEX_URL|FIND_LINKS)",  # where packages are
    r"UV_(INDEX_STRATEGY|INSECURE_HOST)",  # how indexes are used
    r"UV_(NATIVE_TLS|SYSTEM_CERTS)",  # trusted certificates
    r"UV_(HTTP_TIMEOUT|HTTP_RETRIES|OFFLINE)",  # time limit, retries, or no network
    r"UV_(CONFIG_FILE|NO_CONFIG)",  # the file with the same settings
    "NETRC",  # the file with the passwords of indexes
)
# uv reads none of pip's variables, and many sites set only those.
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
    """Return the variables that every child process inherits."""
    return _listed(_COMMON)


def for_git() -> dict[str, str]:
    """Return the variables that git inherits beside ``common``."""
    return _network() | _listed(_GIT)


def for_builds() -> dict[str, str]:
    """Return the variables that an installer and its builds inherit beside ``common``.

    pip's variables are translated to uv's where the user has set none of uv's own.

    :raises UsageError: a value contains a password, which the change under test could read.
    """
    found = _network() | _listed(_INSTALLER)
    for theirs, ours in _PIP.items():
        if os.environ.get(theirs) and not any(name in found for name in _SAME.get(ours, (ours,))):
            separator = "," if ours == "UV_FIND_LINKS" else " "
            found[ours] = separator.join(os.environ[theirs].split())
    # A build has its own home, without the user's files.
    for name, path in _FILES.items():
        if name not in found and (Path.home() / path).is_file():
            found[name] = str(Path.home() / path)
    for name, value in found.items():
        if without_url_passwords(value) != value:
            raise UsageError(
                f"{name} contains a password or token, which the code of the build could read: "
                f"{without_url_passwords(value)}",
                "move it from the URL to ~/.netrc, or unset the variable",
            )
    return found


def _listed(patterns: Iterable[str]) -> dict[str, str]:
    allowed = re.compile("|".join(patterns))
    return {name: value for name, value in os.environ.items() if allowed.fullmatch(name)}


def _network() -> dict[str, str]:
    """Return the variables for the network; loopback addresses use no proxy."""
    found = _listed(_NETWORK)
    direct = found.get("no_proxy") or found.get("NO_PROXY") or ""
    missing = [host for host in _LOOPBACK if host not in direct.split(",")]
    found["no_proxy"] = found["NO_PROXY"] = ",".join(filter(None, [direct, *missing]))
    return found
