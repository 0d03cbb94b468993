# SPDX-License-Identifier: Apache-2.0
from html.parser import HTMLParser
from typing import Any

import pytest

from bsdgate.results.model import Case, Feature, Outcome
from bsdgate.results.scorecard import Column, Known, Status, area, render, score

SWIFT = Feature("service_available.swift", "False", "not ported")
COLD = Feature("compute-feature-enabled.cold_migration", "False", "one host")


def known(**fields: Any) -> Known:
    whole = {"profile": "embedded", "selected": frozenset(), "excluded": {}}
    return Known(**(whole | fields))


def status(test: str, **fields: Any) -> tuple[Status, str]:
    (column,) = score([test], [known(**fields)])
    (place,) = column.places
    return place.status, place.why


def ended(
    outcome: Outcome, reason: str | None = None, test: str = "tempest.api.x.test_y.C.one"
) -> dict[str, dict[str, Case]]:
    return {"cases": {test: Case(test, outcome, reason=reason)}}


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        (ended(Outcome.SUCCESS), (Status.RUN, "")),
        (ended(Outcome.FAIL, "Boom\nboom"), (Status.RUN, "fail: Boom boom")),
        (ended(Outcome.XFAIL), (Status.RUN, "xfail")),
        (
            ended(Outcome.SKIP, "Cold migration not available.") | {"features": (COLD,)},
            (Status.SKIP, f"{COLD.option} is False: one host"),
        ),
        (ended(Outcome.SKIP, "No idea"), (Status.TODO, "skip: No idea")),
        (ended(Outcome.MISSING, "gone"), (Status.TODO, "missing: gone")),
        ({}, (Status.TODO, "in no suite, and not excluded")),
    ],
)
def test_the_status_follows_from_the_outcome(
    fields: dict[str, Any], wanted: tuple[Status, str]
) -> None:
    assert status("tempest.api.x.test_y.C.one", **fields) == wanted


def test_without_a_run_the_status_follows_from_the_profile_and_its_suites() -> None:
    test = "tempest.api.object_storage.test_x.C.one"
    selected = frozenset({test})
    assert status(test, selected=selected)[0] is Status.TODO
    excluded = status(test, excluded={test: "needs a guest"}, features=(SWIFT,))
    assert excluded == (Status.CANNOT, "needs a guest")
    absent = status(test, selected=selected, features=(SWIFT,))
    assert absent == (Status.SKIP, "service_available.swift is false: not ported")
    there = Feature(SWIFT.option, "True", "ported")
    assert status(test, selected=selected, features=(there,))[0] is Status.TODO


def test_an_excluded_test_that_ran_has_the_status_run() -> None:
    test = "tempest.api.x.test_y.C.one"
    fields = ended(Outcome.SUCCESS) | {"excluded": {test: "too slow"}}
    assert status(test, **fields) == (Status.RUN, "")


@pytest.mark.parametrize(
    ("test", "wanted"),
    [
        ("tempest.api.compute.admin.test_x.C.one[id-1]", "tempest.api.compute"),
        ("tempest.scenario.test_x.C.one", "tempest.scenario"),
        ("a_plugin.tests.api.admin.test_x.C.one", "a_plugin.tests.api"),
    ],
)
def test_an_area_is_the_first_packages_of_a_test_id(test: str, wanted: str) -> None:
    assert area(test) == wanted


@pytest.fixture
def columns() -> tuple[Column, ...]:
    ids = [f"tempest.api.compute.test_x.C.n{number:02}" for number in range(30)]
    ids += ["p.api.test_<b>.C.one", ids[0]]
    excluded = {test: f"reason {test[-2:]} & <script>alert(1)</script>" for test in ids[1:20]}
    cases = {ids[0]: Case(ids[0], Outcome.SUCCESS)}
    first = known(profile="first", selected=frozenset(ids), excluded=excluded, cases=cases)
    return score(ids, [first, known(profile="second")])


def test_every_id_is_counted_once_in_each_column(columns: tuple[Column, ...]) -> None:
    for column in columns:
        assert column.total.total() == 31
        assert sum(counts.total() for counts in column.counts.values()) == 31
    assert columns[0].total == {Status.RUN: 1, Status.CANNOT: 19, Status.TODO: 11}


def test_the_text_has_tables_and_bounded_reasons(columns: tuple[Column, ...]) -> None:
    lines = render.text(columns).splitlines()
    heads = [line.split() for line in lines if line.startswith("profile ")]
    assert heads[0] == [
        "profile",
        "first",
        "run",
        "expected",
        "skip",
        "cannot",
        "to",
        "do",
        "tests",
    ]
    row = next(line for line in lines if line.startswith("tempest.api.compute "))
    assert row.split()[1:] == ["1", ".", "19", "10", "30"]
    assert "  cannot                and 7 more reasons" in lines
    assert max(map(len, lines)) < 120


def test_control_characters_are_replaced_in_the_text() -> None:
    test = "tempest.api.x.test_y.C.one"
    columns = score([test], [known(**ended(Outcome.SKIP, "\x1b[2J\x07 gone"))])
    assert "skip: \ufffd[2J\ufffd gone" in render.text(columns)


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str | None] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in {"src", "href"}]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_escapes_markup_and_needs_no_network(
    columns: tuple[Column, ...],
) -> None:
    page = _Page()
    page.feed(render.page(columns))
    assert "script" not in page.tags
    assert page.links == []
    assert "reason 05 & <script>alert(1)</script>" in page.text
    assert "p.api.test_<b>.C.one" in page.text
    assert page.tags.count("table") == 2
    assert page.tags.count("li") == 30 + 31


def test_the_page_reports_that_all_tests_of_a_profile_pass() -> None:
    test = "tempest.api.x.test_y.C.one"
    columns = score([test], [known(**ended(Outcome.SUCCESS))])
    assert "Every test runs and passes." in render.page(columns)
