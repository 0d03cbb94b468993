# SPDX-License-Identifier: Apache-2.0
"""The columns of a window, compared with the verdicts themselves."""

from hypothesis import given
from hypothesis import strategies as st
from unit.results.store.contract import BY_LETTER, verdict

from bsdgate.results.model import Cause, Disposition, Outcome, Past
from bsdgate.results.store.database import Store
from bsdgate.results.trends import Point

TESTS = [f"t{place}" for place in range(5)]

outcomes = st.dictionaries(st.sampled_from(TESTS), st.sampled_from([*BY_LETTER.values()]))


@given(st.lists(outcomes, max_size=12), st.data())
def test_columns_agree_with_the_verdicts(
    runs: list[dict[str, Outcome]], data: st.DataObject
) -> None:
    store = Store()
    made = []
    for number, cases in enumerate(runs):
        failed = sorted(test for test, outcome in cases.items() if outcome is Outcome.FAIL)
        found = tuple(
            Disposition(test, True, Cause.FLAKE, signature=f"{test} {number % 3}")
            for test in failed
        )
        made.append(verdict(number, dict(sorted(cases.items())), dispositions=found))
    for each in data.draw(st.permutations(made)):
        store.import_run(each)
    window = store.window()
    for test in TESTS:
        reported = [(one, case) for one in reversed(made) for case in one.cases if case.id == test]
        signed = [
            (one.run, case, {each.id: each.signature for each in one.dispositions}.get(test, ""))
            for one, case in reported
        ]
        assert window.past([test])[test] == tuple(
            Past(case.outcome, mark) for _, case, mark in signed
        )
        assert [(each.record.run, each.outcome, each.seconds) for each in window.history(test)] == [
            (run, case.outcome, case.seconds) for run, case, _ in signed
        ]
        points = [
            Point(run.created, run.run_id, case.seconds or 0.0)
            for run, case, _ in reversed(signed)
            if case.outcome is Outcome.SUCCESS
        ]
        assert window.series().get(test, []) == points
