# SPDX-License-Identifier: Apache-2.0
"""A verdict as one HTML file, which needs no network and runs only its own script.

Ids, reasons, tracebacks and log lines come from programs under test: they are escaped, and a
content security policy forbids all other styles and scripts.
"""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Final

import jinja2
from markupsafe import Markup

from bsdgate.results.model import Outcome, Verdict
from bsdgate.results.reporters import timeline, trend
from bsdgate.results.reporters.servicelogs import Lines
from bsdgate.results.reporters.text import describe_counts, duration, meaning, plain
from bsdgate.results.reporters.views import rows, sections, short_context, split
from bsdgate.results.store.rows import Record

LANE: Final = 28
AXIS: Final = 26
TREND_HEIGHT: Final = 96
"""Heights in pixels. Horizontal lengths are in per cent of the width."""


def render(
    verdict: Verdict,
    *,
    logs: Mapping[str, Lines] | None = None,
    remarks: Sequence[str] = (),
    history: Sequence[Record] = (),
) -> str:
    """Write ``verdict`` as a self-contained HTML document.

    ``logs`` has the lines that services logged about failures, by case id; ``remarks`` has the
    problems with the logs. ``history`` has earlier runs of the same suite; without them, no
    trend is drawn.
    """
    style, script = _asset("report.css"), _asset("report.js")
    cases = rows(verdict)
    return _template().render(
        verdict=verdict,
        meaning=meaning(verdict),
        summary=describe_counts(verdict),
        states=[state for state in Outcome if verdict.counts[state]],
        seconds=verdict.seconds,
        failures=sections(verdict, logs or {}),
        remarks=remarks,
        cases=cases,
        timeline=timeline.lay_out(cases),
        trend=trend.lay_out(verdict, history),
        sizes={"lane": LANE, "axis": AXIS, "trend": TREND_HEIGHT, "trend_width": trend.WIDTH},
        style=Markup(style),  # noqa: S704 - a file of bsdgate, without data
        script=Markup(script),  # noqa: S704 - the same
        policy=f"default-src 'none'; style-src '{_digest(style)}'; script-src '{_digest(script)}'"
        "; base-uri 'none'; form-action 'none'",
    )


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        loader=jinja2.FunctionLoader(_asset),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "plain": plain,
        "lines": _lines,
        "duration": duration,
        "clock": _clock,
        "percent": _percent,
        "split": split,
        "short_context": short_context,
    }
    return environment.get_template("report.html.j2")


def _asset(name: str) -> str:
    folder = files("bsdgate.results.reporters") / "templates"
    return (folder / name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    """Return the hash by which a content security policy allows an inline style or script."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _lines(text: str) -> str:
    return "\n".join(plain(line.expandtabs()) for line in text.splitlines())


def _percent(value: float) -> str:
    return f"{value:.3f}".rstrip("0").rstrip(".") + "%"


def _clock(seconds: float) -> str:
    """Return the label of a time axis: ``12.5 s``, ``2:05``, ``1:02:05``."""
    if seconds < 60:  # noqa: PLR2004 (a minute)
        return f"{seconds:g} s"
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
