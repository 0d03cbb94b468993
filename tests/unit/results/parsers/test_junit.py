# SPDX-License-Identifier: Apache-2.0
import tracemalloc
from collections.abc import Sequence
from io import BytesIO
from typing import BinaryIO, cast

import pytest

from bsdgate.results.model import Case, Code, Outcome, Reason
from bsdgate.results.parsers.junit import CHUNK, TOKEN_BOUND, parse


def read(text: str | bytes, asked: Sequence[str] = ()) -> tuple[list[Case], list[Code]]:
    content = text.encode() if isinstance(text, str) else text
    found = list(parse(BytesIO(content), asked))
    return (
        [item for item in found if isinstance(item, Case)],
        [item.code for item in found if isinstance(item, Reason)],
    )


def suite(*cases: str, head: str = "") -> str:
    return f"<testsuites><testsuite {head}>{''.join(cases)}</testsuite></testsuites>"


ONE = '<testcase classname="checks.test_host" name="test_one" time="0.5"/>'


def test_a_case_has_the_asked_id() -> None:
    ((case,), problems) = read(suite(ONE), ["checks/test_host.py::test_one"])
    assert case == Case("checks/test_host.py::test_one", Outcome.SUCCESS, seconds=0.5)
    assert problems == []


def test_without_an_asked_id_a_case_has_the_id_of_the_report() -> None:
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
def test_elements_are_mapped_to_outcomes(inside: str, outcome: Outcome) -> None:
    ((case,), _) = read(suite(f'<testcase classname="a" name="b">{inside}</testcase>'))
    assert case.outcome is outcome


def test_counts_in_the_head_do_not_add_cases() -> None:
    cases, _ = read(suite(ONE, head='tests="100" failures="7"'))
    assert len(cases) == 1


FAILED = '<testcase classname="a" name="b"><failure message="m"/></testcase>'


@pytest.mark.parametrize(
    ("head", "problems"),
    [
        ('failures="1" errors="0" tests="2"', []),
        ('failures="0"', []),
        ('failures="2"', [Code.CONTRADICTED]),
        ('failures="1" errors="1"', [Code.CONTRADICTED]),
        (f'failures="{"9" * 5000}"', [Code.CONTRADICTED]),
        ('failures="many"', []),
    ],
)
def test_a_head_with_more_failures_than_cases_is_an_error(head: str, problems: list[Code]) -> None:
    assert read(suite(ONE, FAILED, head=head))[1] == problems


def test_the_head_of_each_suite_is_checked() -> None:
    one, two = f'<testsuite failures="1">{FAILED}</testsuite>', f"<testsuite>{ONE}</testsuite>"
    assert read(f'<testsuites failures="1">{one}{two}</testsuites>')[1] == []
    lost = f'<testsuite failures="1">{ONE}</testsuite>'
    assert read(f'<testsuites failures="1">{one}{lost}</testsuites>')[1] == [Code.CONTRADICTED]


@pytest.mark.parametrize("tag", ["failure", "error"])
def test_a_failure_outside_a_testcase_is_an_error(tag: str) -> None:
    assert read(suite(ONE, f'<{tag} message="m"/>'))[1] == [Code.DAMAGED]


@pytest.mark.parametrize("around", ["system-out", "properties"])
def test_a_failure_deeper_in_a_testcase_is_an_error(around: str) -> None:
    inside = f"<{around}><failure/></{around}>"
    (case,), problems = read(suite(f'<testcase name="a">{inside}</testcase>'))
    assert (case.id, problems) == ("a", [Code.DAMAGED])


@pytest.mark.parametrize(
    ("attribute", "problems"),
    [
        ('status="run"', []),
        ('status="run" result="completed"', []),
        ('status="notrun"', [Code.DAMAGED]),
        ('result="suppressed"', [Code.DAMAGED]),
        ('status="failed"', [Code.DAMAGED]),
    ],
)
def test_a_success_with_contradicting_attributes_is_an_error(
    attribute: str, problems: list[Code]
) -> None:
    assert read(suite(f'<testcase classname="a" name="b" {attribute}/>'))[1] == problems


def test_a_repeated_case_is_reported_twice() -> None:
    assert len(read(suite(ONE, ONE))[0]) == 2


def test_a_failure_and_the_failed_teardown_of_its_test_are_one_case() -> None:
    failure = '<testcase classname="a" name="b"><failure message="m"/></testcase>'
    broken = (
        '<testcase classname="a" name="b"><error message="failed on teardown with x"/></testcase>'
    )
    assert len(read(suite(failure, broken))[0]) == 1
    assert len(read(suite(failure, ONE, broken))[0]) == 2  # other workers report in between
    assert len(read(suite(broken, failure))[0]) == 2


def test_an_empty_report_is_an_error() -> None:
    assert read("") == ([], [Code.EMPTY_STREAM])


def test_a_truncated_report_is_an_error_at_every_length() -> None:
    whole = suite(ONE, ONE)
    for place in range(1, len(whole)):
        assert read(whole[:place])[1] == [Code.TRUNCATED], place


BILLION_LAUGHS = """<!DOCTYPE l [<!ENTITY a0 "ha">
{}
]><testsuites>&a40;</testsuites>""".format(
    "\n".join(f'<!ENTITY a{n} "&a{n - 1};&a{n - 1};">' for n in range(1, 41))
)


@pytest.mark.parametrize(
    "text",
    [
        BILLION_LAUGHS,
        f'<!DOCTYPE a [<!ENTITY b "{"c" * 50_000}">]><testsuites>{"&b;" * 50_000}</testsuites>',
        '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><testsuites>&b;</testsuites>',
        '<!DOCTYPE a SYSTEM "file:///etc/passwd"><testsuites/>',
        '<!DOCTYPE a PUBLIC "-//A//B" "http://127.0.0.1:9/a.dtd"><testsuites/>',
        '<!DOCTYPE a [<!ENTITY % b SYSTEM "http://127.0.0.1:9/b">%b;]><testsuites/>',
        "<!DOCTYPE a><testsuites/>",
    ],
)
def test_document_types_with_or_without_entities_are_refused(text: str) -> None:
    assert read(text) == ([], [Code.DAMAGED])


def test_undeclared_entities_are_refused() -> None:
    cases, problems = read(suite(ONE, '<testcase name="b">&c;</testcase>'))
    assert len(cases) == 1
    assert problems == [Code.DAMAGED]


def test_xinclude_is_not_processed() -> None:
    include = (
        '<xi:include href="file:///etc/passwd" parse="text"'
        ' xmlns:xi="http://www.w3.org/2001/XInclude"/>'
    )
    failure = f'<testcase name="a"><failure>{include}</failure></testcase>'
    ((case,), _) = read(suite(failure))
    assert case.details is None


@pytest.mark.parametrize(
    "text",
    [
        "<html/>",
        '<testcase name="a"/>',
        "<?xml version='1.0' encoding='no-such'?><testsuites/>",
        "<?xml version='1.0' encoding='utf-7'?><testsuites/>",
        b"<testsuites>\xff</testsuites>",
        b"<testsuites>\x00</testsuites>",
        "<testsuites>\x1b[31m</testsuites>",
        "<testsuites></testsuite>",
        "<testsuites/><testsuites/>",
        b"\x1f\x8b\x08\x00" + bytes(range(256)),
        b"PK\x03\x04" + bytes(range(256)),
        "{}",
        f"<testsuites>{'<a>' * 1000}",
        '<testsuites><testcase name="a"><testcase name="b"/></testcase></testsuites>',
        f"<testsuites>{''.join(f'<a{n}/>' for n in range(2000))}</testsuites>",
        "<testsuites>" + "".join(f'<a b{n}="0"/>' for n in range(2000)) + "</testsuites>",
    ],
)
def test_other_content_than_a_report_is_an_error(text: str | bytes) -> None:
    cases, problems = read(text)
    assert cases == []
    assert problems == [Code.DAMAGED]


def test_two_reports_in_one_file_are_an_error() -> None:
    cases, problems = read(suite(ONE) * 2)
    assert len(cases) == 1
    assert problems == [Code.DAMAGED]


class Endless:
    """A report of 100 MB that is generated while it is read: a head, then one piece repeatedly."""

    def __init__(self, head: bytes, piece: bytes, size: int = 100_000_000) -> None:
        self.head, self.piece, self.left = head, piece, size

    def read(self, size: int) -> bytes:
        if self.head:
            head, self.head = self.head, b""
            return head
        chunk = self.piece * (min(size, self.left) // len(self.piece))
        self.left -= len(chunk)
        return chunk


@pytest.mark.parametrize(
    ("head", "piece"),
    [
        (b'<testsuites><testcase name="', b"x"),
        (b'<testsuites><testcase name="a"><failure message="', b"&lt;"),
        (b"<testsuites><!--", b"x"),
        (b"<testsuites><?a ", b"x"),
        (b"<testsuites><", b"x"),
        (b'<!DOCTYPE a SYSTEM "', b"x"),
        (b"<testsuites>", b"<a>"),
        (b'<testsuites><testcase name="a">', b"<b>"),
    ],
)
def test_an_endless_report_is_an_error_in_limited_memory(head: bytes, piece: bytes) -> None:
    tracemalloc.start()
    found = list(parse(cast(BinaryIO, Endless(head, piece))))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    codes = [item.code for item in found if isinstance(item, Reason)]
    assert len(codes) == len(found)
    assert codes in ([Code.TOO_LARGE], [Code.DAMAGED])
    assert peak < 6 * TOKEN_BOUND


def test_a_long_text_is_read_in_limited_memory() -> None:
    stream = Endless(b'<testsuites><testcase name="a"><failure>', b"line\n", 20_000_000)
    tracemalloc.start()
    found = list(parse(cast(BinaryIO, stream)))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    (reason,) = found
    assert isinstance(reason, Reason)
    assert reason.code is Code.TRUNCATED
    assert peak < 2_000_000


def test_a_too_long_or_missing_name_is_an_error() -> None:
    cases, problems = read(suite(f'<testcase name="{"x" * 5000}"/>', '<testcase classname="a"/>'))
    assert cases == []
    assert problems == [Code.DAMAGED, Code.DAMAGED]


def test_an_id_with_any_characters_is_unchanged() -> None:
    name = "a.test[<script>alert(1)</script>&\N{RIGHT-TO-LEFT OVERRIDE}]"
    text = name.replace("&", "&amp;").replace("<", "&lt;")
    ((case,), problems) = read(suite(f'<testcase name="{text}"/>'))
    assert (case.id, problems) == (name, [])


@pytest.mark.parametrize("tag", ["flakyFailure", "rerunFailure", "x"])
def test_an_unknown_element_in_a_testcase_is_an_error(tag: str) -> None:
    cases, problems = read(suite(f'<testcase name="a"><{tag}/></testcase>', ONE))
    assert len(cases) == 1
    assert problems == [Code.DAMAGED]


@pytest.mark.parametrize("order", [1, -1])
def test_a_failure_beside_an_unknown_element_is_listed(order: int) -> None:
    inside = '<failure message="port is DOWN"/>', "<rerunFailure><stackTrace/></rerunFailure>"
    ((case,), problems) = read(suite(f'<testcase name="a">{"".join(inside[::order])}</testcase>'))
    assert (case.id, case.outcome, case.reason) == ("a", Outcome.FAIL, "port is DOWN")
    assert problems == [Code.DAMAGED]


def test_properties_do_not_change_the_outcome() -> None:
    properties = '<properties><property name="error" value="failure"/><error/></properties>'
    ((case,), _) = read(suite(f'<testcase name="a">{properties}</testcase>'))
    assert case.outcome is Outcome.SUCCESS


def test_the_size_of_details_is_limited() -> None:
    text = "x" * 200_000
    ((case,), _) = read(suite(f'<testcase name="a"><failure>{text}</failure></testcase>'))
    assert case.details
    assert len(case.details) < 70_000


def test_the_output_of_a_failed_test_follows_its_traceback() -> None:
    inside = (
        "<system-out>out</system-out><failure>trace</failure><properties/>"
        "<system-err>err</system-err>"
    )
    ((case,), _) = read(suite(f'<testcase name="a">{inside}</testcase>'))
    assert case.details == "trace\nsystem-out:\nout\nsystem-err:\nerr"
    assert case.reason == "trace"


@pytest.mark.parametrize(
    ("inside", "outcome", "reason"),
    [
        ("<skipped>no volume service</skipped>", Outcome.SKIP, "no volume service"),
        ('<failure type="unittest.case._UnexpectedSuccess"/>', Outcome.UXSUCCESS, None),
        ('<failure type="E">Trace\nValueError: 5\n</failure>', Outcome.FAIL, "ValueError: 5"),
    ],
)
def test_outcomes_of_subunit2junitxml_are_read(
    inside: str, outcome: Outcome, reason: str | None
) -> None:
    ((case,), _) = read(
        suite(f'<testcase classname="a.C" name="test_b[id-1,smoke]">{inside}</testcase>')
    )
    assert (case.id, case.outcome, case.reason) == ("a.C.test_b[id-1,smoke]", outcome, reason)


KYUA = "<system-err>{}Test case metadata\n------------------\n\ntimeout = 300\n</system-err>"
HEADING = "{} result details\n----------------------\n\n{}\n\n"


@pytest.mark.parametrize(
    ("inside", "outcome", "reason"),
    [
        (KYUA.format(""), Outcome.SUCCESS, None),
        (KYUA.format(HEADING.format("Expected failure", "PR 1")), Outcome.XFAIL, "PR 1"),
        ("<skipped/>" + KYUA.format(HEADING.format("Skipped", "root")), Outcome.SKIP, "root"),
        ("<skipped/>", Outcome.SKIP, None),
        ('<failure message="Failed"/>' + KYUA.format(""), Outcome.FAIL, "Failed"),
        ('<error message="Broken"/>' + KYUA.format(""), Outcome.FAIL, "Broken"),
    ],
)
def test_outcomes_of_kyua_are_read(inside: str, outcome: Outcome, reason: str | None) -> None:
    case = f'<testcase classname="dir.prog" name="t0" time="0.500">{inside}</testcase>'
    ((found,), problems) = read(suite(case), ["dir/prog:t0"])
    assert (found.id, found.outcome, found.reason) == ("dir/prog:t0", outcome, reason)
    assert problems == []


@pytest.mark.parametrize("before", range(0, 160, 7))
def test_outcomes_of_kyua_do_not_depend_on_borders_of_chunks(before: int) -> None:
    xfail = HEADING.format("Expected failure", "PR 1, which is not mended")
    skip = HEADING.format("Skipped", "root is needed")
    for inside, outcome, reason in (
        (KYUA.format(xfail), Outcome.XFAIL, "PR 1, which is not mended"),
        ("<skipped/>" + KYUA.format(skip), Outcome.SKIP, "root is needed"),
    ):
        case = f'<testcase name="a">{inside}</testcase>'
        head = f"<testsuites><testsuite><!--{'x' * (CHUNK - before - 60)}-->"
        ((found,), problems) = read(f"{head}{case}</testsuite></testsuites>")
        assert (found.outcome, found.reason, problems) == (outcome, reason, [])


def test_an_expected_failure_in_the_output_of_a_test_is_ignored() -> None:
    heading = HEADING.format("Expected failure", "so I say")
    ((case,), _) = read(
        suite(f'<testcase name="a">{KYUA.format("")[:-13]}{heading}</system-err></testcase>')
    )
    assert case.outcome is Outcome.SUCCESS


def test_cut_details_have_the_offset_of_the_whole_text() -> None:
    text = "x" * 100_000
    failure = f"<failure>{text}</failure><system-out>{text}</system-out>"
    report = suite(ONE, f'<testcase name="a">{failure}</testcase>')
    (_, case), _ = read(report)
    offset = report.index("<failure>")
    assert f"34464 bytes cut, the whole text is at byte {offset} of the stream" in (
        case.details or ""
    )
    assert "system-out:\n[... 100000 bytes cut, the whole text is at byte " in (case.details or "")
    assert case.details
    assert len(case.details) < 66_000


def test_details_of_all_cases_have_a_common_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bsdgate.results.parsers.details.KEPT_BOUND", 10)
    failed = '<testcase name="{}"><failure>trace of some length</failure></testcase>'
    (one, other), _ = read(suite(failed.format("a"), failed.format("b")))
    assert one.details == "trace of some length"
    assert (other.details or "").startswith(
        "[left out: the details of all tests are too large, the whole text is at byte"
    )
    assert other.reason == "trace of some length"


@pytest.mark.parametrize("where", ["message", "text"])
def test_the_message_of_a_huge_assertion_is_shortened(where: str) -> None:
    text = "x" * 8_000_000
    failure = f'<failure message="{text}"/>' if where == "message" else f"<failure>{text}</failure>"
    (case, one), problems = read(suite(f'<testcase name="a">{failure}</testcase>', ONE))
    assert (one.outcome, problems) == (Outcome.SUCCESS, [])
    assert case.reason
    assert len(case.reason) == 1000
    assert case.details
    assert len(case.details) < 70_000


@pytest.mark.parametrize("time", ["nan", "inf", "-1", "soon", ""])
def test_an_invalid_time_is_ignored(time: str) -> None:
    assert read(suite(f'<testcase name="a" time="{time}"/>'))[0][0].seconds is None
