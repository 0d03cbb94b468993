# SPDX-License-Identifier: Apache-2.0
"""A verdict as one HTML file that needs no network and runs nothing but its own script.

Ids, reasons and tracebacks come from programs under test: they are escaped, and a content
security policy forbids whatever else might get in.
"""

import base64
import hashlib
from functools import cache
from importlib.resources import files

import jinja2
from markupsafe import Markup

from bsdgate.results.ids import bare
from bsdgate.results.model import Outcome, Result, Verdict
from bsdgate.results.reporters.text import describe_counts, failures, plain
from bsdgate.results.reporters.timeline import LANE, MARGIN, WIDTH, lay_out

IDS_SHOWN = 8
FAILURES_BOUND = 500

_MEANING = {
    Result.PASS: "Every asked test is accounted for, and none failed.",
    Result.FAIL: "The evidence is whole, and there are failures in it.",
    Result.ERROR: "The evidence is not whole, so it proves nothing either way.",
}


def render(verdict: Verdict) -> str:
    """Write ``verdict`` as a self-contained HTML document."""
    style, script = _asset("report.css"), _asset("report.js")
    found = failures(verdict)
    shown = found[:FAILURES_BOUND]
    return _template().render(
        verdict=verdict,
        meaning=_MEANING[verdict.result],
        summary=describe_counts(verdict),
        states=[state for state in Outcome if verdict.counts[state]],
        failures=shown,
        failures_left_out=len(found) - len(shown),
        anchors={case.id: f"failure-{number}" for number, case in enumerate(shown)},
        timeline=lay_out(verdict.cases),
        drawing={"width": WIDTH, "margin": MARGIN, "lane": LANE},
        ids_shown=IDS_SHOWN,
        style=Markup(style),  # noqa: S704 (ours, and not made of anything)
        script=Markup(script),  # noqa: S704
        policy=f"default-src 'none'; style-src '{_digest(style)}'; script-src '{_digest(script)}'",
    )


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"plain": plain, "lines": _lines, "duration": _duration, "bare": bare}
    return environment.from_string(_asset("report.html.j2"))


def _asset(name: str) -> str:
    folder = files("bsdgate.results.reporters") / "templates"
    return (folder / name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    """The name by which a content security policy allows one inline style or script."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _lines(text: str) -> str:
    return "\n".join(plain(line.expandtabs()) for line in text.splitlines())


def _duration(seconds: float) -> str:
    if 0 < seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 100:  # noqa: PLR2004 (beyond that, tenths of a second say nothing)
        return f"{seconds:.1f} s"
    return f"{seconds // 60:.0f} min {seconds % 60:02.0f} s"
