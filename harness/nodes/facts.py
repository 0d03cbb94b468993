# SPDX-License-Identifier: Apache-2.0
"""What a node is, in the words that known failures are scoped by."""

import platform
from collections.abc import Mapping
from typing import Final

ARCHITECTURES: Final[Mapping[str, str]] = {"x86_64": "amd64", "aarch64": "arm64"}
"""FreeBSD's names for what Linux calls otherwise (``uname -m``)."""


def local() -> dict[str, str]:
    """Return the facts of this machine; ``freebsd`` (such as 15.1) only where it is FreeBSD."""
    found = {"architecture": ARCHITECTURES.get(platform.machine(), platform.machine())}
    if platform.system() == "FreeBSD":
        found["freebsd"] = platform.release().partition("-")[0]
    return found
