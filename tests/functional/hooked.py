# SPDX-License-Identifier: Apache-2.0
"""A change of Keystone that provides the defects for all tests."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self


@dataclass(frozen=True)
class Hooked:
    """A checkout of Keystone that runs the code in a file before it creates a policy.

    All tests use this change: another change would need another environment and other templates,
    which takes half a minute.
    """

    path: Path
    code: Path

    @classmethod
    def make(cls, checkout: Path, code: Path) -> Self:
        """Add the hook for the file ``code`` to an unchanged checkout."""
        module = checkout / "keystone" / "api" / "policy.py"
        created = "policy = self._assign_unique_id(self._normalize_dict(policy_body))\n"
        text = module.read_text()
        assert text.count(created) == 1
        hook = f"exec(__import__('pathlib').Path({str(code)!r}).read_text())"
        module.write_text(text.replace(created, f"{hook}\n        {created}"))
        return cls(checkout, code)

    def plant(self, code: str) -> None:
        """Run this code in the function that creates a policy from ``policy_body``."""
        self.code.write_text(code)
