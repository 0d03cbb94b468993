# SPDX-License-Identifier: Apache-2.0
"""What a stream makes us keep has bounds, and whole evidence does not meet them."""

from bsdgate.results import attempts
from bsdgate.results.model import Case, Code, Outcome, Result, Timing


def test_no_more_reports_are_kept_than_the_list_makes_likely(run_dir, subunit_stream, monkeypatch):
    monkeypatch.setattr(attempts, "STRANGE_BOUND", 10)
    strange = [(f"strange.{number}", "success") for number in range(20)]
    run_dir.attempt("01-tempest", b"a\n", subunit_stream(("a", "success"), *strange))
    verdict = run_dir.judge()
    assert verdict.result is Result.ERROR
    (reason,) = (reason for reason in verdict.reasons if reason.code is Code.TOO_LARGE)
    assert "9 reports are left out: beyond 12" in reason.message


def test_of_ids_that_nobody_asked_for_no_more_is_kept_than_the_list_makes_likely(
    run_dir, subunit_stream, monkeypatch
):
    monkeypatch.setattr(attempts, "STRANGE_SIZE", 500)
    strange = [(f"strange.{number}." + "x" * 90, "success") for number in range(20)]
    asked = [("m.A.a", "success"), ("m.A.b", "fail")]
    fixtures = [("setUpClass (m.A)", "fail"), ("tearDownClass (m.A)", "fail")]
    run_dir.attempt("01-tempest", b"m.A.a\nm.A.b\n", subunit_stream(*strange, *fixtures, *asked))
    verdict = run_dir.judge()
    assert verdict.result is Result.ERROR
    (reason,) = (reason for reason in verdict.reasons if reason.code is Code.TOO_LARGE)
    assert "16 reports are left out: beyond 100004, or 520 characters" in reason.message
    # What was asked is in the account all the same, wherever it stands in the stream.
    assert [case.outcome for case in verdict.cases] == ["success", "fail"]


def test_fixtures_of_many_classes_are_no_strangers(run_dir, subunit_stream, monkeypatch):
    monkeypatch.setattr(attempts, "STRANGE_BOUND", 0)
    monkeypatch.setattr(attempts, "STRANGE_SIZE", len("tearDownClass ()") * 2)
    tests = [f"m.C{number}.test_it" for number in range(50)]
    fixtures = [(f"setUpClass (m.C{number})", "skip") for number in range(50)]
    asked = "".join(f"{test}\n" for test in tests).encode()
    run_dir.attempt("01-tempest", asked, subunit_stream(*fixtures))
    verdict = run_dir.judge()
    assert verdict.counts["skip"] == 50
    assert all(reason.code is not Code.TOO_LARGE for reason in verdict.reasons)


def test_without_a_list_ids_have_the_bound_of_a_list(monkeypatch):
    monkeypatch.setattr(attempts, "DOCUMENT_BOUND", 10)
    problems = []
    found = [Case(f"{number}abcd", Outcome.SUCCESS) for number in range(9)]
    assert len(attempts.gather(found, None, problems, [])) == 2
    assert [problem.code for problem in problems] == [Code.TOO_LARGE]


def test_there_is_an_end_to_timings(monkeypatch):
    monkeypatch.setattr(attempts, "TIMINGS_BOUND", 2)
    problems, timings = [], []
    found = [*(Timing(f"a/{number}", 1.0) for number in range(5)), Case("a", Outcome.SUCCESS)]
    assert len(attempts.gather(found, ["a"], problems, timings)) == 1
    assert len(timings) == 2
    assert [problem.message for problem in problems] == ["3 atomic actions beyond 2 are left out"]
