# SPDX-License-Identifier: Apache-2.0
import pytest
from pydantic import TypeAdapter

from bsdgate.results.codes import Code
from bsdgate.results.problems import CODES, Problem

PROBLEM = TypeAdapter(Problem)


@pytest.mark.parametrize("code", sorted(CODES), ids=str)
def test_a_written_problem_is_read_back(code: Code) -> None:
    problem = Problem(code, "what went wrong")
    assert PROBLEM.validate_python(problem.fields) == problem


@pytest.mark.parametrize("code", ["resumed", "left-behind", "no-list", "undated", "", None, 1])
def test_only_codes_of_problems_are_accepted(code: str | int | None) -> None:
    """A policy can excuse the codes of other reasons."""
    with pytest.raises(
        ValueError, match="is not a code of a problem; allowed: cloud|Input should be"
    ):
        PROBLEM.validate_python({"code": code, "text": "nova died"})
