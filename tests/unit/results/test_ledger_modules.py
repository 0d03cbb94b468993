# SPDX-License-Identifier: Apache-2.0
"""Which modules workers had left when their attempt was interrupted."""

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


def test_each_worker_has_a_module_that_it_was_in() -> None:
    found = [
        Case("k.Z.zero", SUCCESS, worker="worker-0"),
        Case("m.A.one", SUCCESS, worker="worker-1"),
        Case("n.C.four", SUCCESS, worker="worker-0"),
    ]
    first = interrupted([], asked=(*WHOLE, "n.C.four"))
    left = (*ASKED, "n.C.four")
    assert unreported(replace(first, reports=timed(found))) == left
    assert unreported(replace(first, reports=tuple(found))) == left
    # The order between workers says nothing.
    assert unreported(replace(first, reports=(found[1], found[0], found[2]))) == left
    untagged = (found[0], *(replace(case, worker=None) for case in found[1:]))
    assert unreported(replace(first, reports=untagged)) == ("k.Z.zero", *ASKED[1:], "n.C.four")


@pytest.mark.parametrize("back", [timedelta(seconds=30), timedelta(days=20_000)])
def test_a_clock_that_is_set_back_leaves_no_module_unseen(back: timedelta) -> None:
    """By the clock the last module ran before all others; how its class ended is not seen."""
    first = interrupted([DONE, *ALL[:2]], asked=WHOLE)
    zero, *others = first.reports
    jumped = [replace(case, started=case.started and case.started - back) for case in others]
    after = replace(first, reports=(zero, *jumped))
    assert unreported(after) == ASKED
    # How the class m.A is torn down has not been seen by a run that asks for the rest alone.
    second = attempt([ALL[2]], ASKED[2:], name="02-tempest")
    assert Code.RESUME_MISMATCH in codes(after, second)


@pytest.mark.parametrize(
    ("last", "left"),
    [
        # The class that reports has no outcome to lose; its module is torn down later all the same.
        (("setUpClass (m.B)", SKIP), ASKED[:2]),
        (("setUpClass (m.B)", FAIL), ASKED[:2]),
        # The tests of a class that was torn down badly are not asked again, the others are.
        (("tearDownClass (m.A)", FAIL), ASKED[2:]),
        # That a worker ended says nothing of the module that it was in.
        (("process-returncode", FAIL), ASKED),
        (("setUpModule (n)", SKIP), ASKED[2:]),
    ],
)
def test_a_module_is_not_left_with_a_report_of_another_kind(
    last: tuple[str, Outcome], left: tuple[str, ...]
) -> None:
    first = interrupted([DONE, *ALL[:2], last], asked=WHOLE)
    assert unreported(first) == left


def test_a_class_that_ends_badly_in_an_open_module_cannot_be_lost() -> None:
    broken = ("tearDownClass (m.A)", FAIL)
    whole = interrupted([DONE, *ALL[:2], broken, ALL[2]], asked=WHOLE)
    left = unreported(whole)
    second = attempt([(test_id, SUCCESS) for test_id in left], left, name="02-tempest")
    assert left == ASKED[2:]
    assert codes(whole, second) == {}
    lost = interrupted([DONE, *ALL[:3]], asked=WHOLE)
    assert Code.RESUME_MISMATCH in codes(lost, second)
