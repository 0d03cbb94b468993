# SPDX-License-Identifier: Apache-2.0
import pytest

from bsdgate.results.model import Attempt, Kind, State
from bsdgate.results.witness import contradictions


@pytest.mark.parametrize(
    ("kind", "status", "failed", "believed"),
    [
        (Kind.TEMPEST, 0, True, True),
        (Kind.TEMPEST, 0, False, True),
        (Kind.TEMPEST, 1, True, False),
        (Kind.TEMPEST, 100, False, False),
        (Kind.TEMPEST, -9, False, False),
        (Kind.TEMPEST, None, False, False),
        (Kind.HOSTCHECKS, 0, False, True),
        (Kind.HOSTCHECKS, 1, True, True),
        (Kind.HOSTCHECKS, 0, True, False),
        (Kind.HOSTCHECKS, 1, False, False),
        (Kind.HOSTCHECKS, 3, True, False),
        (Kind.RALLY, 0, True, True),
        (Kind.RALLY, 2, True, True),
        (Kind.RALLY, 2, False, False),
        (Kind.RALLY, 1, True, False),
    ],
)
def test_exit_status_against_the_stream(kind, status, failed, believed):
    attempt = Attempt("01-x", kind, State.ENDED, status, (), ())
    assert (contradictions(attempt, failed=failed) == []) is believed


def test_an_interrupted_runner_is_not_asked():
    attempt = Attempt("01-x", Kind.TEMPEST, State.INTERRUPTED, -15, (), ())
    assert contradictions(attempt, failed=False) == []
