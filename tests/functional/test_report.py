# SPDX-License-Identifier: Apache-2.0
"""The HTML report in a real browser: it opens at once, works, and runs only its own scripts."""

import random
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from functional import browser
from functional.browser import Browser

from bsdgate.results.attribution import Attribution
from bsdgate.results.dispositions import counted, dispose
from bsdgate.results.model import (
    Case,
    Cause,
    Code,
    Disposition,
    Excuse,
    Kind,
    Level,
    Outcome,
    Reason,
    Result,
    Run,
    Source,
    State,
    Summary,
    Verdict,
)
from bsdgate.results.reporters import write_all
from bsdgate.results.store.rows import Record

SEED = 20261122
CASES = 2_000
FAILED = 40
LOGS = 20 * 1024 * 1024
OPENS_IN = 2.0
BEGAN = datetime(2026, 11, 22, 12, tzinfo=UTC)
SERVICES = ("glance", "ironic", "keystone", "neutron", "nova", "placement")
WORKERS = 4
CAUSES = (Cause.CHANGE, Cause.CHANGE, Cause.UNKNOWN, Cause.BASE, Cause.FLAKE)
TEXTS = (
    "name",
    "version",
    "profile",
    "suite",
    "release",
    "selection",
    "change",
    "patchset",
)
"""The fields of a run beside its id."""
HARM = (
    "<script>document.title='harmed';alert(1)</script><img src=x onerror=document.title='harmed'>"
    "<img src='http://127.0.0.1:9/x'><link rel=stylesheet href='//127.0.0.1:9/y'>"
    "</script></style></title><svg onload=alert(2)>\x1b[2J\N{RIGHT-TO-LEFT OVERRIDE}\x00'\"{{7*7}}"
)


def request_id(chance: random.Random) -> str:
    """Generate a request id like those of OpenStack's services."""
    digits = f"{chance.getrandbits(128):032x}"
    parts = (digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:])
    return "req-" + "-".join(parts)


def make_case(number: int, chance: random.Random) -> Case:
    """Return a case; every fiftieth is a failure with long details."""
    names = f"tempest.api.{SERVICES[number % 6]}.test_{number // 40}.Test{number // 8}"
    case = Case(
        id=f"{names}.test_{number}[id-{request_id(chance)[4:]},smoke]",
        outcome=Outcome.SUCCESS,
        started=BEGAN + timedelta(seconds=number * 0.3),
        seconds=chance.expovariate(1.0),
        worker=f"worker-{number % WORKERS}",
    )
    if number % (CASES // FAILED):
        reason = "the bare metal service is not there"
        return replace(case, outcome=Outcome.SKIP, reason=reason) if number % 13 == 5 else case
    calls = "\n".join(
        f"2026-11-22 12:00:00 INFO [tempest.lib.common.rest_client] 500 GET {request_id(chance)}"
        for _ in range(600)
    )
    details = f"traceback:\nTraceback:\n  File x.py, line 5\nServerFault\n\npythonlogging:\n{calls}"
    return replace(case, outcome=Outcome.FAIL, reason="ServerFault: Got fault", details=details)


def make_verdict(chance: random.Random) -> Verdict:
    """Return a verdict on CASES tests, with FAILED failures of each cause."""
    cases = [make_case(number, chance) for number in range(CASES)]
    ids = tuple(case.id for case in cases if case.outcome is Outcome.FAIL)
    findings = tuple(
        Attribution(test_id, CAUSES[n % 5], f"fault {n % 7}", ("03-tempest, on the base: success",))
        for n, test_id in enumerate(ids)
    )
    excused = tuple(one.id for one in findings if one.cause in (Cause.BASE, Cause.FLAKE))
    excuses = dict.fromkeys(excused, Excuse.FAILS_ON_BASE)
    own = tuple(sorted(set(ids) - set(excused)))
    attempt = Summary("02-tempest", Kind.TEMPEST, State.ENDED, 1, CASES, BEGAN, BEGAN)
    reasons = (
        Reason(Level.FAIL, Code.TESTS_FAILED, f"{len(own)} tests failed", own),
        Reason(Level.NOTE, Code.FAILS_ON_BASE, f"{len(excused)} failures excused", excused),
    )
    return Verdict(
        run=Run("1234", BEGAN, name="made up", suite="gate", profile="embedded"),
        result=Result.FAIL,
        reasons=reasons,
        cases=tuple(cases),
        attempts=(attempt,),
        dispositions=counted(dispose(cases, [], findings, {}, excuses), reasons),
    )


def write_logs(folder: Path, verdict: Verdict, chance: random.Random) -> None:
    """Write LOGS bytes of services' logs; some lines contain the request id of a failure."""
    folder.mkdir(parents=True)
    details = [case.details for case in verdict.cases if case.details]
    for service in SERVICES:
        with (folder / f"{service}.log").open("w") as log:
            second = 0.0
            while log.tell() < LOGS // len(SERVICES):
                second += 0.02
                time = (BEGAN + timedelta(seconds=second)).isoformat(" ", "milliseconds")[:23]
                named = chance.random() < 0.05
                request = chance.choice(details)[-40:] if named else request_id(chance)
                level = "ERROR" if named else "INFO"
                log.write(f"{time} 7 {level} {service}.api [None {request} - - - -] GET /v2 200 ")
                log.write("x" * chance.randrange(20, 300) + "\n")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the report of a large run that failed."""
    chance = random.Random(SEED)
    run = tmp_path_factory.mktemp("run")
    verdict = make_verdict(chance)
    write_logs(run / "logs" / "services", verdict, chance)
    size = sum(log.stat().st_size for log in (run / "logs" / "services").iterdir())
    assert size >= LOGS
    history = [
        Record(
            Run(str(day), BEGAN - timedelta(days=day)),
            chance.choice(list(Result)),
            "check",
            {"fail": day},
            600.0 + day,
        )
        for day in range(1, 90)
    ]
    began = time.process_time()
    write_all(verdict, run, history=history)
    page = run / "report" / "report.html"
    show(
        f"seed {SEED}: {CASES} cases and {size >> 20} MB of logs reported in "
        f"{time.process_time() - began:.2f} s of CPU, page of {page.stat().st_size >> 10} kB"
    )
    return page


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Return a running browser."""
    program = browser.find()
    if program is None:
        pytest.skip(f"none of {', '.join(browser.NAMES)} on PATH: apt-get install chromium")
    with browser.started(program, tmp_path_factory.mktemp("browser")) as found:
        yield found


@pytest.fixture
def opened(chromium: Browser, page: Path) -> Browser:
    """Return the browser with the large report in it."""
    chromium.open(page)
    return chromium


def show(line: str) -> None:
    """Print a figure (pytest -s)."""
    sys.stdout.write(f"\n  {line}\n")


def click(chromium: Browser, selector: str) -> None:
    chromium.evaluate(f"document.querySelector({selector!r}).click()")


def shown(chromium: Browser) -> str:
    """Return the text with the number of rows in the ledger."""
    count: str = chromium.evaluate("document.getElementById('shown').value")
    rows = "document.querySelectorAll('#cases tbody tr:not([hidden])').length"
    assert count == f"{chromium.evaluate(rows)} of {CASES}"
    return count.partition(" ")[0]


def test_a_large_report_opens_at_once(chromium: Browser, page: Path) -> None:
    seconds = sorted(chromium.open(page) for _ in range(3))
    timing = chromium.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd")
    listed = ", ".join(f"{each:.2f}" for each in seconds)
    show(f"opened and painted in {listed} s; the browser's own loadEventEnd is {timing:.0f} ms")
    assert seconds[0] < OPENS_IN
    assert chromium.evaluate("document.querySelectorAll('#cases tbody tr').length") == CASES


def test_its_log_lines_belong_to_the_requests_of_failures(opened: Browser) -> None:
    lines = opened.evaluate("[...document.querySelectorAll('.log')].map(one => one.textContent)")
    assert len(lines) == FAILED
    assert all("req-" in each and "ERROR" in each for each in lines)


def test_it_requests_nothing_but_the_page(opened: Browser, page: Path) -> None:
    assert [
        each["request"]["url"] for each in opened.events_called("Network.requestWillBeSent")
    ] == [page.as_uri()]
    assert opened.events_called("Log.entryAdded") == []
    assert opened.events_called("Runtime.exceptionThrown") == []


def test_hostile_evidence_is_text(chromium: Browser, tmp_path: Path) -> None:
    case = Case(HARM, Outcome.FAIL, BEGAN, 1.0, HARM, HARM, f"{HARM}\n\n{HARM}:\n{HARM}")
    reason = Reason(Level.FAIL, Code.TESTS_FAILED, HARM, (HARM, HARM))
    source = Source(HARM, HARM, HARM, HARM)
    texts: dict[str, Any] = dict.fromkeys(TEXTS, HARM)
    run = Run(HARM, BEGAN, **texts, sources=(source,), facts={HARM: HARM})
    made = Disposition(HARM, True, Cause.CHANGE, signature=HARM, evidence=(HARM,))
    verdict = Verdict(run, Result.FAIL, (reason,), (case,), (case, case), (), (made,), HARM)
    services = tmp_path / "logs" / "services"
    services.mkdir(parents=True)
    (services / f"{HARM[:8]}.log").write_text(f"{BEGAN:%Y-%m-%d %H:%M:%S}.000 7 ERROR x [-] {HARM}")
    before = Run("1", BEGAN - timedelta(days=1), name=HARM)
    history = [Record(before, Result.PASS, "check", {HARM: 1}, 5.0)]
    write_all(verdict, tmp_path, history=history)

    chromium.open(tmp_path / "report" / "report.html")
    chromium.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert chromium.evaluate("document.title").startswith("FAIL (narrowed) · bsdgate")
    assert chromium.evaluate("document.body.innerText").count("alert(1)") >= 10
    assert chromium.evaluate("document.querySelectorAll('img, link, [onload]').length") == 0
    assert chromium.evaluate("document.scripts.length") == 1
    assert chromium.events_called("Page.javascriptDialogOpening") == []
    test_it_requests_nothing_but_the_page(chromium, tmp_path / "report" / "report.html")


def test_an_empty_report_works(chromium: Browser, tmp_path: Path) -> None:
    write_all(Verdict(Run("1234", BEGAN), Result.ERROR, (), ()), tmp_path)
    chromium.open(tmp_path / "report" / "report.html")
    assert chromium.evaluate("document.querySelector('h1').innerText") == "ERROR"
    test_it_requests_nothing_but_the_page(chromium, tmp_path / "report" / "report.html")


def test_the_ledger_is_filtered_and_sorted(opened: Browser) -> None:
    assert opened.evaluate("document.getElementById('filter').hidden") is False
    opened.evaluate(
        "words.value = 'NOVA test_4'; words.dispatchEvent(new Event('input', {bubbles: true}))"
    )
    assert 0 < int(shown(opened)) < CASES // 6
    click(opened, "[data-show=fail]")
    assert shown(opened) == str(FAILED)
    click(opened, "[data-show=all]")
    assert shown(opened) == str(CASES)
    click(opened, "#cases th.number button")
    seconds = opened.evaluate(
        "[...document.querySelectorAll('#cases td.number')].map(one => +one.dataset.seconds)"
    )
    assert seconds == sorted(seconds, reverse=True)


def test_filtering_is_as_fast_as_typing(opened: Browser) -> None:
    milliseconds = opened.evaluate(
        """(() => {
            const spent = [];
            for (const text of ["t", "test", "test_1", "nova", ""]) {
                const began = performance.now();
                words.value = text;
                words.dispatchEvent(new Event("input", {bubbles: true}));
                document.getElementById("cases").offsetHeight;
                spent.push(Math.round(performance.now() - began));
            }
            return spent;
        })()"""
    )
    show(f"a filter of {CASES} rows applied in {milliseconds} ms")
    assert len(milliseconds) == 5


def test_a_link_opens_a_closed_failure(opened: Browser) -> None:
    last = "[...document.querySelectorAll('.group:not([open]) .failure')].at(-1)"
    name = opened.evaluate(f"{last}.id")
    opened.evaluate(f"location.hash = {name!r}")
    opened.settle()
    folded = f"document.getElementById({name!r}).closest('.group').open"
    assert opened.evaluate(f"{folded} && document.getElementById({name!r}).open") is True


def test_the_timeline_describes_its_bars_and_links_to_their_rows(opened: Browser) -> None:
    place: dict[str, Any] = opened.evaluate(
        """(() => {
            const bar = document.querySelector("#bars rect.fail");
            bar.scrollIntoView({block: "center", behavior: "instant"});
            const {x, y, width, height} = bar.getBoundingClientRect();
            return {x: x + width / 2, y: y + height / 2, row: bar.dataset.row};
        })()"""
    )
    opened("Input.dispatchMouseEvent", type="mouseMoved", x=place["x"], y=place["y"])
    tip = opened.evaluate("document.getElementById('tip').innerText")
    name = f"document.getElementById('case-{place['row']}').querySelector('b').innerText"
    assert tip.startswith(opened.evaluate(name))
    assert "fail" in tip
    opened.evaluate(
        "document.querySelector('#bars rect.success')"
        ".dispatchEvent(new MouseEvent('click', {bubbles: true}))"
    )
    assert opened.evaluate("document.querySelectorAll('tr.here.here').length") == 1


@pytest.mark.parametrize("width", [1280, 390], ids=["desk", "phone"])
def test_nothing_is_wider_than_the_window(opened: Browser, width: int) -> None:
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    opened("Emulation.setDeviceMetricsOverride", **size)
    try:
        opened.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
        wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert opened.evaluate(wide) <= 0
    finally:
        opened("Emulation.clearDeviceMetricsOverride")


def test_each_control_has_a_name(opened: Browser) -> None:
    # Content far below the window is not drawn or described yet.
    opened.evaluate("document.getElementById('cases').scrollIntoView({behavior: 'instant'})")
    opened.settle()
    nodes = opened("Accessibility.getFullAXTree")["nodes"]
    roles: dict[str, list[str]] = {}
    for node in nodes:
        if not node["ignored"]:
            name = node.get("name", {}).get("value", "")
            roles.setdefault(node["role"]["value"], []).append(name)
    for role in ("main", "navigation", "heading", "table", "searchbox", "checkbox", "radio"):
        assert roles.get(role), f"there is no {role}"
    operated = ("link", "button", "searchbox", "checkbox", "radio", "DisclosureTriangle")
    assert {role: names for role in operated if not all(names := roles.get(role, []))} == {}


def test_it_can_be_printed(opened: Browser) -> None:
    opened("Emulation.setEmulatedMedia", media="print")
    try:
        hidden = "getComputedStyle(document.querySelector('nav')).display"
        assert opened.evaluate(hidden) == "none"
        assert len(opened("Page.printToPDF", pageRanges="1-2")["data"]) > 10_000
    finally:
        opened("Emulation.setEmulatedMedia", media="")
