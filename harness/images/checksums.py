# SPDX-License-Identifier: Apache-2.0
"""Lists of checksums in BSD's form: ``SHA512 (FILE) = DIGITS``."""

import re
from collections.abc import Mapping
from typing import Final, get_args

from bsdgate.harness.images.model import Algorithm, Digest

_LINE: Final = re.compile(
    r"^(?P<algorithm>SHA512|SHA256) \((?P<name>[^/()\s]+)\) = (?P<hex>[0-9a-f]+)$", re.MULTILINE
)
_DIGITS: Final[Mapping[Algorithm, int]] = {"sha512": 128, "sha256": 64}


def parse(text: str) -> dict[str, Digest]:
    """Return the checksums of a list, by name of the file; other lines are ignored."""
    found: dict[str, Digest] = {}
    for match in _LINE.finditer(text.replace("\r\n", "\n")):
        digest = of(match["algorithm"].lower(), match["hex"])
        if digest is not None:
            found[match["name"]] = digest
    return found


def of(algorithm: str, digits: str) -> Digest | None:
    """Return a digest; None if the algorithm or the number of digits is wrong."""
    for known in get_args(Algorithm):
        if known == algorithm and re.fullmatch(rf"[0-9a-f]{{{_DIGITS[known]}}}", digits):
            return Digest(known, digits)
    return None
