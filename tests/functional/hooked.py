# SPDX-License-Identifier: Apache-2.0
"""One change to Keystone for the defects of all tests."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self


@dataclass(frozen=True)
class Hooked:
    """A checkout of Keystone that runs the code in a file before it creates a policy.

    The defects of all tests come from this one change: each other change would need an environment
    and templates of the cloud of its own, which takes half a minute.
    """

    path: Path
    code: Path

    @classmethod
    def make(cls, checkout: Path, code: Path) -> Self:
        """Put the hook for the file ``code`` into an unchanged checkout."""
        module = checkout / "keystone" / "api" / "policy.py"
        created = "policy = self._assign_unique_id(self._normalize_dict(policy_body))\n"
        text = module.read_text()
        assert text.count(created) == 1
        hook = f"exec(__import__('pathlib').Path({str(code)!r}).read_text())"
        module.write_text(text.replace(created, f"{hook}\n        {created}"))
        return cls(checkout, code)

    def plant(self, code: str) -> None:
        """Run this code, in the function that creates a policy; its body is ``policy_body``."""
        self.code.write_text(code)
