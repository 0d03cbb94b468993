# SPDX-License-Identifier: Apache-2.0
"""The packages and the package repositories of this machine, as FreeBSD's pkg shows them."""

import re
import shutil
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from bsdgate.harness import process
from bsdgate.harness.errors import InfrastructureError

# Not multiplied by the factor for slow nodes: pkg reads local files in a second.
TIMEOUT: Final = 120.0

# ``pkg -N`` fails if there is only the program that can install pkg: that program must not run.
_SCRIPT: Final = """
pkg -N >/dev/null 2>&1 || exit 0
pkg query 'package %n %v' || exit 1
pkg -vv || exit 1
"""
_PACKAGE: Final = re.compile(r"^package (\S+) (\S+)$", re.MULTILINE)
_REPOSITORIES: Final = re.compile(r"^Repositories:\s*$", re.MULTILINE)
# The name in the head of a block, and the lines of the block.
_BLOCK: Final = re.compile(r"^ {2,}([^\s:{}]+): *\{ *\n(.*?)^ *\}", re.MULTILINE | re.DOTALL)
_SETTING: Final = re.compile(r'^ *(\w+) *: *"?(.*?)"?,? *$', re.MULTILINE)


def installed() -> dict[str, Any]:
    """Return ``packages``, the versions by name, and ``repositories``; empty without pkg.

    :raises InfrastructureError: pkg cannot list them.
    """
    if shutil.which("pkg") is None:
        return {"packages": {}, "repositories": []}
    try:
        text = process.output(["/bin/sh", "-c", _SCRIPT], timeout=TIMEOUT)
    except InfrastructureError as error:
        raise InfrastructureError(
            f"pkg cannot list the installed packages and the repositories: {error.message}",
            "run `pkg query %n` and `pkg -vv` on the node, and repair its pkg",
        ) from error
    return {
        "packages": dict(_PACKAGE.findall(text)),
        "repositories": list(_repositories(text)),
    }


def _repositories(text: str) -> Iterator[Mapping[str, Any]]:
    """Yield the fields of each repository in the output of ``pkg -vv``."""
    head = _REPOSITORIES.search(text)
    for name, block in _BLOCK.findall(text[head.end() :] if head else ""):
        settings = dict(_SETTING.findall(block))
        priority = settings.get("priority", "0")
        yield {
            "name": name,
            "url": _without_password(settings.get("url", "")),
            "enabled": settings.get("enabled") == "yes",
            "priority": int(priority) if re.fullmatch(r"-?\d{1,9}", priority) else 0,
        }


def _without_password(url: str) -> str:
    """Return a URL without the user and the password."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
