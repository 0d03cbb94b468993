# SPDX-License-Identifier: Apache-2.0
from io import BytesIO

import pytest

from bsdgate.results.model import Case, Code, Outcome, Reason
from bsdgate.results.parsers.junit import address, parse


def read(text, asked=()):
    content = text.encode() if isinstance(text, str) else text
    found = list(parse(BytesIO(content), asked))
    return (
        [item for item in found if isinstance(item, Case)],
        [item.code for item in found if isinstance(item, Reason)],
    )


def suite(*cases, head=""):
    return f"<testsuites><testsuite {head}>{''.join(cases)}</testsuite></testsuites>"


ONE = '<testcase classname="checks.test_host" name="test_one" time="0.5"/>'


@pytest.mark.parametrize(
    ("node_id", "spelt"),
    [
        ("checks/test_host.py::test_one", "checks.test_host.test_one"),
        ("a/b/test_c.py::TestD::test_e[x/y::z.py]", "a.b.test_c.TestD.test_e[x/y::z.py]"),
    ],
)
def test_node_ids_are_spelt_as_in_reports(node_id, spelt):
    assert address(node_id) == spelt


def test_a_case_bears_the_id_that_was_asked():
    ((case,), problems) = read(suite(ONE), ["checks/test_host.py::test_one"])
    assert case == Case("checks/test_host.py::test_one", Outcome.SUCCESS, seconds=0.5)
    assert problems == []


def test_without_an_asked_id_the_reports_own_is_kept():
    assert read(suite(ONE))[0][0].id == "checks.test_host.test_one"


@pytest.mark.parametrize(
    ("inside", "outcome"),
    [
        ('<failure message="m">text</failure>', Outcome.FAIL),
        ('<error message="m">text</error>', Outcome.FAIL),
        ('<skipped message="m"/><error message="e"/>', Outcome.FAIL),
        ('<skipped message="m"/>', Outcome.SKIP),
        ('<skipped type="pytest.xfail" message="m"/>', Outcome.XFAIL),
        ("<system-out>text</system-out>", Outcome.SUCCESS),
    ],
)
def test_outcomes(inside, outcome):
    ((case,), _) = read(suite(f'<testcase classname="a" name="b">{inside}</testcase>'))
    assert case.outcome is outcome


def test_the_head_is_not_believed():
    cases, _ = read(suite(ONE, head='tests="100" failures="7"'))
    assert len(cases) == 1


def test_the_same_case_twice_stays_twice():
    assert len(read(suite(ONE, ONE))[0]) == 2


def test_a_failure_and_its_broken_teardown_are_one_case():
    failure = '<testcase classname="a" name="b"><failure message="m"/></testcase>'
    broken = (
        '<testcase classname="a" name="b"><error message="failed on teardown with x"/></testcase>'
    )
    assert len(read(suite(failure, broken))[0]) == 1
    assert len(read(suite(broken, failure))[0]) == 2


def test_an_empty_report_is_an_error():
    assert read("") == ([], [Code.EMPTY_STREAM])


def test_a_cut_report_is_an_error_wherever_it_is_cut():
    whole = suite(ONE, ONE)
    for place in range(1, len(whole)):
        assert read(whole[:place])[1] == [Code.TRUNCATED], place


@pytest.mark.parametrize(
    "text",
    [
        '<!DOCTYPE a [<!ENTITY b "c">]><testsuites>&b;</testsuites>',
        '<!DOCTYPE a SYSTEM "file:///etc/passwd"><testsuites/>',
    ],
)
def test_document_types_and_entities_are_refused(text):
    assert read(text) == ([], [Code.DAMAGED])


@pytest.mark.parametrize(
    "text",
    [
        "<html/>",
        "<?xml version='1.0' encoding='no-such'?><testsuites/>",
        b"<testsuites>\xff</testsuites>",
        b"<testsuites>\x00</testsuites>",
    ],
)
def test_what_is_no_report_is_an_error(text):
    assert read(text)[1] == [Code.TRUNCATED]


def test_names_have_a_bound_and_must_be_there():
    cases, problems = read(suite(f'<testcase name="{"x" * 5000}"/>', '<testcase classname="a"/>'))
    assert cases == []
    assert problems == [Code.DAMAGED, Code.DAMAGED]


def test_details_have_a_bound():
    text = "x" * 200_000
    ((case,), _) = read(suite(f'<testcase name="a"><failure>{text}</failure></testcase>'))
    assert len(case.details) < 70_000


@pytest.mark.parametrize("time", ["nan", "inf", "-1", "soon", ""])
def test_a_doubtful_time_is_no_time(time):
    assert read(suite(f'<testcase name="a" time="{time}"/>'))[0][0].seconds is None
