# SPDX-License-Identifier: Apache-2.0
"""What all reporters have in common: they tell the same, and pass on nothing that acts."""

import re
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest

from bsdgate.results import document
from bsdgate.results.model import Case, Code, Level, Outcome, Reason, Result, Run, Verdict
from bsdgate.results.reporters import html, junit, text, write_all
from bsdgate.results.reporters.timeline import MARGIN, WIDTH, lay_out

BEGAN = datetime(2026, 11, 22, 12, tzinfo=UTC)
HOSTILE = "m.<script>alert(1)</script>.\x1b[31mred\x1b[0m.\N{RIGHT-TO-LEFT OVERRIDE}txt'\"&\x00"


def verdict_of(result, *cases, reasons=(), fixtures=()):
    return Verdict(Run("1234", BEGAN, name="n"), result, tuple(reasons), cases, tuple(fixtures))


@pytest.fixture
def hostile():
    case = Case(
        HOSTILE, Outcome.FAIL, BEGAN, 1.5, worker=HOSTILE, reason=HOSTILE, details=HOSTILE * 2
    )
    reason = Reason(Level.FAIL, Code.TESTS_FAILED, HOSTILE, (HOSTILE,))
    return verdict_of(Result.FAIL, case, reasons=[reason], fixtures=[case])


class Elements(HTMLParser):
    """Collects the tags and attributes of a page."""

    def __init__(self, page):
        super().__init__()
        self.tags = []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def count(self, name):
        return sum(tag == name for tag, _ in self.tags)


@pytest.mark.parametrize("reporter", [text, junit, html, document])
def test_nothing_hostile_gets_through(hostile, reporter):
    content = reporter.render(hostile)
    assert "\x1b" not in content
    assert "\x00" not in content
    assert "\N{RIGHT-TO-LEFT OVERRIDE}" not in content


def test_html_shows_hostile_ids_as_text(hostile):
    page = html.render(hostile)
    elements = Elements(page)
    assert elements.count("script") == 1
    assert "<script>alert" not in page
    assert not [name for _, attributes in elements.tags for name in attributes if name[:2] == "on"]


@pytest.fixture(params=["subunit/outcomes", "subunit/kill-inside", "subunit/clean", "junit/pytest"])
def recorded(request, run_dir):
    run_dir.recorded(*request.param.split("/"))
    return run_dir.judge()


def test_html_needs_no_network_and_allows_only_its_own_script(recorded):
    page = html.render(recorded)
    attributes = [one for _, one in Elements(page).tags]
    references = [one.get("src") or one.get("href") for one in attributes]
    assert all(reference.startswith("#") for reference in references if reference)
    assert "url(" not in page
    assert "@import" not in page
    policy = next(one["content"] for one in attributes if one.get("http-equiv"))
    assert policy.startswith("default-src 'none'; style-src 'sha256-")


def test_html_lists_every_case_and_links_lead_somewhere(recorded):
    elements = Elements(html.render(recorded))
    rows = [one for tag, one in elements.tags if tag == "tr" and "data-outcome" in one]
    assert len(rows) == len(recorded.cases)
    ids = {one["id"] for _, one in elements.tags if "id" in one}
    targets = {one["href"][1:] for tag, one in elements.tags if tag == "a"}
    assert targets <= ids


def test_html_allows_exactly_the_text_of_its_script():
    page = html.render(verdict_of(Result.PASS, Case("a", Outcome.SUCCESS)))
    script = re.search(r"<script>(.*?)</script>", page, re.DOTALL)
    if script is None:
        pytest.fail("the page has no script")
    assert html._digest(script[1]) in page


def test_html_bounds_the_failures_it_shows(monkeypatch):
    monkeypatch.setattr(html, "FAILURES_BOUND", 3)
    cases = [Case(f"m.t{number}", Outcome.FAIL) for number in range(5)]
    page = html.render(verdict_of(Result.FAIL, *cases))
    assert "2 more failures are in verdict.json" in page


def test_junit_counts_what_is_there_and_the_verdict_is_a_test(recorded):
    (suite,) = ElementTree.fromstring(junit.render(recorded))
    assert int(suite.get("tests")) == len(suite) == 1 + len(recorded.cases) + len(recorded.fixtures)
    failing = suite.findall("testcase/failure") + suite.findall("testcase/error")
    assert bool(failing) is (recorded.result is not Result.PASS)
    if recorded.result is Result.ERROR:
        assert suite[0].find("error") is not None


def test_junit_does_not_fail_what_the_policy_lets_pass():
    case = Case("a.b", Outcome.UXSUCCESS)
    allowed = verdict_of(
        Result.PASS, case, reasons=[Reason(Level.NOTE, Code.UNEXPECTED_SUCCESS, "m", ("a.b",))]
    )
    assert "<failure" not in junit.render(allowed)
    blamed = verdict_of(
        Result.FAIL, case, reasons=[Reason(Level.FAIL, Code.UNEXPECTED_SUCCESS, "m", ("a.b",))]
    )
    assert "<failure" in junit.render(blamed)


def test_text_begins_and_ends_with_the_result(recorded):
    lines = text.render(recorded).splitlines()
    assert lines[0].startswith(f"{recorded.result}: ")
    assert lines[-1] == f"{recorded.result}: {text.describe_counts(recorded)}"


def test_text_names_errors_before_failures_and_the_end_of_each_traceback():
    case = Case("m.A.one", Outcome.FAIL, details="traceback:\nfile\nValueError: 5\n\nlog:\nnoise\n")
    reasons = [
        Reason(Level.FAIL, Code.TESTS_FAILED, "1 test failed", ("m.A.one",)),
        Reason(Level.ERROR, Code.LOST_TEST, "many", tuple(f"m.t{n}" for n in range(25))),
    ]
    told = text.render(verdict_of(Result.ERROR, case, reasons=reasons))
    assert told.index("ERROR lost-test: many") < told.index("FAIL tests-failed: 1 test failed")
    assert "and 5 more, listed in verdict.json" in told
    assert "ValueError: 5" in told
    assert "noise" not in told


def test_text_bounds_the_failures_it_shows():
    cases = [Case(f"m.t{number:02}", Outcome.FAIL) for number in range(13)]
    assert "and 3 more failures" in text.render(verdict_of(Result.FAIL, *cases))


def test_the_timeline_keeps_order_and_stays_within_its_width():
    cases = [
        Case(
            f"m.t{n}", Outcome.SUCCESS, BEGAN + timedelta(seconds=n), 1.0, worker=f"worker-{n % 2}"
        )
        for n in range(10)
    ]
    drawing = lay_out([*reversed(cases), Case("m.untimed", Outcome.SKIP)])
    assert [lane.worker for lane in drawing.lanes] == ["worker-0", "worker-1"]
    bars = [bar for lane in drawing.lanes for bar in lane.bars]
    assert len(bars) == 10
    assert min(bar.x for bar in bars) == MARGIN
    assert max(bar.x + bar.width for bar in bars) == pytest.approx(WIDTH)
    assert drawing.ticks[-1] == (WIDTH, 10.0)


def test_without_times_there_is_no_timeline():
    assert lay_out([Case("m.a", Outcome.SUCCESS, BEGAN)]) is None


@pytest.mark.parametrize(
    ("seconds", "told"), [(0.0123, "12 ms"), (5.04, "5.0 s"), (125.4, "2 min 05 s")]
)
def test_durations_are_told_as_people_do(seconds, told):
    assert html._duration(seconds) == told


def test_all_reports_are_written_and_replaced(run_dir):
    run_dir.recorded("subunit", "outcomes")
    verdict = run_dir.judge()
    write_all(verdict, run_dir.path)
    write_all(verdict, run_dir.path)
    folder = run_dir.path / "report"
    assert sorted(file.name for file in folder.iterdir()) == [
        "report.html",
        "report.txt",
        "report.xml",
        "verdict.json",
    ]
    assert document.parse((folder / "verdict.json").read_bytes()) == verdict


def test_a_lone_surrogate_does_not_stop_the_reports(run_dir):
    case = Case("m.\ud800", Outcome.FAIL, details="\ud800")
    write_all(verdict_of(Result.FAIL, case), run_dir.path)
    assert (run_dir.path / "report" / "verdict.json").stat().st_size
