# SPDX-License-Identifier: Apache-2.0
"""What a bsdgate is and where, as it prints it for a controller that uses its machine as a node."""

import dataclasses
import json
import sys
from dataclasses import dataclass
from typing import Self

from bsdgate.harness import identity, paths


@dataclass(frozen=True)
class Installation:
    """A bsdgate: its version, the SHA-256 of its files, its Python and its state folder."""

    version: str
    sha256: str
    python: str
    state: str

    @classmethod
    def own(cls) -> Self:
        """Return that of this process."""
        return cls(identity.version(), identity.digest(), sys.executable, str(paths.state()))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return what ``dump`` has made (ValueError: it is not)."""
        fields = json.loads(text)
        names = {each.name for each in dataclasses.fields(cls)}
        if not isinstance(fields, dict) or not names <= fields.keys():
            raise ValueError(text)
        return cls(**{name: str(fields[name]) for name in names})

    def dump(self) -> str:
        """Return it as JSON."""
        return json.dumps(dataclasses.asdict(self))
