# SPDX-License-Identifier: Apache-2.0
"""The names of guests and of their snapshots."""

import re
from typing import Final

from bsdgate.harness.errors import UsageError

_GUEST: Final = re.compile(r"[a-z0-9][a-z0-9.-]{0,62}")
_SNAPSHOT: Final = re.compile(r"[a-z][a-z0-9-]{0,62}")


def check_guest_name(name: str) -> None:
    """Raise UsageError if the text is not a valid guest name.

    The name becomes the host name of the guest.
    """
    if not _GUEST.fullmatch(name):
        raise UsageError(
            f"{name!r} is not a valid guest name",
            "use lower-case letters, digits, dots and hyphens, with a letter or digit first",
        )


def check_snapshot_name(name: str) -> None:
    """Raise UsageError if the text is not a valid snapshot name.

    The first character is a letter, because QEMU reads a number as the id of a snapshot.
    """
    if not _SNAPSHOT.fullmatch(name):
        raise UsageError(
            f"{name!r} is not a valid snapshot name",
            "use lower-case letters, digits and hyphens, with a letter first",
        )
