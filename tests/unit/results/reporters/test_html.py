# SPDX-License-Identifier: Apache-2.0
"""The HTML page: it needs no other files, its links are valid, and its size is limited."""

import re
from html.parser import HTMLParser
from itertools import pairwise

import pytest
from unit.results.conftest import RunDir
from unit.results.reporters.made import (
    REQUEST,
    attributions,
    earlier,
    failed,
    failure_reason,
    hostile,
    verdict_of,
)

from bsdgate.results.model import Case, Cause, Code, Level, Outcome, Reason, Result, Verdict
from bsdgate.results.reporters import LOGGED_BOUND, html, views
from bsdgate.results.reporters.servicelogs import Line, Lines
from bsdgate.results.reporters.views import split

PASSED = verdict_of(Result.PASS, Case("a", Outcome.SUCCESS))


class Elements(HTMLParser):
    """Collects the tags, attributes and text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attributes}))

    def handle_data(self, data: str) -> None:
        self.text += data

    def named(self, name: str) -> list[dict[str, str]]:
        return [attributes for tag, attributes in self.tags if tag == name]


@pytest.fixture(params=["subunit/outcomes", "subunit/kill-inside", "subunit/clean", "junit/pytest"])
def recorded(request: pytest.FixtureRequest, run_dir: RunDir) -> Verdict:
    run_dir.recorded(*request.param.split("/"))
    return run_dir.judge()


def test_markup_and_control_characters_are_escaped() -> None:
    line = Line("12:00", "<b>", "ERROR", "<script>alert(2)</script>\x1b", own=True)
    past = [earlier(9, Result.FAIL, {"<i>": 3}, 5.0, "<script>")]
    verdict = hostile()
    logs = {verdict.cases[0].id: Lines((line,), 1)}
    page = html.render(verdict, logs=logs, remarks=["<script>"], history=past)
    elements = Elements(page)
    assert len(elements.named("script")) == 1
    assert "<script>alert" not in page
    assert "\x1b" not in page
    assert not [name for _, attributes in elements.tags for name in attributes if name[:2] == "on"]
    assert "alert(2)" in elements.text
    assert "<i>" not in page.partition('<section id="trend">')[2].partition("</section>")[0]


def test_the_page_needs_no_network_and_its_policy_allows_no_other_source(recorded: Verdict) -> None:
    page = html.render(recorded)
    attributes = [one for _, one in Elements(page).tags]
    references = [one.get("src") or one.get("href") for one in attributes]
    assert all(reference.startswith("#") for reference in references if reference)
    assert "url(" not in page
    assert "@import" not in page
    policy = next(one["content"] for one in attributes if one.get("http-equiv"))
    assert policy.startswith("default-src 'none'; style-src 'sha256-")


def test_the_page_lists_each_case_and_each_link_has_a_target(recorded: Verdict) -> None:
    elements = Elements(html.render(recorded))
    rows = [one for one in elements.named("tr") if "data-outcome" in one]
    assert len(rows) == len(recorded.cases)
    ids = [one["id"] for _, one in elements.tags if "id" in one]
    assert len(ids) == len(set(ids))
    assert {one["href"][1:] for one in elements.named("a")} <= set(ids)


def test_each_bar_has_the_number_of_its_row_in_the_ledger(recorded: Verdict) -> None:
    elements = Elements(html.render(recorded))
    rows = len([one for one in elements.named("tr") if "data-outcome" in one])
    drawn = [int(one["data-row"]) for one in elements.named("rect") if "data-row" in one]
    assert len(drawn) == len(set(drawn))
    assert set(drawn) <= set(range(rows))


def test_headings_skip_at_most_one_level() -> None:
    case = failed("m.A.a", details=f"traceback:\nboom\n\nlog:\n{REQUEST}")
    verdict = verdict_of(Result.FAIL, case, failed("m.A.b"), reasons=[failure_reason("m.A.a")])
    tags = [tag for tag, _ in Elements(html.render(verdict)).tags]
    levels = [int(tag[1]) for tag in tags if re.fullmatch(r"h\d", tag)]
    assert levels[0] == 1
    # Alike failures have a heading between that of a group and that of a failure.
    assert all(after <= before + 2 for before, after in pairwise(levels))


@pytest.mark.parametrize("tag", ["script", "style"])
def test_the_policy_has_the_digest_of_the_script_and_the_style(tag: str) -> None:
    page = html.render(PASSED)
    content = re.search(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
    if content is None:
        pytest.fail(f"the page has no {tag}")
    assert html._digest(content[1]) in page


def test_no_element_has_a_style_attribute(recorded: Verdict) -> None:
    assert not [one for _, one in Elements(html.render(recorded)).tags if "style" in one]


def test_failures_are_grouped_by_cause_and_excused_groups_are_closed() -> None:
    cases = [failed("m.A.a"), failed("m.A.b"), failed("m.A.c")]
    findings = attributions(
        Cause.CHANGE, "m.A.a", "m.A.b", signature="boom", evidence=("03: fail",)
    )
    findings += attributions(Cause.BASE, "m.A.c")
    reasons = [
        failure_reason("m.A.a", "m.A.b"),
        Reason(Level.NOTE, Code.FAILS_ON_BASE, "base", ("m.A.c",)),
    ]
    page = html.render(verdict_of(Result.FAIL, *cases, reasons=reasons, findings=findings))
    groups = [one for one in Elements(page).named("details") if "group" in one.get("class", "")]
    assert [(one["class"], "open" in one) for one in groups] == [
        ("group change", True),
        ("group base", False),
    ]
    assert "2 fail alike" in page
    assert "03: fail" in page


def test_the_traceback_of_a_failure_is_separate_from_its_logs() -> None:
    details = "traceback-1:\nTraceback:\n\n  a gap\nBoom\n\npythonlogging:'':\nlog of it\n"
    elements = Elements(html.render(verdict_of(Result.FAIL, failed("m.A.a", details=details))))
    assert "Traceback:\n\n  a gap\nBoom" in elements.text
    assert len(elements.named("pre")) == 2
    assert "pythonlogging" in elements.text
    assert "pythonlogging:''" not in elements.text


def test_the_first_line_of_a_traceback_is_not_the_name_of_an_attachment() -> None:
    details = "Traceback (most recent call last):\n  File x\nBoom\n"
    elements = Elements(html.render(verdict_of(Result.FAIL, failed("m.A.a", details=details))))
    assert details.rstrip() in elements.text


def test_log_lines_have_shortened_request_ids() -> None:
    context = f"[None {REQUEST} 59e4a05e58d744b4af334a29a86d4738 - - default default]"
    line = Line("12:00:01.000", "nova", "ERROR", f"nova.compute {context} no host", own=True)
    page = html.render(
        verdict_of(Result.FAIL, failed("m.a")), logs={"m.a": Lines((line,), left_out=5)}
    )
    assert "nova.compute [req-5cb5a854] no host" in page
    assert "5 more lines are left out" in page


def test_the_number_of_shown_failures_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(views, "FAILURES_BOUND", 3)
    cases = [failed(f"m.t{number}") for number in range(5)]
    page = html.render(verdict_of(Result.FAIL, *cases))
    assert "2 more failures are in verdict.json" in page
    assert len([one for one in Elements(page).named("details") if "failure" in str(one)]) == 3


def test_the_size_of_the_page_is_limited() -> None:
    details = "traceback:\n" + "x" * 20_000 + "\nBoom\n\nlog:\n" + "y" * 40_000
    cases = [failed(f"m.t{number:03}", details=details) for number in range(400)]
    lines = Lines(tuple(Line("12", "nova", "ERROR", "z" * 400, own=True) for _ in range(48)))
    logged = dict.fromkeys((case.id for case in cases[:LOGGED_BOUND]), lines)
    page = html.render(verdict_of(Result.FAIL, *cases), logs=logged)
    assert len(page) < 8_000_000
    assert page.count("Boom") >= 400
    assert "characters cut: see evidence/" in page


def test_the_ledger_is_limited_and_lists_problems_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(views, "ROWS_BOUND", 2)
    cases = [Case(f"m.t{n}", Outcome.SUCCESS) for n in range(4)] + [Case("m.x", Outcome.MISSING)]
    page = html.render(verdict_of(Result.ERROR, *cases))
    rows = [one["data-outcome"] for one in Elements(page).named("tr") if "data-outcome" in one]
    assert rows == ["missing", "success"]
    assert "3 more tests are in verdict.json" in page


def test_without_earlier_runs_there_is_no_trend() -> None:
    assert "Trend" not in html.render(PASSED)
    past = [earlier(60, Result.ERROR, {"missing": 2})]
    assert "Earlier runs: 0 of 1 passed" in html.render(PASSED, history=past)


def test_a_run_without_tests_has_a_report() -> None:
    page = html.render(verdict_of(Result.ERROR))
    assert 'id="cases"' in page
    assert "Timeline" not in page


@pytest.mark.parametrize(
    ("test_id", "module", "name", "variant"),
    [
        ("m.n.A.t[id-%s,smoke]", "m.n.", "A.t", ""),
        ("m.n.A.t[smoke,id-%s]", "m.n.", "A.t", ""),
        ("m.n.A.t(ipv6)", "m.n.", "A.t", "(ipv6)"),
        ("m.n.A.t[a.b]", "m.n.", "A.t", "[a.b]"),
        ("A.t", "", "A.t", ""),
        ("odd", "", "odd", ""),
        ("", "", "", ""),
    ],
)
def test_an_id_is_split_without_a_loss_of_characters(
    test_id: str, module: str, name: str, variant: str
) -> None:
    test_id = test_id.replace("%s", "4d1d6b0c-3a55-4f2c-9a6e-0d6b7f3c1a02")
    found = split(test_id)
    assert (found.module, found.name, found.variant) == (module, name, variant)
    assert found.module + found.name + found.tags == test_id


@pytest.mark.parametrize(
    ("seconds", "label"), [(0, "0 s"), (0.5, "0.5 s"), (90, "1:30"), (3600, "1:00:00")]
)
def test_times_of_an_axis_have_the_format_of_a_clock(seconds: float, label: str) -> None:
    assert html._clock(seconds) == label


def luminance(colour: str) -> float:
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    bright, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_text_has_enough_contrast_with_its_background(scheme: int) -> None:
    blocks = re.findall(r":root \{(.*?)\}", html._asset("report.css"), re.DOTALL)
    found = dict(re.findall(r"--([\w-]+): (#\w+)", blocks[scheme]))
    colours = {
        name: value if len(value) == 7 else "#" + "".join(2 * c for c in value[1:])
        for name, value in found.items()
    }
    pairs = [
        (ink, page) for ink in ("ink", "soft", "link") for page in ("page", "card", "hover", "code")
    ]
    tones = [name.removesuffix("-tint") for name in colours if name.endswith("-tint")]
    pairs += [(f"{tone}-ink", f"{tone}-tint") for tone in tones]
    pairs += [(f"{tone}-ink", "card") for tone in tones]
    weak = {pair: contrast(colours[pair[0]], colours[pair[1]]) for pair in pairs}
    assert {pair: ratio for pair, ratio in weak.items() if ratio < 4.5} == {}
    drawn = {tone: contrast(colours[tone], colours["card"]) for tone in tones if tone != "skip"}
    assert {tone: ratio for tone, ratio in drawn.items() if ratio < 2.5} == {}


def test_white_has_enough_contrast_with_the_colours_of_each_result() -> None:
    bands = re.findall(
        r"\.verdict\.\w+ \{ background: linear-gradient\(.*?\); \}", html._asset("report.css")
    )
    assert len(bands) == len(Result)
    assert (
        min(contrast("#ffffff", colour) for band in bands for colour in re.findall(r"#\w{6}", band))
        >= 4.5
    )
