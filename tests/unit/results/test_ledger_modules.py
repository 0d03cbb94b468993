# SPDX-License-Identifier: Apache-2.0
"""The modules that workers had finished when their attempt was interrupted."""

from dataclasses import replace
from datetime import timedelta

import pytest
from unit.results.test_ledger import (
    ALL,
    ASKED,
    DONE,
    FAIL,
    SKIP,
    SUCCESS,
    WHOLE,
    attempt,
    codes,
    interrupted,
    timed,
)

from bsdgate.results.ledger import unreported
from bsdgate.results.model import Case, Code, Outcome


def test_the_last_module_of_each_worker_is_unfinished() -> None:
    found = [
        Case("k.Z.zero", SUCCESS, worker="worker-0"),
        Case("m.A.one", SUCCESS, worker="worker-1"),
        Case("n.C.four", SUCCESS, worker="worker-0"),
    ]
    first = interrupted([], asked=(*WHOLE, "n.C.four"))
    left = (*ASKED, "n.C.four")
    assert unreported(replace(first, reports=timed(found))) == left
    assert unreported(replace(first, reports=tuple(found))) == left
    # The order between workers does not matter.
    assert unreported(replace(first, reports=(found[1], found[0], found[2]))) == left
    untagged = (found[0], *(replace(case, worker=None) for case in found[1:]))
    assert unreported(replace(first, reports=untagged)) == ("k.Z.zero", *ASKED[1:], "n.C.four")


@pytest.mark.parametrize("back", [timedelta(seconds=30), timedelta(days=20_000)])
def test_a_clock_that_is_set_back_does_not_finish_a_module(back: timedelta) -> None:
    """By its times the last module ran before all others; the end of its class is unknown."""
    first = interrupted([DONE, *ALL[:2]], asked=WHOLE)
    zero, *others = first.reports
    jumped = [replace(case, started=case.started and case.started - back) for case in others]
    after = replace(first, reports=(zero, *jumped))
    assert unreported(after) == ASKED
    # A run that asks only for the other tests has no result of the tear-down of class m.A.
    second = attempt([ALL[2]], ASKED[2:], name="02-tempest")
    assert Code.RESUME_MISMATCH in codes(after, second)


@pytest.mark.parametrize(
    ("last", "left"),
    [
        # The reporting class has no outcome to lose; its module is still torn down later.
        (("setUpClass (m.B)", SKIP), ASKED[:2]),
        (("setUpClass (m.B)", FAIL), ASKED[:2]),
        # The tests of a class with a failed tear-down are not asked again, the others are.
        (("tearDownClass (m.A)", FAIL), ASKED[2:]),
        # The end of a worker does not show whether its module had ended.
        (("process-returncode", FAIL), ASKED),
        (("setUpModule (n)", SKIP), ASKED[2:]),
    ],
)
def test_a_report_of_another_kind_does_not_finish_a_module(
    last: tuple[str, Outcome], left: tuple[str, ...]
) -> None:
    first = interrupted([DONE, *ALL[:2], last], asked=WHOLE)
    assert unreported(first) == left


def test_a_lost_failure_of_a_tear_down_in_an_unfinished_module_is_an_error() -> None:
    broken = ("tearDownClass (m.A)", FAIL)
    whole = interrupted([DONE, *ALL[:2], broken, ALL[2]], asked=WHOLE)
    left = unreported(whole)
    second = attempt([(test_id, SUCCESS) for test_id in left], left, name="02-tempest")
    assert left == ASKED[2:]
    assert codes(whole, second) == {}
    lost = interrupted([DONE, *ALL[:3]], asked=WHOLE)
    assert Code.RESUME_MISMATCH in codes(lost, second)
