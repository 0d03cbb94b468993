# SPDX-License-Identifier: Apache-2.0
"""Writes and reads a verdict as one versioned JSON document (``report/verdict.json``).

The document is the ``Verdict`` of the model, written and read by pydantic, with its version
(``schema``) and its counts. ``parse(render(verdict)) == verdict``. The counts are for other
readers: ``parse`` counts the cases itself and refuses a document with other counts.
"""

import json
from functools import cache
from typing import Any, Final

from pydantic import TypeAdapter

from bsdgate.results import strict_json, upgrade
from bsdgate.results.errors import EvidenceError
from bsdgate.results.model import Verdict

SCHEMA: Final = 4
"""The version that is written. Version 3 is read as well (upgrade.py)."""

JUDGE_AGAIN: Final = "judge the run again: bsdgate report RUN_DIR"
"""The hint of errors about a verdict that cannot be read or stored."""


@cache
def _adapter() -> TypeAdapter[Verdict]:
    # Made when it is first used: it takes longer than all other imports of the judge.
    return TypeAdapter(Verdict)


def render(verdict: Verdict) -> str:
    """Write ``verdict`` as JSON text, in ASCII."""
    head = {"schema": SCHEMA, "counts": dict(verdict.counts)}
    fields = _adapter().dump_python(verdict, mode="json", exclude_none=True)
    return json.dumps(head | fields, indent=1, allow_nan=False) + "\n"


def parse(text: str | bytes) -> Verdict:
    """Read a document that ``render`` of this bsdgate or of an earlier one wrote.

    :raises EvidenceError: it is not such a document; the message says what is wrong.
    """
    try:
        document = strict_json.loads_object(text)
        if document.get("schema") == upgrade.FROM:
            document = upgrade.document(document)
        schema, counts = document.pop("schema", None), document.pop("counts", None)
        if schema != SCHEMA:
            raise ValueError(f"schema {schema!r} is neither {SCHEMA} nor {upgrade.FROM}")
        verdict = _adapter().validate_json(json.dumps(document), strict=True)
        if counts != verdict.counts:
            raise ValueError("its counts are not those of its cases")
        if wrong := _without_zone(verdict):
            raise ValueError(f"{wrong} has no time zone")
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as reason:
        raise _refused(strict_json.explain(reason)) from None
    return verdict


def schema() -> dict[str, Any]:
    """Return the JSON Schema of the document."""
    found = _adapter().json_schema(mode="serialization")
    numbers = {"type": "object", "additionalProperties": {"type": "integer", "minimum": 0}}
    head = {
        "schema": {"const": SCHEMA, "description": "The version of this document."},
        "counts": numbers | {"description": "Number of asked tests, and of tests by outcome."},
    }
    found["properties"] = head | found["properties"]
    found["required"] = [*head, *found["required"]]
    found["title"] = "Verdict of bsdgate"
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **found}


def _without_zone(verdict: Verdict) -> str:
    times = {"created": verdict.run.created, "judged": verdict.judged}
    for attempt in verdict.attempts:
        times |= {
            f"{attempt.name}: started": attempt.started,
            f"{attempt.name}: ended": attempt.ended,
        }
    times |= {case.id: case.started for case in verdict.cases}
    wrong = (name for name, moment in times.items() if moment and moment.tzinfo is None)
    return next(wrong, "")


def _refused(why: str) -> EvidenceError:
    return EvidenceError(f"no verdict document: {why}", JUDGE_AGAIN)
