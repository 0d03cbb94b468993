# SPDX-License-Identifier: Apache-2.0
import pytest

from bsdgate.results.model import Code, Level
from bsdgate.results.problems import CODES, Problem, read


@pytest.mark.parametrize("code", sorted(CODES), ids=str)
def test_a_problem_is_read_as_it_was_written(code):
    problem = Problem(code, "what went wrong")
    reason = read(problem.fields, 2)
    assert (reason.level, reason.code, reason.message) == (Level.ERROR, code, problem.text)
    assert isinstance(reason.code, Code)


def test_a_text_of_the_first_schema_is_a_problem_without_a_code():
    reason = read("nova died", 1)
    assert (reason.level, reason.code, reason.message) == (
        Level.ERROR,
        Code.HARNESS_PROBLEM,
        "nova died",
    )


@pytest.mark.parametrize("code", ["resumed", "left-behind", "no-list", "undated", "", None, 1])
def test_only_the_code_of_a_problem_is_taken(code):
    """The codes of other reasons may be ones that a policy excuses."""
    with pytest.raises(
        ValueError, match="is no code of a problem; allowed: cloud-not-ready|is no problem"
    ):
        read({"code": code, "text": "nova died"}, 2)
