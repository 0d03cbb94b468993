# SPDX-License-Identifier: Apache-2.0
"""The description of an installed bsdgate, which a node prints for its controller."""

import dataclasses
import json
import sys
from dataclasses import dataclass
from typing import Self

from bsdgate.harness import identity, paths


@dataclass(frozen=True)
class Installation:
    """An installed bsdgate: version, SHA-256 of its files, Python interpreter, state directory."""

    version: str
    sha256: str
    python: str
    state: str

    @classmethod
    def own(cls) -> Self:
        """Return the description of this process."""
        return cls(identity.version(), identity.digest(), sys.executable, str(paths.state()))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the description in the output of ``dump``; raise ValueError for another text."""
        fields = json.loads(text)
        names = {each.name for each in dataclasses.fields(cls)}
        if not isinstance(fields, dict) or not names <= fields.keys():
            raise ValueError(text)
        return cls(**{name: str(fields[name]) for name in names})

    def dump(self) -> str:
        """Return the description as JSON."""
        return json.dumps(dataclasses.asdict(self))
