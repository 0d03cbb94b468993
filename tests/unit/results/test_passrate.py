# SPDX-License-Identifier: Apache-2.0
"""Counts of failures: whether a pass rate fell, whether a flake is known."""

import random
from fractions import Fraction
from math import comb

import pytest
from campaign import flaky_year
from hypothesis import given
from hypothesis import strategies as st

from bsdgate.results.passrate import Counts, FailureHistory, find_fall, fisher, gate, known_flake

counts = st.integers(0, 60).flatmap(
    lambda runs: st.integers(0, runs).map(lambda fails: Counts(fails, runs))
)


def exactly(since: Counts, before: Counts) -> Fraction:
    """Fisher's exact test in whole numbers."""
    fails, runs = since.fails + before.fails, since.runs + before.runs
    ways = sum(
        comb(since.runs, each) * comb(before.runs, fails - each)
        for each in range(since.fails, min(fails, since.runs) + 1)
    )
    return Fraction(ways, comb(runs, fails))


@given(counts, counts)
def test_fisher_agrees_with_an_exact_computation(since: Counts, before: Counts) -> None:
    assert fisher(since, before) == pytest.approx(float(exactly(since, before)), rel=1e-9)


def test_fisher_of_the_lady_tasting_tea() -> None:
    assert fisher(Counts(4, 4), Counts(0, 4)) == pytest.approx(1 / 70)
    assert fisher(Counts(0, 4), Counts(4, 4)) == pytest.approx(1)


@given(counts, counts)
def test_one_more_failure_does_not_raise_the_p_value(since: Counts, before: Counts) -> None:
    if since.fails < since.runs:
        worse = Counts(since.fails + 1, since.runs)
        assert fisher(worse, before) <= fisher(since, before) * (1 + 1e-9)


@pytest.mark.parametrize(("fails", "runs"), [(-1, 3), (4, 3), (1, 0)])
def test_impossible_counts_are_refused(fails: int, runs: int) -> None:
    with pytest.raises(ValueError, match=f"{fails} failures in {runs} runs"):
        Counts(fails, runs)


def test_a_fall_starts_with_a_failure_and_lasts_to_the_newest_run() -> None:
    recent = [False, False, False, True, True, False, True]
    fall = find_fall(FailureHistory("t", recent, Counts(0, 1000)))
    assert fall is not None
    assert (fall.since, fall.before) == (Counts(3, 4), Counts(0, 1003))
    assert fall.chance == pytest.approx(comb(4, 3) / comb(1007, 3))
    assert str(fall) == "t: failed in 3 of 4 runs since the fall, in 0 of 1003 before it"


def test_there_is_no_fall_if_the_newest_run_passed_or_there_is_none() -> None:
    assert find_fall(FailureHistory("t", [True, True, False], Counts(0, 1000))) is None
    assert find_fall(FailureHistory("t", [], Counts(0, 0))) is None


def test_runs_before_the_fall_count_as_the_baseline() -> None:
    long = FailureHistory("t", [True, *[False] * 20, True], Counts(0, 100))
    fall = find_fall(long)
    assert fall is not None
    assert fall.before == Counts(1, 121)


def test_gate_blocks_a_new_failure_and_accepts_a_frequent_one() -> None:
    recent = [False] * 10 + [True, False, True, True, False, True]
    fallen = FailureHistory("fallen", recent, Counts(0, 1000))
    flaky = FailureHistory("flaky", recent, Counts(200, 1000))
    blocked = gate([fallen, flaky], tests=1445)
    assert [fall.id for fall in blocked] == ["fallen"]


def test_gate_needs_fewer_failures_of_each_test_if_many_tests_fall() -> None:
    recent = [False] * 12 + [True] * 2
    some = [FailureHistory(f"t{number}", recent, Counts(0, 300)) for number in range(100)]
    assert gate(some[:1], tests=1445) == ()
    assert len(gate(some, tests=1445)) == 100


def test_gate_without_tests_has_no_falls() -> None:
    assert gate([], tests=0) == ()


@given(st.lists(st.lists(st.booleans(), min_size=1, max_size=20), max_size=20))
def test_the_order_of_tests_does_not_matter(outcomes: list[list[bool]]) -> None:
    records = [
        FailureHistory(f"t{number:02}", recent, Counts(number, 500))
        for number, recent in enumerate(outcomes)
    ]
    assert gate(records, 20) == gate(records[::-1], 20)


@pytest.mark.parametrize(
    ("history", "known", "why"),
    [
        (Counts(5, 19), False, "19 earlier runs; at least 20 are needed"),
        (Counts(0, 500), False, "failed in 0 of 500 earlier runs; at least 2 failures"),
        (Counts(2, 5000), False, "too rare for 1 of 3 now"),
        (Counts(2, 20), True, "failed in 2 of 20 earlier runs, which explains 1 of 3 now"),
        (Counts(1, 20), False, "failed in 1 of 20 earlier runs; at least 2 failures"),
        (Counts(10, 200), True, "failed in 10 of 200"),
        (Counts(15, 20), False, "broken without the change"),
    ],
)
def test_a_flake_is_known_by_its_earlier_failures(history: Counts, known: bool, why: str) -> None:
    flake = known_flake(history)
    assert flake.known is known
    assert why in flake.why


def test_a_flake_that_now_always_fails_is_not_known() -> None:
    assert known_flake(Counts(10, 200), Counts(1, 3)).known
    assert not known_flake(Counts(10, 200), Counts(3, 3)).known


@given(st.integers(0, 100), st.integers(20, 100))
def test_a_history_without_failures_excuses_nothing(fails: int, runs: int) -> None:
    flake = known_flake(Counts(min(fails, runs), runs))
    assert not flake.known or fails > 0


def test_there_are_few_false_blocks_and_a_fall_is_found_soon() -> None:
    rng = random.Random(20261122)
    suite = flaky_year.Suite(tests=300, variants=1, days=180)
    assert len(list(flaky_year.false_blocks(suite, rng))) <= 2
    took = [flaky_year.runs_to_block(rng, 1000, 1445) for _ in range(60)]
    assert sum(bool(runs) for runs in took) >= 45
