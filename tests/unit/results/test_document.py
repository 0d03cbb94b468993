# SPDX-License-Identifier: Apache-2.0
import contextlib
import functools
import json
import operator
from collections.abc import Iterator
from datetime import UTC
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.results.conftest import RunDir

from bsdgate.results import document
from bsdgate.results.errors import EvidenceError
from bsdgate.results.model import (
    Case,
    Cause,
    Disposition,
    Excuse,
    Kind,
    KnownFailure,
    Outcome,
    Reason,
    Result,
    Run,
    Side,
    Source,
    State,
    Summary,
    Verdict,
)
from bsdgate.results.store.database import Store

texts = st.text(max_size=20)
moments = st.datetimes(timezones=st.just(UTC))
seconds = st.floats(0, 1e6, allow_nan=False)
cases = st.builds(
    Case,
    id=texts,
    outcome=st.sampled_from(Outcome),
    started=st.none() | moments,
    seconds=st.none() | seconds,
    worker=st.none() | texts,
    reason=st.none() | texts,
    details=st.none() | texts,
    setup_failure=st.none() | texts,
)
tuples = st.lists(texts, max_size=3).map(tuple)
pairs = st.dictionaries(texts, texts, max_size=2)
known = st.builds(KnownFailure, texts, texts, texts, texts)
verdicts = st.builds(
    Verdict,
    run=st.builds(
        Run,
        run_id=texts,
        created=moments,
        name=texts,
        sources=st.lists(st.builds(Source, texts, texts, texts, texts), max_size=2).map(tuple),
        facts=pairs,
        versions=pairs,
    ),
    result=st.sampled_from(Result),
    reasons=st.lists(st.builds(Reason, message=texts, ids=tuples), max_size=3).map(tuple),
    cases=st.lists(cases, max_size=4).map(tuple),
    setup_failures=st.lists(cases, max_size=2).map(tuple),
    attempts=st.lists(
        st.builds(
            Summary,
            name=texts,
            kind=st.sampled_from(Kind),
            state=st.sampled_from(State),
            exit_status=st.none() | st.integers(-64, 255),
            asked=st.integers(0, 9),
            started=st.none() | moments,
            ended=st.none() | moments,
            side=st.sampled_from(Side),
            confirms=texts,
        ),
        max_size=2,
    ).map(tuple),
    dispositions=st.lists(
        st.builds(
            Disposition,
            texts,
            counts=st.booleans(),
            cause=st.sampled_from(Cause),
            excuse=st.none() | st.sampled_from(Excuse),
            known_failure=st.none() | known,
            signature=texts,
            evidence=tuples,
            tests=tuples,
        ),
        max_size=2,
    ).map(tuple),
    policy=texts,
    judged=st.none() | moments,
    unmatched=tuples,
    timings=st.dictionaries(texts, seconds, max_size=3),
)
SCHEMA = document.schema()


@given(verdicts)
def test_a_rendered_document_is_read_back(verdict: Verdict) -> None:
    assert document.parse(document.render(verdict)) == verdict


@given(verdicts)
def test_the_document_is_ascii_and_has_its_schema(verdict: Verdict) -> None:
    text = document.render(verdict)
    assert text.isascii()
    whole = json.loads(text)
    assert (whole["schema"], whole["run"]["run_id"]) == (document.SCHEMA, verdict.run.run_id)
    assert whole["counts"]["asked"] == len(verdict.cases)


@given(verdicts)
def test_the_document_has_the_format_of_json_dumps(verdict: Verdict) -> None:
    text = document.render(verdict)
    assert text == json.dumps(json.loads(text), indent=1) + "\n"


@given(verdicts)
def test_a_rendered_document_is_valid_against_its_schema(verdict: Verdict) -> None:
    jsonschema.validate(json.loads(document.render(verdict)), SCHEMA)


def test_the_schema_is_valid_and_has_all_values_of_enums() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    defined = SCHEMA["$defs"]
    for values in (Outcome, Cause, Excuse, Kind, Result, Side, State):
        assert set(defined[values.__name__]["enum"]) == set(values)
    assert SCHEMA["properties"]["schema"]["const"] == document.SCHEMA


@pytest.fixture
def whole(run_dir: RunDir) -> dict[str, Any]:
    run_dir.recorded("subunit", "clean")
    content: dict[str, Any] = json.loads(document.render(run_dir.judge()))
    return content


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("schema", 1, "schema 1"),
        ("run_id", "other", "run_id: Unexpected"),
        ("result", "MAYBE", "result: "),
        ("counts", {"asked": 100}, "counts"),
        ("cases", None, "cases: Input should be a valid"),
        ("reasons", [{"level": "error"}], "reasons.0.code"),
    ],
)
def test_an_invalid_document_is_refused(
    whole: dict[str, Any], key: str, value: Any, message: str
) -> None:
    with pytest.raises(EvidenceError, match=message):
        document.parse(json.dumps(whole | {key: value}))


def paths_in(value: Any, *path: str | int) -> Iterator[tuple[str | int, ...]]:
    """Yield the path to each value in a document."""
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield (*path, key)
            yield from paths_in(inner, *path, key)


@pytest.mark.parametrize("value", [None, -1, 1e308, [], {}, [[]], "x", ["a"], "2026-01-01", 10**30])
def test_a_changed_document_is_refused_or_can_be_written_and_stored(
    whole: dict[str, Any], value: Any
) -> None:
    """A value of another type is refused, or each reader accepts it."""
    for *path, last in list(paths_in(whole)):
        changed = json.loads(json.dumps(whole))
        inner = functools.reduce(operator.getitem, path, changed)
        inner[last] = value
        try:
            verdict = document.parse(json.dumps(changed))
        except EvidenceError:
            continue
        assert document.parse(document.render(verdict)) == verdict
        with Store() as store, contextlib.suppress(EvidenceError):
            assert store.import_run(verdict)


def test_a_truncated_document_is_refused(whole: dict[str, Any]) -> None:
    text = json.dumps(whole)
    for place in range(0, len(text), 50):
        with pytest.raises(EvidenceError):
            document.parse(text[:place])


@pytest.mark.parametrize(
    ("path", "name"),
    [
        (["run"], "created"),
        ([], "judged"),
        (["attempts", 0], "started"),
        (["attempts", 0], "ended"),
        (["cases", 0], "started"),
        (["setup_failures", 0], "started"),
    ],
    ids=str,
)
def test_a_time_without_a_time_zone_is_refused(
    whole: dict[str, Any], path: list[Any], name: str
) -> None:
    whole |= {"setup_failures": [{"id": "setUpClass (m.A)", "outcome": "fail"}]}
    functools.reduce(operator.getitem, path, whole)[name] = "2026-01-01T00:00:00"
    with pytest.raises(EvidenceError, match="2026-01-01 00:00:00 has no time zone"):
        document.parse(json.dumps(whole))
