# SPDX-License-Identifier: Apache-2.0
"""The tests of all stores of earlier runs; a subclass provides the fixture ``store``."""

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, cast

import pytest

from bsdgate.results.errors import EvidenceError
from bsdgate.results.model import (
    Case,
    Cause,
    Code,
    Disposition,
    Feature,
    Kind,
    Level,
    Outcome,
    Past,
    Reason,
    Result,
    Run,
    Source,
    State,
    Summary,
    Verdict,
)
from bsdgate.results.store.base import ANY, JUDGED, RunFilter
from bsdgate.results.store.database import Store
from bsdgate.results.store.rows import Notes, PastRun, Record
from bsdgate.results.trends import Point

FIRST = datetime(2026, 11, 1, tzinfo=UTC)
UUID = "0c3d2e1f-1111-4222-8333-444455556666"
STRANGE = "nul \x00, quote \" ' %, back\\slash, \u202e, \N{SNOWMAN}, \n"


def at(number: int) -> datetime:
    return FIRST + timedelta(hours=number)


def verdict(number: int = 0, cases: str | dict[str, Outcome] = "s", **changes: Any) -> Verdict:
    """Return the verdict of the run of an hour; ``cases`` has one letter for each of t0, t1, …

    ``changes`` replace fields of the run or of the verdict.
    """
    if isinstance(cases, str):
        cases = {f"t{place}": BY_LETTER[letter] for place, letter in enumerate(cases)}
    run = Run(
        run_id=f"{number:032x}",
        created=at(number),
        name=f"run-{number}",
        profile="embedded",
        suite="smoke",
        release="2026.2",
        versions={"keystone": "30.0.0", "tempest": "47.0.0"},
    )
    mine = {name: changes.pop(name) for name in [*changes] if name in Run.__dataclass_fields__}
    found = [Case(test, outcome, seconds=number + 0.5) for test, outcome in cases.items()]
    fields = {"result": Result.PASS, "reasons": (), "cases": tuple(found)}
    return Verdict(run=replace(run, **mine), **fields | changes)


def stored_run(store: Store, name: str) -> PastRun:
    """Return a run of the store."""
    found = store.find(name)
    assert found
    return found


BY_LETTER = dict(zip("sfkxunpmd", Outcome, strict=True))


def numbers(records: Sequence[Record]) -> list[int]:
    return [int(record.run.run_id, 16) for record in records]


class StoreContract:
    """Tests; each starts with an empty store."""

    def test_an_empty_store_has_no_runs(self, store: Store) -> None:
        assert store.runs() == ()
        assert len(store.window()) == 0
        assert store.window().ids == ()
        assert store.window().past(["t0"]) == {"t0": ()}
        assert store.window().unmatched() == {}
        assert store.find("run-0") is None
        assert store.baseline(verdict().run) is None
        assert store.prune(at(9)) == 0

    def test_a_repeated_import_changes_nothing(self, store: Store) -> None:
        assert store.import_run(verdict(1, "sf"))
        before = store.runs()
        assert not store.import_run(verdict(1, "sf"))
        assert store.runs() == before

    def test_runs_are_newest_first(self, store: Store) -> None:
        for number in (2, 0, 3, 1):
            store.import_run(verdict(number))
        store.import_run(verdict(9, created=at(2)))
        assert numbers(store.runs()) == [3, 9, 2, 1, 0]
        assert numbers(store.runs(limit=2)) == [3, 9]
        assert numbers(store.window(limit=2).records) == [3, 9]

    def test_runs_are_ordered_across_time_zones(self, store: Store) -> None:
        east = timezone(timedelta(hours=9))
        store.import_run(verdict(1, created=at(1).astimezone(east)))
        store.import_run(verdict(2))
        assert numbers(store.runs()) == [2, 1]
        assert numbers(store.runs(RunFilter(before=at(2).astimezone(east)))) == [1]

    @pytest.mark.parametrize(
        ("run_filter", "wanted"),
        [
            (ANY, [6, 5, 4, 3, 2, 1]),
            (RunFilter(suite="gate"), [1]),
            (RunFilter(profile="morello"), [2]),
            (RunFilter(release="2026.1"), [3]),
            (RunFilter(selection="api"), [4]),
            (RunFilter(selection=""), [6, 5, 3, 2, 1]),
            (RunFilter(changed=True), [6, 5]),
            (RunFilter(changed=False), [4, 3, 2, 1]),
            (RunFilter(before=at(3)), [2, 1]),
            (RunFilter(results=JUDGED), [6, 5, 4, 3, 1]),
            (RunFilter(suite="smoke", before=at(4), changed=False), [3, 2]),
        ],
    )
    def test_a_filter_selects_runs(
        self, store: Store, run_filter: RunFilter, wanted: list[int]
    ) -> None:
        store.import_run(verdict(1, suite="gate"))
        store.import_run(verdict(2, profile="morello", result=Result.ERROR))
        store.import_run(verdict(3, release="2026.1", result=Result.FAIL))
        store.import_run(verdict(4, selection="api"))
        store.import_run(verdict(5, sources=(Source("keystone", "30.0.1", identity="sha256:12"),)))
        store.import_run(verdict(6, change="12345", patchset="2"))
        assert numbers(store.runs(run_filter)) == wanted
        assert numbers(store.window(run_filter).records) == wanted

    def test_each_suite_and_profile_has_a_filter(self, store: Store) -> None:
        for number, suite in enumerate("bac"):
            store.import_run(verdict(number, suite=suite, profile=STRANGE))
        filters = store.filters(RunFilter(before=at(2)))
        assert [(one.suite, numbers(store.runs(one))) for one in filters] == [
            ("a", [1]),
            ("b", [0]),
        ]

    def test_a_record_has_all_fields_of_its_run_in_the_window_too(self, store: Store) -> None:
        run = Run(
            run_id="12ab",
            created=at(1) + timedelta(microseconds=7),
            name="n",
            version="0.1",
            profile="p",
            suite="s",
            release="r",
            selection="a|b",
            change="12345",
            patchset="2",
            sources=(Source("keystone", "30"), Source("nova", "33", "/src", "abc")),
            facts={"arch": "amd64", "freebsd": "15.1"},
            versions={"a": "1", "b": "2"},
        )
        spans = [(at(2), at(3)), (None, at(4)), (at(1), at(2))]
        attempts = tuple(
            Summary(f"0{place}-tempest", Kind.TEMPEST, State.ENDED, 0, 1, started, ended)
            for place, (started, ended) in enumerate(spans)
        )
        store.import_run(Verdict(run, Result.FAIL, (), (), attempts=attempts, policy="gate"))
        (record,) = store.runs()
        assert record.run == run
        assert (record.result, record.policy, record.seconds) == (Result.FAIL, "gate", 7200.0)
        assert record.counts["asked"] == 0
        assert record.run.changed
        assert store.window().records == (record,)
        assert stored_run(store, "12ab").record == record

    def test_features_are_not_stored(self, store: Store) -> None:
        features = (Feature("compute-feature-enabled.rescue", "false", "no rescue"),)
        store.import_run(verdict(1, features=features))
        assert store.runs()[0].run == verdict(1).run
        assert store.runs()[0].seconds is None

    def test_a_record_has_the_counts_of_the_verdict(self, store: Store) -> None:
        made = verdict(1, "ssfkxunpmd")
        store.import_run(made)
        assert store.runs()[0].counts == made.counts

    def test_special_characters_are_stored_unchanged(self, store: Store) -> None:
        made = Disposition(STRANGE, True, Cause.NODE, signature=STRANGE, evidence=(STRANGE,))
        reason = Reason(Level.FAIL, Code.TESTS_FAILED, STRANGE, (STRANGE,))
        texts = ("run_id", "name", "suite", "profile", "release", "selection", "change", "version")
        changes = dict.fromkeys(texts, STRANGE) | {"versions": {STRANGE: STRANGE}}
        lists = {"unmatched": (STRANGE,), "dispositions": (made,), "reasons": (reason,)}
        strange = verdict(1, {STRANGE: Outcome.FAIL}, **changes | lists)
        store.import_run(strange)
        assert store.runs(RunFilter(suite=STRANGE, selection=STRANGE))[0].run == strange.run
        found = store.find(STRANGE)
        assert found
        assert found.ids == (STRANGE,)
        assert found.notes == Notes((made,), (reason,), (STRANGE,))
        assert store.window().unmatched() == {STRANGE: 1}
        assert store.window().past([STRANGE]) == {STRANGE: (Past(Outcome.FAIL, STRANGE),)}

    def test_the_first_ids_of_a_reason_are_stored(self, store: Store) -> None:
        many = tuple(f"t{number:03}" for number in range(100))
        store.import_run(verdict(1, reasons=(Reason(Level.NOTE, Code.RESUMED, "m", many),)))
        assert stored_run(store, "run-1").notes.reasons == (
            Reason(Level.NOTE, Code.RESUMED, "m", many[:20]),
        )

    def test_past_has_the_outcomes_of_tests_in_earlier_runs(self, store: Store) -> None:
        failed = (Disposition("t1", True, Cause.CHANGE, signature="ValueError: <n>"),)
        store.import_run(verdict(1, "sfk"))
        store.import_run(verdict(2, "sf", dispositions=failed))
        store.import_run(verdict(3, "sxu"))
        assert store.window().past(["t1", "t2", "t3"]) == {
            "t1": (Past(Outcome.XFAIL), Past(Outcome.FAIL, "ValueError: <n>"), Past(Outcome.FAIL)),
            "t2": (Past(Outcome.UXSUCCESS), Past(Outcome.SKIP)),
            "t3": (),
        }

    def test_history_has_the_runs_of_a_test(self, store: Store) -> None:
        evidence = ("02-tempest: success",)
        failed = Disposition("t1", False, Cause.FLAKE, signature="E", evidence=evidence)
        store.import_run(verdict(1, "sm"))
        store.import_run(verdict(2, "s"))
        store.import_run(verdict(3, "sf", dispositions=(failed,)))
        newest, oldest = store.window().history("t1")
        assert (newest.outcome, newest.seconds, newest.disposition) == (Outcome.FAIL, 3.5, failed)
        assert (oldest.outcome, oldest.seconds, oldest.disposition) == (Outcome.MISSING, 1.5, None)
        assert numbers([newest.record, oldest.record]) == [3, 1]

    @pytest.mark.parametrize("seconds", [None, math.nan, -3600.0])
    def test_an_invalid_duration_is_stored_as_unknown(
        self, store: Store, seconds: float | None
    ) -> None:
        case = Case("t0", Outcome.SUCCESS, seconds=seconds)
        store.import_run(replace(verdict(1), cases=(case,)))
        assert store.window().history("t0")[0].seconds is None
        assert store.window().series() == {}

    def test_a_renamed_test_keeps_its_earlier_outcomes(self, store: Store) -> None:
        old, new = f"a.old.C.test_x[id-{UUID},smoke]", f"a.new.C.test_y[compute,id-{UUID}]"
        failed = Disposition(old, False, Cause.BASE, signature="E")
        store.import_run(
            verdict(1, {"t0": Outcome.SKIP, old: Outcome.FAIL}, dispositions=(failed,))
        )
        store.import_run(verdict(2, {new: Outcome.SUCCESS}))
        window = store.window()
        assert window.past([new])[new] == (Past(Outcome.SUCCESS), Past(Outcome.FAIL, "E"))
        assert window.past([old])[old] == window.past([new])[new]
        assert window.history(new)[1].disposition == failed
        assert window.ids == (new, "t0")
        newest = f"a.newest.C.test_z[id-{UUID}]"
        assert window.past([newest])[newest] == window.past([new])[new]

    def test_a_copied_test_does_not_get_the_outcomes_of_the_original(self, store: Store) -> None:
        first, copy = f"a.b.C.test_x[id-{UUID}]", f"a.b.C.test_y[id-{UUID}]"
        store.import_run(verdict(1, {first: Outcome.FAIL}))
        store.import_run(verdict(2, {first: Outcome.SUCCESS, copy: Outcome.SKIP}))
        assert store.window().past([first, copy]) == {
            first: (Past(Outcome.SUCCESS), Past(Outcome.FAIL)),
            copy: (Past(Outcome.SKIP),),
        }
        assert store.window().ids == (first, copy)

    def test_scenarios_of_a_test_are_stored_separately(self, store: Store) -> None:
        one, two, new = (f"a.b.C.test_x[id-{UUID}]{form}" for form in ("(one)", "(two)", "(new)"))
        store.import_run(verdict(1, {one: Outcome.FAIL, two: Outcome.SUCCESS}))
        store.import_run(verdict(2, {one: Outcome.SUCCESS, two: Outcome.SKIP}))
        past = store.window().past([one, two, new])
        assert past[one] == (Past(Outcome.SUCCESS), Past(Outcome.FAIL))
        assert past[two] == (Past(Outcome.SKIP), Past(Outcome.SUCCESS))
        assert past[new] == ()
        assert store.window().ids == (one, two)

    def test_series_have_the_durations_of_successes(self, store: Store) -> None:
        for number, cases in enumerate(("sss", "sfs", "s", "sks")):
            store.import_run(verdict(number, cases))

        def points(*wanted: int) -> list[Point]:
            return [Point(at(number), f"{number:032x}", number + 0.5) for number in wanted]

        window = store.window()
        every = {"t0": points(0, 1, 2, 3), "t1": points(0), "t2": points(0, 1, 3)}
        assert window.series() == every
        assert window.series(prefix="t1") == {"t1": every["t1"]}
        assert store.window(limit=2).series("t2") == {"t2": points(3)}

    def test_series_have_timings(self, store: Store) -> None:
        for number in range(3):
            timings = {"t0/a": number / 4} | ({STRANGE: float(number)} if number % 2 else {})
            store.import_run(verdict(number, timings=timings))
        window = store.window()
        every = [Point(at(number), f"{number:032x}", number / 4) for number in range(3)]
        assert window.series("t0/") == {"t0/a": every}
        assert window.series().keys() == {"t0", "t0/a", STRANGE}
        assert [point.seconds for point in window.series(STRANGE)[STRANGE]] == [1]
        assert window.ids == ("t0",)

    def test_a_timing_can_be_infinite_or_nan(self, store: Store) -> None:
        store.import_run(verdict(1, timings={"t0/a": math.inf, "t0/b": math.nan}))
        timings = stored_run(store, "run-1").notes.timings
        assert timings["t0/a"] == math.inf
        assert math.isnan(timings["t0/b"])

    def test_unmatched_counts_the_newest_consecutive_runs_of_an_entry(self, store: Store) -> None:
        for number, entries in enumerate(("a", "abc", "bc", "abc")):
            store.import_run(verdict(number, unmatched=tuple(entries)))
        assert store.window().unmatched() == {"a": 1, "b": 3, "c": 3}
        assert store.window(limit=2).unmatched() == {"a": 1, "b": 2, "c": 2}
        assert store.window(RunFilter(before=at(1))).unmatched() == {"a": 1}

    def test_the_baseline_is_the_newest_passed_run_without_a_change(self, store: Store) -> None:
        store.import_run(verdict(1, "ssss"))
        store.import_run(verdict(2, "skxum", result=Result.PASS))
        store.import_run(verdict(3, result=Result.FAIL))
        store.import_run(verdict(4, result=Result.ERROR))
        store.import_run(verdict(5, change="12345", patchset="2"))
        store.import_run(verdict(6, sources=(Source("nova", "33"),)))
        store.import_run(verdict(7, suite="gate"))
        store.import_run(verdict(8, profile="morello"))
        store.import_run(verdict(9, release="2026.1"))
        store.import_run(verdict(10, selection="api"))
        store.import_run(verdict(12))
        found = store.baseline(verdict(11).run)
        assert found
        assert numbers([found.record]) == [2]
        assert found.ran == {"t0", "t2", "t3"}
        assert found.same_versions
        assert store.baseline(verdict(1).run) is None

    def test_a_baseline_with_the_same_versions_is_preferred(self, store: Store) -> None:
        other = {"keystone": "30.0.0", "tempest": "48.0.0"}
        store.import_run(verdict(1))
        store.import_run(verdict(2, versions=other))
        store.import_run(verdict(3, versions=other))
        found = store.baseline(verdict(4).run)
        assert found
        assert (numbers([found.record]), found.same_versions) == ([1], True)
        found = store.baseline(verdict(4, versions={}).run)
        assert found
        assert (numbers([found.record]), found.same_versions) == ([3], False)

    def test_the_version_of_a_project_under_test_is_not_compared(self, store: Store) -> None:
        store.import_run(verdict(1, versions={"openstack-placement": "15", "tempest": "47"}))
        changed = {"openstack-placement": "15.0.1.dev3", "tempest": "47"}
        mine = verdict(
            2, versions=changed, sources=(Source("placement", "15.0.1.dev3", "/src", "sha256:1"),)
        ).run
        other = replace(mine, sources=(Source("nova", "33"),))
        found = [store.baseline(run) for run in (mine, other)]
        assert [one and one.same_versions for one in found] == [True, False]

    def test_find_accepts_an_id_a_name_or_a_unique_prefix(self, store: Store) -> None:
        for number, run_id, name in ((1, "ab12", "x"), (2, "ab34", "x"), (3, "cd_%", "efg")):
            store.import_run(verdict(number, run_id=run_id, name=name))
        wanted = {
            "ab12": "ab12",
            "x": "ab34",
            "ab3": "ab34",
            "c": "cd_%",
            "ef": "cd_%",
            "cd_%": "cd_%",
            "ab": None,
            "AB1": None,
            "%": None,
            "a_": None,
            "": None,
        }
        found = {name: store.find(name) for name in wanted}
        assert {name: run and run.record.run.run_id for name, run in found.items()} == wanted

    def test_prune_removes_older_runs(self, store: Store) -> None:
        for number in range(4):
            store.import_run(verdict(number, "s" * number))
        assert store.prune(at(2)) == 2
        assert numbers(store.runs()) == [3, 2]
        assert store.window().past(["t2"]) == {"t2": (Past(Outcome.SUCCESS),)}
        assert store.prune(at(2)) == 0
        assert store.import_run(verdict(1))

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"run_id": ""}, "no run id"),
            ({"created": datetime(2026, 11, 1)}, "no time zone"),  # noqa: DTZ001
            (
                {"created": datetime.min.replace(tzinfo=timezone(timedelta(hours=1)))},
                "creation time .* is not valid",
            ),
            ({"suite": "s" * 401}, "suite has 401 characters"),
            ({"name": "\N{SNOWMAN}" * 100}, "name has 600 characters"),
            ({"cases": (Case("a", Outcome.FAIL), Case("a", Outcome.SKIP))}, "more than once"),
            ({"cases": (Case("a", Outcome.SUCCESS, seconds=cast(float, "1")),)}, "not a float"),
            ({"cases": (Case("a", Outcome.SUCCESS, seconds=1e300),)}, "too large"),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_a_verdict_that_cannot_be_stored_is_refused(
        self, store: Store, change: dict[str, Any], message: str
    ) -> None:
        run = {name: value for name, value in change.items() if name != "cases"}
        made = verdict(1, **run)
        with pytest.raises(EvidenceError, match=message):
            store.import_run(replace(made, cases=change.get("cases", made.cases)))
        assert store.runs() == ()
