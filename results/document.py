# SPDX-License-Identifier: Apache-2.0
"""Writes and reads a verdict as one versioned JSON document (``report/verdict.json``).

The document has the fields of ``model.Verdict``, written and read by pydantic, its version
(``schema``) and its ``counts``. ``parse(render(verdict)) == verdict``. The counts are for other
programs: ``parse`` counts the cases itself and refuses a document with other counts.
"""

import json
from functools import cache
from typing import Any, Final

from pydantic import TypeAdapter

from bsdgate.results import strict_json, upgrade
from bsdgate.results.errors import EvidenceError
from bsdgate.results.model import Verdict

SCHEMA: Final = 4
"""The version of the documents written; version 3 can be read as well (upgrade.py)."""

JUDGE_AGAIN: Final = "judge the run again: bsdgate report RUN_DIR"
"""The hint in errors about a verdict that cannot be read or stored."""


@cache
def _adapter() -> TypeAdapter[Verdict]:
    # Built at the first use, because this takes longer than all imports of the judge.
    return TypeAdapter(Verdict)


def render(verdict: Verdict) -> str:
    """Return ``verdict`` as JSON text, in ASCII."""
    head = {"schema": SCHEMA, "counts": dict(verdict.counts)}
    fields = _adapter().dump_python(verdict, mode="json", exclude_none=True)
    return json.dumps(head | fields, indent=1, allow_nan=False) + "\n"


def parse(text: str | bytes) -> Verdict:
    """Return the verdict in a document that this bsdgate or an earlier one wrote.

    :raises EvidenceError: the document is not valid; the message has the reason.
    """
    try:
        document = strict_json.loads_object(text)
        if document.get("schema") == upgrade.FROM:
            document = upgrade.document(document)
        schema, counts = document.pop("schema", None), document.pop("counts", None)
        if schema != SCHEMA:
            raise ValueError(f"schema {schema!r} must be {upgrade.FROM} or {SCHEMA}")
        verdict = _adapter().validate_json(json.dumps(document), strict=True)
        if counts != verdict.counts:
            raise ValueError("the counts do not match the cases")
        if wrong := _without_zone(verdict):
            raise ValueError(f"the time {wrong} has no time zone")
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as reason:
        raise _refused(strict_json.explain(reason)) from None
    return verdict


def schema() -> dict[str, Any]:
    """Return the JSON Schema of the document."""
    found = _adapter().json_schema(mode="serialization")
    numbers = {"type": "object", "additionalProperties": {"type": "integer", "minimum": 0}}
    head = {
        "schema": {"const": SCHEMA, "description": "The version of this document."},
        "counts": numbers | {"description": "Number of requested tests, and of tests per outcome."},
    }
    found["properties"] = head | found["properties"]
    found["required"] = [*head, *found["required"]]
    found["title"] = "Verdict of bsdgate"
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **found}


def _without_zone(verdict: Verdict) -> str:
    cases = (*verdict.cases, *verdict.setup_failures)
    times = [verdict.run.created, verdict.judged, *(case.started for case in cases)]
    times += [time for one in verdict.attempts for time in (one.started, one.ended)]
    return next((str(time) for time in times if time and time.tzinfo is None), "")


def _refused(why: str) -> EvidenceError:
    return EvidenceError(f"not a valid verdict document: {why}", JUDGE_AGAIN)
