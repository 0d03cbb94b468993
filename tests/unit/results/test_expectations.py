# SPDX-License-Identifier: Apache-2.0
from datetime import date

import pytest

from bsdgate.results.expectations import Expectation, Expectations, ExpectationsError, load, valid

WHOLE = """\
- test: tempest.api.compute.test_rescue.*
  bug: https://bugs.example.org/1
  owner: jane
  reason: fake servers have no rescue disk
  since: 2026-11-01
  expires: 2027-05-01
  scope: {profile: embedded}
"""


def entry(test, expires="2027-05-01"):
    day = date.fromisoformat(expires)
    return Expectation(test, "https://b/1", "jane", "reason", date(2026, 1, 1), day)


def test_a_whole_entry_is_read(tmp_path):
    file = tmp_path / "a.yaml"
    file.write_text(WHOLE)
    (found,) = load([tmp_path])
    assert found.expires == date(2027, 5, 1)
    assert found.scope == (("profile", "embedded"),)
    assert found.source == f"{file}:1"


def test_an_empty_file_has_no_entries(tmp_path):
    (tmp_path / "a.yaml").write_text("# none yet\n")
    assert load([tmp_path]) == ()


def test_all_problems_are_named_with_file_and_line(tmp_path):
    first, second, third = (tmp_path / f"{name}.yaml" for name in "abc")
    first.write_text(
        WHOLE.replace("https://", "").replace("2027-05-01", "soon") + "  colour: red\n- 5\n"
    )
    second.write_text("- test: x\n  test: y\n")
    third.write_text("{")
    with pytest.raises(ExpectationsError) as caught:
        load([tmp_path, tmp_path / "absent.yaml"])
    problems = caught.value.problems
    told = str(caught.value)
    for said in (
        f"{first}:2: bug: 'bugs.example.org/1' is not the URL",
        f"{first}:6: expires:",
        f"{first}:8: colour: unknown; allowed are test, bug,",
        f"{first}:9: a mapping with",
        f"{second}:2: test: there more than once",
        f"{second}:1: owner is missing",
        f"{third}: ",
        "absent.yaml: ",
    ):
        assert said in told
    assert len(problems) == 12
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("pattern", "test_id", "matches"),
    [
        ("m.C.one", "m.C.one", True),
        ("m.C.one", "m.C.one[id-1,smoke]", True),
        ("m.C.one[id-1,smoke]", "m.C.one[id-1,smoke]", True),
        ("m.C.*", "m.C.one[id-1]", True),
        ("m.C.on?", "m.C.one", True),
        ("m.C.one[a-z]", "m.C.oneb", False),
        ("m.C", "m.C.one", False),
        ("m.C.*", "m.D.one", False),
    ],
)
def test_globs_know_star_and_question_mark_only(pattern, test_id, matches):
    assert entry(pattern).matches(test_id) is matches
    assert bool(Expectations([entry(pattern)]).of(test_id)) is matches


def test_an_entry_excuses_up_to_its_last_day():
    found = [entry("m.C.one", "2026-11-22")]
    assert valid(found, date(2026, 11, 22)) == found
    assert valid(found, date(2026, 11, 23)) == []
