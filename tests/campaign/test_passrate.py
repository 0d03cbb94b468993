# SPDX-License-Identifier: Apache-2.0
"""The figures of the pass-rate gate: false blocks in a year, and runs until a fall is found.

1,445 tests in 12 variants, ten runs a day of each variant; a test's flake rate is drawn from
Beta(0.1, 20) and is the same in all variants.
"""

import random
from collections import Counter

import pytest
from campaign import flaky_year, noise
from campaign.flaky_year import SEED, Suite

YEARS = 4
FALLS = 2000


def test_at_most_one_false_block_a_month() -> None:
    years = noise.each(flaky_year.one_year, YEARS, chunk=1)
    for number, blocks in enumerate(years):
        months = Counter(day // 30 for day, _ in blocks)
        print(
            f"\n  year of 63 million outcomes, seed {SEED + number}: {len(blocks) / 12:.2f} "
            f"false blocks a month, {max(months.values(), default=0)} in the worst"
        )
    for blocks in years:
        assert len(blocks) / 12 <= 1


@pytest.mark.parametrize("baseline", [300, 1000, 2000])
def test_a_true_fall_is_blocked(baseline: int) -> None:
    rng = random.Random(SEED)
    took = [flaky_year.runs_to_block(rng, baseline, Suite().tests) for _ in range(FALLS)]
    found = [runs for runs in took if runs]
    one = 1 - 0.7**15
    two = one - 15 * 0.3 * 0.7**14
    print(
        f"\n  from 100 % to 70 % in one variant, after {baseline} runs: blocked within 15 runs "
        f"{len(found) / FALLS:.1%}, median after {noise.quantile(found, 0.5)} "
        f"(fails at all {one:.1%}, twice {two:.1%}; {FALLS} falls, seed {SEED})"
    )
    if baseline >= 1000:
        assert len(found) / FALLS >= 0.8
        assert noise.quantile(found, 0.5) <= 9


@pytest.mark.parametrize("baseline", [300, 1000, 2000])
def test_a_true_fall_in_all_variants_is_blocked(baseline: int) -> None:
    rng = random.Random(SEED)
    first = []
    for _ in range(FALLS // 4):
        variants = range(Suite().variants)
        took = [flaky_year.runs_to_block(rng, baseline, Suite().tests) for _ in variants]
        first.append(min((runs for runs in took if runs), default=0))
    found = [runs for runs in first if runs]
    print(
        f"\n  from 100 % to 70 % in all variants, after {baseline} runs of each: blocked within "
        f"15 runs of each {len(found) / len(first):.1%}, median after "
        f"{noise.quantile(found, 0.5)} ({len(first)} falls, seed {SEED})"
    )
    assert len(found) >= 0.999 * len(first)
