# SPDX-License-Identifier: Apache-2.0
from collections import Counter
from dataclasses import fields
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bsdgate.results.cases import Cases
from bsdgate.results.model import Case, Outcome

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
WHOLE = Case("m.A.one", Outcome.FAIL, NOON, 1.5, "worker-0", "why", "traceback")

texts = st.text(max_size=5)
cases = st.builds(
    Case,
    id=texts,
    outcome=st.sampled_from(Outcome),
    started=st.none() | st.datetimes(timezones=st.just(UTC)),
    seconds=st.none() | st.floats(0, 1e9),
    worker=st.none() | texts,
    reason=st.none() | texts,
    details=st.none() | texts,
)


@given(st.lists(cases, max_size=8))
def test_what_is_put_in_comes_out(found):
    columns = Cases(found)
    assert list(columns) == found
    assert columns == tuple(found)
    assert tuple(found) == columns
    assert [columns[place] for place in range(-len(found), 0)] == found
    assert columns[1:-1] == tuple(found[1:-1])
    assert columns.counts == Counter(case.outcome for case in found)
    for outcome in Outcome:
        assert columns.ids_of(outcome) == tuple(
            case.id for case in found if case.outcome is outcome
        )
    good = (Outcome.SUCCESS, Outcome.SKIP)
    assert list(columns.of(*good)) == [case for case in found if case.outcome in good]
    moments = [case.started for case in found if case.started is not None]
    assert columns.span == ((min(moments), max(moments)) if moments else None)


def test_nothing_that_a_case_says_is_lost():
    # A new field of Case has to be kept in Cases too.
    assert all(getattr(WHOLE, each.name) is not None for each in fields(Case))
    assert Cases([WHOLE])[0] == WHOLE


def test_columns_differ_where_a_case_does():
    assert Cases([WHOLE]) != Cases([WHOLE, WHOLE])
    assert Cases([WHOLE]) != [Case("m.A.one", Outcome.FAIL)]
    assert Cases() != "x"
    with pytest.raises(TypeError):
        hash(Cases())


def test_a_place_beyond_the_end_is_an_error():
    with pytest.raises(IndexError):
        Cases([WHOLE])[1]


@pytest.mark.parametrize(
    "zone", [timezone(timedelta(hours=-5)), timezone(timedelta(hours=14, minutes=30))]
)
def test_moments_are_the_same_in_every_zone(zone):
    (case,) = Cases([Case("a", Outcome.SUCCESS, NOON.astimezone(zone))])
    assert case.started == NOON


def test_a_moment_without_a_zone_is_taken_for_utc():
    (case,) = Cases([Case("a", Outcome.SUCCESS, NOON.replace(tzinfo=None))])
    assert case.started == NOON


def test_missing_cases_are_sorted_and_there_once():
    found = Cases.missing(["b", "a", "b"], "lost")
    assert found == [Case(each, Outcome.MISSING, reason="lost") for each in "ab"]
    assert (found.place("b"), found.place("c"), found.place("")) == (1, None, None)
    assert found.outcome(0) is Outcome.MISSING


def test_replaced_cases_leave_the_others_and_the_original_alone():
    before = Cases.missing(["m.A.one", "m.A.two"], "lost")
    after = before.replaced({0: WHOLE})
    assert after == [WHOLE, before[1]]
    assert before.counts == {Outcome.MISSING: 2}


def test_a_known_id_is_kept_once():
    known = ["".join(["m.A.", name]) for name in ("one", "two")]
    found = Cases()
    found.append(Case("".join(["m.A.", "two"]), Outcome.SUCCESS), known)
    found.append(Case("m.A.three", Outcome.SUCCESS), known)
    assert found.ids[0] is known[1]
    assert found.ids == ["m.A.two", "m.A.three"]
