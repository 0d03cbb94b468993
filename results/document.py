# SPDX-License-Identifier: Apache-2.0
"""A verdict as one versioned JSON document (``report/verdict.json``), and back.

``parse(render(verdict)) == verdict``. The document's counts are for other readers: parse counts
the cases itself and refuses a document that says otherwise.
"""

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from importlib.resources import files
from textwrap import indent
from typing import Any, Final

from bsdgate.results import strict_json
from bsdgate.results.errors import EvidenceError
from bsdgate.results.model import (
    Case,
    Cause,
    Code,
    Feature,
    Finding,
    Kind,
    Level,
    Outcome,
    Reason,
    Result,
    Run,
    Side,
    State,
    Summary,
    Timing,
    Verdict,
)

SCHEMA = 3
VALUES_BOUND: Final = 12_000_000
"""Values of a document that is read: a million cases have them."""

JUDGE_AGAIN = "judge the run again: bsdgate report RUN_DIR"
"""What to do about a verdict that is none, or none to be kept."""

SCHEMA_FILE = files("bsdgate.results") / "verdict.schema.json"
"""The JSON Schema of this version of the document."""


def render(verdict: Verdict) -> str:
    """Write ``verdict`` as JSON text, in ASCII."""
    return "".join(parts(verdict))


def parts(verdict: Verdict) -> Iterator[str]:
    """Write ``verdict`` piece by piece, so that never all of it is in memory."""
    head = {
        "schema": SCHEMA,
        "run_id": verdict.run.run_id,
        "result": verdict.result,
        "policy": verdict.policy,
        **_some({"judged": _time_out(verdict.judged)}),
        "counts": dict(verdict.counts),
        "run": _run_out(verdict.run),
        "unmatched": list(verdict.unmatched),
        "timings": {timing.name: timing.seconds for timing in verdict.timings},
    }
    yield _written(head).removesuffix("\n}")
    lists: dict[str, Iterable[dict[str, Any]]] = {
        "reasons": map(_reason_out, verdict.reasons),
        "attempts": map(_attempt_out, verdict.attempts),
        "findings": map(_finding_out, verdict.findings),
        "fixtures": map(_case_out, verdict.fixtures),
        "cases": map(_case_out, verdict.cases),
    }
    for name, items in lists.items():
        yield f',\n "{name}": ['
        before, end = "\n", "]"
        for item in items:
            yield before + indent(_written(item), "  ")
            before, end = ",\n", "\n ]"
        yield end
    yield "\n}\n"


def _written(content: dict[str, Any]) -> str:
    return json.dumps(content, indent=1, allow_nan=False)


def parse(text: str | bytes) -> Verdict:
    """Read what ``render`` wrote; raise EvidenceError, saying why, for anything else."""
    try:
        document = strict_json.loads_object(text, VALUES_BOUND)
        if document["schema"] != SCHEMA:
            raise ValueError(f"schema {document['schema']!r} is not {SCHEMA}")
        verdict = Verdict(
            run=_run_in(document["run"]),
            result=Result(document["result"]),
            reasons=tuple(_reason_in(reason) for reason in document["reasons"]),
            cases=tuple(_case_in(case) for case in document["cases"]),
            fixtures=tuple(_case_in(case) for case in document["fixtures"]),
            attempts=tuple(_attempt_in(attempt) for attempt in document["attempts"]),
            findings=tuple(_finding_in(finding) for finding in document["findings"]),
            policy=_text(document["policy"]),
            unmatched=_texts(document["unmatched"]),
            timings=tuple(
                Timing(name, _number(value)) for name, value in sorted(document["timings"].items())
            ),
            judged=_time_in(document.get("judged")),
        )
        if document["counts"] != verdict.counts:
            raise ValueError("its counts are not those of its cases")
        if document["run_id"] != verdict.run.run_id:
            raise ValueError("it names two runs")
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as reason:
        message = f"no verdict document: {type(reason).__name__}: {reason}"
        raise EvidenceError(message, JUDGE_AGAIN) from None
    return verdict


def _time_out(moment: datetime | None) -> str | None:
    return moment.astimezone(UTC).isoformat() if moment else None


def _time_in(text: str | None) -> datetime | None:
    return None if text is None else _moment(text)


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r:.80} has no time zone")
    return moment.astimezone(UTC)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r:.80} is no text")
    return value


def _texts(values: Any) -> tuple[str, ...]:
    if not isinstance(values, list):
        raise TypeError(f"{values!r:.80} is no list")
    return tuple(map(_text, values))


def _number(value: Any) -> float:
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise TypeError(f"{value!r:.80} is no number")
    return value


def _some(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Only what has a value: thousands of nulls help nobody."""
    return {key: value for key, value in fields.items() if value is not None}


def _case_out(case: Case) -> dict[str, Any]:
    return _some(
        {
            "id": case.id,
            "outcome": case.outcome,
            "started": _time_out(case.started),
            "seconds": case.seconds,
            "worker": case.worker,
            "reason": case.reason,
            "details": case.details,
        }
    )


def _case_in(fields: Mapping[str, Any]) -> Case:
    return Case(
        id=_text(fields["id"]),
        outcome=Outcome(fields["outcome"]),
        started=_time_in(fields.get("started")),
        seconds=_number(fields["seconds"]) if "seconds" in fields else None,
        **{name: _text(fields[name]) for name in ("worker", "reason", "details") if name in fields},
    )


def _reason_out(reason: Reason) -> dict[str, Any]:
    return {
        "level": reason.level,
        "code": reason.code,
        "message": reason.message,
        "ids": list(reason.ids),
    }


def _reason_in(fields: Mapping[str, Any]) -> Reason:
    level, code = Level(fields["level"]), Code(fields["code"])
    return Reason(level, code, _text(fields["message"]), _texts(fields["ids"]))


def _finding_out(finding: Finding) -> dict[str, Any]:
    return {
        "id": finding.id,
        "cause": finding.cause,
        "signature": finding.signature,
        "shown_by": list(finding.shown_by),
    }


def _finding_in(fields: Mapping[str, Any]) -> Finding:
    name, signature, shown_by = fields["id"], fields["signature"], fields["shown_by"]
    return Finding(_text(name), Cause(fields["cause"]), _text(signature), _texts(shown_by))


def _attempt_out(attempt: Summary) -> dict[str, Any]:
    return {
        "name": attempt.name,
        "kind": attempt.kind,
        "state": attempt.state,
        "exit_status": attempt.exit_status,
        "asked": attempt.asked,
        "started": _time_out(attempt.started),
        "ended": _time_out(attempt.ended),
        "side": attempt.side,
        "confirms": attempt.confirms,
    }


def _attempt_in(fields: Mapping[str, Any]) -> Summary:
    return Summary(
        name=_text(fields["name"]),
        kind=Kind(fields["kind"]),
        state=State(fields["state"]),
        exit_status=None if fields["exit_status"] is None else int(fields["exit_status"]),
        asked=int(fields["asked"]),
        started=_time_in(fields["started"]),
        ended=_time_in(fields["ended"]),
        side=Side(fields["side"]),
        confirms=_text(fields["confirms"]),
    )


_TEXTS = ("name", "version", "profile", "suite", "release", "selection", "change")


def _pairs(fields: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    return tuple((name, _text(value)) for name, value in sorted(fields.items()))


def _run_out(run: Run) -> dict[str, Any]:
    texts = {name: getattr(run, name) for name in _TEXTS}
    return {
        "run_id": run.run_id,
        "created": _time_out(run.created),
        **texts,
        "sources": list(run.sources),
        "facts": dict(run.facts),
        "features": [
            {"option": each.option, "value": each.value, "reason": each.reason}
            for each in run.features
        ],
        "versions": dict(run.versions),
    }


def _run_in(fields: Mapping[str, Any]) -> Run:
    return Run(
        run_id=_text(fields["run_id"]),
        created=_moment(fields["created"]),
        sources=_texts(fields["sources"]),
        facts=_pairs(fields["facts"]),
        versions=_pairs(fields["versions"]),
        features=tuple(
            Feature(**{key: _text(value) for key, value in each.items()})
            for each in fields["features"]
        ),
        **{name: _text(fields[name]) for name in _TEXTS},
    )
