# SPDX-License-Identifier: Apache-2.0
import json
from datetime import UTC

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bsdgate.results import document
from bsdgate.results.errors import EvidenceError
from bsdgate.results.model import Case, Kind, Outcome, Reason, Result, Run, State, Summary, Verdict

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
)
tuples = st.lists(texts, max_size=3).map(tuple)
verdicts = st.builds(
    Verdict,
    run=st.builds(Run, run_id=texts, created=moments, name=texts, sources=tuples),
    result=st.sampled_from(Result),
    reasons=st.lists(st.builds(Reason, message=texts, ids=tuples), max_size=3).map(tuple),
    cases=st.lists(cases, max_size=4).map(tuple),
    fixtures=st.lists(cases, max_size=2).map(tuple),
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
        ),
        max_size=2,
    ).map(tuple),
)


@given(verdicts)
def test_what_is_rendered_is_read_back(verdict):
    assert document.parse(document.render(verdict)) == verdict


@given(verdicts)
def test_the_document_is_ascii_and_names_its_schema(verdict):
    text = document.render(verdict)
    assert text.isascii()
    whole = json.loads(text)
    assert (whole["schema"], whole["run_id"]) == (1, verdict.run.run_id)
    assert whole["counts"]["asked"] == len(verdict.cases)


@pytest.fixture
def whole(run_dir):
    run_dir.recorded("subunit", "clean")
    return json.loads(document.render(run_dir.judge()))


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("schema", 2, "schema 2"),
        ("run_id", "other", "two runs"),
        ("result", "MAYBE", "MAYBE"),
        ("counts", {"asked": 100}, "counts"),
        ("cases", None, "TypeError"),
        ("reasons", [{"level": "error"}], "code"),
    ],
)
def test_another_document_is_refused(whole, key, value, said):
    with pytest.raises(EvidenceError, match=said):
        document.parse(json.dumps(whole | {key: value}))


def test_a_cut_document_is_refused(whole):
    text = json.dumps(whole)
    for place in range(0, len(text), 50):
        with pytest.raises(EvidenceError):
            document.parse(text[:place])
