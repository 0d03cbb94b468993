# SPDX-License-Identifier: Apache-2.0
"""bsdgate.harness.runners.split: the split of tests, and stestr's worker file."""

import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stestr.scheduler import generate_worker_partitions

from bsdgate.harness.runners.split import replay, split, worker_file

IDS = [
    f"{module}.{name}.test_{number}{attributes}"
    for module, name, number, attributes in itertools.product(
        ("a.b", "a.b.Long", "a+b.c"), ("Long", "LongTest"), range(2), ("", "[id-1.2,smoke](x.y)")
    )
]
SPLITS = given(
    ids=st.lists(st.sampled_from(IDS), min_size=1, unique=True),
    workers=st.integers(1, 6),
    seconds=st.dictionaries(st.sampled_from(IDS), st.floats(0, 1000)),
)
"""The decorator of a test with any ids, number of workers, and known durations."""
SECONDS = {"m.Long.one": 200.0, "m.A.one": 21.0, "m.B.one": 20.0, "m.C.one": 19.0, "m.C.two": 1.0}


def owner(test_id: str) -> str:
    return test_id.partition("[")[0].rpartition(".")[0]


@SPLITS
def test_each_test_is_given_once_and_each_class_to_one_worker(
    ids: list[str], workers: int, seconds: dict[str, float]
) -> None:
    shares = split(ids, workers, seconds)
    assert sorted(itertools.chain(*shares)) == sorted(ids)
    owners = [{owner(each) for each in share} for share in shares]
    assert sum(map(len, owners)) == len(set().union(*owners))
    assert all(shares)
    assert len(shares) == min(workers, len(set().union(*owners)))


def test_the_longest_class_is_first_and_others_go_to_the_worker_with_the_least_time() -> None:
    shares = split(["m.C.two", "m.B.one", "m.C.one", "m.A.one", "m.Long.one"], 2, SECONDS)
    assert shares == [["m.Long.one"], ["m.A.one", "m.C.two", "m.C.one", "m.B.one"]]


def test_without_history_classes_are_shared_by_their_size() -> None:
    small = [f"m.Small{number}.one" for number in range(4)]
    large = [f"m.Large.t{number}" for number in range(7)]
    assert split([*small, *large], 2, {}) == [large, small]


def test_a_test_without_a_duration_counts_as_the_mean_of_the_others() -> None:
    """Durations of other tests, such as the host checks, do not count."""
    others = {f"hostchecks::{number}": 0.0 for number in range(1000)}
    shares = split(["m.New.one", "m.A.one", "m.B.one", "m.B.two"], 2, {**others, **SECONDS})
    assert shares == [["m.B.one", "m.B.two"], ["m.A.one", "m.New.one"]]


@given(
    ids=st.lists(st.sampled_from(IDS), min_size=1, unique=True),
    workers=st.integers(1, 6),
)
def test_stestr_reads_the_same_shares_from_the_file(
    tmp_path_factory: pytest.TempPathFactory, ids: list[str], workers: int
) -> None:
    file: Path = tmp_path_factory.getbasetemp() / "workers.yaml"
    shares = split(ids, workers, {})
    file.write_text(worker_file(shares))
    made = generate_worker_partitions(set(ids), str(file))
    assert [sorted(each) for each in made] == [sorted(each) for each in shares]


@SPLITS
def test_a_recorded_split_is_replayed(
    ids: list[str], workers: int, seconds: dict[str, float]
) -> None:
    recorded = split(ids, workers, seconds)
    assert replay(recorded, sorted(ids), workers, {}) == recorded


def test_tests_that_are_not_requested_are_left_out_of_a_recorded_split() -> None:
    recorded = [["m.A.one", "m.A.two"], ["m.B.one"], ["m.C.one"]]
    assert replay(recorded, ["m.C.one", "m.A.two"], 3, {}) == [["m.A.two"], ["m.C.one"]]


def test_tests_that_are_not_recorded_are_added_to_the_workers() -> None:
    shares = replay([["m.A.one"]], ["m.B.one", "m.A.one", "m.C.one"], 2, {})
    assert shares[0][0] == "m.A.one"
    assert sorted(itertools.chain(*shares)) == ["m.A.one", "m.B.one", "m.C.one"]
    assert len(shares) == 2
