# SPDX-License-Identifier: Apache-2.0
"""Policies: how strictly a run is judged. Each use of verdicts (check, gate, ...) has a policy."""

from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

from bsdgate.results.codes import Code, Level


@dataclass(frozen=True, slots=True)
class Policy:
    """The level of the reasons below; lost or damaged evidence is an error in every policy.

    ``unexpected_success``: a known failure passed. A test that itself declares an expected failure
    and passes always fails the run, as in unittest. ``expired`` and ``invalid``: a known failure is
    past its last day, or has no bug or no owner, even if its test passed. ``base``: a failure also
    occurred on the base (the build without the change). ``narrowed``: only some tests of the suite
    were requested (``--tests``). ``no_history``: the history could not be read, so it is not
    known whether fewer tests ran than in the last good run. ``unlisted``: there is no list of the
    requested tests; all policies make that an error, because without a list a run with lost
    evidence could pass. ``undated``: known failures excused something in evidence without times, so
    it is not known whether they had expired. ``left_behind``: processes outlived the cloud or the
    tests and had to be killed. ``end_of_life``: the run began after the end of life of the version
    of FreeBSD or of the OpenStack release.
    """

    name: str
    unexpected_success: Level = Level.NOTE
    expired: Level = Level.NOTE
    invalid: Level = Level.NOTE
    base: Level = Level.NOTE
    narrowed: Level = Level.ERROR
    no_history: Level = Level.ERROR
    unlisted: Level = Level.ERROR
    undated: Level = Level.ERROR
    left_behind: Level = Level.NOTE
    end_of_life: Level = Level.ERROR

    def level(self, code: Code) -> Level:
        """Return the level of reasons with this code."""
        by_policy = {
            Code.END_OF_LIFE: self.end_of_life,
            Code.FAILS_ON_BASE: self.base,
            Code.LEFT_BEHIND: self.left_behind,
            Code.NARROWED: self.narrowed,
            Code.NO_HISTORY: self.no_history,
            Code.NO_LIST: self.unlisted,
            Code.UNDATED: self.undated,
            Code.UNEXPECTED_SUCCESS: self.unexpected_success,
        }
        return code.level or by_policy[code]


DEVELOPER: Final = Policy(
    "developer",
    narrowed=Level.NOTE,
    no_history=Level.NOTE,
    undated=Level.NOTE,
    end_of_life=Level.NOTE,
)
CHECK: Final = Policy("check")
GATE: Final = Policy(
    "gate",
    unexpected_success=Level.FAIL,
    expired=Level.FAIL,
    invalid=Level.FAIL,
    left_behind=Level.FAIL,
)
NIGHTLY: Final = replace(GATE, name="nightly", base=Level.FAIL, end_of_life=Level.NOTE)

POLICIES: Final = MappingProxyType(
    {policy.name: policy for policy in (DEVELOPER, CHECK, GATE, NIGHTLY)}
)
