# SPDX-License-Identifier: Apache-2.0
"""What test ids say: their class and module, and the ids that unittest and stestr make up."""

import re
from dataclasses import dataclass
from enum import StrEnum


class Synthetic(StrEnum):
    """Ids that stand for something other than a test."""

    SET_UP = "set up"
    TEAR_DOWN = "tear down"
    IMPORT = "import"
    WORKER = "worker"
    STREAM = "stream"


@dataclass(frozen=True, slots=True)
class Made:
    """A synthetic id taken apart; ``scope`` is the class or module it speaks for, or empty."""

    kind: Synthetic
    scope: str = ""


# unittest.suite: one _ErrorHolder for all tests of the class or module.
_FIXTURE = re.compile(r"(setUp|tearDown)(?:Class|Module) \(([^()]+)\)")
# unittest.loader: the stand-in for a module that cannot be imported.
_IMPORT = "unittest.loader._FailedTest."
# stestr.output.ReturnCodeToSubunit: a worker process that ended with a non-zero status.
_WORKER = "process-returncode"
# subunit.v2 inside stestr: what came from a worker could not be decoded.
_STREAM = "subunit.parser"


def synthetic(test_id: str) -> Made | None:
    """Take ``test_id`` apart if it is one that no test has; None if it may be a test's."""
    if match := _FIXTURE.fullmatch(test_id):
        kind = Synthetic.SET_UP if match[1] == "setUp" else Synthetic.TEAR_DOWN
        return Made(kind, match[2])
    if test_id.startswith(_IMPORT):
        return Made(Synthetic.IMPORT, test_id.removeprefix(_IMPORT))
    if _WORKER in test_id:
        return Made(Synthetic.WORKER)
    if test_id == _STREAM:
        return Made(Synthetic.STREAM)
    return None


def bare(test_id: str) -> str:
    """``test_id`` without what follows the method: ``[id-...,smoke]``, parameters, scenario."""
    return re.split(r"[\[(]", test_id, maxsplit=1)[0]


def scopes(test_id: str) -> list[str]:
    """The dotted names that contain ``test_id``: its class, its module and all packages."""
    parts = bare(test_id).split(".")
    return [".".join(parts[:length]) for length in range(len(parts) - 1, 0, -1)]
