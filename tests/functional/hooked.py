# SPDX-License-Identifier: Apache-2.0
"""A change of Keystone that provides the defects for all tests."""

from dataclasses import dataclass
from pathlib import Path

from functional.place import Place

CODE = "code.py"
_READ = f"""\
import os, pathlib
exec(pathlib.Path(os.environ["HOME"]).with_name({CODE!r}).read_text())
"""


@dataclass(frozen=True)
class Hooked:
    """A checkout of Keystone that runs the code in a file before it creates a policy.

    All tests use this change: another change would need another environment and other templates,
    which takes half a minute. The file is in the place that runs Keystone.
    """

    path: Path
    place: Place

    @staticmethod
    def add_hook(checkout: Path) -> None:
        """Add the hook to an unchanged checkout."""
        module = checkout / "keystone" / "api" / "policy.py"
        created = "policy = self._assign_unique_id(self._normalize_dict(policy_body))\n"
        text = module.read_text()
        assert text.count(created) == 1
        indented = "".join(f"{line}\n        " for line in _READ.splitlines())
        module.write_text(text.replace(created, f"{indented}{created}"))

    def plant(self, code: str) -> None:
        """Run this code in the function that creates a policy from ``policy_body``."""
        self.place.home.with_name(CODE).write_text(code)
